//! Opening what a crash, another version or a careless hand has left.

use std::fs;

use deltafold_event::Position;
use deltafold_store::{EventStore, OpenError, ReadError};

use crate::support::*;

fn entry(data: &tempfile::TempDir, version: u64) -> std::path::PathBuf {
    data.path().join(format!("events/_delta_log/{version:020}.json"))
}

/// After a power loss an entry that was not synced can come back empty or cut; deltalake reads an empty one as if it were not
/// there, and a later writer would stand behind it for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_last_entry_is_reported_and_put_aside() {
    type Tear = fn(&[u8]) -> Vec<u8>;
    let tear: [Tear; 4] =
        [|_| Vec::new(), |whole| whole[..whole.len() - 9].to_vec(), |whole| vec![0; whole.len()], first_line];
    for tear in tear {
        let data = data();
        let made = stored(&fill(&open(&data, eager()).await, 0, 5, 4).await);
        let whole = fs::read(entry(&data, 5)).unwrap();
        fs::write(entry(&data, 5), tear(&whole)).unwrap();
        let store = open(&data, eager()).await;
        let torn = &store.opened().torn;
        assert_eq!(torn.len(), 1);
        assert_eq!((torn[0].table.as_str(), torn[0].version), ("events", 5));
        assert_eq!(fs::read(data.path().join("events").join(&torn[0].kept)).unwrap(), tear(&whole));
        assert_eq!(store.offset("app"), Some(16));
        let again = stored(&fill(&store, 16, 1, 4).await);
        let found = all_from(&store, Position::ZERO).await;
        assert_eq!(found, [&made[..16], &again].concat());
        assert_eq!(store.verify().await.unwrap().problems, []);
        assert!(open(&data, eager()).await.opened().torn.is_empty());
    }
}

fn first_line(whole: &[u8]) -> Vec<u8> {
    whole.split(|&byte| byte == b'\n').next().unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_entry_in_the_middle_is_refused() {
    let data = data();
    fill(&open(&data, eager()).await, 0, 5, 4).await;
    fs::write(entry(&data, 3), b"").unwrap();
    let error = EventStore::open(data.path(), eager()).await.unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("log entry 3 cannot be read"), "{error}");
    assert!(entry(&data, 3).exists());
}

/// Unlike a torn one it may have been acknowledged, so it stays where it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_another_program_is_refused() {
    let data = data();
    fill(&open(&data, eager()).await, 0, 2, 4).await;
    let add = r#"{"path":"x.parquet","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true,"stats":"{\"numRecords\":1}"}"#;
    fs::write(entry(&data, 3), format!("{{\"commitInfo\":{{\"timestamp\":1}}}}\n{{\"add\":{add}}}\n")).unwrap();
    let error = EventStore::open(data.path(), eager()).await.unwrap_err();
    assert!(matches!(error, OpenError::Read(ReadError::Foreign { version: 3, .. })), "{error}");
    assert!(entry(&data, 3).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_entry_is_refused_and_never_written_over() {
    let data = data();
    fill(&open(&data, eager()).await, 0, 5, 4).await;
    fs::remove_file(entry(&data, 3)).unwrap();
    let error = EventStore::open(data.path(), eager()).await.unwrap_err();
    assert!(error.to_string().contains("log entry 3 is missing, though 5 is there"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_checkpoint_is_passed_over_while_the_log_is_whole() {
    let data = data();
    let store = open(&data, eager()).await;
    let made = stored(&fill(&store, 0, 8, 4).await);
    let version = store.checkpoint().await.unwrap().events_version;
    fs::write(data.path().join(format!("events/_delta_log/{version:020}.checkpoint.parquet")), b"PAR1").unwrap();
    assert_eq!(all_from(&open(&data, eager()).await, Position::ZERO).await, made);
    fs::write(data.path().join("events/_delta_log/_last_checkpoint"), b"").unwrap();
    assert_eq!(all_from(&open(&data, eager()).await, Position::ZERO).await, made);
}

/// A process died between a checkpoint and its name in `_last_checkpoint`: deltalake never writes that one again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_without_its_name_is_named() {
    let data = data();
    let store = open(&data, eager()).await;
    fill(&store, 0, 8, 4).await;
    let version = store.checkpoint().await.unwrap().events_version;
    let last = data.path().join("events/_delta_log/_last_checkpoint");
    fs::remove_file(&last).unwrap();
    assert_eq!(store.checkpoint().await.unwrap().events_version, version);
    let text = fs::read_to_string(&last).unwrap();
    assert!(text.contains(&format!("\"version\":{version}")), "{text}");
    store.compact().await.unwrap();
    store.checkpoint().await.unwrap();
    store.vacuum().await.unwrap();
    assert_eq!(all_from(&open(&data, eager()).await, Position::ZERO).await.len(), 32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_of_the_data_directory_is_refused() {
    let data = data();
    fill(&open(&data, eager()).await, 0, 1, 1).await;
    let mark = data.path().join("deltafold.json");
    for (text, says) in [("{\"format\":2}", "format 2"), ("{", "unknown"), ("{\"format\":\"1\"}", "format \"1\"")] {
        fs::write(&mark, text).unwrap();
        let error = EventStore::open(data.path(), eager()).await.unwrap_err();
        assert!(matches!(error, OpenError::Version { .. }) && error.to_string().contains(says), "{error}");
    }
    fs::remove_file(&mark).unwrap();
    let error = EventStore::open(data.path(), eager()).await.unwrap_err();
    assert!(matches!(error, OpenError::Version { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_may_make_the_same_directory() {
    let data = data();
    let opened = futures::future::join_all((0..6).map(|_| {
        let path = data.path().join("deep/data");
        tokio::spawn(async move { EventStore::open(&path, eager()).await.unwrap() })
    }))
    .await;
    for (number, store) in opened.into_iter().enumerate() {
        let store = store.unwrap();
        store.refresh().await.unwrap();
        fill(&store, number as u64 * 10, 1, 10).await;
        assert_eq!(all_from(&store, Position::ZERO).await.len(), (number + 1) * 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_data_file_is_an_error_with_its_name_and_verify_finds_it() {
    let data = data();
    let store = open(&data, from_disk()).await;
    fill(&store, 0, 3, 4).await;
    let lost = fs::read_dir(data.path().join("events"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|kind| kind == "parquet"))
        .unwrap();
    fs::remove_file(&lost).unwrap();
    let name = lost.file_name().unwrap().to_str().unwrap();
    let mut tail = store.tail(Position::ZERO);
    let error = loop {
        match tail.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("nothing was missed"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains(name), "{error}");
    let problems = store.verify().await.unwrap().problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].place, name);
}
