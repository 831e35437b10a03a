//! Folding what changed into the views that are shown, and on what is left of it.

use std::time::Instant;

use deltafold_event::Position;
use deltafold_view::{Batch, Pending};

use super::{
    Changes, Projection, Projections,
    generation::Left,
    record,
    unseen::{self, Unseen},
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
                        self.unseen.note(&unseen::ready(name), left, before);
                        write.put_checkpoint(&format!("{}{name}", record::READY), until);
                    }
                    Err(failed) => projection.fail(name, failed),
                }
            }
            let Some(live) = &projection.live else { continue };
            match live.fold(changes, until, &live.memory_with(&written, pending.clone()), write)? {
                Ok(left) => projection.is_folded(name, left, (before, until), &mut self.unseen),
                Err(failed) => {
                    projection.fail(name, failed);
                    projection.live = None;
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
        let began = Instant::now();
        while !self.is_whole() {
            let (mut write, written) = (self.views.batch(), self.views.written());
            let until = self.until;
            for (name, projection) in &mut self.by_name {
                if let Some(ready) = projection.ready.as_ref().filter(|ready| ready.left() == Left::Some) {
                    match ready.fold_on(until, &ready.memory(&written), &mut write)? {
                        Ok(left) => drop(self.unseen.note(&unseen::ready(name), left, until)),
                        Err(failed) => projection.fail(name, failed),
                    }
                }
                let Some(live) = projection.live.as_ref().filter(|live| live.left() == Left::Some) else { continue };
                match live.fold_on(until, &live.memory(&written), &mut write)? {
                    Ok(left) => projection.is_folded(name, left, (until, until), &mut self.unseen),
                    Err(failed) => {
                        projection.fail(name, failed);
                        projection.live = None;
                    }
                }
            }
            self.put(&mut write);
            write.commit()?;
            if !self.is_whole() && began.elapsed() >= self.folded_on {
                // What has come meanwhile is folded first.
                (self.wake)();
                break;
            }
        }
        Ok(())
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

    /// What is shown was folded from one position until another, maybe but for something that is left.
    fn is_folded(&mut self, name: &str, left: Left, (before, until): (Position, Position), unseen: &mut Unseen) {
        if let (Some(shown_until), Some(serving)) = (unseen.note(name, left, before), &mut self.record.serving) {
            serving.was_unseen(shown_until, until);
            self.is_changed = true;
        }
    }
}
