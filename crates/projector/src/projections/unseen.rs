//! Views of which something is left to be folded: until all that follows from a change is there, they are shown as they
//! were before it.

use std::collections::BTreeMap;

use deltafold_event::Position;
use deltafold_view::{Batch, Snapshot};
use serde::{Deserialize, Serialize};

use super::{generation::Left, record};
use crate::ProjectorError;

/// The state that keeps them.
const STATE: &str = "unseen";

/// By the name of the view, or of what waits to be shown ([`ready`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unseen {
    kept: Kept,
    is_changed: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// Of which something is left: everything before the first position is shown, and something was left first of what was
    /// before the second.
    now: BTreeMap<String, (Position, Position)>,
    /// Between which ends of what was folded they were shown as at the first of them, the latest last.
    before: BTreeMap<String, Vec<(Position, Position)>>,
}

impl Unseen {
    /// How many stretches are remembered of a view: older ones are forgotten before, with what was believed then.
    const MOST: usize = 1_000;

    pub(crate) fn read(snapshot: &Snapshot) -> Result<Self, ProjectorError> {
        let kept = match snapshot.state(STATE)? {
            Some(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| ProjectorError::Memory { view: STATE.to_owned(), what: error.to_string() })?,
            None => Kept::default(),
        };
        Ok(Self { kept, is_changed: false })
    }

    /// Until where a view is shown of which something is left.
    pub(crate) fn shown_until(&self, name: &str) -> Option<Position> {
        self.kept.now.get(name).map(|(shown_until, _)| *shown_until)
    }

    /// All of them that are shown.
    pub(crate) fn into_shown(self) -> BTreeMap<String, Position> {
        let shown = self.kept.now.into_iter().filter(|(name, _)| !name.starts_with(record::READY));
        shown.map(|(name, (shown_until, _))| (name, shown_until)).collect()
    }

    /// Whether an end of what was folded is none of those at which a view was shown as it was before.
    pub(crate) fn was_whole_at(&self, name: &str, end: Position) -> bool {
        let mut before = self.kept.before.get(name).into_iter().flatten();
        let is_now = self.shown_until(name).is_some_and(|shown_until| shown_until < end);
        !is_now && !before.any(|(from, until)| *from < end && end < *until)
    }

    /// Whether of any there is no position at which it is shown without what is left: the log was read again.
    pub(super) fn is_any_within_position(&self) -> bool {
        self.kept.now.values().any(|(shown_until, first)| shown_until == first)
    }

    pub(super) fn left(&self, name: &str) -> Left {
        if self.kept.now.contains_key(name) { Left::Some } else { Left::Nothing }
    }

    /// The first position at which any of them is shown.
    pub(super) fn first(&self) -> Option<Position> {
        self.kept.now.values().map(|(shown_until, _)| *shown_until).min()
    }

    /// Notes whether something is left of a view that was shown until a position, and is folded until another.
    pub(super) fn note(&mut self, name: &str, left: Left, (shown_until, until): (Position, Position)) {
        let Kept { now, before } = &mut self.kept;
        match left {
            Left::Nothing => {
                let Some((shown_until, first)) = now.remove(name) else { return };
                self.is_changed = true;
                // Else no other end lies between.
                if first < until {
                    let before = before.entry(name.to_owned()).or_default();
                    let over = (before.len() + 1).saturating_sub(Self::MOST);
                    before.drain(..over);
                    before.push((shown_until, until));
                }
            }
            Left::Some => {
                self.is_changed |= !now.contains_key(name);
                now.entry(name.to_owned()).or_insert((shown_until, until));
            }
        }
    }

    /// What was noted of one goes on under another name.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        self.forget(to);
        let Kept { now, before } = &mut self.kept;
        if let Some(of) = now.remove(from) {
            (self.is_changed, _) = (true, now.insert(to.to_owned(), of));
        }
        if let Some(of) = before.remove(from) {
            (self.is_changed, _) = (true, before.insert(to.to_owned(), of));
        }
    }

    /// Nothing is known of one any more.
    pub(super) fn forget(&mut self, name: &str) {
        let Kept { now, before } = &mut self.kept;
        let was_there = now.remove(name).is_some() | before.remove(name).is_some();
        self.is_changed |= was_there;
    }

    pub(super) fn put(&mut self, write: &mut Batch) {
        if std::mem::take(&mut self.is_changed) {
            write.put_state(STATE, &serde_json::to_vec(&self.kept).expect("all of it is JSON"));
        }
    }
}

/// Whether an end of what was folded is none of those at which a snapshot's derived view was shown as it was before,
/// because not all was there yet.
///
/// # Errors
/// When the index cannot be read.
pub fn was_whole_at(snapshot: &Snapshot, name: &str, end: Position) -> Result<bool, ProjectorError> {
    Ok(Unseen::read(snapshot)?.was_whole_at(name, end))
}

/// The derived views that a snapshot shows as they were before a position, because not all is there yet that follows from
/// what changed then; by name.
///
/// # Errors
/// When the index cannot be read.
pub fn shown_earlier(snapshot: &Snapshot) -> Result<BTreeMap<String, Position>, ProjectorError> {
    Ok(Unseen::read(snapshot)?.into_shown())
}

/// Until where a snapshot's derived view is all there, where more of it is not yet: what is shown, and what waits to be.
///
/// # Errors
/// When the index cannot be read.
pub fn whole_until(snapshot: &Snapshot, name: &str) -> Result<[Option<Position>; 2], ProjectorError> {
    let unseen = Unseen::read(snapshot)?;
    Ok([unseen.shown_until(name), unseen.shown_until(&ready(name))])
}

/// What of a projection waits to be shown.
pub(super) fn ready(name: &str) -> String {
    format!("{}{name}", record::READY)
}
