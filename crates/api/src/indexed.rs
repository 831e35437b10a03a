//! Which index of a view answers a filter, or has an order.
//!
//! What an index gives is looked at again: the filter and the order themselves have the last word on which rows there
//! are. So only the conditions that all of a filter's rows satisfy are used, and of those what an index can.

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use async_graphql::Value;
use deltafold_event::ColumnType;
use deltafold_view::{Between, ByIndex, Direction, Index, Reader, Version, Walk};
use tokio::task::spawn_blocking;

use crate::{
    errors::ApiError,
    filter::as_list,
    model::ViewModel,
    order::{Order, Place},
    reading::{Moment, Reading},
    values,
};

/// How many entries of an index are looked at before the whole view is: to read as many rows one by one takes about as
/// long as all of a few hundred thousand in a row.
const MOST_ENTRIES: usize = 50_000;

/// The most combinations of values that are equal to the first columns of an index.
const MOST_PREFIXES: usize = 1_000;

/// What every row that a filter leaves has in one column.
#[derive(Debug, Clone, Default)]
struct Condition {
    /// One of these, canonical JSON.
    equal: Option<Vec<String>>,
    /// A value between these.
    between: Option<Between>,
}

/// By column, as its index in the view.
type Conditions = BTreeMap<usize, Condition>;

/// An index that a filter, or an order, can use.
struct Fitting {
    index: Index,
    /// What the first columns are equal to: each way of it.
    prefixes: Vec<Vec<String>>,
    /// Between what the column after those is.
    between: Option<Between>,
    /// Whether the rows come in the order that was asked for.
    has_order: bool,
}

/// What is asked for of a page of rows in an order.
pub(crate) struct Asked<'a> {
    pub(crate) filter: &'a Value,
    pub(crate) order: &'a Order,
    /// The place in the order to begin after.
    pub(crate) place: Option<&'a Place>,
    /// Whether it is the other way round.
    pub(crate) backward: bool,
}

/// Rows in the order of an index.
pub(crate) struct InOrder {
    /// None while it is being read.
    walk: Option<ByIndex>,
    looked: usize,
    told: String,
}

/// What came of a step of [`InOrder`].
pub(crate) enum Next {
    /// The keys of the rows that come next, maybe of none.
    Rows(Vec<String>),
    /// There are no more.
    End,
    /// So many were looked at that to scan the view is cheaper.
    TooFar,
}

/// The keys of all rows that can satisfy a filter, where an index tells them and they are few.
///
/// # Errors
/// When the index cannot be read.
pub(crate) async fn keys(
    view: &ViewModel,
    reading: &Reading,
    moment: Moment,
    filter: &Value,
    path: &str,
) -> Result<Option<Vec<String>>, ApiError> {
    let reader = reading.reader(view, moment.at.position);
    let fitting = fitting(view, &reader, filter, None);
    let Some(best) = fitting.into_iter().filter(|fit| fit.is_narrow()).max_by_key(Fitting::worth) else {
        return Ok(None);
    };
    let told = best.to_string();
    let read = spawn_blocking(move || {
        let (mut keys, mut looked) = (Vec::new(), 0);
        for equal in &best.prefixes {
            let walk = Walk { equal: equal.clone(), between: best.between.clone(), ..Walk::default() };
            let Some(mut walk) = reader.by_index(&best.index, moment.at, &walk)? else { return Ok(None) };
            loop {
                let (more, ids) = walk.ids(MOST_ENTRIES + 1 - looked)?;
                keys.extend(ids.into_iter().map(String::from));
                looked += more;
                match more {
                    0 => break,
                    _ if looked > MOST_ENTRIES => return Ok(None),
                    _ => {}
                }
            }
        }
        Ok(Some((keys, looked)))
    });
    let Some((keys, looked)) = read.await.map_err(|error| ApiError::internal("index", error))?.map_err(unreadable)?
    else {
        return Ok(None);
    };
    reading.explain(path, || format!("{told}: {looked} entries"));
    Ok(Some(keys))
}

/// The rows in the order that is asked for, where an index has it and nothing better is known: of no index that has a
/// narrower choice of rows.
///
/// # Errors
/// When the index cannot be read.
pub(crate) fn in_order(
    view: &ViewModel,
    reading: &Reading,
    moment: Moment,
    asked: &Asked<'_>,
) -> Result<Option<InOrder>, ApiError> {
    let reader = reading.reader(view, moment.at.position);
    let terms = asked.order.terms(asked.backward);
    let fitting = fitting(view, &reader, asked.filter, Some(&terms));
    let Some(best) = fitting.into_iter().max_by_key(Fitting::worth).filter(|best| best.has_order) else {
        return Ok(None);
    };
    let equal = best.prefixes.first().cloned().unwrap_or_default();
    // What is equal stands nowhere else in the order.
    let of_rest: Vec<usize> = best.columns(view).skip(equal.len()).collect();
    let rest: Vec<usize> = (0..terms.len()).filter(|&at| of_rest.contains(&terms[at].0)).collect();
    let after =
        asked.place.map(|place| (rest.iter().map(|&at| place.values[at].to_string()).collect(), place.key.clone()));
    let directions = rest.iter().map(|&at| terms[at].1).collect();
    let told = format!("{best}, in its order");
    let walk = Walk { equal, between: best.between, directions, ids_descending: asked.backward, after };
    let walk = reader.by_index(&best.index, moment.at, &walk).map_err(unreadable)?;
    Ok(walk.map(|walk| InOrder { walk: Some(walk), looked: 0, told }))
}

impl InOrder {
    /// The rows of the next entries, at most so many.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) async fn next(&mut self, most: usize) -> Result<Next, ApiError> {
        if self.looked > MOST_ENTRIES {
            return Ok(Next::TooFar);
        }
        let Some(mut walk) = self.walk.take() else { return Ok(Next::End) };
        let read = spawn_blocking(move || walk.rows(most).map(|rows| (walk, rows)));
        let (walk, (looked, rows)) =
            read.await.map_err(|error| ApiError::internal("index", error))?.map_err(unreadable)?;
        if looked == 0 {
            return Ok(Next::End);
        }
        self.walk = Some(walk);
        self.looked += looked;
        Ok(Next::Rows(rows.into_iter().map(|Version { key, .. }| key.into()).collect()))
    }
}

impl fmt::Display for InOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} entries", self.told, self.looked)
    }
}

impl Fitting {
    /// Whether it leaves anything out.
    fn is_narrow(&self) -> bool {
        self.equal() > 0 || self.between.is_some()
    }

    fn equal(&self) -> usize {
        self.prefixes.first().map_or(0, Vec::len)
    }

    /// The more is known of its columns the fewer rows there are; with as much known, one that has the order is better,
    /// and one that has to be walked less often.
    fn worth(&self) -> (usize, bool, bool, Reverse<usize>) {
        (self.equal(), self.between.is_some(), self.has_order, Reverse(self.prefixes.len()))
    }

    /// Its columns, as indices in the view.
    fn columns(&self, view: &ViewModel) -> impl Iterator<Item = usize> {
        self.index.columns().iter().filter_map(|column| view.column(&column.name))
    }
}

impl fmt::Display for Fitting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.index.columns().iter().map(|column| column.name.as_str()).collect();
        write!(f, "a walk of the index ({})", names.join(", "))?;
        let known = self.equal() + usize::from(self.between.is_some());
        match known {
            0 => Ok(()),
            known => write!(f, " by {}", names[..known].join(", ")),
        }
    }
}

/// The indexes that know something of a filter's columns, or have an order.
fn fitting(view: &ViewModel, reader: &Reader, filter: &Value, order: Option<&[(usize, Direction)]>) -> Vec<Fitting> {
    let indexes = reader.indexes();
    if indexes.is_empty() {
        return Vec::new();
    }
    let mut conditions = Conditions::new();
    gather(view, filter, &mut conditions);
    let fit = |index: Index| {
        let columns = index.columns().iter().map(|column| {
            let at = view.column(&column.name)?;
            // One of another type is on its way out.
            (view.columns()[at] == *column).then_some(at)
        });
        let columns = columns.collect::<Option<Vec<_>>>()?;
        let mut prefixes = vec![Vec::new()];
        let mut known = 0;
        for column in &columns {
            let Some(equal) = conditions.get(column).and_then(|condition| condition.equal.as_ref()) else { break };
            if prefixes.len() * equal.len() > MOST_PREFIXES {
                break;
            }
            prefixes = prefixes
                .iter()
                .flat_map(|prefix: &Vec<String>| {
                    equal.iter().map(move |value| prefix.iter().chain([value]).cloned().collect())
                })
                .collect();
            known += 1;
        }
        let next = columns.get(known).and_then(|column| conditions.get(column));
        let between = next.and_then(|condition| condition.between.clone());
        let has_order = order.is_some_and(|terms| {
            // A column that is equal to one value orders nothing.
            let constant = |column: &usize| columns[..known].contains(column);
            let rest = terms.iter().map(|(column, _)| column).filter(|column| !constant(column));
            prefixes.len() == 1 && rest.eq(&columns[known..])
        });
        (known > 0 || between.is_some() || has_order).then_some(Fitting { index, prefixes, between, has_order })
    };
    indexes.into_iter().filter_map(fit).collect()
}

/// Adds what every row that a filter leaves satisfies, as far as an index can use it.
fn gather(view: &ViewModel, filter: &Value, conditions: &mut Conditions) {
    let Value::Object(parts) = filter else { return };
    for (name, value) in parts {
        match name.as_str() {
            "_and" => as_list(value).iter().for_each(|part| gather(view, part, conditions)),
            "_or" | "_not" => {}
            name => {
                let column = view.names.columns.iter().position(|known| known == name);
                let (Some(column), Value::Object(comparisons)) = (column, value) else { continue };
                let condition = conditions.entry(column).or_default();
                for (operator, value) in comparisons {
                    condition.and(operator, value, view.type_of(column));
                }
            }
        }
    }
}

impl Condition {
    fn and(&mut self, operator: &str, value: &Value, column_type: &ColumnType) {
        let canonical = |value: &Value| values::into_canonical(value, column_type).map(|value| value.to_string());
        let bound = |is_in: bool| canonical(value).map(|value| (value, is_in));
        match operator {
            "_eq" => self.one_of(canonical(value).map(|value| vec![value])),
            "_in" => self.one_of(as_list(value).iter().map(canonical).collect()),
            "_isNull" if *value == Value::Boolean(true) => self.one_of(Some(vec!["null".to_owned()])),
            "_isNull" if *value == Value::Boolean(false) => drop(self.between.get_or_insert_default()),
            "_gt" | "_gte" => self.between.get_or_insert_default().low = bound(operator == "_gte"),
            "_lt" | "_lte" => self.between.get_or_insert_default().high = bound(operator == "_lte"),
            _ => {}
        }
    }

    fn one_of(&mut self, values: Option<Vec<String>>) {
        let Some(mut values) = values else { return };
        values.sort_unstable();
        values.dedup();
        if self.equal.as_ref().is_none_or(|known| values.len() < known.len()) {
            self.equal = Some(values);
        }
    }
}

fn unreadable(error: deltafold_view::ReadError) -> ApiError {
    ApiError::internal("index", error)
}
