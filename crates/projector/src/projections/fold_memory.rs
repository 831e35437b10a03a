//! What a fold remembers and shows, read from the view store.

use std::collections::BTreeMap;

use deltafold_event::Timestamp;
use deltafold_projection::{Memory, Pair, Version, operator_of};
use deltafold_view::{PendingReader, ReadError, Stored};

use crate::ProjectorError;

/// A generation as the last batch left it.
pub(crate) struct FoldMemory {
    reader: PendingReader,
    /// What is arranged elsewhere, by operator: the keys there are without it.
    arranged: BTreeMap<u16, PendingReader>,
}

impl FoldMemory {
    pub(crate) fn new(reader: PendingReader, arranged: BTreeMap<u16, PendingReader>) -> Self {
        Self { reader, arranged }
    }

    /// Where something is remembered, and how much of its key does not count there.
    fn place(&self, key: &[u8]) -> (&PendingReader, usize) {
        let arranged = operator_of(key).and_then(|(operator, rest)| Some((self.arranged.get(&operator)?, rest)));
        arranged.unwrap_or((&self.reader, 0))
    }
}

fn pair((key, value): Pair, before: &[u8]) -> Pair {
    if before.is_empty() { (key, value) } else { ([before, &key].concat().into(), value) }
}

fn version(stored: &Stored) -> Version {
    let entry = stored.entry();
    Version { valid_from: entry.valid_from, recorded_from: entry.recorded_from, row: entry.row.map(Into::into) }
}

fn read(stored: Result<Stored, ReadError>) -> Result<Version, ProjectorError> {
    Ok(version(&stored?))
}

impl Memory for FoldMemory {
    type Error = ProjectorError;

    fn get(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, Self::Error> {
        let (reader, rest) = self.place(key);
        Ok(reader.memory(&key[rest..])?)
    }

    fn range(&self, from: &[u8], until: &[u8]) -> Box<dyn Iterator<Item = Result<Pair, Self::Error>> + '_> {
        let (reader, rest) = self.place(from);
        let before: Box<[u8]> = from[..rest].into();
        Box::new(reader.memories(&from[rest..], &until[rest..]).map(move |found| Ok(pair(found?, &before))))
    }

    fn last_in(&self, from: &[u8], until: &[u8]) -> Result<Option<Pair>, Self::Error> {
        let (reader, rest) = self.place(from);
        Ok(reader.last_memory(&from[rest..], &until[rest..])?.map(|found| pair(found, &from[..rest])))
    }

    fn newest(&self, key: &str) -> Result<Option<Version>, Self::Error> {
        Ok(self.reader.last(key)?.map(|stored| version(&stored)))
    }

    fn version_before(&self, key: &str, moment: Timestamp) -> Result<Option<Version>, Self::Error> {
        self.reader.entries_before(key, moment, &[]).next().map(read).transpose()
    }

    fn versions_from(
        &self,
        key: &str,
        moment: Timestamp,
    ) -> Box<dyn Iterator<Item = Result<Version, Self::Error>> + '_> {
        Box::new(self.reader.entries_from(key, moment, &[]).map(read))
    }
}
