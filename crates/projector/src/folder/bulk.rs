//! Catching up from nothing: what readers see only at its end.

use deltafold_event::{Position, StoredEvent, Timestamp};
use deltafold_relation::Origins;

use super::{Folder, end_of_page};
use crate::{ProjectorError, load::load, mirror::MirrorView};

impl Folder {
    /// Writes sorted runs instead of single changes until a position is reached; only then readers see them.
    ///
    /// # Errors
    /// When the index holds something already, or cannot be written.
    pub fn begin_bulk(&mut self, until: Position) -> Result<(), ProjectorError> {
        self.views.begin_bulk()?;
        self.bulk_until = Some(until);
        Ok(())
    }

    /// Folds everything below `until`, in a bulk load that was just begun: aggregate by aggregate, as `next` gives
    /// them ([`deltafold_store::ByAggregate`]). `recorded_at`: when the last of it was.
    ///
    /// The checkpoint stays where it is if some types need the order of positions: the log is to be folded from there
    /// on, and the others are passed over. All do if a database was restored: which events are held, and for how long,
    /// is a matter of positions.
    ///
    /// # Errors
    /// As [`Self::fold`], and when `next` fails.
    pub fn load(
        &mut self,
        next: impl FnMut(usize, &mut Vec<StoredEvent>, &mut Vec<StoredEvent>) -> Result<bool, ProjectorError> + Send,
        until: Position,
        recorded_at: Timestamp,
    ) -> Result<(), ProjectorError> {
        let origins = self.origins_until(until)?;
        if origins.have_reset() {
            tracing::info!("a database was restored: everything is folded in the order of positions");
            return Ok(());
        }
        // Where the log is to be folded after all, it tells of them again.
        let mut transactions = std::mem::take(&mut self.transactions);
        let follow = |stored: &StoredEvent| transactions.loaded(stored);
        let loaded = load(&self.views, &mut self.schemas, self.options.held_events, follow, next)?;
        let written = self.writer.written()?;
        for (name, mirror) in loaded.mirrors {
            let mirror = MirrorView::loaded(&written, mirror, &self.options.declared)?;
            self.mirrors.insert(name.clone(), mirror);
            self.loaded.0.insert(name);
        }
        self.loaded.1 = until;
        if loaded.is_partial {
            return Ok(());
        }
        self.origins = origins;
        self.transactions = transactions;
        let mut write = self.views.batch();
        self.put_progress(&mut write, until, loaded.newest);
        self.writer.begin_commit(write)?;
        self.recorded_at = Some(recorded_at);
        self.end_bulk_if_due()
    }

    /// What the log says of origins up to a position. Where nothing but files was read, it is not looked at.
    fn origins_until(&mut self, until: Position) -> Result<Origins, ProjectorError> {
        let mut origins = Origins::default();
        let mut next = Position::ZERO;
        while next < until && self.log.has_origins() {
            let most = self.options.batch_events;
            let events = self.log.read(next, until, most)?;
            next = end_of_page(&events, most, until);
            for stored in events.iter().filter(|stored| !stored.event.is_control()) {
                origins.observe(stored);
            }
            if origins.have_reset() {
                break;
            }
        }
        Ok(origins)
    }

    /// Ends a bulk load, if there is one. One that loaded some types beyond the checkpoint goes on: no position is
    /// theirs and the others', so that it has to begin again from nothing if it is left like that.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn end_bulk(&mut self) -> Result<(), ProjectorError> {
        if self.is_bulk() && self.checkpoint >= self.loaded.1 {
            let mut write = self.views.batch();
            self.mirrors.values_mut().try_for_each(|mirror| mirror.release(&mut write))?;
            self.writer.commit(write)?;
            self.views.end_bulk()?;
            self.bulk_until = None;
            let relations = self.relations();
            self.projections()?.prepare(relations);
            self.go_on_building()?;
        }
        Ok(())
    }

    /// Whether readers do not see yet what was folded.
    pub fn is_bulk(&self) -> bool {
        self.bulk_until.is_some()
    }

    pub(super) fn end_bulk_if_due(&mut self) -> Result<(), ProjectorError> {
        if self.bulk_until.is_some_and(|until| self.checkpoint >= until) {
            self.end_bulk()?;
        }
        Ok(())
    }
}
