//! Queues of earlier versions: what is refused, and what remains of it then.

use imbulk::queue::{Queue, Reader};
use imbulk_testkit::earlier_queue::{VERSIONS, write_queue};

use crate::fixture::QueueFolder;

#[tokio::test]
async fn every_run_can_be_read_back_after_an_upgrade() {
    for version in VERSIONS {
        let place = QueueFolder::new();
        write_queue(&place.file(), version, |dump| dump).await;
        let queue = Queue::open(&place.file()).await.unwrap();
        let reader = queue.reader().await.unwrap();
        for run in reader.runs().await.unwrap() {
            reader.snapshot().await.unwrap().check_sums(&run).await.unwrap();
            if run.finished_at.is_some() {
                reader.read_back(&run).await.unwrap();
            }
            let files = reader.input_files(run.id).await.unwrap();
            assert_eq!(
                files.iter().map(|file| file.facts.rows).sum::<u64>(),
                run.row_count.cast_unsigned(),
                "{version}"
            );
        }
        assert_eq!(place.number("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'old%'").await, 0, "{version}");
        assert_eq!(place.number("SELECT count(*) FROM pragma_foreign_key_check").await, 0, "{version}");
        drop(reader);
        queue.close().await.unwrap();
        // Nothing is left to be upgraded.
        Reader::open(&place.file()).await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_queue_is_not_upgraded_and_keeps_its_tables() {
    for (version, from, to) in [
        ("2026-11-27", "'unfriend','1400000001 on loopback'", "'unfriend','1400000002 on loopback'"),
        ("2026-11-27", r"friend_05_4\nfriend_05_2", r"friend_05_4\nfriend_05_9"),
        ("2026-11-24", "'unfriend.csv',", "'another.csv',"),
        ("2026-11-29", "'purge','1400000001 on loopback'", "'purge','1400000002 on loopback'"),
    ] {
        let place = QueueFolder::new();
        write_queue(&place.file(), version, |dump| {
            assert!(dump.contains(from), "{version} has no {from:?}");
            dump.replace(from, to)
        })
        .await;
        let error = Queue::open(&place.file()).await.unwrap_err();
        assert!(error.is_damage() && error.to_string().contains("wrong checksum"), "{version}: {from}: {error}");
        assert_eq!(place.number("SELECT count(*) FROM sqlite_schema WHERE name = 'segment'").await, 1, "{version}");
    }
}

#[tokio::test]
async fn a_queue_of_an_unknown_layout_is_refused() {
    let place = QueueFolder::new();
    write_queue(&place.file(), "2026-11-27", |dump| dump.replace("X'8dd4", "X'8dd5")).await;
    let error = Queue::open(&place.file()).await.unwrap_err();
    assert!(!error.is_damage() && error.to_string().contains("the tables of the queue cannot be used"), "{error}");
}
