//! Taking back events that were folded before it was known that they belong to a later epoch.

use std::sync::Arc;

use deltafold_event::{Operation, OrderKey, Position, StoredEvent};

use super::{Fold, append::directly_after, refold::Refold};
use crate::{FoldError, Memory, Record, SnapshotId, Sweep, TypeEvent, incoming::Incoming, keys, work::Cursor};

impl<M: Memory> Fold<'_, M> {
    /// Undoes what an event did that was folded as one of `epoch`. One that is not on record is passed over: it came
    /// again, and its first delivery stays.
    pub(super) fn take_back(&mut self, stored: &StoredEvent, epoch: u32) -> Result<(), FoldError<M::Error>> {
        let Some(aggregate) = &stored.event.aggregate_id else { return self.take_back_truncate(stored) };
        let incoming = Incoming::read(stored, epoch, self.schemas)?;
        let work = self.work(aggregate)?;
        let known = match stored.event.source_position {
            Some(_) => self.in_epochs(work, &incoming.record, 0..=epoch)?,
            None => self.arrived_as(work, &incoming.record)?,
        };
        if let Some(known) = known.filter(|known| known.position == stored.position) {
            let (order, hint) = (known.order.clone(), known.valid_from);
            let remove = Some(order.clone());
            self.refold(work, Refold { insert: None, remove, start: order.clone(), until: order.clone(), hint })?;
            match known.kind.is_anchored() {
                true => self.forget(known.id, epoch),
                false => self.anchor_anew(work, &order)?,
            }
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
        let is_it = |known: &TypeEvent| known.id == stored.event.id && known.position == stored.position;
        let Some(at) = truncates.iter().position(is_it) else { return Ok(()) };
        let order = truncates.remove(at).order;
        self.undo_from(&order)
    }

    /// Rows that were read and events of applications stand after what was the last event when they came. Where that is
    /// gone they stand after the one before it.
    fn anchor_anew(&mut self, work: usize, gone: &OrderKey) -> Result<(), FoldError<M::Error>> {
        // Delivered again with a lower offset, it may have moved down since.
        let mut place = OrderKey { offset: i64::MIN, arrival: None, ..gone.clone() };
        let is_there = |order: &OrderKey| (order.epoch, &order.source_position) == (gone.epoch, &gone.source_position);
        let mut anchored = Vec::new();
        let hint = self.works[work].last().map_or_else(Default::default, |last| last.valid_from);
        let mut cursor = Cursor::new(self.memory, hint);
        while let Some(next) = cursor.next(&self.works[work], &place, false).map_err(FoldError::Memory)?
            && is_there(&next.order)
        {
            place = next.order.clone();
            anchored.extend(next.kind.is_anchored().then_some(next));
        }
        for record in anchored {
            let had_arrived = |position: Position| position < record.position;
            let (mut own, mut below) = (None, record.order.clone());
            while let Some(before) =
                self.works[work].before(self.memory, &below, record.valid_from).map_err(FoldError::Memory)?
            {
                if had_arrived(before.position) {
                    own = Some(before.order.clone());
                    break;
                }
                below = before.order.clone();
            }
            // A snapshot has arrived when its first row, which may be this one, has.
            let had_begun = |event: &TypeEvent| event.order < record.order && event.position <= record.position;
            let type_wide = self.type_wide().filter(|event| had_begun(event));
            let type_wide = type_wide.map(|event| keys::anchor_of(&event.order)).max();
            let beginning = OrderKey { epoch: gone.epoch, ..OrderKey::default() };
            let anchor = own.max(type_wide).unwrap_or_default().max(beginning);
            let (order, was) = (directly_after(&anchor, record.position), record.order.clone());
            if order < was {
                let insert = Some(Record { order: order.clone(), ..Record::clone(&record) });
                let hint = record.valid_from;
                self.refold(work, Refold { insert, remove: Some(was.clone()), start: order, until: was, hint })?;
            }
        }
        Ok(())
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
        self.for_each_aggregate(|_, last| last.order >= *order, order, order)?;
        let (epoch, place) = (order.epoch, &order.source_position);
        for at in self.works_where(|_, last| (last.order.epoch, &last.order.source_position) >= (epoch, place))? {
            self.anchor_anew(at, order)?;
        }
        Ok(())
    }
}
