//! What folding one aggregate changes in others: rows that move.

use std::{collections::BTreeMap, sync::Arc};

use deltafold_event::{Operation, OrderKey, Row, Timestamp};

use super::{Fold, refold::Refold};
use crate::{FoldError, Memory, Record, RecordKind, Since, Stack, TypeEvent, work::Cursor};

/// How often one event may change a row that moved. Two rows that each wait for the other's value, which no
/// source sends, would go on for ever.
const VISITS_MAX: u32 = 64;

/// How often rows were visited for the event that is being folded.
pub(super) type Visits = BTreeMap<(usize, OrderKey), u32>;

/// Something to change in another aggregate.
#[derive(Debug)]
pub(super) enum Cascade {
    /// A delete took another row than before out of `from`: the create of the same move may need it.
    Moved { from: Arc<str>, to: String, order: OrderKey, hint: Timestamp },
    /// A change of the key brings another row than before, or none, from `from`.
    Rekeyed { from: Arc<str>, to: String, rekey: Box<TypeEvent>, row: Option<Row> },
}

impl<M: Memory> Fold<'_, M> {
    /// Notes what a record that became another one changes elsewhere.
    pub(super) fn carry(&mut self, at: usize, old: Option<&Arc<Record>>, new: Option<&Arc<Record>>) {
        let Some(record) = new.or(old) else { return };
        let took = |record: Option<&Arc<Record>>| record.and_then(|record| record.took.clone());
        match (record.kind, record.operation, &record.moved_to) {
            (RecordKind::Log | RecordKind::Read, Some(Operation::Delete), Some(to)) if took(old) != took(new) => {
                self.cascades.push_back(Cascade::Moved {
                    from: Arc::clone(&self.works[at].id),
                    to: to.clone(),
                    order: record.order.clone(),
                    hint: record.valid_from,
                });
            }
            (RecordKind::RekeyedOut, _, _) => {
                let target = |record: Option<&Arc<Record>>| record.and_then(|record| record.moved_to.clone());
                let (went, goes) = (target(old), target(new));
                let id = |record: Option<&Arc<Record>>| record.map(|record| record.id);
                let is_same = went == goes && took(old) == took(new) && id(old) == id(new);
                let gone = went.filter(|went| goes.as_ref() != Some(went)).map(|went| (went, None));
                let there = goes.filter(|_| !is_same).map(|goes| (goes, took(new)));
                for (to, row) in gone.into_iter().chain(there) {
                    let from = Arc::clone(&self.works[at].id);
                    self.cascades.push_back(Cascade::Rekeyed { from, to, rekey: Box::new(event_of(record)), row });
                }
            }
            _ => {}
        }
    }

    /// Changes another aggregate.
    pub(super) fn cascade(&mut self, cascade: Cascade) -> Result<(), FoldError<M::Error>> {
        match cascade {
            Cascade::Moved { from, to, order, hint } => {
                let at = self.work(&to)?;
                let there = self.works[at].at_source_position(self.memory, &order, hint).map_err(FoldError::Memory)?;
                for create in there {
                    if create.moved_from.as_deref() != Some(&*from) || create.given.is_none() {
                        continue;
                    }
                    let took = self.row_that_moved(&from, &to, &create)?;
                    let visits = self.visits.entry((at, create.order.clone())).or_default();
                    *visits += 1;
                    if took != create.took && *visits <= VISITS_MAX {
                        let (start, hint) = (create.order.clone(), create.valid_from);
                        let insert = Some(Record { took, ..Record::clone(&create) });
                        self.refold(at, Refold { insert, remove: None, until: start.clone(), start, hint })?;
                    }
                }
                Ok(())
            }
            Cascade::Rekeyed { from, to, rekey, row } => self.rekeyed(&from, &to, &rekey, row),
        }
    }

    /// The row that the delete of a move took, for its create: that at the same source position and transaction.
    pub(super) fn row_that_moved(
        &mut self,
        from: &str,
        to: &str,
        create: &Record,
    ) -> Result<Option<Row>, FoldError<M::Error>> {
        let at = self.work(from)?;
        let there = self.works[at]
            .at_source_position(self.memory, &create.order, create.occurred_at)
            .map_err(FoldError::Memory)?;
        let is_other_half = |record: &&Arc<Record>| {
            record.operation == Some(Operation::Delete)
                && record.moved_to.as_deref() == Some(to)
                && record.transaction == create.transaction
        };
        Ok(there.iter().rfind(is_other_half).and_then(|delete| delete.took.clone()))
    }

    /// Brings a row to its new id under a changed key, or takes it away again.
    fn rekeyed(
        &mut self,
        from: &str,
        to: &str,
        rekey: &TypeEvent,
        row: Option<Row>,
    ) -> Result<(), FoldError<M::Error>> {
        let at = self.work(to)?;
        let mut place = crate::keys::arrives_at(&rekey.order, from);
        let hint = rekey.occurred_at;
        let known = loop {
            let mut cursor = Cursor::new(self.memory, hint);
            let there = cursor.next(&self.works[at], &place, true).map_err(FoldError::Memory)?;
            match there.filter(|there| there.order == place) {
                None => break None,
                Some(there) if there.moved_from.as_deref() == Some(from) => break Some(there),
                Some(_) => place = place.then(place.arrival.unwrap_or_default().next()),
            }
        };
        let (insert, remove) = match (&known, row) {
            (None, None) => return Ok(()),
            (Some(_), None) => (None, Some(place.clone())),
            (_, Some(row)) => (Some(arrival(rekey, place.clone(), from, row)), None),
        };
        self.refold(at, Refold { insert, remove, start: place.clone(), until: place, hint })
    }
}

fn arrival(rekey: &TypeEvent, order: OrderKey, from: &str, row: Row) -> Record {
    let mut record = rekey.record(RecordKind::RekeyedIn);
    record.order = order;
    record.moved_from = Some(from.to_owned());
    record.took = Some(row);
    record
}

fn event_of(record: &Record) -> TypeEvent {
    TypeEvent {
        order: record.order.clone(),
        id: record.id,
        position: record.position,
        occurred_at: record.occurred_at,
        transaction: record.transaction.clone(),
    }
}

impl TypeEvent {
    /// What the event does to an aggregate, before that is worked out.
    pub(super) fn record(&self, kind: RecordKind) -> Record {
        let (operation, event_type) = match kind {
            RecordKind::Truncated => (Some(Operation::Truncate), Operation::Truncate.event_type()),
            RecordKind::Swept => (None, "swept"),
            _ => (None, "rekeyed"),
        };
        Record {
            order: self.order.clone(),
            valid_from: self.occurred_at,
            recorded_from: self.position,
            position: self.position,
            id: self.id,
            revision: 0,
            kind,
            operation,
            event_type: event_type.into(),
            occurred_at: self.occurred_at,
            log_valid_from: self.occurred_at,
            transaction: self.transaction.clone(),
            given: None,
            rows: Stack::new(),
            moved_from: None,
            moved_to: None,
            took: None,
            since: Since { valid_from: self.occurred_at, recorded_from: self.position, id: self.id },
        }
    }
}
