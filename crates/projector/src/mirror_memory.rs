//! What a relation keeper remembers, read from the view store.

use std::{cell::LazyCell, collections::BTreeSet, sync::Arc};

use deltafold_event::{EventId, OrderKey, Timestamp};
use deltafold_relation::{Last, Memory, Record};
use deltafold_view::{Mirror, PendingReader, Stored};
use foldhash::HashMap;

use crate::{
    Failure, ProjectorError,
    record_entry::{to_last, to_record},
    writer::Writer,
};

/// The newest records of aggregates, by aggregate; none of one that has none any more.
pub(crate) type Newest = HashMap<Arc<str>, Option<Last>>;

/// A keeper's memory as the last commit left it.
pub(crate) struct MirrorMemory<'a> {
    mirror: &'a Mirror,
    /// Newest records that are not written yet.
    newest: &'a Newest,
    /// Whether the newest records of other aggregates may be on disk.
    others: bool,
    /// Made when it is needed: it may wait for the batch that is being written.
    reader: LazyCell<Result<PendingReader, ProjectorError>, MakeReader<'a>>,
}

type MakeReader<'a> = Box<dyn FnOnce() -> Result<PendingReader, ProjectorError> + 'a>;

impl<'a> MirrorMemory<'a> {
    pub(crate) fn new(mirror: &'a Mirror, writer: &'a Writer, newest: &'a Newest, others: bool) -> Self {
        let reader: MakeReader<'a> = Box::new(|| writer.reader(mirror));
        Self { mirror, newest, others, reader: LazyCell::new(reader) }
    }

    fn reader(&self) -> Result<&PendingReader, ProjectorError> {
        self.reader.as_ref().map_err(|error| {
            ProjectorError::Stopped(Failure { what: error.to_string().into(), is_disk: error.is_disk() })
        })
    }

    fn record(&self, stored: &Stored) -> Result<Record, ProjectorError> {
        to_record(self.mirror.name(), stored)
    }

    /// Splits an aggregate's entries around an order: the last one before it, and the first `limit` from it on.
    /// Valid times never run backwards along the order, so a search from the hint on, first back and then forth,
    /// finds the place.
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
        for stored in self.reader()?.entries_before(aggregate, hint, &[]) {
            let stored = stored?;
            if stored.entry().order < order.as_slice() {
                before = Some(stored);
                break;
            }
            from.push(stored);
        }
        from.reverse();
        if from.is_empty() || from.len() < limit {
            for stored in self.reader()?.entries_from(aggregate, hint, &[]) {
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

impl Memory for MirrorMemory<'_> {
    type Error = ProjectorError;

    fn last(&self, aggregate: &str) -> Result<Option<Last>, Self::Error> {
        if let Some(newest) = self.newest.get(aggregate) {
            return Ok(newest.clone());
        }
        if !self.others {
            return Ok(None);
        }
        self.reader()?.last(aggregate)?.map(|stored| to_last(self.mirror.name(), &stored)).transpose()
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
        let mut entries = self.reader()?.entries_before(aggregate, valid_from, &[]);
        entries.next().map(|stored| self.record(&stored?)).transpose()
    }

    fn seen(&self, id: EventId) -> Result<bool, Self::Error> {
        Ok(self.reader()?.seen(id)?)
    }

    fn aggregates(&self) -> Box<dyn Iterator<Item = Result<String, Self::Error>> + '_> {
        let reader = match self.reader() {
            Ok(reader) => reader,
            Err(error) => return Box::new(std::iter::once(Err(error))),
        };
        let on_disk = reader.keys().filter(|key| !key.as_ref().is_ok_and(|key| self.newest.contains_key(&**key)));
        let on_disk = on_disk.map(|key| Ok(key?.into_string()));
        let known = self.newest.iter().filter(|(_, newest)| newest.is_some());
        let known: BTreeSet<String> = known.map(|(aggregate, _)| aggregate.to_string()).collect();
        Box::new(on_disk.chain(known.into_iter().map(Ok)))
    }
}
