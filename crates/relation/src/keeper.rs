//! The keeper of one aggregate type.

use crate::{Changes, FoldError, KeeperState, Memory, Schemas, Step, fold::Fold};

/// Folds the events of one aggregate type, in the order of their positions.
#[derive(Debug, Clone)]
pub struct Keeper {
    state: KeeperState,
}

impl Keeper {
    /// A keeper that goes on from a state: the default one, or what [`Changes::state`] said last.
    pub fn new(state: KeeperState) -> Self {
        Self { state }
    }

    /// What it knows of its type as a whole.
    pub fn state(&self) -> &KeeperState {
        &self.state
    }

    /// Folds a batch of events of the keeper's type, in the order of the positions from which they count as recorded,
    /// none before that of any folded before. `memory` is what the changes of all batches before made of it.
    ///
    /// # Errors
    /// When the memory cannot be read or an event cannot be folded. The keeper is then of no more use: make
    /// another one from the state on disk. The same holds if the changes cannot be written.
    pub fn fold<'e, M: Memory, S: Into<Step<'e>>>(
        &mut self,
        steps: impl IntoIterator<Item = S>,
        schemas: &Schemas,
        memory: &M,
    ) -> Result<Changes, FoldError<M::Error>> {
        let mut fold = Fold::new(memory, schemas, &mut self.state);
        for step in steps {
            fold.step(step.into())?;
        }
        Ok(fold.finish())
    }
}
