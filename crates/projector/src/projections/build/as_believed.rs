//! Building what a view was believed to be at a position.

use std::sync::{Arc, atomic::AtomicBool};

use deltafold_event::Position;
use deltafold_view::{Mirror, ViewStore};

use super::{
    super::{
        generation::{Generation, Live},
        plan::Plan,
    },
    Means, Rest, Shared, Stopped, Touched,
};
use crate::{Log, ProjectorError, projector::shut_down};

/// A build of one round, into an index of its own.
pub(crate) struct AsBelieved<'b> {
    pub(crate) name: &'b Arc<str>,
    pub(crate) plan: Arc<Plan>,
    /// The generation that is shown: it leaves out the same events.
    pub(crate) shown: &'b Generation,
    pub(crate) view: &'b Mirror,
    pub(crate) index: &'b ViewStore,
    pub(crate) means: Arc<Means>,
    pub(crate) is_cancelled: Arc<AtomicBool>,
}

impl AsBelieved<'_> {
    /// Folds everything that was recorded before a position; else says why that cannot be folded.
    pub(crate) fn build(self, before: Position, log: &dyn Log) -> Result<Result<(), String>, ProjectorError> {
        let Self { name, plan, shown, view, index, means, is_cancelled } = self;
        let generation = Generation::new((name, shown.number), &plan, shown.skipped.clone(), before, None);
        let live = Live::new(plan, view.clone(), shown.skipped.clone());
        let shared = Arc::new(Shared::new(means, index.clone(), is_cancelled));
        let mut rest = Rest { name: Arc::clone(name), live, generation, shared };
        let splits = rest.look_around()?;
        if let Err(failed) = rest.begin_folding()? {
            return Ok(Err(failed.to_string()));
        }
        match rest.round(Touched::All, &splits, log) {
            Ok(()) => Ok(Ok(())),
            Err(Stopped::Failed(failed)) => Ok(Err(failed.to_string())),
            Err(Stopped::Broken(error)) => Err(error),
            Err(Stopped::Cancelled) => Err(shut_down()),
        }
    }
}
