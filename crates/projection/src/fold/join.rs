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
mod side;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

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
use rest::{Next, Part, Waiting, Work};
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
    /// Whether there is any row on the right, by what has to be equal.
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

/// What changes on a side: by key, by row.
type Changes = BTreeMap<Row, ByRow<Change>>;

/// A row with when it was there and when it is, and the change that it stems from if that is not the same.
struct Seen<'s> {
    row: &'s [u8],
    old: Cow<'s, Steps>,
    new: Cow<'s, Steps>,
    cause: Option<u32>,
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
        if rest::works(self.rest, memory).next().is_none() {
            self.fold_rows(left, right, memory, writes, &mut matches)?;
            return matches.finish(self);
        }
        let mut waiting = BTreeMap::new();
        let left = self.without_waiting(left, true, &mut waiting, memory, writes)?;
        let right = self.without_waiting(right, false, &mut waiting, memory, writes)?;
        self.fold_rows(&left, &right, memory, writes, &mut matches)?;
        self.fold_rest(&mut waiting, memory, writes, &mut matches)?;
        for (key, changes) in waiting {
            rest::wait(self.rest, &key, &changes, memory, writes)?;
        }
        matches.finish(self)
    }

    /// Gives a piece of what is left of keys, and folds what has waited for those of which all is given.
    fn fold_rest<M: Memory>(
        &self,
        waiting: &mut BTreeMap<Row, Vec<Waiting>>,
        memory: &M,
        writes: &mut Writes,
        matches: &mut Matches,
    ) -> Result<(), Fault<M::Error>> {
        let mut given = 0;
        for work in rest::works(self.rest, memory) {
            let (key, work) = work?;
            let mut next = Some(work);
            while let Some(work) = next.take_if(|_| given == 0 || given < writes.pieces.of_key) {
                given += self.fold_piece(&key, &work, memory, writes, matches)?;
                next = work.after();
            }
            if let Some(work) = next {
                work.put(self.rest, &key, writes);
                writes.is_part = true;
            } else {
                Work::remove(self.rest, &key, writes);
                let mut all = rest::take_waiting(self.rest, &key, memory, writes)?;
                all.extend(waiting.remove(&key).unwrap_or_default());
                let of = |is_left: bool| all.iter().filter(move |waiting| waiting.is_left == is_left);
                let (left, right) = (self.left.deltas(of(true), writes)?, self.right.deltas(of(false), writes)?);
                self.fold_rows(&left, &right, memory, writes, matches)?;
            }
            if given >= writes.pieces.of_key {
                // There may be others.
                writes.is_part = true;
                break;
            }
        }
        Ok(())
    }

    /// The rows without those of keys of which something is left: these wait for that.
    fn without_waiting<M: Memory>(
        &self,
        deltas: &Deltas,
        is_left: bool,
        waiting: &mut BTreeMap<Row, Vec<Waiting>>,
        memory: &M,
        writes: &Writes,
    ) -> Result<Deltas, Fault<M::Error>> {
        let side = if is_left { &self.left } else { &self.right };
        if deltas.len() == 0 {
            return Ok(deltas.clone());
        }
        let rows = side.rows(self, deltas)?;
        let mut stays = Vec::with_capacity(deltas.len());
        for row in 0..deltas.len() {
            let key = rows.key(row);
            let is_waited_for = waiting.contains_key(key) || rest::is_left(self.rest, key, memory)?;
            if is_waited_for {
                let (at, weight, event) = (deltas.at[row], deltas.weight[row], writes.event(deltas.cause[row]));
                let change = Waiting { is_left, row: rows.row(row).into(), at, weight, event };
                waiting.entry(key.into()).or_default().push(change);
            }
            stays.push(Some(!is_waited_for));
        }
        deltas.filtered(&stays.into_iter().collect()).map_err(|error| Fault::of(deltas.cause[0], &error))
    }

    fn fold_rows<M: Memory>(
        &self,
        left: &Deltas,
        right: &Deltas,
        memory: &M,
        writes: &mut Writes,
        matches: &mut Matches,
    ) -> Result<(), Fault<M::Error>> {
        let (of_left, alone) = self.left.changes(self, left, self.can_match.as_ref())?;
        for (row, at, weight, cause) in alone {
            matches.put_alone(self.kind, &row, &Steps::from_then(at, weight), cause);
        }
        let existence = match &self.existence {
            Some(group) => self.existence_changes(group, right, memory, writes)?,
            None => BTreeMap::new(),
        };
        let of_right = match self.kind.has_pairs() {
            true => self.right.changes(self, right, None)?.0,
            false => Changes::new(),
        };
        let mut all_keys: Vec<&Row> = of_left.keys().chain(of_right.keys()).chain(existence.keys()).collect();
        all_keys.sort();
        all_keys.dedup();
        let none = ByRow::default();
        for key in all_keys {
            let changes = (of_left.get(key).unwrap_or(&none), of_right.get(key).unwrap_or(&none));
            self.fold_key(key, changes, existence.get(key), memory, writes, matches)?;
        }
        Ok(())
    }

    /// From when on there are rows on the right, and from when on not, where that changes.
    fn existence_changes<M: Memory>(
        &self,
        group: &Group,
        right: &Deltas,
        memory: &M,
        writes: &mut Writes,
    ) -> Result<BTreeMap<Row, Change>, Fault<M::Error>> {
        let there = self.valid(right, &self.right.key)?.map(|valid| right.filtered(&valid)).transpose();
        let there = there.map_err(|error| Fault::of(0, &error))?;
        let right = there.as_ref().unwrap_or(right);
        let shown = group.fold(right, false, memory, writes)?;
        let of_rows = self.keys.convert_columns(shown.rows.columns());
        let of_rows = of_rows.map_err(|error| Fault::of(0, &error.into()))?;
        let mut changes: BTreeMap<Row, Change> = BTreeMap::new();
        for row in 0..shown.len() {
            let change = changes.entry(row_bytes(&of_rows, row).into());
            let change = change.or_insert_with(|| Change { steps: Steps::default(), cause: shown.cause[row] });
            change.steps.add(shown.at[row], shown.weight[row]);
        }
        changes.retain(|_, change| !change.steps.is_empty());
        Ok(changes)
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

    fn fold_key<M: Memory>(
        &self,
        key: &[u8],
        (of_left, of_right): (&ByRow<Change>, &ByRow<Change>),
        existence: Option<&Change>,
        memory: &M,
        writes: &mut Writes,
        matches: &mut Matches,
    ) -> Result<(), Fault<M::Error>> {
        let moments = of_left.values().chain(of_right.values()).chain(existence).filter_map(|it| it.steps.first());
        let Some(from) = moments.min() else { return Ok(()) };
        let existence = match &self.existence {
            Some(group) if !of_left.is_empty() || existence.is_some() => {
                let old = exists(group, key, from, memory)?;
                let new = existence.map_or_else(|| old.clone(), |change| old.clone().plus(&change.steps));
                Some((old, new, existence.map(|change| change.cause)))
            }
            _ => None,
        };
        let meets_right = self.kind.has_pairs() && !of_left.is_empty();
        let changed = existence.as_ref().and_then(|(old, new, cause)| Some((old.clone(), new.clone(), (*cause)?)));
        let meets_left = !of_right.is_empty() || changed.is_some();
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
            |is_met: bool, these| if is_met && !is_much { Wanted::Part(Part::ALL) } else { Wanted::These(these) };
        let wanted_left = wanted(meets_left, of_left);
        let held_left = Held::read(now_left, (self.left.operator, key), from, &wanted_left, memory)?;
        let left = seen(&held_left.rows, of_left, Part::ALL, false);
        // What has changed by itself is never much more than what it stems from.
        if let Some((old, new, _)) = &existence {
            let (stays, changes) = left.split_at(left.len() - of_left.len());
            let met = if is_much { &[] } else { stays };
            self.meet_existence(met.iter().chain(changes), old, new, existence.as_ref().and_then(|it| it.2), matches);
        }
        if let Some(now_right) = now_right {
            let wanted_right = wanted(meets_right, of_right);
            let held_right = Held::read(now_right, (self.right.operator, key), from, &wanted_right, memory)?;
            let right = seen(&held_right.rows, of_right, Part::ALL, false);
            if !is_much {
                meet(&left, of_left.len(), &right, of_right.len(), matches);
            }
            drop(right);
            if !of_right.is_empty() {
                held_right.write(self.right.operator, key, of_right, memory, writes)?;
            }
        }
        drop(left);
        if !of_left.is_empty() {
            held_left.write(self.left.operator, key, of_left, memory, writes)?;
        }
        if is_much {
            let parts = |is_met: bool, pairs: u64| is_met.then(|| pairs.div_ceil(writes.pieces.of_key).max(1));
            let parts = (parts(meets_right, on_right), parts(meets_left, on_left));
            if let Some(work) = Work::new((of_left, of_right), changed, from, parts, writes) {
                work.put(self.rest, key, writes);
                writes.is_part = true;
            }
        }
        Ok(())
    }

    /// Gives a part of what is left of a key; how many rows it has looked at.
    fn fold_piece<M: Memory>(
        &self,
        key: &[u8],
        work: &Work,
        memory: &M,
        writes: &mut Writes,
        matches: &mut Matches,
    ) -> Result<u64, Fault<M::Error>> {
        let (of_left, of_right) = work.changes(writes);
        let read = |side: &Side, wanted: Wanted<'_>| {
            let now = Now::read(side.operator, key, memory)?;
            Held::read(now, (side.operator, key), work.from, &wanted, memory)
        };
        let none = ByRow::default();
        match work.next {
            Next::Right(part) => {
                let held = read(&self.right, Wanted::Part(part))?;
                let right = seen(&held.rows, &of_right, part, true);
                let held_left = read(&self.left, Wanted::These(&of_left))?;
                let left = seen(&held_left.rows, &of_left, Part::ALL, true);
                meet(&left, left.len(), &right, 0, matches);
                Ok(right.len() as u64 * left.len() as u64)
            }
            Next::Left(part) => {
                let held = read(&self.left, Wanted::Part(part))?;
                let mut left = seen(&held.rows, &none, part, true);
                left.retain(|one| !of_left.contains(one.row));
                if let Some((old, new, event)) = &work.existence {
                    let cause = writes.cause(*event);
                    self.meet_existence(left.iter(), old, new, Some(cause), matches);
                }
                let held_right = read(&self.right, Wanted::These(&of_right))?;
                let right = seen(&held_right.rows, &of_right, Part::ALL, true);
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

/// Rows on the left, of which the last so many have changed, and likewise on the right.
fn meet(left: &[Seen<'_>], left_changed: usize, right: &[Seen<'_>], right_changed: usize, matches: &mut Matches) {
    let (left_stays, left_changes) = left.split_at(left.len() - left_changed);
    let (_, right_changes) = right.split_at(right.len() - right_changed);
    // Of two that stay as they are nothing changes.
    let stays = left_stays.iter().flat_map(|one| right_changes.iter().map(move |other| (one, other)));
    let changes = left_changes.iter().flat_map(|one| right.iter().map(move |other| (one, other)));
    for (one, other) in stays.chain(changes) {
        let cause = one.cause.or(other.cause).unwrap_or_default();
        matches.put_pair(one.row, other.row, &pairs((&one.old, &one.new), (&other.old, &other.new)), cause);
    }
}

/// Rows that are remembered, and behind them those of a part that change; `is_written`: what is remembered is after that.
fn seen<'s>(held: &'s ByRow<Steps>, changes: &'s ByRow<Change>, part: Part, is_written: bool) -> Vec<Seen<'s>> {
    let none = Steps::default;
    let stay = held.iter().filter(|(row, _)| !changes.contains(row));
    let stay = stay.map(|(row, steps)| Seen { row, old: Cow::Borrowed(steps), new: Cow::Borrowed(steps), cause: None });
    let change = changes.iter().filter(|(row, _)| part.has_row(row)).map(|(row, change)| {
        let there = held.get(row).map_or_else(|| Cow::Owned(none()), Cow::Borrowed);
        let (old, new) = match is_written {
            false => (there.clone(), Cow::Owned(there.into_owned().plus(&change.steps))),
            true => (Cow::Owned(there.clone().into_owned().minus(&change.steps)), there),
        };
        Seen { row, old, new, cause: Some(change.cause) }
    });
    stay.chain(change).collect()
}

/// From when on there are rows on the right, and from when on not, as it was until now: all that is different from a
/// moment on.
fn exists<M: Memory>(group: &Group, key: &[u8], from: i64, memory: &M) -> Result<Steps, Fault<M::Error>> {
    let stand = Stand::read(group.operator, key, from, memory)?;
    let mut steps = Steps::default();
    let mut is_there = false;
    let base = stand.base.iter().map(|(_, entry)| (i64::MIN, entry));
    for (at, entry) in base.chain(stand.tail.iter().map(|(at, entry)| (*at, entry))) {
        if entry.has_rows() != is_there {
            is_there = !is_there;
            steps.add(at, if is_there { 1 } else { -1 });
        }
    }
    Ok(steps)
}
