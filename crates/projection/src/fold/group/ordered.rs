//! What needs every value: aggregates whose values are kept, counted, in an order.
//!
//! A value is kept as the bytes of a row of what it is ordered by and itself, which order as the values do
//! (`arrow::row`). The first of them is the least, or with the order turned round the greatest; in order they are a
//! list.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, Int64Array, LargeStringBuilder, ListArray, UInt32Array, new_null_array},
    buffer::{NullBuffer, OffsetBuffer},
    compute::{cast, take},
    datatypes::{DataType, FieldRef},
    row::{RowConverter, Rows},
};
use datafusion::common::{Result, cast::as_large_string_array, exec_err};

use super::keys;
use crate::{fold::error::Fault, memory::Memory};

/// A kept value.
pub(crate) type Element = Box<[u8]>;

/// What is shown of the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The first in order.
    First,
    /// How many different ones there are.
    Distinct,
    /// All in order.
    Array { distinct: bool },
    /// All in order, with something between them.
    Text { distinct: bool, separator: String },
}

/// An aggregate that is kept like that.
pub(crate) struct Ordered {
    pub(crate) shape: Shape,
    /// Makes rows of what values are ordered by and themselves.
    pub(crate) converter: RowConverter,
    /// Whether nulls are no values.
    pub(crate) skips_nulls: bool,
}

/// The values of a batch of rows.
pub(crate) struct Elements {
    pub(crate) rows: Rows,
    /// The values alone, where nulls are none.
    pub(crate) nulls: Option<NullBuffer>,
}

impl Elements {
    /// The value in a row, if there is one.
    pub(crate) fn of(&self, row: usize) -> Option<Element> {
        let is_null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        (!is_null).then(|| self.rows.row(row).as_ref().into())
    }
}

impl Ordered {
    /// What is shown, as bytes that are the same if it is. `before` is what was shown before something changed, and
    /// `more` how many more different values there are since.
    pub(crate) fn cell<M: Memory>(
        &self,
        values: &mut Multiset<'_, M>,
        before: Option<&[u8]>,
        more: i64,
    ) -> Result<Option<Element>, Fault<M::Error>> {
        match &self.shape {
            Shape::First => {
                let mut first = None;
                values.walk(|element, _| {
                    first = Some(element.into());
                    false
                })?;
                Ok(first)
            }
            Shape::Distinct => {
                let before = before.map_or(Some(0), keys::count).ok_or(Fault::Damaged)?;
                Ok(Some((before + more).to_be_bytes().into()))
            }
            Shape::Array { distinct } | Shape::Text { distinct, .. } => {
                let mut all = Vec::new();
                values.walk(|element, count| {
                    let len = u32::try_from(element.len()).expect("a key is shorter than 4 GiB").to_be_bytes();
                    for _ in 0..(if *distinct { 1 } else { count }) {
                        all.extend_from_slice(&len);
                        all.extend_from_slice(element);
                    }
                    true
                })?;
                Ok((!all.is_empty()).then(|| all.into()))
            }
        }
    }

    /// What is shown of some cells, as an array of a type.
    pub(crate) fn finish(&self, cells: &[Option<&[u8]>], to: &DataType) -> Result<ArrayRef> {
        match &self.shape {
            Shape::First => {
                let values = self.values(cells.iter().flatten().copied())?;
                let mut next = 0..;
                let places: UInt32Array = cells.iter().map(|cell| cell.and_then(|_| next.next())).collect();
                Ok(cast(&take(&values, &places, None)?, to)?)
            }
            Shape::Distinct => {
                let count = |cell: &Option<&[u8]>| cell.map_or(Some(0), keys::count);
                let counts: Option<Int64Array> = cells.iter().map(count).map(|count| count.map(Some)).collect();
                counts.map_or_else(
                    || exec_err!("a count is not of eight bytes"),
                    |counts| Ok(Arc::new(counts) as ArrayRef),
                )
            }
            Shape::Array { .. } => {
                let (elements, lengths) = split(cells)?;
                let values = self.values(elements.into_iter())?;
                let nulls: NullBuffer = cells.iter().map(Option::is_some).collect();
                let DataType::List(item) = to else { return exec_err!("an array is {to}") };
                let values = cast(&values, item.data_type())?;
                let item: FieldRef = item.clone();
                Ok(Arc::new(ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), values, Some(nulls))?))
            }
            Shape::Text { separator, .. } => {
                let (elements, lengths) = split(cells)?;
                let values = cast(&self.values(elements.into_iter())?, &DataType::LargeUtf8)?;
                let values = as_large_string_array(&values)?;
                let mut texts = LargeStringBuilder::new();
                let mut next = 0;
                for (cell, length) in cells.iter().zip(lengths) {
                    let parts: Vec<&str> = (next..next + length).map(|at| values.value(at)).collect();
                    next += length;
                    texts.append_option(cell.map(|_| parts.join(separator)));
                }
                Ok(cast(&texts.finish(), to)?)
            }
        }
    }

    /// The values of some elements.
    fn values<'e>(&self, elements: impl Iterator<Item = &'e [u8]>) -> Result<ArrayRef> {
        let parser = self.converter.parser();
        let columns = self.converter.convert_rows(elements.map(|element| parser.parse(element)))?;
        match columns.last() {
            Some(values) => Ok(values.clone()),
            None => Ok(new_null_array(&DataType::Null, 0)),
        }
    }
}

/// The elements of all cells, one after the other, and how many each cell has.
fn split<'c>(cells: &[Option<&'c [u8]>]) -> Result<(Vec<&'c [u8]>, Vec<usize>)> {
    let (mut elements, mut lengths) = (Vec::new(), Vec::with_capacity(cells.len()));
    for cell in cells {
        let mut rest = cell.unwrap_or_default();
        let before = elements.len();
        while let Some((len, after)) = rest.split_first_chunk::<4>() {
            let Some((element, after)) = after.split_at_checked(u32::from_be_bytes(*len) as usize) else {
                return exec_err!("a list of values ends in the middle of one");
            };
            elements.push(element);
            rest = after;
        }
        lengths.push(elements.len() - before);
    }
    Ok((elements, lengths))
}

/// How many elements are read from the memory at once.
const READ_AT_ONCE: usize = 16;

/// The values of one group, counted, in their order: those remembered, and what has changed of them since.
pub(crate) struct Multiset<'m, M> {
    memory: &'m M,
    /// The beginning of their keys.
    prefix: Vec<u8>,
    /// How many more there are than remembered.
    changed: BTreeMap<Element, i64>,
    /// The first that are remembered.
    first: Vec<(Element, i64)>,
    /// Whether these are all.
    is_all: bool,
    /// How many of some are remembered.
    known: HashMap<Element, i64>,
    /// Whether none is remembered.
    is_new: bool,
}

impl<'m, M: Memory> Multiset<'m, M> {
    /// Of the values remembered under keys with a beginning; `is_new`: there are none.
    pub(crate) fn new(memory: &'m M, prefix: Vec<u8>, is_new: bool) -> Self {
        Self {
            memory,
            prefix,
            changed: BTreeMap::new(),
            first: Vec::new(),
            is_all: is_new,
            known: HashMap::new(),
            is_new,
        }
    }

    /// Adds a value so many times.
    pub(crate) fn add(&mut self, element: &Element, times: i64) {
        match self.changed.entry(element.clone()) {
            Entry::Vacant(vacant) => drop(vacant.insert(times)),
            Entry::Occupied(mut there) => {
                *there.get_mut() += times;
                if *there.get() == 0 {
                    there.remove();
                }
            }
        }
    }

    /// How many of a value are remembered.
    pub(crate) fn remembered(&mut self, element: &Element) -> Result<i64, Fault<M::Error>> {
        if self.is_new {
            return Ok(0);
        }
        if let Some(known) = self.known.get(element) {
            return Ok(*known);
        }
        let found = self.memory.get(&[&self.prefix, &**element].concat()).map_err(Fault::Memory)?;
        let count = found.map_or(Some(0), |count| keys::count(&count)).ok_or(Fault::Damaged)?;
        self.known.insert(element.clone(), count);
        Ok(count)
    }

    /// How many there are of a value.
    pub(crate) fn count(&mut self, element: &Element) -> Result<i64, Fault<M::Error>> {
        Ok(self.remembered(element)? + self.changed.get(element).copied().unwrap_or_default())
    }

    /// Shows the values that are there in order, and how many times each, until it is told to stop.
    fn walk(&mut self, mut show: impl FnMut(&[u8], i64) -> bool) -> Result<(), Fault<M::Error>> {
        let mut remembered = 0;
        let changed = std::mem::take(&mut self.changed);
        let mut changes = changed.iter().peekable();
        let walked = loop {
            if remembered == self.first.len() && !self.is_all {
                match self.read_on() {
                    Ok(()) => continue,
                    Err(error) => break Err(error),
                }
            }
            let (element, count) = match (self.first.get(remembered), changes.peek()) {
                (None, None) => break Ok(()),
                (Some((element, count)), None) => {
                    remembered += 1;
                    (element, *count)
                }
                (Some((element, count)), Some((changed, _))) if element < *changed => {
                    remembered += 1;
                    (element, *count)
                }
                (there, Some((changed, more))) => {
                    let count = match there {
                        Some((element, count)) if element == *changed => {
                            remembered += 1;
                            *count
                        }
                        _ => 0,
                    };
                    let found = (*changed, count + **more);
                    changes.next();
                    found
                }
            };
            if count > 0 && !show(element, count) {
                break Ok(());
            }
        };
        self.changed = changed;
        walked
    }

    fn read_on(&mut self) -> Result<(), Fault<M::Error>> {
        let mut from = self.prefix.clone();
        if let Some((last, _)) = self.first.last() {
            from.extend_from_slice(last);
            from.push(0);
        }
        let most = READ_AT_ONCE.max(self.first.len());
        let before = self.first.len();
        for pair in self.memory.range(&from, &keys::end(&self.prefix)).take(most) {
            let (key, count) = pair.map_err(Fault::Memory)?;
            let element = key.get(self.prefix.len()..).unwrap_or_default();
            self.first.push((element.into(), keys::count(&count).ok_or(Fault::Damaged)?));
        }
        self.is_all = self.first.len() - before < most;
        Ok(())
    }
}
