//! Instructions of `imbulk ctl` that no process has applied: the next owner of the queue stores them.

use imbulk::domain::control::{Instruction, InstructionKind};
use imbulk::queue::ControlFile;

use crate::fixture::*;

fn instruction(id: &str, run: &str, kind: InstructionKind) -> Instruction {
    Instruction { id: id.to_owned(), run: run.to_owned(), kind, who: "alice@host (pid 7)".to_owned() }
}

#[tokio::test]
async fn the_next_owner_stores_each_instruction_once_and_removes_the_file() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..3))]).await;
    let uuid = queue.run(run).await.unwrap().uuid;
    queue.close().await.unwrap();
    for (id, run, kind) in [
        ("1", uuid.as_str(), InstructionKind::Pause),
        ("2", "no such run", InstructionKind::Pause),
        ("3", "job", InstructionKind::Rate(9.try_into().unwrap())),
        ("1", &uuid, InstructionKind::Pause),
    ] {
        ControlFile::of(&place.file()).send(&instruction(id, run, kind)).unwrap();
    }
    let mut queue = place.open().await;
    let state = queue.control_state(run).await.unwrap();
    assert_eq!(state.pause.map(|pause| pause.who).as_deref(), Some("alice@host (pid 7)"));
    assert_eq!(state.rate.map(std::num::NonZeroU32::get), Some(9));
    let reader = queue.reader().await.unwrap();
    assert_eq!(reader.applied_ids().await.unwrap(), ["1", "3"]);
    assert!(!ControlFile::of(&place.file()).path().exists());
    drop(reader);
    queue.close().await.unwrap();
    // As after a kill between the commit and the removal of the file.
    ControlFile::of(&place.file()).send(&instruction("4", &uuid, InstructionKind::Resume)).unwrap();
    ControlFile::of(&place.file()).send(&instruction("1", &uuid, InstructionKind::Pause)).unwrap();
    let mut queue = place.open().await;
    assert_eq!(queue.control_state(run).await.unwrap().pause, None, "the old instruction is not applied again");
}

#[tokio::test]
async fn a_changed_instruction_is_damage() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..3))]).await;
    queue.close().await.unwrap();
    ControlFile::of(&place.file()).send(&instruction("1", "job", InstructionKind::Pause)).unwrap();
    place.open().await.close().await.unwrap();
    place.tamper("UPDATE control SET command = 'resume'").await;
    let error = place.open().await.control_state(run).await.unwrap_err();
    assert!(error.is_damage(), "{error}");
}
