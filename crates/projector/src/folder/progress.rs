//! How far folding has come: what is written of it with each batch, and what readers are told.

use deltafold_event::{Position, Timestamp};
use deltafold_relation::{Consistent, OriginInfo};
use deltafold_view::{Batch, ReadError, Snapshot};

use super::{CHECKPOINT, Folder, ORIGINS, lock};
use crate::{Catalog, ProjectorError};

/// The name of the state that keeps [`Catalog::newest`]: [`Timestamp::to_bytes`].
pub(super) const NEWEST: &str = "mirrors/newest";

/// The name of the state that keeps [`Catalog::recorded_at`]: [`Timestamp::to_bytes`].
pub(super) const RECORDED_AT: &str = "mirrors/recorded_at";

/// How the names of the states begin that keep which transactions are whole.
pub(super) const TRANSACTIONS: &str = "transactions/";

/// The name of the state that keeps [`Catalog::consistent`]: the moment, and a byte that says whether it is estimated.
const CONSISTENT: &str = "mirrors/consistent";

/// The name of the state that keeps [`Catalog::control`]: [`Position::to_bytes`].
const CONTROL: &str = "mirrors/control";

impl Folder {
    /// Takes what was folded up to a checkpoint as done, and writes so.
    pub(super) fn put_progress(&mut self, write: &mut Batch, checkpoint: Position, newest: Option<Timestamp>) {
        let newest = newest.max(self.newest);
        self.transactions.settle();
        if let Some(newest) = newest {
            write.put_state(NEWEST, &newest.to_bytes());
        }
        if self.origins.take_changed() {
            write.put_state(ORIGINS, &self.origins.to_bytes());
        }
        for (name, state) in self.transactions.take_changes() {
            let name = format!("{TRANSACTIONS}{name}");
            match state {
                Some(state) => write.put_state(&name, &state),
                None => write.remove_state(&name),
            }
        }
        // While a database's new epoch is folded in pieces, what was folded of it before is taken back in pieces.
        let is_replay = self.origins.replay().is_some();
        let consistent = self.transactions.consistent();
        let consistent = consistent.map(|found| Consistent { estimated: found.estimated || is_replay, ..found });
        if let Some(Consistent { at, estimated }) = consistent {
            write.put_state(CONSISTENT, &[&at.to_bytes()[..], &[u8::from(estimated)]].concat());
        }
        if std::mem::take(&mut self.control_changed) {
            write.put_state(CONTROL, &self.control.to_bytes());
        }
        write.put_checkpoint(CHECKPOINT, checkpoint);
        if let (false, false, Some(recorded_at)) = (self.is_bulk(), is_replay, self.recorded_at) {
            write.put_state(RECORDED_AT, &recorded_at.to_bytes());
        }
        self.newest = newest;
        self.consistent = consistent;
        self.checkpoint = checkpoint;
    }

    /// What there is to read.
    pub fn catalog(&self) -> Catalog {
        lock(&self.projections).in_catalog(self.mirrors_catalog())
    }

    /// The databases that events come from.
    pub fn origins(&self) -> Vec<OriginInfo> {
        self.origins.infos()
    }

    /// What there is to read but for derived views.
    pub(super) fn mirrors_catalog(&self) -> Catalog {
        Catalog {
            views: self.relations(),
            projections: Vec::new(),
            checkpoint: self.checkpoint,
            recorded_at: self.recorded_at,
            newest: self.newest,
            origins: self.origins.infos(),
            consistent: self.consistent,
            control: self.control,
            failure: None,
        }
    }
}

/// The newest moment at which every transaction is whole that a snapshot holds, which may hold more than the last
/// catalog told of; none while it holds none.
///
/// # Errors
/// When the index cannot be read.
pub fn consistent(snapshot: &Snapshot) -> Result<Option<Consistent>, ReadError> {
    let bytes = snapshot.state(CONSISTENT)?.unwrap_or_default();
    let Some((at, &[estimated])) = bytes.split_first_chunk() else { return Ok(None) };
    Ok(Some(Consistent { at: Timestamp::from_bytes(*at), estimated: estimated != 0 }))
}

pub(super) fn control(snapshot: &Snapshot) -> Result<Position, ProjectorError> {
    let bytes = snapshot.state(CONTROL)?;
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map_or(Position::ZERO, Position::from_bytes))
}

pub(super) fn moment(snapshot: &Snapshot, state: &str) -> Result<Option<Timestamp>, ProjectorError> {
    let bytes = snapshot.state(state)?;
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(Timestamp::from_bytes))
}
