//! What a fold remembers and shows, read from the view store.

use deltafold_event::Timestamp;
use deltafold_projection::{Memory, Pair, Version};
use deltafold_view::{PendingReader, ReadError, Stored};

use crate::ProjectorError;

/// A generation as the last batch left it.
pub(crate) struct FoldMemory {
    reader: PendingReader,
}

impl FoldMemory {
    pub(crate) fn new(reader: PendingReader) -> Self {
        Self { reader }
    }
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
        Ok(self.reader.memory(key)?)
    }

    fn range(&self, from: &[u8], until: &[u8]) -> Box<dyn Iterator<Item = Result<Pair, Self::Error>> + '_> {
        Box::new(self.reader.memories(from, until).map(|pair| Ok(pair?)))
    }

    fn last_in(&self, from: &[u8], until: &[u8]) -> Result<Option<Pair>, Self::Error> {
        Ok(self.reader.last_memory(from, until)?)
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
