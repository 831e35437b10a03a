//! Log events, and what to do with those that come again or late.

use std::sync::Arc;

use deltafold_event::OrderKey;

use super::{Fold, refold::Refold};
use crate::{FoldError, Memory, Place, Record, RecordKind, incoming::Incoming};

impl<M: Memory> Fold<'_, M> {
    /// Folds an event that has a source position.
    pub(super) fn log_event(
        &mut self,
        work: usize,
        mut incoming: Incoming,
        place: &Place,
    ) -> Result<(), FoldError<M::Error>> {
        if place.may_be_older
            && let Some(known) = self.in_epochs(work, &incoming.record, 0..place.epoch)?
        {
            incoming.record.order.epoch = known.order.epoch;
            return self.delivered_again(work, &known, &incoming);
        }
        let order = &incoming.record.order;
        let place = (order.epoch, &order.source_position);
        if self.works[work].last().is_some_and(|last| (last.order.epoch, &last.order.source_position) >= place) {
            let there = self.works[work]
                .at_source_position(self.memory, order, incoming.record.occurred_at)
                .map_err(FoldError::Memory)?;
            let is_it = |known: &&Arc<Record>| known.kind == RecordKind::Log && known.id == incoming.record.id;
            let known = there.iter().find(is_it);
            if there.iter().any(|known| known.order == *order && !is_it(&known)) {
                // Two events at one source position and offset, of two files: by arrival.
                incoming.record.order = order.then(incoming.record.position);
            }
            if let Some(known) = known {
                return self.delivered_again(work, known, &incoming);
            }
        }
        self.note_key_of_log_event(&incoming)?;
        self.observe(&incoming);
        let mut record = incoming.record;
        if let (Some(from), Some(_)) = (&record.moved_from, &record.given) {
            let id = Arc::clone(&self.works[work].id);
            record.took = self.row_that_moved(from, &id, &record)?;
        }
        if self.is_in_order(work, &record) { self.append(work, record) } else { self.insert(work, record) }
    }

    /// The same event, as it is on record in the newest of some epochs.
    pub(super) fn in_epochs(
        &self,
        work: usize,
        record: &Record,
        epochs: impl DoubleEndedIterator<Item = u32>,
    ) -> Result<Option<Arc<Record>>, FoldError<M::Error>> {
        for epoch in epochs.rev() {
            let order = OrderKey { epoch, ..record.order.clone() };
            let there = self.works[work]
                .at_source_position(self.memory, &order, record.occurred_at)
                .map_err(FoldError::Memory)?;
            let known = there.into_iter().find(|known| known.kind == RecordKind::Log && known.id == record.id);
            if known.is_some() {
                return Ok(known);
            }
        }
        Ok(None)
    }

    /// Adds an event that stands before others of its aggregate.
    pub(super) fn insert(&mut self, at: usize, mut record: Record) -> Result<(), FoldError<M::Error>> {
        let work = &mut self.works[at];
        work.revisions += 1;
        record.revision = work.revisions;
        let order = record.order.clone();
        let hint = record.occurred_at;
        self.refold(at, Refold { insert: Some(record), remove: None, start: order.clone(), until: order, hint })
    }

    /// An event that is known came again: it stands by the lowest offset of its deliveries.
    ///
    /// Even where that changes nothing else, the record is believed anew: what was believed before, by another
    /// order, stays as it was.
    fn delivered_again(
        &mut self,
        at: usize,
        known: &Arc<Record>,
        incoming: &Incoming,
    ) -> Result<(), FoldError<M::Error>> {
        let order = incoming.record.order.clone();
        if order.offset >= known.order.offset {
            return Ok(());
        }
        self.note_key_of_log_event(incoming)?;
        let insert = Some(Record { order: order.clone(), ..Record::clone(known) });
        let (remove, until) = (Some(known.order.clone()), known.order.clone());
        self.refold(at, Refold { insert, remove, start: order, until, hint: known.valid_from })
    }
}
