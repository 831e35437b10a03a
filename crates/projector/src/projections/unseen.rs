//! Views of which something is left to be folded: until all that follows from a change is there, they are shown as they
//! were before it.

use std::collections::BTreeMap;

use deltafold_event::Position;
use deltafold_view::{Batch, Snapshot};

use super::{generation::Left, record};
use crate::ProjectorError;

/// The state that keeps them.
const STATE: &str = "unseen";

/// How they are shown: by the name of the view, or of what waits to be shown ([`record::READY`]), everything before a position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unseen {
    shown_until: BTreeMap<String, Position>,
    is_changed: bool,
}

impl Unseen {
    pub(crate) fn read(snapshot: &Snapshot) -> Result<Self, ProjectorError> {
        let shown_until = match snapshot.state(STATE)? {
            Some(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| ProjectorError::Memory { view: STATE.to_owned(), what: error.to_string() })?,
            None => BTreeMap::new(),
        };
        Ok(Self { shown_until, is_changed: false })
    }

    /// Until where a view is shown of which something is left.
    pub(crate) fn shown_until(&self, name: &str) -> Option<Position> {
        self.shown_until.get(name).copied()
    }

    /// All of them that are shown.
    pub(crate) fn into_shown(self) -> BTreeMap<String, Position> {
        let is_shown = |name: &str| !name.starts_with(record::READY);
        self.shown_until.into_iter().filter(|(name, _)| is_shown(name)).collect()
    }

    pub(super) fn left(&self, name: &str) -> Left {
        if self.shown_until.contains_key(name) { Left::Some } else { Left::Nothing }
    }

    /// The first position at which any of them is shown.
    pub(super) fn first(&self) -> Option<Position> {
        self.shown_until.values().min().copied()
    }

    /// Notes whether something is left of a view that was shown until a position; if now nothing is any more, until where
    /// it was shown meanwhile.
    pub(super) fn note(&mut self, name: &str, left: Left, shown_until: Position) -> Option<Position> {
        match left {
            Left::Nothing => {
                let was = self.shown_until.remove(name);
                self.is_changed |= was.is_some();
                was
            }
            Left::Some => {
                self.is_changed |= !self.shown_until.contains_key(name);
                self.shown_until.entry(name.to_owned()).or_insert(shown_until);
                None
            }
        }
    }

    pub(super) fn put(&mut self, write: &mut Batch) {
        if std::mem::take(&mut self.is_changed) {
            write.put_state(STATE, &serde_json::to_vec(&self.shown_until).expect("all of it is JSON"));
        }
    }
}

/// What of a projection waits to be shown.
pub(super) fn ready(name: &str) -> String {
    format!("{}{name}", record::READY)
}
