//! Folding an aggregate again from a place on.

use std::sync::Arc;

use deltafold_event::{OrderKey, Timestamp};

use super::{Fold, row_changes, type_wide::TypeWide};
use crate::{FoldError, Memory, Record, RecordKind, Since, image::same, stand::stand, work::Cursor};

/// What to fold again, and why.
#[derive(Debug)]
pub(super) struct Refold {
    /// A record that is new, or that takes the place of one with its order.
    pub(super) insert: Option<Record>,
    /// A record that goes.
    pub(super) remove: Option<OrderKey>,
    /// The first place where something is different.
    pub(super) start: OrderKey,
    /// The last place where something is different for another reason than what stands before it.
    pub(super) until: OrderKey,
    /// Guesses the valid time at `start`.
    pub(super) hint: Timestamp,
}

/// How far folding again has come.
struct Progress {
    work: usize,
    /// The last record whose valid time is settled.
    settled: Option<Arc<Record>>,
    /// The last record before the instant of `settled`, once it is known.
    below: Option<Option<Arc<Record>>>,
    /// Events without a position whose valid time the next log event limits: with what stood in their place.
    waiting: Vec<(Option<Arc<Record>>, Record)>,
    old: Vec<Arc<Record>>,
    new: Vec<Arc<Record>>,
}

impl<M: Memory> Fold<'_, M> {
    /// Folds an aggregate again until everything comes out as before.
    pub(super) fn refold(&mut self, work: usize, refold: Refold) -> Result<(), FoldError<M::Error>> {
        let Refold { mut insert, remove, start, until, hint } = refold;
        // The valid times of events without a position, directly before, depend on the log event after them.
        let mut place = start;
        let mut base = self.before(work, &place, hint)?;
        while let Some(anchored) = base.as_ref().filter(|base| base.kind.is_anchored()) {
            place = anchored.order.clone();
            base = self.before(work, &place, hint)?;
        }
        let mut type_wide = self.type_wide_from(&place).into_iter().peekable();
        let mut cursor = Cursor::new(self.memory, base.as_ref().map_or(hint, |base| base.valid_from));
        let mut inclusive = true;
        let mut progress = Progress {
            work,
            settled: base.clone(),
            below: None,
            waiting: Vec::new(),
            old: Vec::new(),
            new: Vec::new(),
        };
        let mut changed = false;
        loop {
            let next = cursor.next(&self.works[work], &place, inclusive).map_err(FoldError::Memory)?;
            let places = [
                next.as_ref().map(|next| &next.order),
                insert.as_ref().map(|insert| &insert.order),
                type_wide.peek().map(TypeWide::order),
            ];
            let Some(order) = places.into_iter().flatten().min().cloned() else { break };
            let old = next.filter(|next| next.order == order);
            progress.old.extend(old.clone());
            let event = type_wide.next_if(|event| *event.order() == order);
            let record = match insert.take_if(|insert| insert.order == order) {
                Some(record) => Some(record),
                None if remove.as_ref() == Some(&order) => None,
                None => self.record_at(&progress, event.as_ref(), old.as_ref()),
            };
            place = order;
            inclusive = false;
            let Some(mut record) = record else {
                if let Some(old) = old {
                    self.set(work, Some(&old), None)?;
                    self.carry(work, Some(&old), None);
                    changed = true;
                }
                continue;
            };
            stand(progress.standing(), &mut record);
            if record.kind.is_anchored() {
                progress.waiting.push((old, record));
                continue;
            }
            let log_valid_from = progress.settled.as_ref().map_or(Timestamp::MIN, |settled| settled.log_valid_from);
            record.valid_from = record.occurred_at.max(log_valid_from);
            record.log_valid_from = record.valid_from;
            changed |= self.settle_waiting(&mut progress, Some(record.valid_from))?;
            let valid_from = record.valid_from;
            let is_changed = self.settle(&mut progress, old, record)?;
            changed |= is_changed;
            if !is_changed && place >= until {
                let next = cursor.next(&self.works[work], &place, false).map_err(FoldError::Memory)?;
                // A record at the same instant also depends on what stands before the instant.
                if next.is_none_or(|next| next.valid_from > valid_from) {
                    break;
                }
            }
        }
        changed |= self.settle_waiting(&mut progress, None)?;
        self.works[work].forget_instant();
        if changed {
            let aggregate = Arc::clone(&self.works[work].id);
            self.changes.rows.extend(row_changes(base.as_ref(), &progress.old, &progress.new, &aggregate));
        }
        Ok(())
    }

    /// What stands at a place: what an event of the type does to the aggregate there, or an event of its own.
    fn record_at(&self, progress: &Progress, event: Option<&TypeWide>, old: Option<&Arc<Record>>) -> Option<Record> {
        match event {
            Some(event) => event.record(&self.works[progress.work].id, progress.standing()),
            // What an event of the type did there is undone when it stands there no more.
            None => old
                .filter(|old| !matches!(old.kind, RecordKind::Truncated | RecordKind::RekeyedOut | RecordKind::Swept))
                .map(|old| Record::clone(old)),
        }
    }

    /// Settles the events that waited for the next log event, which holds from `limit` on.
    fn settle_waiting(
        &mut self,
        progress: &mut Progress,
        limit: Option<Timestamp>,
    ) -> Result<bool, FoldError<M::Error>> {
        let mut changed = false;
        for (old, mut record) in std::mem::take(&mut progress.waiting) {
            let (valid_from, log_valid_from) = match &progress.settled {
                Some(settled) => (settled.valid_from, settled.log_valid_from),
                None => (Timestamp::MIN, Timestamp::MIN),
            };
            record.valid_from = record.occurred_at.max(valid_from).min(limit.unwrap_or(Timestamp::MAX));
            record.log_valid_from = log_valid_from;
            changed |= self.settle(progress, old, record)?;
        }
        Ok(changed)
    }

    /// Gives a record its place, its belief and its version. Whether anything is different from what stood there.
    fn settle(
        &mut self,
        progress: &mut Progress,
        old: Option<Arc<Record>>,
        mut record: Record,
    ) -> Result<bool, FoldError<M::Error>> {
        let work = progress.work;
        let since = self.since(progress, &record)?;
        // What is as it was before this event is believed since then, though it was different in between.
        let original = match &old {
            Some(old) => match self.works[work].journal.get(&old.order) {
                Some(original) => original.clone(),
                None => Some(Arc::clone(old)),
            },
            None => self.works[work].journal.get(&record.order).cloned().flatten(),
        };
        let mut believe = |recorded_from| {
            record.recorded_from = recorded_from;
            record.since = since.unwrap_or_else(|| Since::here(&record));
            record.clone()
        };
        let as_before = original.as_ref().map(|original| (original, believe(original.recorded_from)));
        let now = match as_before {
            Some((original, record)) if is_believed_alike(original, &record) => record,
            _ => believe(self.position),
        };
        let is_changed = old.as_deref() != Some(&now);
        let now = match &old {
            Some(old) if !is_changed => Arc::clone(old),
            _ => Arc::new(now),
        };
        if is_changed {
            self.set(work, old.as_ref(), Some(Arc::clone(&now)))?;
            self.begins(&now);
            self.carry(work, old.as_ref(), Some(&now));
        }
        progress.new.push(Arc::clone(&now));
        match progress.settled.replace(now) {
            Some(before) if before.valid_from == record.valid_from => {}
            before => progress.below = Some(before),
        }
        Ok(is_changed)
    }

    /// Where the version began that a record shows; none where it begins there.
    fn since(&mut self, progress: &mut Progress, record: &Record) -> Result<Option<Since>, FoldError<M::Error>> {
        let Some(before) = progress.settled.clone() else { return Ok(None) };
        if same(before.shown(), record.shown()) {
            return Ok(Some(before.since));
        }
        if before.valid_from < record.valid_from {
            return Ok(None);
        }
        let below = match &progress.below {
            Some(below) => below.clone(),
            None => {
                let mut below = self.before(progress.work, &before.order, before.valid_from)?;
                while let Some(record) = below.as_ref().filter(|below| below.valid_from == before.valid_from) {
                    below = self.before(progress.work, &record.order.clone(), before.valid_from)?;
                }
                progress.below = Some(below.clone());
                below
            }
        };
        Ok(below.filter(|below| same(below.shown(), record.shown())).map(|below| below.since))
    }

    fn before(
        &self,
        work: usize,
        order: &OrderKey,
        hint: Timestamp,
    ) -> Result<Option<Arc<Record>>, FoldError<M::Error>> {
        self.works[work].before(self.memory, order, hint).map_err(FoldError::Memory)
    }
}

impl Progress {
    /// What stands at the place that is reached.
    fn standing(&self) -> Option<&Record> {
        self.waiting.last().map(|(_, record)| record).or(self.settled.as_deref())
    }
}

/// Whether two records tell readers the same: event, row, valid time and version. The rest is the keeper's own.
fn is_believed_alike(one: &Record, other: &Record) -> bool {
    let told = |record: &Record| (record.id, record.valid_from, record.since);
    (told(one), &one.order, one.shown()) == (told(other), &other.order, other.shown())
}
