//! Group by: what the rows of a group add up to, at every moment.
//!
//! A group remembers an entry for each moment at which it changed: what everything until then adds up to, and which
//! values that have to be kept came and went. A change at the newest moment or later adds an entry; one before it
//! rewrites the entries from there on, once for all changes of a batch. What has to be kept is kept as it is now:
//! to see it as it was, the entries' values are taken back from the newest on.

mod entry;
mod exact;
mod keys;
mod moments;
mod ordered;
mod partial;

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, UInt32Array},
    compute::take,
    datatypes::{DataType, SchemaRef},
    row::{RowConverter, Rows},
};
use datafusion::{common::Result, physical_expr::PhysicalExpr};
use smallvec::SmallVec;

use super::{
    Writes,
    deltas::{Deltas, batch},
    error::Fault,
    expressions::{truths, values},
};
use crate::memory::Memory;
use entry::{Content, Entry};
use ordered::{Element, Elements, Multiset};
use partial::{Partial, Summands};

pub(crate) use moments::Stand;
pub(crate) use ordered::{Ordered, Shape};
pub(crate) use partial::Additive;

/// Rows by what is alike in them.
pub(crate) struct Group {
    /// Its number in the plan.
    pub(crate) operator: u16,
    pub(crate) by: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) converter: Option<RowConverter>,
    pub(crate) calls: Vec<Call>,
    pub(crate) schema: SchemaRef,
}

/// An aggregate of the rows of a group.
pub(crate) struct Call {
    pub(crate) kind: Kind,
    /// What it is of: of [`Kind::Ordered`], what the values are ordered by and the values themselves.
    pub(crate) of: Vec<Arc<dyn PhysicalExpr>>,
    /// Which rows count.
    pub(crate) filter: Option<Arc<dyn PhysicalExpr>>,
}

/// How it is kept.
pub(crate) enum Kind {
    /// By adding and taking away; with the scale of what is added up.
    Additive(Additive, i8),
    /// By keeping the values.
    Ordered(Ordered),
}

/// What a call makes of the rows of a batch.
struct Given {
    values: Values,
    filter: Option<arrow::array::BooleanArray>,
}

enum Values {
    Summands(Summands),
    Elements(Elements),
}

impl Given {
    fn counts(&self, row: usize) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.value(row))
    }
}

/// What is shown of groups, as it is put together.
#[derive(Default)]
struct Shown {
    /// For each: a row of the group, the same one for all that it shows.
    groups: Vec<usize>,
    contents: Vec<Arc<Content>>,
    at: Vec<i64>,
    weight: Vec<i64>,
    cause: Vec<u32>,
}

impl Shown {
    /// What follows from one content taking another's place at a moment, where before these changes still another had
    /// taken still another's.
    fn change(&mut self, group: usize, at: i64, cause: u32, contents: [(Option<&Arc<Content>>, i64); 4]) {
        let mut net: SmallVec<[(&Arc<Content>, i64); 4]> = SmallVec::new();
        for (content, weight) in contents {
            let Some(content) = content else { continue };
            match net.iter_mut().find(|(there, _)| Arc::ptr_eq(there, content) || there.shows_the_same(content)) {
                Some((_, there)) => *there += weight,
                None => net.push((content, weight)),
            }
        }
        for (content, weight) in net.into_iter().filter(|(_, weight)| *weight != 0) {
            self.groups.push(group);
            self.contents.push(content.clone());
            self.at.push(at);
            self.weight.push(weight);
            self.cause.push(cause);
        }
    }
}

impl Group {
    /// What changes in the groups. `is_first`: nothing was folded before, and where all rows are one group, it is there
    /// without any.
    pub(crate) fn fold<M: Memory>(
        &self,
        deltas: &Deltas,
        is_first: bool,
        memory: &M,
        writes: &mut Writes,
    ) -> Result<Deltas, Fault<M::Error>> {
        let (shown, groups) = self.fold_groups(deltas, is_first, memory, writes)?;
        self.finish(shown, groups.as_ref())
    }

    /// Remembers what changes, of which nothing is shown; the group of each row, where not all rows are one.
    pub(crate) fn remember<M: Memory>(
        &self,
        deltas: &Deltas,
        memory: &M,
        writes: &mut Writes,
    ) -> Result<Option<Rows>, Fault<M::Error>> {
        Ok(self.fold_groups(deltas, false, memory, writes)?.1)
    }

    fn fold_groups<M: Memory>(
        &self,
        deltas: &Deltas,
        is_first: bool,
        memory: &M,
        writes: &mut Writes,
    ) -> Result<(Shown, Option<Rows>), Fault<M::Error>> {
        let given: Vec<Given> = self.calls.iter().map(|call| call.given(deltas)).collect::<Result<_, _>>()?;
        let groups = self.groups(deltas)?;
        let group_of = |row: usize| groups.as_ref().map_or(&[][..], |groups| row_bytes(groups, row));
        // Mostly the beginning of a group tells it from others, and need not be looked for.
        let mut order: Vec<(u128, usize)> = (0..deltas.len()).map(|row| (beginning(group_of(row)), row)).collect();
        order.sort_by(|&(of_a, a), &(of_b, b)| {
            let groups = of_a.cmp(&of_b).then_with(|| group_of(a).cmp(group_of(b)));
            groups.then_with(|| deltas.at[a].cmp(&deltas.at[b]))
        });
        let order: Vec<usize> = order.into_iter().map(|(_, row)| row).collect();
        let mut shown = Shown::default();
        let zero = Arc::new(Content::zero(&given));
        if is_first && groups.is_none() {
            shown.change(0, i64::MIN, 0, [(Some(&zero), 1), (None, 0), (None, 0), (None, 0)]);
        }
        for rows in order.chunk_by(|&a, &b| group_of(a) == group_of(b)) {
            let group = group_of(rows[0]);
            fits(group, deltas.cause[rows[0]], "what GROUP BY or DISTINCT names is, all together,")?;
            self.fold_group(group, rows, deltas, (&given, &zero), memory, writes, &mut shown)?;
        }
        Ok((shown, groups))
    }

    /// The group of each row, where not all rows are one.
    pub(crate) fn groups<E>(&self, deltas: &Deltas) -> Result<Option<Rows>, Fault<E>> {
        let Some(converter) = &self.converter else { return Ok(None) };
        let columns: Vec<ArrayRef> = self.by.iter().map(|expr| values(expr, deltas)).collect::<Result<_, _>>()?;
        Ok(Some(converter.convert_columns(&columns).map_err(|error| Fault::of(0, &error.into()))?))
    }

    /// Folds what changes in one group: the rows with these numbers, by their moments. `given`: of all rows, and of none.
    #[expect(clippy::too_many_arguments, reason = "all of it is what one group is folded from")]
    fn fold_group<M: Memory>(
        &self,
        group: &[u8],
        rows: &[usize],
        deltas: &Deltas,
        (given, zero): (&[Given], &Arc<Content>),
        memory: &M,
        writes: &mut Writes,
        shown: &mut Shown,
    ) -> Result<(), Fault<M::Error>> {
        let stand = Stand::read(self.operator, group, deltas.at[rows[0]], memory)?;
        let multiset = |call: usize| {
            let keeps_values = matches!(given[call].values, Values::Elements(_));
            let values = || keys::values(self.operator, group, number(call));
            keeps_values.then(|| Multiset::new(memory, values(), stand.is_of_new()))
        };
        let mut multisets: Vec<Option<Multiset<'_, M>>> = (0..zero.cells.len()).map(multiset).collect();
        // As they were before the first change.
        for (element, weight) in stand.tail.iter().flat_map(|(_, entry)| &entry.elements) {
            let multiset = multisets.get_mut(usize::from(element.0)).and_then(Option::as_mut).ok_or(Fault::Damaged)?;
            multiset.add(&element.1, -weight);
        }
        let base = match &stand.base {
            Some((_, entry)) if entry.content.is_like(zero) => entry.content.clone(),
            Some(_) => return Err(Fault::Damaged),
            None => zero.clone(),
        };
        // What was believed, what is now, and how the two differ.
        let (mut old, mut new) = (base.clone(), base);
        let mut more = Content::clone(zero);
        let mut all_elements: BTreeMap<(u8, Element), i64> = BTreeMap::new();
        let mut kept: SmallVec<[(i64, Entry); 2]> = SmallVec::new();
        let mut tail = stand.tail.iter().peekable();
        let row_of_group = rows[0];
        let mut rows = rows.iter().copied().peekable();
        let mut cause = 0;
        while let Some(at) = earlier(tail.peek().map(|(at, _)| *at), rows.peek().map(|row| deltas.at[*row])) {
            let is_as_before = more.is_zero() && all_elements.is_empty() && Arc::ptr_eq(&old, &new);
            if rows.peek().is_none() && is_as_before {
                // Nothing differs from here on.
                break;
            }
            let before = (old.clone(), new.clone());
            let there = tail.next_if(|(there, _)| *there == at).map(|(_, entry)| entry);
            let mut elements: BTreeMap<(u8, Element), i64> = BTreeMap::new();
            if let Some(there) = there {
                old = there.content.clone();
                elements.extend(there.elements.iter().cloned());
            }
            while let Some(row) = rows.next_if(|row| deltas.at[*row] == at) {
                cause = deltas.cause[row];
                let weight = deltas.weight[row];
                more.rows += weight;
                for (call, given) in given.iter().enumerate().filter(|(_, given)| given.counts(row)) {
                    match &given.values {
                        Values::Summands(summands) => summands.add(row, weight, more.partial(call)),
                        Values::Elements(of_rows) => {
                            if let Some(element) = of_rows.of(row) {
                                fits(&element, cause, "a value that has to be kept is, with what it is ordered by,")?;
                                let element = (number(call), element);
                                add(&mut all_elements, element.clone(), weight);
                                add(&mut elements, element, weight);
                            }
                        }
                    }
                }
            }
            let mut content = old.plus(&more, before.1.cells.clone());
            self.change_cells(&elements, &mut multisets, &mut content)?;
            let is_same = content == *before.1;
            new = if content == *old {
                old.clone()
            } else if is_same {
                before.1.clone()
            } else {
                Arc::new(content)
            };
            let contents = [(&before.1, -1), (&new, 1), (&before.0, 1), (&old, -1)];
            let is_shown = |content: &Content| content.rows != 0 || self.converter.is_none();
            let contents =
                contents.map(|(content, weight)| (Some(content).filter(|content| is_shown(content)), weight));
            shown.change(row_of_group, at, cause, contents);
            if !is_same || !elements.is_empty() {
                kept.push((at, Entry { content: new.clone(), elements: elements.into_iter().collect() }));
            }
        }
        let as_before = tail.len();
        stand.write(self.operator, group, &kept, as_before, writes)?;
        for ((call, element), times) in all_elements {
            let multiset = multisets.get_mut(usize::from(call)).and_then(Option::as_mut).ok_or(Fault::Damaged)?;
            let count = multiset.remembered(&element)? + times;
            let key = [&keys::values(self.operator, group, call)[..], &element].concat();
            writes.put(key, (count != 0).then(|| count.to_be_bytes().to_vec()));
        }
        Ok(())
    }

    /// Says of each call whose values came or went what it shows now.
    fn change_cells<M: Memory>(
        &self,
        elements: &BTreeMap<(u8, Element), i64>,
        multisets: &mut [Option<Multiset<'_, M>>],
        content: &mut Content,
    ) -> Result<(), Fault<M::Error>> {
        let mut of_calls = elements.iter().peekable();
        while let Some(((call, _), _)) = of_calls.peek().copied() {
            let multiset = multisets.get_mut(usize::from(*call)).and_then(Option::as_mut).ok_or(Fault::Damaged)?;
            let Some(Call { kind: Kind::Ordered(ordered), .. }) = self.calls.get(usize::from(*call)) else {
                return Err(Fault::Damaged);
            };
            let mut more = 0;
            while let Some(((_, element), weight)) = of_calls.next_if(|((of, _), _)| of == call) {
                if ordered.shape == Shape::Distinct {
                    let before = multiset.count(element)?;
                    more += i64::from(before == 0 && *weight > 0) - i64::from(before > 0 && before + weight == 0);
                }
                multiset.add(element, *weight);
            }
            let cell = content.cell(usize::from(*call));
            *cell = ordered.cell(multiset, cell.as_deref(), more)?;
        }
        Ok(())
    }

    /// The rows that groups show. `of_rows`: the group of each row.
    fn finish<E>(&self, shown: Shown, of_rows: Option<&Rows>) -> Result<Deltas, Fault<E>> {
        let Shown { groups, contents, at, weight, cause } = shown;
        // What comes mostly goes next: it is made once.
        let same: Vec<bool> = (0..at.len())
            .map(|row| row > 0 && Arc::ptr_eq(&contents[row], &contents[row - 1]) && groups[row] == groups[row - 1])
            .collect();
        let mut made = 0;
        let places: UInt32Array = same
            .iter()
            .map(|is_same| {
                made += u32::from(!is_same);
                made - 1
            })
            .collect();
        let made = |row: &usize| !same[*row];
        let (rows, causes): (Vec<usize>, Vec<u32>) = (0..at.len()).filter(made).map(|row| (row, cause[row])).unzip();
        let fault = |error: datafusion::common::DataFusionError| Fault::of(cause.first().copied().unwrap_or(0), &error);
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        if let (Some(converter), Some(of_rows)) = (&self.converter, of_rows) {
            let groups = rows.iter().map(|&row| of_rows.row(groups[row]));
            columns.extend(converter.convert_rows(groups).map_err(|error| fault(error.into()))?);
        }
        for (number, call) in self.calls.iter().enumerate() {
            let to: &DataType = self.schema.field(columns.len()).data_type();
            columns.push(match &call.kind {
                Kind::Additive(additive, scale) => {
                    let partials: Vec<&Partial> = rows.iter().map(|&row| contents[row].partial_of(number)).collect();
                    additive
                        .finish(&partials, to, *scale)
                        .map_err(|(row, what)| Fault::Change { cause: causes[row], what })?
                }
                Kind::Ordered(ordered) => {
                    let cells: Vec<Option<&[u8]>> = rows.iter().map(|&row| contents[row].cell_of(number)).collect();
                    ordered.finish(&cells, to).map_err(fault)?
                }
            });
        }
        for column in &mut columns {
            *column = take(column, &places, None).map_err(|error| fault(error.into()))?;
        }
        let rows = batch(&self.schema, columns, at.len()).map_err(|error| fault(error.into()))?;
        Ok(Deltas { rows, at, weight, cause, same: Some(same) })
    }
}

impl Call {
    fn given<E>(&self, deltas: &Deltas) -> Result<Given, Fault<E>> {
        let columns: Vec<ArrayRef> = self.of.iter().map(|expr| values(expr, deltas)).collect::<Result<_, _>>()?;
        let filter = self.filter.as_ref().map(|filter| truths(filter, deltas)).transpose()?;
        let made = match &self.kind {
            Kind::Additive(additive, _) => Summands::new(*additive, columns[0].clone()).map(Values::Summands),
            Kind::Ordered(ordered) => {
                let rows = ordered.converter.convert_columns(&columns);
                let value = columns.last().filter(|_| ordered.skips_nulls);
                let nulls = value.and_then(|value| value.logical_nulls());
                rows.map(|rows| Values::Elements(Elements { rows, nulls })).map_err(Into::into)
            }
        };
        Ok(Given { values: made.map_err(|error| Fault::of(0, &error))?, filter })
    }
}

fn add(elements: &mut BTreeMap<(u8, Element), i64>, element: (u8, Element), weight: i64) {
    let count = elements.entry(element.clone()).or_default();
    *count += weight;
    if *count == 0 {
        elements.remove(&element);
    }
}

/// What is part of a key is not too long for one.
pub(crate) fn fits<E>(part: &[u8], cause: u32, what: &str) -> Result<(), Fault<E>> {
    const MOST_BYTES: usize = 30_000;
    match part.len() <= MOST_BYTES {
        true => Ok(()),
        false => Err(Fault::Change { cause, what: format!("{what} longer than {MOST_BYTES} bytes") }),
    }
}

fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn number(call: usize) -> u8 {
    u8::try_from(call).expect("a definition with more calls was refused")
}

/// The first bytes of a group, which order as it does.
fn beginning(group: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let len = group.len().min(bytes.len());
    bytes[..len].copy_from_slice(&group[..len]);
    u128::from_be_bytes(bytes)
}

pub(crate) fn row_bytes(rows: &Rows, at: usize) -> &[u8] {
    rows.row(at).data()
}
