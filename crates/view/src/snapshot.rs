//! One moment of the store, from which everything is read alike.

use std::sync::Arc;

use deltafold_event::{Position, Timestamp};
use fjall::{Readable, Slice};

use crate::{Mirror, ReadError, Reader, index::Indexes, key, store::Shared};

/// The store as a commit left it. It is what a response reads from: later commits do not change it.
///
/// Making and cloning one costs two reference counts. While it lives, what it shows stays on disk: keep it for a
/// response, not for a session.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) shared: Arc<Shared>,
    pub(crate) moment: Arc<Moment>,
}

/// What a commit published.
pub(crate) struct Moment {
    /// All trees at one sequence number.
    pub(crate) trees: fjall::Snapshot,
    /// The number of the commit since the store was opened; none of what readers are kept from, which no cache knows.
    pub(crate) commit: Option<u64>,
    /// Which indexes there are.
    pub(crate) indexes: Arc<Indexes>,
}

impl Snapshot {
    /// The mirror of this name, if it is registered.
    pub fn mirror(&self, name: &str) -> Option<Mirror> {
        self.shared.find(name, None)
    }

    /// A generation of the derived view of this name, if it is registered.
    pub fn generation(&self, name: &str, generation: u32) -> Option<Mirror> {
        self.shared.find(name, Some(generation))
    }

    /// All registered mirrors, by name.
    pub fn mirrors(&self) -> Vec<Mirror> {
        self.shared.mirrors()
    }

    /// Whether a batch has ended before this position.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn is_end(&self, position: Position) -> Result<bool, ReadError> {
        Ok(self.moment.trees.contains_key(&self.shared.keyspaces.folds, key::end(position))?)
    }

    /// The first end of a batch that was recorded at a moment or later.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn first_end_since(&self, moment: Timestamp) -> Result<Option<Position>, ReadError> {
        let all = key::end(Position::ZERO)..=key::end(Position::MAX);
        for pair in self.moment.trees.range(&self.shared.keyspaces.folds, all) {
            let (key, recorded_at) = pair.into_inner()?;
            let recorded_at = recorded_at.first_chunk().copied().map(Timestamp::from_bytes);
            if recorded_at.is_none_or(|recorded_at| recorded_at >= moment) {
                return Ok(key.last_chunk().copied().map(Position::from_bytes));
            }
        }
        Ok(None)
    }

    /// The reads of one mirror at this moment.
    pub fn reader(&self, mirror: &Mirror) -> Reader {
        Reader::new(self.clone(), mirror.clone())
    }

    /// The checkpoint of this name.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn checkpoint(&self, name: &str) -> Result<Option<Position>, ReadError> {
        let Some(bytes) = self.meta(&key::checkpoint(name))? else { return Ok(None) };
        let bytes = <[u8; 8]>::try_from(&*bytes)
            .map_err(|_| ReadError::Corrupt(format!("the checkpoint of {name} has {} bytes", bytes.len())))?;
        Ok(Some(Position::from_bytes(bytes)))
    }

    /// The state of this name, as it was put.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn state(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.meta(&key::state(name))?.map(|bytes| bytes.to_vec()))
    }

    /// The states whose names begin with a prefix, by name, each with the rest of its name.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn states(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        let prefix = key::state(prefix);
        let mut states = Vec::new();
        for pair in self.moment.trees.prefix(&self.shared.keyspaces.meta, &prefix) {
            let (name, bytes) = pair.into_inner()?;
            let name = std::str::from_utf8(&name[prefix.len()..])
                .map_err(|_| ReadError::Corrupt("a state's name is not text".to_owned()))?;
            states.push((name.to_owned(), bytes.to_vec()));
        }
        Ok(states)
    }

    fn meta(&self, key: &[u8]) -> Result<Option<Slice>, ReadError> {
        Ok(self.moment.trees.get(&self.shared.keyspaces.meta, key)?)
    }
}
