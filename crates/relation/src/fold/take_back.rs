//! Taking back events that were folded before it was known that they belong to a later epoch.

use std::sync::Arc;

use deltafold_event::{Operation, OrderKey, StoredEvent};

use super::{Fold, refold::Refold};
use crate::{FoldError, Memory, Record, SnapshotId, Sweep, incoming::Incoming};

impl<M: Memory> Fold<'_, M> {
    /// Undoes what an event did that belongs to `epoch` and was folded as one of an older one. One that is not on record
    /// is passed over: it came again, and its first delivery stays.
    pub(super) fn take_back(&mut self, stored: &StoredEvent, epoch: u32) -> Result<(), FoldError<M::Error>> {
        let Some(aggregate) = &stored.event.aggregate_id else { return self.take_back_truncate(stored) };
        let incoming = Incoming::read(stored, epoch, self.schemas)?;
        let work = self.work(aggregate)?;
        let known = match stored.event.source_position {
            Some(_) => self.in_older_epoch(work, &incoming.record)?,
            None => self.arrived_as(work, &incoming.record)?,
        };
        if let Some(known) = known.filter(|known| known.position == stored.position) {
            let (order, hint) = (known.order.clone(), known.valid_from);
            let remove = Some(order.clone());
            self.refold(work, Refold { insert: None, remove, start: order.clone(), until: order, hint })?;
            if self.works[work].last().is_none() {
                self.works[work].revisions = 0;
            }
        }
        if stored.event.operation == Some(Operation::Read) {
            self.take_back_sweep(stored)?;
        }
        Ok(())
    }

    /// An event without a position, as it is on record.
    fn arrived_as(&self, work: usize, record: &Record) -> Result<Option<Arc<Record>>, FoldError<M::Error>> {
        let work = &self.works[work];
        let mut next = work.last().cloned();
        while let Some(known) = next {
            if known.kind == record.kind && known.id == record.id {
                return Ok(Some(known));
            }
            next = work.before(self.memory, &known.order, known.valid_from).map_err(FoldError::Memory)?;
        }
        Ok(None)
    }

    fn take_back_truncate(&mut self, stored: &StoredEvent) -> Result<(), FoldError<M::Error>> {
        let truncates = &mut self.state.truncates;
        let is_it = |known: &crate::TypeEvent| known.id == stored.event.id && known.position == stored.position;
        let Some(at) = truncates.iter().position(is_it) else { return Ok(()) };
        let order = truncates.remove(at).order;
        self.undo_from(&order)
    }

    /// A snapshot that began with this row is none any more; its other rows are taken back, too.
    fn take_back_sweep(&mut self, stored: &StoredEvent) -> Result<(), FoldError<M::Error>> {
        self.undo_sweep(|sweep| sweep.from.position == stored.position)
    }

    /// A snapshot replaces nothing any more, also where it has no row of the type.
    pub(super) fn take_back_snapshot(&mut self, snapshot: SnapshotId) -> Result<(), FoldError<M::Error>> {
        self.undo_sweep(|sweep| sweep.snapshot == snapshot)
    }

    fn undo_sweep(&mut self, is_it: impl Fn(&Sweep) -> bool) -> Result<(), FoldError<M::Error>> {
        let sweeps = &mut self.state.sweeps;
        let Some(at) = sweeps.iter().position(is_it) else { return Ok(()) };
        let order = sweeps.remove(at).from.order;
        self.undo_from(&order)
    }

    fn undo_from(&mut self, order: &OrderKey) -> Result<(), FoldError<M::Error>> {
        self.state_changed = true;
        self.for_each_aggregate(|_, last| last.order >= *order, order, order)
    }
}
