//! What a commit changes of indexes.

use std::{collections::BTreeMap, sync::Arc};

use deltafold_event::Column;
use fjall::{Readable, Slice};

use super::{Index, Indexes, values::Encoder};
use crate::{
    ReadError, Stored,
    batch::{Run, Runs},
    key::{self, ViewId},
    snapshot::Moment,
    store::Shared,
};

/// What a commit changes of indexes.
#[derive(Default)]
pub(crate) struct IndexChanges {
    /// What is put and removed.
    pub(crate) run: Run,
    /// Those that a value is too long for.
    pub(crate) too_long: Vec<Index>,
}

/// A row that an index has entries of.
struct Row {
    id: Arc<str>,
    stored: Stored,
    is: Is,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Is {
    /// One of the versions.
    Version,
    /// The newest from here on.
    New,
    /// The newest until now.
    Old,
}

impl Indexes {
    /// What follows from changes to views, parts that follow one another; `before` is what was published last.
    pub(crate) fn changes<'r>(
        &self,
        shared: &Shared,
        before: &Moment,
        parts: impl Iterator<Item = &'r Runs> + Clone,
    ) -> Result<IndexChanges, ReadError> {
        let mut changes = IndexChanges::default();
        for (&view, indexes) in &self.0 {
            let indexes: Vec<&Index> = indexes.iter().filter(|index| index.is_written()).collect();
            if !indexes.is_empty() {
                let rows = rows(shared, before, view, parts.clone())?;
                let entries = Entries::new(indexes)?;
                entries.of(&rows, &mut changes)?;
            }
        }
        changes.run.settle();
        Ok(changes)
    }
}

/// The rows of a view that a commit touches.
fn rows<'r>(
    shared: &Shared,
    before: &Moment,
    view: ViewId,
    parts: impl Iterator<Item = &'r Runs>,
) -> Result<Vec<Row>, ReadError> {
    let (start, end) = (view.prefix(), view.end());
    let mut rows = Vec::new();
    let mut newest: BTreeMap<&Slice, Option<&Slice>> = BTreeMap::new();
    for part in parts {
        // What came and went within the commit was believed, too, and is nowhere else.
        for (key, value) in part.versions.within(&start..&end).iter().chain(part.superseded.within(&start..&end)) {
            if let Some(stored) = value.clone().map(Stored::decode).transpose()?
                && stored.row().is_some()
            {
                rows.push(Row { id: key::aggregate_id(key)?.into(), stored, is: Is::Version });
            }
        }
        newest.extend(part.current.within(&start..&end).iter().map(|(key, value)| (key, value.as_ref())));
    }
    for (key, now) in newest {
        let read = || Ok(before.trees.get(&shared.keyspaces.current, &**key)?);
        let was = shared.newest.get(key, before.commit, read)?;
        if was.as_ref() == now {
            continue;
        }
        let id: Arc<str> = key::aggregate_id(key)?.into();
        // What was goes first: where the values are the same, what is stays.
        for (value, is) in [(was.as_ref(), Is::Old), (now, Is::New)] {
            if let Some(stored) = value.cloned().map(Stored::decode).transpose()?
                && stored.row().is_some()
            {
                rows.push(Row { id: id.clone(), stored, is });
            }
        }
    }
    Ok(rows)
}

/// Entries in the indexes of one view.
pub(super) struct Entries<'i> {
    /// The indexes, each with where its columns are among all.
    indexes: Vec<(&'i Index, Vec<usize>)>,
    encoder: Encoder,
}

impl<'i> Entries<'i> {
    pub(super) fn new(indexes: Vec<&'i Index>) -> Result<Self, ReadError> {
        let mut columns: Vec<Column> = Vec::new();
        let places = indexes.into_iter().map(|index| {
            let place = |column: &Column| match columns.iter().position(|known| known == column) {
                Some(at) => at,
                None => {
                    columns.push(column.clone());
                    columns.len() - 1
                }
            };
            (index, index.columns.iter().map(place).collect())
        });
        let indexes = places.collect();
        Ok(Self { indexes, encoder: Encoder::new(columns)? })
    }

    fn of(&self, rows: &[Row], changes: &mut IndexChanges) -> Result<(), ReadError> {
        let texts = rows.iter().map(|row| row.stored.row().unwrap_or_default());
        let encoded = &self.encoder.encode(texts)?;
        for (index, places) in &self.indexes {
            let values_of = |at: usize| places.iter().map(move |&place| encoded.value(place, at));
            let mut is_same = false;
            for (at, row) in rows.iter().enumerate() {
                if std::mem::take(&mut is_same) {
                    continue;
                }
                let values = values_of(at);
                // What is newest follows what was: with the same values nothing changes.
                is_same = row.is == Is::Old
                    && rows.get(at + 1).is_some_and(|next| Arc::ptr_eq(&next.id, &row.id))
                    && values.clone().eq(values_of(at + 1));
                if is_same {
                    continue;
                }
                let since = (row.is == Is::Version).then(|| row.stored.coordinate().0);
                let Some(key) = index.key(since, values, &row.id) else {
                    changes.too_long(index);
                    break;
                };
                match row.is {
                    Is::Version | Is::New => changes.run.put(key, []),
                    Is::Old => changes.run.remove(key),
                }
            }
        }
        Ok(())
    }

    /// The entries of rows that are there; `is_now`: they are the newest.
    pub(super) fn of_rows(&self, rows: &[(Box<str>, Stored)], is_now: bool) -> Result<IndexChanges, ReadError> {
        let is = if is_now { Is::New } else { Is::Version };
        let rows: Vec<Row> =
            rows.iter().map(|(id, stored)| Row { id: (&**id).into(), stored: stored.clone(), is }).collect();
        let mut changes = IndexChanges::default();
        self.of(&rows, &mut changes)?;
        changes.run.settle();
        Ok(changes)
    }
}

impl IndexChanges {
    fn too_long(&mut self, index: &Index) {
        if !self.too_long.contains(index) {
            self.too_long.push(index.clone());
        }
    }
}
