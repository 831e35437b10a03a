//! Joins: which rows of two sides belong together, at every moment.
//!
//! Both sides remember their rows by what has to be equal. A pair is there as often as its one row and its other row are:
//! a change of either is met with what the other side remembers, and of both together what has changed is told once. Rows
//! without any row on the other side follow from whether there is one, which is a group of the other side ([`Group`]).

mod keys;
mod matches;
mod side;

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, BooleanArray},
    datatypes::SchemaRef,
    row::{RowConverter, Rows},
};
use datafusion::physical_expr::PhysicalExpr;

use super::{
    Writes,
    deltas::Deltas,
    error::Fault,
    expressions::{truths, values},
    group::{Group, Stand, row_bytes},
    operator::Operator,
    steps::{Steps, pairs},
};
use crate::memory::Memory;
use matches::Matches;
use side::{Held, Row, Wanted};

/// Rows of two sides that belong together.
pub(crate) struct Join {
    pub(crate) kind: Kind,
    pub(crate) left: Side,
    pub(crate) right: Side,
    /// Which rows on the left can belong to any.
    pub(crate) can_match: Option<Arc<dyn PhysicalExpr>>,
    /// Of what has to be equal; the same for both sides.
    pub(crate) keys: RowConverter,
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
type Changes = BTreeMap<Row, BTreeMap<Row, Change>>;

/// A row with when it was there and when it is, and the change that it stems from if that is not the same.
struct Seen<'s> {
    row: &'s [u8],
    old: &'s Steps,
    new: Steps,
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
        let (of_left, alone) = self.left.changes(self, left, self.can_match.as_ref())?;
        for (row, at, weight, cause) in alone {
            matches.put_alone(self.kind, &row, &Steps::from_then(at, weight), cause);
        }
        let mut existence = match &self.existence {
            Some(group) => self.existence_changes(group, right, memory, writes)?,
            None => BTreeMap::new(),
        };
        let of_right = match self.kind {
            Kind::Inner | Kind::Left => self.right.changes(self, right, None)?.0,
            Kind::Semi | Kind::Anti | Kind::Mark => Changes::new(),
        };
        let mut all_keys: Vec<&Row> = of_left.keys().chain(of_right.keys()).chain(existence.keys()).collect();
        all_keys.sort();
        all_keys.dedup();
        let none = BTreeMap::new();
        for key in all_keys.iter().copied() {
            let changes = (of_left.get(key).unwrap_or(&none), of_right.get(key).unwrap_or(&none));
            self.fold_key(key, changes, existence.get(key), memory, writes, &mut matches)?;
        }
        drop(all_keys);
        existence.clear();
        matches.finish(self)
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
        (of_left, of_right): (&BTreeMap<Row, Change>, &BTreeMap<Row, Change>),
        existence: Option<&Change>,
        memory: &M,
        writes: &mut Writes,
        matches: &mut Matches,
    ) -> Result<(), Fault<M::Error>> {
        let moments = of_left.values().chain(of_right.values()).chain(existence).filter_map(|it| it.steps.first());
        let Some(from) = moments.min() else { return Ok(()) };
        let has_pairs = matches!(self.kind, Kind::Inner | Kind::Left);
        let wanted = |is_met: bool, these| if is_met { Wanted::All } else { Wanted::These(these) };
        let of_all_left = wanted(!of_right.is_empty() || existence.is_some(), of_left);
        let on_left = Held::read(self.left.operator, key, from, &of_all_left, memory)?;
        let left = seen(&on_left.rows, of_left);
        if has_pairs {
            let of_all_right = wanted(!of_left.is_empty(), of_right);
            let on_right = Held::read(self.right.operator, key, from, &of_all_right, memory)?;
            let right = seen(&on_right.rows, of_right);
            for one in &left {
                // Of two that stay as they are nothing changes.
                let others = if one.cause.is_some() { &right[..] } else { &right[right.len() - of_right.len()..] };
                for other in others {
                    let cause = one.cause.or(other.cause).unwrap_or_default();
                    matches.put_pair(one.row, other.row, &pairs((one.old, &one.new), (other.old, &other.new)), cause);
                }
            }
            drop(right);
            if !of_right.is_empty() {
                on_right.write(self.right.operator, key, of_right, memory, writes)?;
            }
        }
        if let Some(group) = &self.existence {
            let old = exists(group, key, from, memory)?;
            let new = existence.map_or_else(|| old.clone(), |change| old.clone().plus(&change.steps));
            let (no_old, no_new) = (old.inverted(), new.inverted());
            for one in &left {
                let Some(cause) = one.cause.or(existence.map(|change| change.cause)) else { continue };
                let changed = (one.old, &one.new);
                matches.put_matched(self.kind, one.row, &pairs(changed, (&old, &new)), cause);
                matches.put_alone(self.kind, one.row, &pairs(changed, (&no_old, &no_new)), cause);
            }
        }
        drop(left);
        if !of_left.is_empty() {
            on_left.write(self.left.operator, key, of_left, memory, writes)?;
        }
        Ok(())
    }
}

/// Rows that are remembered, and behind them those that change.
fn seen<'s>(held: &'s BTreeMap<Row, Steps>, changes: &'s BTreeMap<Row, Change>) -> Vec<Seen<'s>> {
    static NONE: std::sync::LazyLock<Steps> = std::sync::LazyLock::new(Steps::default);
    let stay = held.iter().filter(|(row, _)| !changes.contains_key(*row));
    let stay = stay.map(|(row, steps)| Seen { row, old: steps, new: steps.clone(), cause: None });
    let change = changes.iter().map(|(row, change)| {
        let old = held.get(row).unwrap_or(&NONE);
        Seen { row, old, new: old.clone().plus(&change.steps), cause: Some(change.cause) }
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

impl Side {
    /// What changes by key; and what of it cannot belong to any row: the row, from when on, how often, and why.
    #[expect(clippy::type_complexity, reason = "it is taken apart where it is made")]
    fn changes<E>(
        &self,
        join: &Join,
        deltas: &Deltas,
        can_match: Option<&Arc<dyn PhysicalExpr>>,
    ) -> Result<(Changes, Vec<(Row, i64, i64, u32)>), Fault<E>> {
        let (mut changes, mut alone) = (Changes::new(), Vec::new());
        if deltas.len() == 0 {
            return Ok((changes, alone));
        }
        let columns: Vec<ArrayRef> = self.key.iter().map(|expr| values(expr, deltas)).collect::<Result<_, _>>()?;
        let fault = |error: arrow::error::ArrowError| Fault::of(deltas.cause[0], &error.into());
        let of_keys = join.keys.convert_columns(&columns).map_err(fault)?;
        let rows =
            self.rows.as_ref().map(|rows| rows.convert_columns(deltas.rows.columns())).transpose().map_err(fault)?;
        let row_of = |row: usize| rows.as_ref().map_or(&[][..], |rows: &Rows| row_bytes(rows, row));
        let can_match = can_match.map(|condition| truths(condition, deltas)).transpose()?;
        let is_valid = |row: usize| join.nulls_match || columns.iter().all(|column| column.is_valid(row));
        for row in 0..deltas.len() {
            let (at, weight, cause) = (deltas.at[row], deltas.weight[row], deltas.cause[row]);
            if !is_valid(row) || can_match.as_ref().is_some_and(|can_match| !can_match.value(row)) {
                alone.push((row_of(row).into(), at, weight, cause));
                continue;
            }
            let key = row_bytes(&of_keys, row);
            super::group::fits(key, cause, "what a join has to find equal is, all together,")?;
            let of_key = match changes.get_mut(key) {
                Some(of_key) => of_key,
                None => changes.entry(key.into()).or_default(),
            };
            match of_key.get_mut(row_of(row)) {
                Some(change) => change.steps.add(at, weight),
                None => {
                    of_key.insert(row_of(row).into(), Change { steps: Steps::from_then(at, weight), cause });
                }
            }
        }
        for of_key in changes.values_mut() {
            of_key.retain(|_, change| !change.steps.is_empty());
        }
        Ok((changes, alone))
    }
}
