//! What a relation keeper remembers, read from the view store.

use deltafold_event::{EventId, OrderKey, Timestamp};
use deltafold_relation::{Last, Memory, Record};
use deltafold_view::{Reader, Stored};

use crate::{
    ProjectorError,
    record_entry::{to_last, to_record},
};

/// A keeper's memory as the last commit left it.
pub(crate) struct MirrorMemory {
    pub(crate) reader: Reader,
}

impl MirrorMemory {
    fn record(&self, stored: &Stored) -> Result<Record, ProjectorError> {
        to_record(self.reader.mirror().name(), stored)
    }

    /// Splits an aggregate's entries around an order: the last one before it, and the first `limit` from it on. Valid times never run backwards along the order, so a search from the hint on, first back and then
    /// forth, finds the place.
    fn around(
        &self,
        aggregate: &str,
        order: &OrderKey,
        hint: Timestamp,
        limit: usize,
    ) -> Result<(Option<Stored>, Vec<Stored>), ProjectorError> {
        let order = order.to_bytes();
        let mut before = None;
        let mut from = Vec::new();
        for stored in self.reader.entries_before(aggregate, hint, &[]) {
            let stored = stored?;
            if stored.entry().order < order.as_slice() {
                before = Some(stored);
                break;
            }
            from.push(stored);
        }
        from.reverse();
        if from.is_empty() || from.len() < limit {
            for stored in self.reader.entries_from(aggregate, hint, &[]) {
                let stored = stored?;
                if stored.entry().order < order.as_slice() {
                    before = Some(stored);
                } else if from.len() < limit {
                    from.push(stored);
                } else {
                    break;
                }
            }
        }
        from.truncate(limit);
        Ok((before, from))
    }
}

impl Memory for MirrorMemory {
    type Error = ProjectorError;

    fn last(&self, aggregate: &str) -> Result<Option<Last>, Self::Error> {
        self.reader.last(aggregate)?.map(|stored| to_last(self.reader.mirror().name(), &stored)).transpose()
    }

    fn before(&self, aggregate: &str, order: &OrderKey, hint: Timestamp) -> Result<Option<Record>, Self::Error> {
        self.around(aggregate, order, hint, 0)?.0.map(|stored| self.record(&stored)).transpose()
    }

    fn from(
        &self,
        aggregate: &str,
        order: &OrderKey,
        hint: Timestamp,
        limit: usize,
    ) -> Result<Vec<Record>, Self::Error> {
        self.around(aggregate, order, hint, limit)?.1.iter().map(|stored| self.record(stored)).collect()
    }

    fn earlier(&self, aggregate: &str, valid_from: Timestamp) -> Result<Option<Record>, Self::Error> {
        self.reader.entries_before(aggregate, valid_from, &[]).next().map(|stored| self.record(&stored?)).transpose()
    }

    fn seen(&self, id: EventId) -> Result<bool, Self::Error> {
        Ok(self.reader.seen(id)?)
    }

    fn aggregates(&self) -> Box<dyn Iterator<Item = Result<String, Self::Error>> + '_> {
        Box::new(self.reader.keys().map(|key| Ok(key?.into_string())))
    }
}
