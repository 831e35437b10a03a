//! Forgetting what was believed of a derived view before a position.
//!
//! A mirror keeps every belief; a derived view those that somebody may still be reading as of. What goes here is found by
//! walking what is kept, in pieces, beside whatever else is written.

use deltafold_event::Position;
use fjall::Slice;

use crate::{Mirror, ViewStore, WriteError, key};

/// How many keys are looked at in one piece.
const AT_ONCE: usize = 20_000;

impl ViewStore {
    /// Removes what was believed of a derived view at positions before this one, unless it still was then. Between pieces
    /// it asks whether to stop. Readers see that with the next commit.
    ///
    /// # Errors
    /// When the index cannot be read or written. What is left is removed when this is done again.
    pub fn forget(&self, view: &Mirror, before: Position, stop: &dyn Fn() -> bool) -> Result<(), WriteError> {
        let trees = &self.shared.keyspaces;
        let mut gone = Vec::new();
        for (number, pair) in trees.superseded.prefix(view.view.prefix()).enumerate() {
            let key = pair.key()?;
            if key::split_superseded(&key).is_ok_and(|(_, _, to)| to <= before) {
                gone.push(key);
            }
            if number % AT_ONCE == AT_ONCE - 1 {
                self.remove(&trees.superseded, std::mem::take(&mut gone))?;
                if stop() {
                    return Ok(());
                }
            }
        }
        self.remove(&trees.superseded, std::mem::take(&mut gone))?;
        // A head tells of the positions below its own.
        for (number, pair) in trees.heads.prefix(view.view.prefix()).enumerate() {
            let head = pair.key()?;
            if key::split_head(&head).is_some_and(|(position, _)| position <= before) {
                gone.push(head);
            }
            if number % AT_ONCE == AT_ONCE - 1 {
                self.remove(&trees.heads, std::mem::take(&mut gone))?;
                if stop() {
                    return Ok(());
                }
            }
        }
        self.remove(&trees.heads, gone)
    }

    /// Removes the marks of where batches ended, before a position.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn forget_ends(&self, before: Position) -> Result<(), WriteError> {
        let folds = &self.shared.keyspaces.folds;
        let ends = folds.range(key::end(Position::ZERO)..key::end(before));
        let gone = ends.map(|pair| pair.key()).collect::<Result<Vec<_>, _>>()?;
        self.remove(folds, gone)
    }

    fn remove(&self, tree: &fjall::Keyspace, keys: Vec<Slice>) -> Result<(), WriteError> {
        if keys.is_empty() {
            return Ok(());
        }
        let _writing = self.shared.begin_write()?;
        let mut batch = self.shared.db.batch();
        keys.into_iter().for_each(|key| batch.remove(tree, key));
        Ok(batch.commit()?)
    }
}
