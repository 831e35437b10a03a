//! What is known of a projection, as the index keeps it.

use std::{collections::BTreeSet, fmt, sync::Arc};

use deltafold_event::{EventId, Position, Timestamp};
use serde::{Deserialize, Serialize};

use super::{control::Ordered, generation::Generation, plan::Plan};

/// How the names of the states begin that keep records.
pub(crate) const STATES: &str = "projection/";

/// How the names of the checkpoints begin of what waits to be shown; those of what is shown begin as the states do.
pub(crate) const READY: &str = "ready/";

/// What was ordered of a projection, and what has come of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The text of its definition; none once it is gone.
    pub(crate) sql: Option<String>,
    /// When its definition was removed: it is folded and shown for some time more.
    #[serde(default)]
    pub(crate) removed: Option<Timestamp>,
    /// Where it was ordered last to be built anew, while that is not done.
    pub(crate) build_wanted: Option<Position>,
    /// Whether what is built then waits to be shown.
    pub(crate) is_held: bool,
    pub(crate) is_paused: bool,
    /// Why it has stopped.
    pub(crate) failed: Option<Failed>,
    /// Whether what is shown could not be folded on.
    #[serde(default)]
    pub(crate) is_stopped: bool,
    /// What was cancelled: a definition and its shape. It is not built again unasked.
    pub(crate) given_up: Option<(String, String)>,
    /// Events that the next generation leaves out.
    pub(crate) skipped: BTreeSet<EventId>,
    /// What is shown.
    pub(crate) serving: Option<Generation>,
    /// What was built, is folded on, and waits to be shown.
    pub(crate) ready: Option<Generation>,
    /// What is being built.
    pub(crate) building: Option<Generation>,
    /// What was shown before, and is kept.
    pub(crate) previous: Option<Generation>,
    /// Generations of which nothing is needed any more.
    pub(crate) dropped: BTreeSet<u32>,
    /// How many generations there were.
    generations: u32,
    /// Everything before it was obeyed.
    obeyed: Position,
}

/// Why a projection has stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    /// The event that could not be folded, if it is one.
    pub(crate) event: Option<EventId>,
    /// Everything before it is folded in what is shown.
    pub(crate) before: Position,
    /// What is wrong.
    pub(crate) what: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.event {
            Some(event) => write!(f, "event {event} cannot be folded: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl Record {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("all of it is JSON")
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    /// Takes in what was ordered at a position, at a time; false if that was taken in before. Everything before `followed`
    /// is folded in what is shown.
    pub(crate) fn obey(&mut self, ordered: &Ordered, (at, said_at): (Position, Timestamp), followed: Position) -> bool {
        if at < self.obeyed {
            return false;
        }
        self.obeyed = at.next();
        match ordered {
            Ordered::Defined { sql } if self.sql.as_ref() == Some(sql) => self.removed = None,
            Ordered::Defined { sql } => {
                self.removed = None;
                self.goes_on();
                self.sql = Some(sql.clone());
                self.build_wanted = Some(at);
                self.is_held = false;
            }
            Ordered::Rebuild { hold } => {
                self.goes_on();
                self.build_wanted = Some(at);
                self.is_held = *hold;
            }
            Ordered::Resumed => {
                self.goes_on();
                self.build_wanted = Some(at);
                self.is_held = false;
            }
            Ordered::Skipped { event } => {
                self.goes_on();
                self.skipped.insert(*event);
                self.build_wanted = Some(at);
            }
            Ordered::Cancelled => {
                self.build_wanted = None;
                self.given_up = self.building.as_ref().map(Generation::made_of);
                let gone = [self.ready.take(), self.building.take()].into_iter().flatten();
                self.dropped.extend(gone.map(|generation| generation.number));
            }
            Ordered::Swapped => {
                if let Some(ready) = self.ready.take() {
                    self.show(ready, followed);
                }
            }
            Ordered::Undone => {
                if let Some(mut previous) = self.previous.take() {
                    self.goes_on();
                    self.sql = Some(previous.sql.clone());
                    self.skipped.clone_from(&previous.skipped);
                    self.build_wanted = Some(at);
                    self.is_held = false;
                    previous.ordered = Some(at);
                    let given_up = self.building.replace(previous);
                    self.dropped.extend(given_up.map(|generation| generation.number));
                }
            }
            Ordered::Paused => {
                self.is_paused = true;
                self.drop_ready();
            }
            Ordered::Removed => self.removed = self.removed.or(Some(said_at)),
        }
        true
    }

    /// It is gone, with everything that was built.
    pub(crate) fn remove(&mut self) {
        let obeyed = self.obeyed;
        let gone = [self.serving.take(), self.ready.take(), self.building.take(), self.previous.take()];
        self.dropped.extend(gone.into_iter().flatten().map(|generation| generation.number));
        *self = Self {
            dropped: std::mem::take(&mut self.dropped),
            generations: self.generations,
            obeyed,
            ..Self::default()
        };
    }

    /// The generation to build of a plan: the one that was begun, or a new one of what there is at a checkpoint.
    pub(crate) fn begin(&mut self, name: &Arc<str>, plan: &Plan, checkpoint: Position) -> Generation {
        if let Some(begun) = self.building.take() {
            let goes_on = begun.round.goes_on() && begun.arranged.stays();
            if begun.is_of(plan) && begun.ordered == self.build_wanted && goes_on {
                self.building = Some(begun.clone());
                return begun;
            }
            self.dropped.insert(begun.number);
        }
        self.generations += 1;
        let (of, skipped) = ((name, self.generations), self.skipped.clone());
        let generation = Generation::new(of, plan, skipped, checkpoint, self.build_wanted);
        self.building = Some(generation.clone());
        generation
    }

    /// A generation that is whole waits to be shown.
    pub(crate) fn hold(&mut self, generation: Generation) {
        self.building = None;
        self.build_wanted = None;
        self.is_held = false;
        if let Some(older) = self.ready.replace(generation) {
            self.dropped.insert(older.number);
        }
    }

    /// A generation that is whole is shown from now on; the one before, in which everything before a position is folded, is
    /// kept.
    pub(crate) fn show(&mut self, generation: Generation, until: Position) {
        self.building = None;
        self.build_wanted = None;
        self.is_held = false;
        self.failed = None;
        self.is_stopped = false;
        let before = self.serving.replace(generation).map(|before| before.ended(until));
        if let Some(older) = std::mem::replace(&mut self.previous, before) {
            self.dropped.insert(older.number);
        }
    }

    /// What was ordered before, and stopped it, does not count any more.
    fn goes_on(&mut self) {
        self.failed = None;
        self.is_paused = false;
        self.given_up = None;
        self.drop_ready();
    }

    fn drop_ready(&mut self) {
        self.dropped.extend(self.ready.take().map(|ready| ready.number));
    }

    /// What waits to be shown is not folded any more: it is to be built again.
    pub(crate) fn lose_ready(&mut self) {
        if let Some(ready) = self.ready.take() {
            self.build_wanted = self.build_wanted.or(ready.ordered);
            self.is_held = true;
            self.dropped.insert(ready.number);
        }
    }

    /// It cannot go on.
    pub(crate) fn stop(&mut self, failed: Failed) {
        self.build_wanted = None;
        let gone = [self.building.take(), self.ready.take()].into_iter().flatten();
        self.dropped.extend(gone.map(|generation| generation.number));
        self.failed = Some(failed);
    }
}
