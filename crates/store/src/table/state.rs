//! What a process knows of a table: the log up to a version, folded.

use std::collections::HashMap;

use deltafold_event::{Position, Timestamp};

use super::{entry::Entry, file::DataFile, files::Files};

/// The log of a table up to and with a version. An entry costs what it holds, however many were before.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// The last version taken in.
    pub(crate) version: u64,
    /// The latest time of a commit.
    pub(crate) committed_at: Timestamp,
    /// Source offsets by app id.
    pub(crate) txns: HashMap<String, i64>,
    /// The data files.
    pub(crate) files: Files,
}

impl State {
    /// Takes in the next entry.
    pub(crate) fn apply(&mut self, entry: Entry) -> Result<(), String> {
        for (path, _) in &entry.removes {
            self.files.remove(path);
        }
        for add in entry.adds {
            self.files.insert(DataFile::read(add)?)?;
        }
        self.txns.extend(entry.txns);
        self.version = entry.version;
        self.committed_at = self.committed_at.max(entry.committed_at);
        Ok(())
    }

    /// The exclusive end of what is committed.
    pub(crate) fn end(&self) -> Position {
        Position::new(self.version + 1, 0).expect("versions stay below 2^40")
    }

    /// Everything before it is in compacted files.
    pub(crate) fn frontier(&self) -> Position {
        let loose = self.files.iter().find(|file| !file.compacted);
        loose.map_or(self.end(), |file| file.first)
    }
}
