//! Folding what changed into the views that are shown, and on what is left of it.

use std::time::{Duration, Instant};

use deltafold_event::Position;
use deltafold_view::{Batch, Pending};

use super::{
    Changes, Projection, Projections,
    generation::Left,
    record::{self, Failed},
    unseen,
};
use crate::ProjectorError;

impl Projections {
    /// Folds what changed in relations into the views that are shown; what it writes becomes durable with what the
    /// changes stem from. `until`: everything before it will have been folded; `pending`: what is not committed yet of
    /// batches before. A projection that fails stops alone.
    pub(crate) fn fold(
        &mut self,
        changes: &Changes,
        until: Position,
        pending: &Pending,
        write: &mut Batch,
    ) -> Result<(), ProjectorError> {
        let written = self.views.written();
        let before = std::mem::replace(&mut self.until, until);
        for (name, projection) in &mut self.by_name {
            if let Some(ready) = &projection.ready {
                match ready.fold(changes, until, &ready.memory_with(&written, pending.clone()), write)? {
                    Ok(left) => {
                        self.unseen.note(&unseen::ready(name), left, (before, until));
                        write.put_checkpoint(&format!("{}{name}", record::READY), until);
                    }
                    Err(failed) => projection.fail(name, failed),
                }
            }
            let Some(live) = &projection.live else { continue };
            match live.fold(changes, until, &live.memory_with(&written, pending.clone()), write)? {
                Ok(left) => self.unseen.note(name, left, (projection.followed, until)),
                Err(failed) => {
                    projection.fail_shown(name, failed);
                    continue;
                }
            }
            write.put_checkpoint(&format!("{}{name}", record::STATES), until);
            projection.followed = until;
        }
        self.put(write);
        Ok(())
    }

    /// Folds on what is left, for a while.
    pub(super) fn fold_on(&mut self) -> Result<(), ProjectorError> {
        self.fold_on_for(self.folded_on)
    }

    /// Folds on until nothing is left, while nobody reads.
    pub(crate) fn fold_all(&mut self) -> Result<(), ProjectorError> {
        self.fold_on_for(Duration::MAX)
    }

    fn fold_on_for(&mut self, limit: Duration) -> Result<(), ProjectorError> {
        let began = Instant::now();
        while !self.is_whole() {
            let (mut write, written) = (self.views.batch(), self.views.written());
            let until = self.until;
            for (name, projection) in &mut self.by_name {
                if let Some(ready) = projection.ready.as_ref().filter(|ready| ready.left() == Left::Some) {
                    match ready.fold_on(until, &ready.memory(&written), &mut write)? {
                        Ok(left) => self.unseen.note(&unseen::ready(name), left, (until, until)),
                        Err(failed) => projection.fail(name, failed),
                    }
                }
                let Some(live) = projection.live.as_ref().filter(|live| live.left() == Left::Some) else { continue };
                match live.fold_on(until, &live.memory(&written), &mut write)? {
                    Ok(left) => self.unseen.note(name, left, (until, until)),
                    Err(failed) => projection.fail_shown(name, failed),
                }
            }
            self.put(&mut write);
            write.commit()?;
            if !self.is_whole() && began.elapsed() >= limit {
                // What has come meanwhile is folded first.
                (self.wake)();
                break;
            }
        }
        Ok(())
    }

    /// Whether something is left that was folded again at a position that is shown.
    pub(crate) fn has_part_of_replay(&self) -> bool {
        self.unseen.is_any_within_position()
    }

    /// Whether nothing is left to be folded of what was.
    pub(crate) fn is_whole(&self) -> bool {
        self.by_name.values().all(Projection::is_whole)
    }
}

impl Projection {
    /// Whether nothing is left to be folded of what was.
    pub(super) fn is_whole(&self) -> bool {
        self.live.iter().chain(&self.ready).all(|live| live.left() == Left::Nothing)
    }

    /// What is shown cannot be folded on.
    fn fail_shown(&mut self, name: &str, failed: Failed) {
        self.fail(name, failed);
        self.live = None;
        self.record.is_stopped = true;
    }
}
