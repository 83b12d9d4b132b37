//! The file itself: who may read it, who owns it, and which files are refused.

use imbulk::domain::ids::RequestId;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use imbulk::domain::hint::Hint;
use imbulk::queue::{Queue, QueueError, Reader};

use crate::fixture::*;

async fn refused(path: &Path) -> String {
    let error = Queue::open(path).await.map(drop).unwrap_err().with_hint();
    assert!(error.contains("hint: "), "{error}");
    error
}

#[tokio::test]
async fn the_queue_and_all_files_beside_it_are_the_users_alone() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    begun(&mut queue, "account_delete", &[(None, items(0..3))]).await;
    let mut names = Vec::new();
    for file in std::fs::read_dir(place.folder()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["q.db", "q.db-shm", "q.db-wal"]);
    queue.close().await.unwrap();
    assert!(!place.folder().join("q.db-wal").exists(), "closing folds the log into the file");
}

#[tokio::test]
async fn a_second_owner_is_refused_until_the_first_is_gone_and_readers_are_not() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..3))]).await;
    let held = refused(&place.file()).await;
    assert!(held.contains(&format!("pid {}", std::process::id())), "{held}");
    let reader = Reader::open(&place.file()).await.unwrap();
    assert!(reader.is_owned());
    intend(&mut queue, &ids([1])).await.unwrap();
    assert_eq!(
        reader.page(run, RequestId::BEFORE_FIRST, RequestId::MAX, 9).await.unwrap(),
        [],
        "a reader sees what was committed"
    );
    drop(queue);
    assert!(!reader.is_owned());
    place.open().await.close().await.unwrap();
}

#[tokio::test]
async fn a_snapshot_blocks_neither_writes_nor_a_new_owner() {
    use sqlx::{ConnectOptions, Connection};
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..3))]).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(place.file());
    let mut holder = options.connect().await.unwrap();
    let mut snapshot = holder.begin().await.unwrap();
    let pending_now = "SELECT count(*) FROM request WHERE state = 'pending'";
    let count: i64 = sqlx::query_scalar(pending_now).fetch_one(&mut *snapshot).await.unwrap();
    intend(&mut queue, &ids([1])).await.unwrap();
    drop(queue);
    let mut queue = place.open().await;
    assert_eq!(recover(&mut queue).await.len(), 1);
    intend(&mut queue, &ids([1])).await.unwrap();
    queue.close().await.unwrap();
    let still: i64 = sqlx::query_scalar(pending_now).fetch_one(&mut *snapshot).await.unwrap();
    assert_eq!((count, still), (1, 1));
    drop(snapshot);
    let mut queue = place.open().await;
    assert_eq!(queue.recover().await.unwrap().len(), 1);
    sums(&mut queue, run).await;
}

#[tokio::test]
async fn files_that_are_not_queues_are_refused_by_name_and_not_changed() {
    let place = QueueFolder::new();
    let text = place.folder().join("rows.csv");
    std::fs::write(&text, "UserID\n".repeat(1000)).unwrap();
    let error = refused(&text).await;
    assert!(error.starts_with(&format!("{}: is not a queue", text.display())), "{error}");
    assert_eq!(std::fs::read_to_string(&text).unwrap(), "UserID\n".repeat(1000));
    assert!(matches!(Reader::open(&text).await, Err(QueueError::NotAQueue(_))));

    let folder = place.folder().join("folder");
    std::fs::create_dir(&folder).unwrap();
    assert!(refused(&folder).await.starts_with(&format!("{}: is not a queue", folder.display())));
    assert!(matches!(Reader::open(&folder).await, Err(QueueError::NotAQueue(_))));
}

#[tokio::test]
async fn the_database_of_another_program_is_refused_and_not_changed() {
    let place = QueueFolder::new();
    for sql in ["CREATE TABLE run (id)", "PRAGMA application_id = 7"] {
        std::fs::write(place.file(), "").unwrap();
        place.tamper(sql).await;
        let before = std::fs::read(place.file()).unwrap();
        assert!(refused(&place.file()).await.contains("is not a queue"));
        assert!(matches!(Reader::open(&place.file()).await, Err(QueueError::NotAQueue(_))));
        assert!(std::fs::read(place.file()).unwrap() == before, "{sql}");
    }
    std::fs::write(place.file(), "").unwrap();
    assert_eq!(Reader::open(&place.file()).await.unwrap().runs().await.unwrap(), [], "nothing is in it yet");
    place.open().await.close().await.unwrap();
    assert_eq!(place.number("SELECT application_id FROM pragma_application_id").await, 0x696D_626B);
    assert_eq!(place.number("SELECT page_size FROM pragma_page_size").await, 8192);
    Reader::open(&place.file()).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_is_missing_or_closed_is_named() {
    let place = QueueFolder::new();
    let missing = place.folder().join("no/such/q.db");
    assert!(refused(&missing).await.contains(missing.to_str().unwrap()));
    assert!(matches!(Reader::open(&missing).await, Err(QueueError::Missing(path)) if path == missing));

    // No user can create files there, not even root.
    let closed = Path::new("/proc/q.db");
    assert!(refused(closed).await.contains("/proc/q.db"));
}

#[tokio::test]
async fn a_queue_of_a_newer_program_is_refused() {
    let place = QueueFolder::new();
    place.open().await.close().await.unwrap();
    place
        .tamper(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'of tomorrow', 1, x'00', 0)",
        )
        .await;
    let error = refused(&place.file()).await;
    assert!(error.contains("another version of imbulk"), "{error}");
    let error = Reader::open(&place.file()).await.unwrap_err();
    assert!(matches!(error, QueueError::Migration { .. }) && !error.is_damage(), "{error}");
}

#[tokio::test]
async fn a_queue_of_another_version_is_not_read_and_not_called_damaged() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    begun(&mut queue, "account_delete", &[(None, items(0..3))]).await;
    queue.close().await.unwrap();
    place.tamper("UPDATE _sqlx_migrations SET checksum = x'00'").await;
    let refused = Reader::open(&place.file()).await.unwrap_err();
    assert!(matches!(refused, QueueError::Migration { .. }) && !refused.is_damage(), "{refused}");
}

#[tokio::test]
async fn a_queue_is_read_without_a_change_to_it() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..3))]).await;
    queue.close().await.unwrap();
    let before = std::fs::read(place.file()).unwrap();
    let reader = Reader::open(&place.file()).await.unwrap();
    assert_eq!(reader.page(run, RequestId::BEFORE_FIRST, RequestId::MAX, 9).await.unwrap().len(), 1);
    drop(reader);
    assert!(std::fs::read(place.file()).unwrap() == before);
    place.open().await.close().await.unwrap();
}

#[tokio::test]
async fn a_queue_is_the_same_under_all_its_names_and_its_log_is_read_under_each() {
    let place = QueueFolder::new();
    let root = place.folder().canonicalize().unwrap();
    let [own, soft, hard, moved] = ["q.db", "soft.db", "hard.db", "moved.db"].map(|name| root.join(name));
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..3))]).await;
    std::os::unix::fs::symlink("q.db", &soft).unwrap();
    std::fs::hard_link(&own, &hard).unwrap();
    for name in [&own, &soft, &hard] {
        assert!(matches!(Queue::open(name).await, Err(QueueError::InUse { .. })), "{}", name.display());
        let reader = Reader::open(name).await.unwrap();
        assert!(reader.is_owned());
        assert_eq!(
            reader.page(run, RequestId::BEFORE_FIRST, RequestId::MAX, 9).await.unwrap().len(),
            1,
            "{}",
            name.display()
        );
    }
    queue.close().await.unwrap();
    for name in [&soft, &hard] {
        let queue = Queue::open(name).await.unwrap();
        assert_eq!(queue.path(), own);
        queue.close().await.unwrap();
    }
    assert!(!root.join("hard.db-wal").exists());

    // The queue was not used under either of the two remaining names.
    std::fs::rename(&own, &moved).unwrap();
    assert!(refused(&hard).await.contains("several names"));
    assert!(matches!(Reader::open(&moved).await, Err(QueueError::Linked(_))));
    std::fs::remove_file(&hard).unwrap();
    assert_eq!(Queue::open(&moved).await.unwrap().path(), moved);
}

#[tokio::test]
async fn a_run_is_not_finished_in_a_file_that_was_moved_away() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..1))]).await;
    let request = pending(&queue, run).await.remove(0);
    record_call(&mut queue, run, &request, vec![done()]).await;
    let other = place.folder().join("other");
    std::fs::rename(place.file(), &other).unwrap();
    assert!(matches!(queue.finish(run, NOW).await, Err(QueueError::Lost { .. })));
    std::fs::rename(&other, place.file()).unwrap();
    queue.finish(run, NOW).await.unwrap();
}

#[tokio::test]
async fn a_write_waits_for_the_lock_of_another_program() {
    use sqlx::{ConnectOptions, Connection};
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    begun(&mut queue, "account_delete", &[(None, items(0..3))]).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(place.file());
    let mut other = options.connect().await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let busy = queue.busy();
    let writing =
        tokio::spawn(async move { intend(&mut queue, &ids([1])).await.map(|written| (queue, written.len())) });
    while busy.waits_for().is_none() {
        assert!(!writing.is_finished());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    lock.rollback().await.unwrap();
    let (_queue, written) = writing.await.unwrap().unwrap();
    assert_eq!(written, 1);
    assert_eq!(busy.waits_for(), None);
}
