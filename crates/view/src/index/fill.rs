//! Filling indexes with what was there before they were declared, and removing those that nobody wants any more.

use fjall::{Iter, Readable};
use itertools::Itertools;

use super::{Index, IndexChanges, Indexes, State, changes::Entries};
use crate::{
    Mirror, ReadError, Stored, ViewStore, WriteError, key,
    store::{REMOVED_AT_ONCE, Shared},
};

/// How many rows are written in one commit.
const FILLED_AT_ONCE: usize = 4_096;

impl ViewStore {
    /// Does what is to be done after [`Self::declare_indexes`], in pieces, beside whatever else is written. Between pieces
    /// it asks whether to stop.
    ///
    /// # Errors
    /// When the index cannot be read or written. What is left is done when this is called again.
    pub fn fill_indexes(&self, view: &Mirror, stop: &dyn Fn() -> bool) -> Result<(), WriteError> {
        let shared = &*self.shared;
        for index in shared.indexes().of(view.view).iter().filter(|index| index.state == State::Dropped) {
            if !shared.remove_index(index, stop)? {
                return Ok(());
            }
        }
        let indexes = shared.indexes();
        let filling: Vec<&Index> = indexes.of(view.view).iter().filter(|index| index.state == State::Filling).collect();
        if filling.is_empty() || !self.fill(view, &filling, stop)? {
            return Ok(());
        }
        let _writing = shared.begin_write()?;
        let whole: Vec<&Index> = filling.into_iter().filter(|index| shared.is_filling(index)).collect();
        whole.into_iter().try_for_each(|index| shared.set_state(index, State::Whole))?;
        shared.publish_indexes();
        Ok(())
    }

    /// Everything that is there; false: it was to stop.
    fn fill(&self, view: &Mirror, filling: &[&Index], stop: &dyn Fn() -> bool) -> Result<bool, WriteError> {
        let entries = Entries::new(filling.to_vec())?;
        // Whatever is committed after this is written to the indexes, too.
        let written = self.written();
        let trees = &self.shared.keyspaces;
        // First what is newest: an entry that a commit makes wrong meanwhile is no more than one too many.
        for (tree, is_now) in [(&trees.current, true), (&trees.versions, false), (&trees.superseded, false)] {
            for rows in &with_rows(written.moment.trees.prefix(tree, view.view.prefix())).chunks(FILLED_AT_ONCE) {
                if stop() {
                    return Ok(false);
                }
                let rows = rows.collect::<Result<Vec<_>, _>>()?;
                if !self.shared.add(&entries.of_rows(&rows, is_now)?, filling)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Whether [`Self::fill_indexes`] has something to do.
    pub fn has_unfilled(&self, view: &Mirror) -> bool {
        let indexes = self.shared.indexes();
        indexes.of(view.view).iter().any(|index| matches!(index.state, State::Filling | State::Dropped))
    }
}

/// The rows of pairs, each with its aggregate.
fn with_rows(pairs: Iter) -> impl Iterator<Item = Result<(Box<str>, Stored), ReadError>> {
    pairs.filter_map(|pair| {
        let read = || {
            let (key, value) = pair.into_inner()?;
            let stored = Stored::decode(value)?;
            match stored.row() {
                Some(_) => Ok(Some((key::aggregate_id(&key)?, stored))),
                None => Ok(None),
            }
        };
        read().transpose()
    })
}

impl Shared {
    /// False: nobody wants the indexes any more, or the view is gone.
    fn add(&self, changes: &IndexChanges, filling: &[&Index]) -> Result<bool, WriteError> {
        let _writing = self.begin_write()?;
        if !filling.iter().any(|index| self.is_filling(index)) {
            return Ok(false);
        }
        self.note_too_long(&changes.too_long)?;
        let mut batch = self.db.batch();
        changes.run.add_to(&mut batch, &self.keyspaces.indexes);
        batch.commit()?;
        Ok(true)
    }

    /// Writes no more to indexes that a value was too long for. Only under `writing`.
    pub(crate) fn note_too_long(&self, indexes: &[Index]) -> Result<(), WriteError> {
        for index in indexes {
            let columns = index.columns.iter().map(|column| column.name.as_str()).join(", ");
            tracing::warn!(
                columns,
                "an index has to go without: a value is too long for it; its view is scanned instead"
            );
            self.set_state(index, State::TooLong)?;
        }
        Ok(())
    }

    fn is_filling(&self, index: &Index) -> bool {
        self.indexes().of(index.view).contains(index)
    }

    /// Removes what is in an index, and then what is known of it; false: it was to stop.
    fn remove_index(&self, index: &Index, stop: &dyn Fn() -> bool) -> Result<bool, WriteError> {
        while self.remove_some(&self.keyspaces.indexes, &index.prefix(None))? == REMOVED_AT_ONCE {
            if stop() {
                return Ok(false);
            }
        }
        let _writing = self.begin_write()?;
        let mut all = Indexes::clone(&self.indexes());
        all.0.entry(index.view).or_default().retain(|known| known.number != index.number);
        self.keep_indexes(all, std::slice::from_ref(index))?;
        Ok(true)
    }
}
