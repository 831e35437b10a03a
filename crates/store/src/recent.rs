//! The newest batches, in memory for tails.

use std::{collections::VecDeque, sync::Arc};

use crate::Batch;

/// The last batches that this process committed, up to a number of bytes.
#[derive(Debug)]
pub(crate) struct Recent {
    batches: VecDeque<(Arc<Batch>, usize)>,
    bytes: usize,
    limit: usize,
}

impl Recent {
    pub(crate) fn new(limit: usize) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, limit }
    }

    /// Takes in the newest batch and lets go of the oldest.
    pub(crate) fn push(&mut self, batch: Arc<Batch>, bytes: usize) {
        self.bytes += bytes;
        self.batches.push_back((batch, bytes));
        while self.bytes > self.limit {
            let Some((_, bytes)) = self.batches.pop_front() else { break };
            self.bytes -= bytes;
        }
    }

    /// The batch of a version.
    pub(crate) fn get(&self, version: u64) -> Option<Arc<Batch>> {
        let found = self.batches.binary_search_by_key(&version, |(batch, _)| batch.version);
        found.ok().map(|index| self.batches[index].0.clone())
    }
}
