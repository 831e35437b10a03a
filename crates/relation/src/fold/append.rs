//! Events that stand after everything known of their aggregate: the path of nearly all.

use std::sync::Arc;

use deltafold_event::{EventId, OrderKey, Position, Timestamp};

use super::{Fold, Move};
use crate::{
    FoldError, Memory, Place, Record, RecordKind, RowChange, Since, image::same, incoming::Incoming, keys, stand::stand,
};

impl<M: Memory> Fold<'_, M> {
    /// Folds an event that has no source position: it stands after the last event of its aggregate that has
    /// arrived. Truncates and changes of the key are events of every aggregate.
    pub(super) fn event_without_position(
        &mut self,
        work: usize,
        mut incoming: Incoming,
        place: &Place,
    ) -> Result<(), FoldError<M::Error>> {
        let id = seen_in(incoming.record.id, place.epoch);
        let arrived = incoming.record.position;
        // Where nothing is known of the aggregate, this event of it has not been seen either.
        let is_known = self.works[work].last().is_some();
        if match is_known {
            true => self.is_seen(id)?,
            false => self.seen.get(&id) == Some(&true),
        } {
            return Ok(());
        }
        if place.may_be_older && self.is_seen_in_older(incoming.record.id, place.epoch)? {
            return Ok(());
        }
        self.seen.insert(id, true);
        self.note_key_of_event_without_position(&incoming)?;
        self.observe(&incoming);
        if let Some(snapshot) = &place.snapshot {
            self.begin_sweep(snapshot, place.epoch, &incoming.record)?;
        }
        let anchor = match incoming.record.kind {
            RecordKind::Read => self.anchor_in(work, place.epoch)?,
            _ => self.anchor_below(work, None)?,
        };
        let beginning = OrderKey { epoch: place.epoch, ..OrderKey::default() };
        incoming.record.order = directly_after(&anchor.max(beginning), arrived);
        let is_last = self.works[work].last().is_none_or(|last| last.order < incoming.record.order)
            && self.last_type_wide().is_none_or(|event| event.order < incoming.record.order);
        if is_last { self.append(work, incoming.record) } else { self.insert(work, incoming.record) }
    }

    /// What a row that was read in an epoch stands after: what came in later ones comes later.
    fn anchor_in(&self, work: usize, epoch: u32) -> Result<OrderKey, FoldError<M::Error>> {
        let Some(next) = epoch.checked_add(1) else { return self.anchor_below(work, None) };
        self.anchor_below(work, Some(&OrderKey { epoch: next, offset: i64::MIN, ..OrderKey::default() }))
    }

    /// The last event of an aggregate below a limit. Truncates, changes of the key and snapshots are events of every
    /// aggregate.
    fn anchor_below(&self, work: usize, limit: Option<&OrderKey>) -> Result<OrderKey, FoldError<M::Error>> {
        let own = match (self.works[work].last(), limit) {
            (Some(last), Some(limit)) if last.order >= *limit => {
                self.works[work].before(self.memory, limit, last.valid_from).map_err(FoldError::Memory)?
            }
            (last, _) => last.cloned(),
        };
        let own = own.map(|own| own.order.clone());
        let type_wide = limit.map_or_else(|| self.last_type_wide(), |limit| self.last_type_wide_below(limit));
        Ok(own.max(type_wide.map(|event| keys::anchor_of(&event.order))).unwrap_or_default())
    }

    /// Whether an event without a position was folded as one of an older epoch.
    fn is_seen_in_older(&self, id: EventId, epoch: u32) -> Result<bool, FoldError<M::Error>> {
        for older in (0..epoch).rev().map(|older| seen_in(id, older)) {
            if self.is_seen(older)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_seen(&self, id: EventId) -> Result<bool, FoldError<M::Error>> {
        match self.seen.get(&id) {
            Some(is_seen) => Ok(*is_seen),
            None => self.memory.seen(id).map_err(FoldError::Memory),
        }
    }

    /// An event without a position is taken back: it may come again.
    pub(super) fn forget(&mut self, id: EventId, epoch: u32) {
        self.seen.insert(seen_in(id, epoch), false);
    }

    /// Whether an event stands after all else, and changes the valid time of nothing before it.
    pub(super) fn is_in_order(&self, work: usize, record: &Record) -> bool {
        if self.last_type_wide().is_some_and(|event| event.order >= record.order) {
            return false;
        }
        match self.works[work].last() {
            None => true,
            Some(last) => {
                let holds = !last.kind.is_anchored() || last.valid_from <= record.occurred_at.max(last.log_valid_from);
                last.order < record.order && holds
            }
        }
    }

    /// Adds a record that stands after all others of its aggregate.
    pub(super) fn append(&mut self, at: usize, mut record: Record) -> Result<(), FoldError<M::Error>> {
        let last = self.works[at].last().cloned();
        let (valid_from, log_valid_from) =
            last.as_ref().map_or((Timestamp::MIN, Timestamp::MIN), |last| (last.valid_from, last.log_valid_from));
        stand(last.as_deref(), &mut record);
        if record.kind.is_anchored() {
            record.valid_from = record.occurred_at.max(valid_from);
            record.log_valid_from = log_valid_from;
        } else {
            record.valid_from = record.occurred_at.max(log_valid_from);
            record.log_valid_from = record.valid_from;
        }
        let shown_before = last.as_ref().and_then(|last| last.shown());
        let is_same = last.is_some() && same(shown_before, record.shown());
        record.recorded_from = self.position;
        record.since = match &last {
            Some(last) if is_same => last.since,
            Some(last) if last.valid_from == record.valid_from => {
                let earlier = self.works[at].earlier(self.memory, record.valid_from).map_err(FoldError::Memory)?;
                match earlier {
                    Some(earlier) if same(earlier.shown(), record.shown()) => earlier.since,
                    _ => Since::here(&record),
                }
            }
            _ => Since::here(&record),
        };
        let work = &mut self.works[at];
        if record.kind.is_own() {
            work.revisions += 1;
            record.revision = work.revisions;
        }
        let record = Arc::new(record);
        if let (true, Some(last)) = (work.journal.is_empty(), &last) {
            self.moves.push(Move { work: at, position: self.position, from: Move::place(last), is_back: false });
        }
        work.append(Arc::clone(&record));
        if !is_same {
            let aggregate = &self.works[at].id;
            let valid_from = record.valid_from;
            let change = |record: &Arc<Record>, weight| RowChange {
                aggregate: Arc::clone(aggregate),
                record: Arc::clone(record),
                valid_from,
                weight,
            };
            let went = last.as_ref().filter(|last| last.shown().is_some());
            self.changes.rows.extend(went.map(|went| change(went, -1)));
            self.changes.rows.extend(record.shown().map(|_| change(&record, 1)));
        }
        self.begins(&record);
        self.carry(at, None, Some(&record));
        Ok(())
    }
}

/// The place of what arrived at a position without one of its own and stands after `anchor`.
pub(super) fn directly_after(anchor: &OrderKey, arrived: Position) -> OrderKey {
    match anchor.arrival {
        Some(arrival) if arrival >= arrived => anchor.then(arrival.next()),
        _ => anchor.then(arrived),
    }
}

/// What an event without a position is remembered by: in one epoch it is seen once.
fn seen_in(id: EventId, epoch: u32) -> EventId {
    let mut bytes = *id.as_bytes();
    bytes.iter_mut().rev().zip(epoch.to_le_bytes()).for_each(|(byte, of_epoch)| *byte ^= of_epoch);
    EventId::from_bytes(bytes)
}

impl Since {
    /// A version that begins at this record.
    pub(crate) fn here(record: &Record) -> Self {
        Self { valid_from: record.valid_from, recorded_from: record.recorded_from, id: record.id }
    }
}
