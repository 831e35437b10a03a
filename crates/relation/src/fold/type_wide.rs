//! Events that concern every aggregate of the type: truncates, changes of the key's columns, and snapshots that
//! replace what was known.

use std::sync::Arc;

use deltafold_event::{OrderKey, Position, StoredEvent};

use super::{Fold, append::directly_after, refold::Refold};
use crate::{
    FoldError, KeySpan, Memory, Place, Record, RecordKind, TypeEvent,
    incoming::Incoming,
    keys::{self, Noted, id_under, note_log},
    work::Work,
};

/// An event of the type where an aggregate is folded again.
#[derive(Debug)]
pub(super) enum TypeWide {
    Truncate(TypeEvent),
    /// A complete snapshot.
    Sweep(TypeEvent),
    /// With the columns of the key from there on.
    Rekey(TypeEvent, Vec<String>),
}

impl TypeWide {
    pub(super) fn order(&self) -> &OrderKey {
        match self {
            Self::Truncate(event) | Self::Sweep(event) | Self::Rekey(event, _) => &event.order,
        }
    }

    /// What it does to an aggregate where `standing` stands.
    pub(super) fn record(&self, aggregate: &str, standing: Option<&Record>) -> Option<Record> {
        let shown = standing?.shown()?;
        match self {
            Self::Truncate(event) => Some(event.record(RecordKind::Truncated)),
            Self::Sweep(event) => Some(event.record(RecordKind::Swept)),
            Self::Rekey(event, columns) => {
                let to = id_under(shown, columns).filter(|to| to != aggregate)?;
                Some(Record { moved_to: Some(to), ..event.record(RecordKind::RekeyedOut) })
            }
        }
    }
}

impl<M: Memory> Fold<'_, M> {
    /// The events of the type from a place on, in order.
    pub(super) fn type_wide_from(&self, place: &OrderKey) -> Vec<TypeWide> {
        let truncates = &self.state.truncates;
        let truncates = &truncates[truncates.partition_point(|event| event.order < *place)..];
        let rekeys = self.state.keys.get(1..).unwrap_or_default();
        let rekeys = &rekeys[rekeys.partition_point(|span| span.from.order < *place)..];
        let mut events: Vec<TypeWide> = truncates.iter().cloned().map(TypeWide::Truncate).collect();
        events.extend(rekeys.iter().map(|span| TypeWide::Rekey(span.from.clone(), span.columns.clone())));
        let sweeps = self.state.sweeps.iter().filter(|sweep| sweep.is_complete && sweep.from.order >= *place);
        events.extend(sweeps.map(|sweep| TypeWide::Sweep(sweep.from.clone())));
        events.sort_by(|one, other| one.order().cmp(other.order()));
        events
    }

    /// Puts a truncate on record, and ends the rows that stand before it.
    pub(super) fn truncate(&mut self, stored: &StoredEvent, place: &Place) -> Result<(), FoldError<M::Error>> {
        let is_anywhere = place.may_be_older || stored.event.source_position.is_none();
        let is_it =
            |known: &TypeEvent| known.id == stored.event.id && (is_anywhere || known.order.epoch == place.epoch);
        let known = self.state.truncates.iter().rposition(is_it);
        let order = match &stored.event.source_position {
            // After a log event at the same place, before what is anchored there.
            Some(source_position) => {
                let epoch = known.map_or(place.epoch, |known| self.state.truncates[known].order.epoch);
                let order = OrderKey::log(source_position.clone(), stored.event.coordinates.offset);
                OrderKey { epoch, ..order.then(Position::ZERO) }
            }
            None if known.is_some() => return Ok(()),
            None => directly_after(&self.greatest_order(None)?, stored.position),
        };
        if let Some(known) = known {
            if order < self.state.truncates[known].order {
                self.truncate_delivered_again(known, order)?;
            }
            return Ok(());
        }
        let event = TypeEvent {
            order: order.clone(),
            id: stored.event.id,
            position: stored.position,
            occurred_at: stored.event.occurred_at,
            transaction: stored.event.transaction_id.clone(),
        };
        let truncates = &mut self.state.truncates;
        truncates.insert(truncates.partition_point(|other| other.order < order), event);
        self.state_changed = true;
        let ends = |last: &Record| last.order > order || last.shown().is_some();
        self.for_each_aggregate(|_, last| ends(last), &order, &order)
    }

    /// A truncate stands by the lowest offset of its deliveries.
    fn truncate_delivered_again(&mut self, known: usize, order: OrderKey) -> Result<(), FoldError<M::Error>> {
        let mut event = self.state.truncates.remove(known);
        let was = std::mem::replace(&mut event.order, order.clone());
        let truncates = &mut self.state.truncates;
        truncates.insert(truncates.partition_point(|other| other.order < order), event);
        self.state_changed = true;
        self.for_each_aggregate(|_, last| last.order >= order, &order, &was)
    }

    /// Takes in the key columns of a log event; where they are new, rows get the ids they have under them.
    pub(super) fn note_key_of_log_event(&mut self, incoming: &Incoming) -> Result<(), FoldError<M::Error>> {
        let Some(columns) = incoming.schema.as_ref().map(|schema| schema.key()).filter(|key| !key.is_empty()) else {
            return Ok(());
        };
        let order = &incoming.record.order;
        if let Some(notes) = &mut self.key_notes {
            notes.log_event(columns, &incoming.record);
            return Ok(());
        }
        let is_before = |event: &TypeEvent| {
            (event.order.epoch, &event.order.source_position) < (order.epoch, &order.source_position)
        };
        if let Some(KeySpan { columns: newest, from, first_log: Some(first_log) }) = self.state.keys.last()
            && newest.as_slice() == columns
            && is_before(from)
            && is_before(first_log)
        {
            return Ok(());
        }
        let record = &incoming.record;
        let event = type_event(record, keys::before_log(&record.order));
        match note_log(&mut self.state.keys, columns, &event) {
            Noted::Nothing => Ok(()),
            Noted::Learnt => {
                self.state_changed = true;
                Ok(())
            }
            Noted::Changed(start, until) => self.rekey(&start, &until),
        }
    }

    /// An event without a position changes the key only with columns that none before it had: they are those of
    /// the table now, and of everything known.
    pub(super) fn note_key_of_event_without_position(
        &mut self,
        incoming: &Incoming,
    ) -> Result<(), FoldError<M::Error>> {
        let Some(columns) = incoming.schema.as_ref().map(|schema| schema.key()).filter(|key| !key.is_empty()) else {
            return Ok(());
        };
        if let Some(notes) = &mut self.key_notes {
            notes.event_without_position(columns, &incoming.record);
            return Ok(());
        }
        let spans = &self.state.keys;
        if spans.iter().any(|span| span.columns == columns) {
            return Ok(());
        }
        let is_first = spans.is_empty();
        let order = if is_first { OrderKey::default() } else { keys::after_all(&self.greatest_order(None)?) };
        let from = type_event(&incoming.record, order.clone());
        self.state.keys.push(KeySpan { columns: columns.to_vec(), from, first_log: None });
        self.state_changed = true;
        if is_first { Ok(()) } else { self.rekey(&order, &order) }
    }

    /// Folds every aggregate again over a stretch in which the columns of the key are others.
    fn rekey(&mut self, start: &OrderKey, until: &OrderKey) -> Result<(), FoldError<M::Error>> {
        self.state_changed = true;
        self.state.columns.key = self.state.keys.last().map(|span| span.columns.clone()).unwrap_or_default();
        // A late event may begin a stretch that another one ended before: rows leave, and come back there.
        let spans = self.state.keys.iter().filter(|span| span.from.order >= *start);
        let keys: Vec<Vec<String>> = spans.map(|span| span.columns.clone()).collect();
        let start_of_stretch = start.clone();
        let moves = move |id: &str, last: &Record| {
            let leaves = |row| keys.iter().filter_map(|key| id_under(row, key)).any(|under| under != id);
            last.order >= start_of_stretch || last.shown().is_some_and(leaves)
        };
        self.for_each_aggregate(moves, start, until)?;
        self.carry_on()
    }

    /// Folds again, from `start` on, the aggregates whose newest record says that this may change something.
    pub(super) fn for_each_aggregate(
        &mut self,
        may_change: impl Fn(&str, &Record) -> bool,
        start: &OrderKey,
        until: &OrderKey,
    ) -> Result<(), FoldError<M::Error>> {
        for at in self.works_where(may_change)? {
            let hint = self.works[at].last().map_or_else(Default::default, |last| last.valid_from);
            let (start, until) = (start.clone(), until.clone());
            self.refold(at, Refold { insert: None, remove: None, start, until, hint })?;
        }
        Ok(())
    }

    /// The aggregates whose newest record is such; those of the memory first.
    pub(super) fn works_where(
        &mut self,
        is_such: impl Fn(&str, &Record) -> bool,
    ) -> Result<Vec<usize>, FoldError<M::Error>> {
        let mut found = Vec::new();
        if let Some(only) = self.only {
            let is_such = |work: &Work| work.last().is_some_and(|last| is_such(&work.id, last));
            found.extend(self.works.get(only).is_some_and(is_such).then_some(only));
            return Ok(found);
        }
        for (at, work) in self.works.iter().enumerate() {
            if work.last().is_some_and(|last| is_such(&work.id, last)) {
                found.push(at);
            }
        }
        let memory = self.memory;
        for id in memory.aggregates() {
            let id = id.map_err(FoldError::Memory)?;
            if self.index.contains_key(id.as_str()) {
                continue;
            }
            let work = Work::load(memory, id.into()).map_err(FoldError::Memory)?;
            if work.last().is_some_and(|last| is_such(&work.id, last)) {
                self.index.insert(Arc::clone(&work.id), self.works.len());
                found.push(self.works.len());
                self.works.push(work);
            }
        }
        Ok(found)
    }

    /// The greatest order of anything known of the type, below a limit.
    pub(super) fn greatest_order(&self, limit: Option<&OrderKey>) -> Result<OrderKey, FoldError<M::Error>> {
        let is_below = |order: &OrderKey| limit.is_none_or(|limit| order < limit);
        let type_wide = self.type_wide().filter(|event| is_below(&event.order));
        let mut greatest = type_wide.map(|event| keys::anchor_of(&event.order)).max().unwrap_or_default();
        for work in &self.works {
            let last = match (work.last(), limit) {
                (Some(last), Some(limit)) if last.order >= *limit => {
                    work.before(self.memory, limit, last.valid_from).map_err(FoldError::Memory)?
                }
                (last, _) => last.cloned(),
            };
            greatest = last.map_or(greatest.clone(), |last| greatest.max(last.order.clone()));
        }
        for id in self.memory.aggregates() {
            let id = id.map_err(FoldError::Memory)?;
            if self.index.contains_key(id.as_str()) {
                continue;
            }
            let Some(last) = self.memory.last(&id).map_err(FoldError::Memory)? else { continue };
            let order = match limit.filter(|limit| last.record.order >= **limit) {
                Some(limit) => {
                    let before = self.memory.before(&id, limit, last.record.valid_from).map_err(FoldError::Memory)?;
                    before.map(|before| before.order)
                }
                None => Some(last.record.order.clone()),
            };
            greatest = order.map_or(greatest.clone(), |order| greatest.max(order));
        }
        Ok(greatest)
    }
}

pub(crate) fn type_event(record: &Record, order: OrderKey) -> TypeEvent {
    TypeEvent { order, id: record.id, position: record.position, occurred_at: record.occurred_at, transaction: None }
}
