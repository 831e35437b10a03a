//! Log entries: what we write, and what we read in those of any writer.

use std::collections::HashMap;

use bytes::Bytes;
use deltafold_event::Timestamp;
use deltalake::{
    kernel::{Action, Add, CommitInfo, Remove, Transaction, transaction::CommitData},
    protocol::{DeltaOperation, SaveMode},
};
use serde::Deserialize;
use serde_json::json;

use super::file::Described;

/// A data file that was written, as its Add will name it.
#[derive(Debug, Clone)]
pub(crate) struct NewFile {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) statistics: String,
}

impl NewFile {
    fn add(&self, tags: HashMap<String, Option<String>>, committed_at: Timestamp, data_change: bool) -> Action {
        Action::Add(Add {
            path: self.path.clone(),
            size: self.size as i64,
            modification_time: millis(committed_at),
            data_change,
            stats: Some(self.statistics.clone()),
            tags: Some(tags),
            ..Add::default()
        })
    }
}

/// What a log entry will say, but for its version and time.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    /// The files it brings, each with its tags.
    pub(crate) adds: Vec<(&'a NewFile, HashMap<String, Option<String>>)>,
    /// The paths and sizes of the files that they replace.
    pub(crate) removes: Vec<(String, u64)>,
    /// Source offsets: app id and next.
    pub(crate) txns: Vec<(String, i64)>,
}

impl Draft<'_> {
    /// The entry's bytes.
    pub(crate) fn to_bytes(&self, committed_at: Timestamp) -> Bytes {
        let compaction = !self.removes.is_empty();
        let operation = if compaction {
            DeltaOperation::Optimize { predicate: None, target_size: 0 }
        } else {
            DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None }
        };
        let count = self.adds.len() + self.removes.len() + self.txns.len();
        let info = CommitInfo {
            timestamp: Some(millis(committed_at)),
            operation: Some(operation.name().to_owned()),
            is_blind_append: Some(!compaction),
            engine_info: Some(concat!("deltafold/", env!("CARGO_PKG_VERSION")).to_owned()),
            info: HashMap::from([(
                "deltafold".to_owned(),
                json!({"committedAt": committed_at.as_micros(), "actions": count}),
            )]),
            ..CommitInfo::default()
        };
        let mut actions = vec![Action::CommitInfo(info)];
        let adds = self.adds.iter().map(|(file, tags)| file.add(tags.clone(), committed_at, !compaction));
        actions.extend(adds);
        actions.extend(self.removes.iter().map(|(path, size)| {
            Action::Remove(Remove {
                path: path.clone(),
                data_change: false,
                deletion_timestamp: Some(millis(committed_at)),
                extended_file_metadata: Some(true),
                partition_values: Some(HashMap::new()),
                size: Some(*size as i64),
                ..Remove::default()
            })
        }));
        let txns = self.txns.iter().map(|(app_id, next)| Transaction {
            app_id: app_id.clone(),
            version: *next,
            last_updated: Some(millis(committed_at)),
        });
        CommitData::new(actions, operation, HashMap::new(), txns.collect())
            .get_bytes()
            .expect("actions made of texts and numbers are JSON")
    }
}

/// What a log entry says, as far as the store needs it.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) version: u64,
    pub(crate) committed_at: Timestamp,
    pub(crate) adds: Vec<Described>,
    /// Path and time of removal (ms).
    pub(crate) removes: Vec<(String, i64)>,
    pub(crate) txns: Vec<(String, i64)>,
}

/// One line of an entry: an object with one member.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    commit_info: Option<Info>,
    add: Option<AddLine>,
    remove: Option<RemoveLine>,
    txn: Option<TxnLine>,
}

#[derive(Debug, Deserialize)]
struct Info {
    timestamp: Option<i64>,
    deltafold: Option<Ours>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ours {
    committed_at: i64,
    actions: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddLine {
    path: String,
    size: u64,
    stats: Option<String>,
    tags: Option<HashMap<String, Option<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RemoveLine {
    path: String,
    deletion_timestamp: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TxnLine {
    app_id: String,
    version: i64,
}

impl Entry {
    /// Reads an entry; an entry of ours must have all the actions that it says it has.
    pub(crate) fn parse(version: u64, bytes: &[u8]) -> Result<Self, String> {
        if bytes.iter().all(u8::is_ascii_whitespace) || bytes.iter().all(|&byte| byte == 0) {
            return Err(format!("it is empty ({} bytes)", bytes.len()));
        }
        let mut entry = Self { version, ..Self::default() };
        let mut promised = None;
        let lines = bytes.split(|&byte| byte == b'\n').enumerate();
        for (number, line) in lines.filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace)) {
            let line: Line =
                serde_json::from_slice(line).map_err(|error| format!("line {} is torn: {error}", number + 1))?;
            if let Some(info) = line.commit_info {
                let millis = info.timestamp.unwrap_or_default();
                entry.committed_at = Timestamp::from_millis(millis);
                if let Some(ours) = info.deltafold {
                    entry.committed_at = Timestamp::from_micros(ours.committed_at);
                    promised = Some(ours.actions);
                }
            }
            entry.adds.extend(line.add.map(|add| Described {
                path: add.path,
                size: add.size,
                statistics: add.stats,
                tags:
                    add.tags.unwrap_or_default().into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            }));
            entry.removes.extend(line.remove.map(|remove| (remove.path, remove.deletion_timestamp.unwrap_or(0))));
            entry.txns.extend(line.txn.map(|txn| (txn.app_id, txn.version)));
        }
        let found = entry.adds.len() + entry.removes.len() + entry.txns.len();
        match promised {
            Some(promised) if promised != found => Err(format!("it has {found} of its {promised} actions")),
            _ => Ok(entry),
        }
    }
}

fn millis(moment: Timestamp) -> i64 {
    moment.as_micros().div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_whole_and_no_part_of_it_passes_for_it() {
        let file = NewFile { path: "a.parquet".into(), size: 10, statistics: r#"{"numRecords":3}"#.into() };
        let tags = HashMap::from([("version".to_owned(), Some("4".to_owned()))]);
        let draft = Draft {
            adds: vec![(&file, tags)],
            removes: vec![("b.parquet".into(), 5)],
            txns: vec![("orders/0".into(), i64::MAX)],
        };
        let bytes = draft.to_bytes(Timestamp::from_micros(1_790_000_000_123_456));
        let entry = Entry::parse(4, &bytes).unwrap();
        assert_eq!(entry.committed_at.as_micros(), 1_790_000_000_123_456);
        assert_eq!((entry.adds[0].path.as_str(), entry.adds[0].tags["version"].as_str()), ("a.parquet", "4"));
        assert_eq!(entry.removes, [("b.parquet".to_owned(), 1_790_000_000_123)]);
        assert_eq!(entry.txns, [("orders/0".to_owned(), i64::MAX)]);
        for end in 0..bytes.len() {
            assert!(Entry::parse(4, &bytes[..end]).is_err(), "{end} bytes pass for an entry");
        }
        assert!(Entry::parse(4, &[0; 64]).is_err());
    }
}
