//! Joins: which rows of two sides belong together, at every moment.
//!
//! Both sides remember their rows by what has to be equal. A pair is there as often as its one row and its other row are:
//! a change of either is met with what the other side remembers, and of both together what has changed is told once. Rows
//! without any row on the other side follow from whether there is one, which is a group of the other side ([`Group`]).

mod by_row;
mod keys;
mod matches;
mod rest;
mod rows;
mod seen;
mod side;

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, BooleanArray},
    datatypes::SchemaRef,
    row::RowConverter,
};
use datafusion::physical_expr::PhysicalExpr;

use super::{
    Writes,
    deltas::Deltas,
    error::Fault,
    expressions::values,
    group::{Group, Stand, row_bytes},
    operator::Operator,
    steps::{Steps, pairs},
};
use crate::memory::Memory;
use by_row::ByRow;
use matches::Matches;
use rest::{Next, Part, Work};
use seen::{Seen, before, differences, meet, seen};
use side::{Held, Now, Row, Wanted};

/// Rows of two sides that belong together.
pub(crate) struct Join {
    pub(crate) kind: Kind,
    pub(crate) left: Side,
    pub(crate) right: Side,
    /// Which rows on the left can belong to any.
    pub(crate) can_match: Option<Arc<dyn PhysicalExpr>>,
    /// Of what has to be equal; the same for both sides.
    pub(crate) keys: RowConverter,
    /// The number in the plan of what is left of changes.
    pub(crate) rest: u16,
    /// Whether null is equal to null.
    pub(crate) nulls_match: bool,
    /// How many rows there are on the right, by what has to be equal.
    pub(crate) existence: Option<Group>,
    pub(crate) schema: SchemaRef,
}

/// What a join gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Pairs.
    Inner,
    /// Pairs, and with nulls the rows on the left that are in none.
    Left,
    /// The rows on the left that are in any pair.
    Semi,
    /// Those that are in none.
    Anti,
    /// All rows on the left, and whether each is in a pair.
    Mark,
}

impl Kind {
    fn has_pairs(self) -> bool {
        matches!(self, Self::Inner | Self::Left)
    }
}

/// One of the two.
pub(crate) struct Side {
    pub(crate) input: Box<Operator>,
    /// Its number in the plan.
    pub(crate) operator: u16,
    /// What has to be equal.
    pub(crate) key: Vec<Arc<dyn PhysicalExpr>>,
    /// Of its rows; none: they have no columns.
    pub(crate) rows: Option<RowConverter>,
}

/// How often a row comes and goes.
struct Change {
    steps: Steps,
    cause: u32,
}

/// What changes of a key.
#[derive(Default)]
struct OfKey {
    left: ByRow<Change>,
    /// Nothing where only whether there are any counts.
    right: ByRow<Change>,
    /// How many more there are on the right; none where that does not count.
    count: Option<Change>,
}

impl Join {
    /// What changes in what it gives.
    pub(crate) fn fold<M: Memory>(
        &self,
        left: &Deltas,
        right: &Deltas,
        memory: &M,
        writes: &mut Writes,
    ) -> Result<Deltas, Fault<M::Error>> {
        let mut matches = Matches::default();
        let changes = self.changes(left, right, memory, writes, &mut matches)?;
        let (nothing, is_any_left) = (OfKey::default(), rest::works(self.rest, memory).next().is_some());
        let mut late = BTreeMap::new();
        for (key, of_key) in changes {
            match is_any_left && rest::is_left(self.rest, &key, memory)? {
                true => _ = late.insert(key, of_key),
                false => self.fold_key(&key, &nothing, &of_key, memory, writes, &mut matches)?,
            }
        }
        if is_any_left {
            self.fold_rest(&mut late, memory, writes, &mut matches)?;
        }
        for (key, of_key) in late {
            self.remember(&key, &of_key, memory, writes)?;
            rest::wait(self.rest, &key, &of_key, memory, writes)?;
        }
        matches.finish(self)
    }

    /// What changes, in the order of keys. What there is on the right is counted by them.
    fn changes<M: Memory>(
        &self,
        left: &Deltas,
        right: &Deltas,
        memory: &M,
        writes: &mut Writes,
        matches: &mut Matches,
    ) -> Result<impl Iterator<Item = (Row, OfKey)> + use<M>, Fault<M::Error>> {
        let (of_left, alone) = self.left.changes(self, left, self.can_match.as_ref())?;
        for (row, at, weight, cause) in alone {
            matches.put_alone(self.kind, &row, &Steps::from_then(at, weight), cause);
        }
        let of_right = if self.kind.has_pairs() { self.right.changes(self, right, None)?.0 } else { Vec::new() };
        let counted = match &self.existence {
            Some(group) => self.counted(group, right, memory, writes)?,
            None => BTreeMap::new(),
        };
        let mut of_left = of_left.into_iter().peekable();
        let mut of_right = of_right.into_iter().peekable();
        let mut counted = counted.into_iter().peekable();
        Ok(std::iter::from_fn(move || {
            let keys = [
                of_left.peek().map(|(key, _)| key),
                of_right.peek().map(|(key, _)| key),
                counted.peek().map(|(key, _)| key),
            ];
            let first = keys.into_iter().flatten().min()?;
            let [is_left, is_right, is_counted] = keys.map(|key| key == Some(first));
            let left = of_left.next_if(|_| is_left).unzip();
            let right = of_right.next_if(|_| is_right).unzip();
            let counted = counted.next_if(|_| is_counted).unzip();
            let of_key =
                OfKey { left: left.1.unwrap_or_default(), right: right.1.unwrap_or_default(), count: counted.1 };
            Some((left.0.or(right.0).or(counted.0)?, of_key))
        }))
    }

    /// Gives a piece of what is left of keys, and folds what has waited for those of which all is given.
    fn fold_rest<M: Memory>(
        &self,
        late: &mut BTreeMap<Row, OfKey>,
        memory: &M,
        writes: &mut Writes,
        matches: &mut Matches,
    ) -> Result<(), Fault<M::Error>> {
        let mut given = 0;
        for work in rest::works(self.rest, memory) {
            let (key, work) = work?;
            let waited = rest::waiting(self.rest, &key, memory, writes)?;
            let mut next = Some(work);
            while let Some(work) = next.take_if(|_| given == 0 || given < writes.pieces.of_key) {
                given += self.fold_piece(&key, &work, &waited, memory, writes, matches)?;
                next = work.after();
            }
            if let Some(work) = next {
                work.put(self.rest, &key, writes);
                writes.is_part = true;
            } else {
                Work::remove(self.rest, &key, writes);
                rest::forget_waiting(self.rest, &key, memory, writes)?;
                let arrived = late.remove(&key).unwrap_or_default();
                self.fold_key(&key, &waited, &arrived, memory, writes, matches)?;
            }
            if given >= writes.pieces.of_key {
                // There may be others.
                writes.is_part = true;
                break;
            }
        }
        Ok(())
    }

    /// By how many more rows there are on the right, by key; a group of them counts them.
    fn counted<M: Memory>(
        &self,
        group: &Group,
        right: &Deltas,
        memory: &M,
        writes: &mut Writes,
    ) -> Result<BTreeMap<Row, Change>, Fault<M::Error>> {
        let there = self.valid(right, &self.right.key)?.map(|valid| right.filtered(&valid)).transpose();
        let there = there.map_err(|error| Fault::of(0, &error))?;
        let right = there.as_ref().unwrap_or(right);
        let mut counted: BTreeMap<Row, Change> = BTreeMap::new();
        let Some(keys) = group.remember(right, memory, writes)? else { return Ok(counted) };
        for row in 0..right.len() {
            let cause = right.cause[row];
            let change = counted.entry(row_bytes(&keys, row).into());
            let change = change.or_insert_with(|| Change { steps: Steps::default(), cause });
            change.steps.add(right.at[row], right.weight[row]);
        }
        counted.retain(|_, change| !change.steps.is_empty());
        Ok(counted)
    }

    /// Which rows have no null in what has to be equal; none: all.
    fn valid<E>(&self, deltas: &Deltas, key: &[Arc<dyn PhysicalExpr>]) -> Result<Option<BooleanArray>, Fault<E>> {
        if self.nulls_match {
            return Ok(None);
        }
        let columns: Vec<ArrayRef> = key.iter().map(|expr| values(expr, deltas)).collect::<Result<_, _>>()?;
        if columns.iter().all(|column| column.null_count() == 0) {
            return Ok(None);
        }
        Ok(Some((0..deltas.len()).map(|row| Some(columns.iter().all(|column| column.is_valid(row)))).collect()))
    }

    /// Folds what has waited, which both sides remember, and what has arrived, which they remember from now on.
    fn fold_key<M: Memory>(
        &self,
        key: &[u8],
        waited: &OfKey,
        arrived: &OfKey,
        memory: &M,
        writes: &mut Writes,
        matches: &mut Matches,
    ) -> Result<(), Fault<M::Error>> {
        let Some(from) = waited.from().into_iter().chain(arrived.from()).min() else { return Ok(()) };
        let of_left = differences(&waited.left, &arrived.left);
        let of_right = differences(&waited.right, &arrived.right);
        let count = waited.count.as_ref().or(arrived.count.as_ref());
        let existence = match &self.existence {
            Some(group) if !of_left.is_empty() || count.is_some() => {
                let counted = counts(group, key, from, memory)?;
                let with = |counted: Steps, change: &Option<Change>, sign| match change {
                    Some(change) => counted.plus_times(&change.steps, sign),
                    None => counted,
                };
                let old = with(counted.clone(), &waited.count, -1).any();
                Some((old, with(counted, &arrived.count, 1).any(), count.map(|change| change.cause)))
            }
            _ => None,
        };
        let meets_right = self.kind.has_pairs() && !of_left.is_empty();
        let changed = existence.as_ref().filter(|(old, new, _)| old != new);
        let changed = changed.and_then(|(old, new, cause)| Some((old.clone(), new.clone(), (*cause)?)));
        let meets_left = !of_right.is_empty() || changed.is_some();
        if of_left.is_empty() && !meets_left {
            return Ok(());
        }
        let now = |side: &Side| Now::read(side.operator, key, memory);
        let now_left = now(&self.left)?;
        let now_right = if self.kind.has_pairs() { Some(now(&self.right)?) } else { None };
        let count = |is_met: bool, side: &Side, now: Option<&Now>| match now.filter(|_| is_met) {
            Some(now) => now.count(side.operator, key, from, memory),
            None => Ok(0),
        };
        let on_right = count(meets_right, &self.right, now_right.as_ref())? * of_left.len() as u64;
        let of_changes = of_right.len() + usize::from(changed.is_some());
        let on_left = count(meets_left, &self.left, Some(&now_left))? * of_changes as u64;
        let is_much = on_left + on_right > writes.pieces.of_key || matches.len() as u64 > writes.pieces.of_all;
        let wanted =
            |is_met: bool, these| if is_met && !is_much { Wanted::Part(Part::ALL) } else { Wanted::these(these) };
        let wanted_left = wanted(meets_left, &of_left);
        let held_left = Held::read(now_left, (self.left.operator, key), from, &wanted_left, memory)?;
        let left = seen(&held_left.rows, &of_left, Part::ALL);
        // What has changed by itself is never much more than what it stems from.
        if let Some((old, new, _)) = &existence {
            let (stays, changes) = left.split_at(left.len() - of_left.len());
            let met = if is_much { &[] } else { stays };
            let cause = changed.as_ref().map(|(_, _, cause)| *cause);
            self.meet_existence(met.iter().chain(changes), old, new, cause, matches);
        }
        if let Some(now_right) = now_right {
            let wanted_right = wanted(meets_right, &of_right);
            let held_right = Held::read(now_right, (self.right.operator, key), from, &wanted_right, memory)?;
            let right = seen(&held_right.rows, &of_right, Part::ALL);
            if !is_much {
                meet(&left, of_left.len(), &right, of_right.len(), matches);
            }
            drop(right);
            if !arrived.right.is_empty() {
                held_right.write(self.right.operator, key, &arrived.right, memory, writes)?;
            }
        }
        drop(left);
        if !arrived.left.is_empty() {
            held_left.write(self.left.operator, key, &arrived.left, memory, writes)?;
        }
        if is_much {
            let parts = |is_met: bool, pairs: u64| is_met.then(|| pairs.div_ceil(writes.pieces.of_key).max(1));
            let parts = (parts(meets_right, on_right), parts(meets_left, on_left));
            if let Some(work) = Work::new((&of_left, &of_right), changed, from, parts, writes) {
                work.put(self.rest, key, writes);
                writes.is_part = true;
            }
        }
        Ok(())
    }

    /// Remembers what changes of a key, of which nothing is given yet.
    fn remember<M: Memory>(
        &self,
        key: &[u8],
        arrived: &OfKey,
        memory: &M,
        writes: &mut Writes,
    ) -> Result<(), Fault<M::Error>> {
        for (side, changes) in [(&self.left, &arrived.left), (&self.right, &arrived.right)] {
            let Some(from) = changes.values().filter_map(|change| change.steps.first()).min() else { continue };
            let now = Now::read(side.operator, key, memory)?;
            let held = Held::read(now, (side.operator, key), from, &Wanted::these(changes), memory)?;
            held.write(side.operator, key, changes, memory, writes)?;
        }
        Ok(())
    }

    /// Gives a part of what is left of a key, as it was before other changes that have `waited`; how many rows it has looked
    /// at.
    fn fold_piece<M: Memory>(
        &self,
        key: &[u8],
        work: &Work,
        waited: &OfKey,
        memory: &M,
        writes: &mut Writes,
        matches: &mut Matches,
    ) -> Result<u64, Fault<M::Error>> {
        let (of_left, of_right) = work.changes(writes);
        let read = |side: &Side, wanted: &Wanted<'_>| {
            let now = Now::read(side.operator, key, memory)?;
            Held::read(now, (side.operator, key), work.from, wanted, memory)
        };
        match work.next {
            Next::Right(part) => {
                let differences = before(&of_right, &waited.right, |_| true);
                let held = read(&self.right, &Wanted::Part(part))?;
                let right = seen(&held.rows, &differences, part);
                let differences = before(&of_left, &waited.left, |row| of_left.contains(row));
                let held_left = read(&self.left, &Wanted::these(&differences))?;
                let left = seen(&held_left.rows, &differences, Part::ALL);
                meet(&left, left.len(), &right, 0, matches);
                Ok(right.len() as u64 * left.len() as u64)
            }
            Next::Left(part) => {
                let differences = before(&ByRow::default(), &waited.left, |_| true);
                let held = read(&self.left, &Wanted::Part(part))?;
                let mut left = seen(&held.rows, &differences, part);
                left.retain(|one| !of_left.contains(one.row));
                if let Some((old, new, event)) = &work.existence {
                    let cause = writes.cause(*event);
                    self.meet_existence(left.iter(), old, new, Some(cause), matches);
                }
                let differences = before(&of_right, &waited.right, |row| of_right.contains(row));
                let held_right = read(&self.right, &Wanted::these(&differences))?;
                let right = seen(&held_right.rows, &differences, Part::ALL);
                meet(&left, 0, &right, right.len(), matches);
                Ok(left.len() as u64 * (right.len() as u64).max(1))
            }
        }
    }

    /// Rows on the left, and whether there is any on the right.
    fn meet_existence<'s>(
        &self,
        left: impl Iterator<Item = &'s Seen<'s>>,
        old: &Steps,
        new: &Steps,
        cause: Option<u32>,
        matches: &mut Matches,
    ) {
        let (no_old, no_new) = (old.inverted(), new.inverted());
        for one in left {
            let Some(cause) = one.cause.or(cause) else { continue };
            let changed = (&*one.old, &*one.new);
            matches.put_matched(self.kind, one.row, &pairs(changed, (old, new)), cause);
            matches.put_alone(self.kind, one.row, &pairs(changed, (&no_old, &no_new)), cause);
        }
    }
}

/// How many rows there are on the right from when on: all that is different from a moment on.
fn counts<M: Memory>(group: &Group, key: &[u8], from: i64, memory: &M) -> Result<Steps, Fault<M::Error>> {
    let stand = Stand::read(group.operator, key, from, memory)?;
    let mut steps = Steps::default();
    let mut before = 0;
    let base = stand.base.iter().map(|(_, entry)| (i64::MIN, entry));
    for (at, entry) in base.chain(stand.tail.iter().map(|(at, entry)| (*at, entry))) {
        steps.add(at, entry.rows() - before);
        before = entry.rows();
    }
    Ok(steps)
}

impl OfKey {
    /// The first moment at which anything changes.
    fn from(&self) -> Option<i64> {
        self.left.values().chain(self.right.values()).chain(&self.count).filter_map(|change| change.steps.first()).min()
    }
}
