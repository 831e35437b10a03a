//! `asOf`, and what counts then.

use deltafold_event::{Position, Timestamp};
use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};

use super::World;

/// Every kind of moment. A late position is one that some of what had happened by then was recorded after.
pub(super) const KINDS: [&str; 5] = ["now", "as of a time", "as of a position", "as of both", "late position"];

/// A moment to ask about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// In GraphQL; none: now.
    pub graphql: Option<String>,
    /// The valid time.
    pub time: Timestamp,
    /// The last position that counts.
    pub position: Position,
    /// What it is one of.
    pub kinds: Vec<&'static str>,
}

impl Moment {
    /// A random one of a world.
    pub fn choose(random: &mut SmallRng, world: &World) -> Self {
        let time = *world.times().choose(random).expect("something happened");
        let position = *world.positions().choose(random).expect("something was recorded");
        let (has_time, has_position) = (random.random_bool(0.6), random.random_bool(0.5));
        let (graphql, kind) = match (has_time, has_position) {
            (false, false) => (None, KINDS[0]),
            (true, false) => (Some(format!("{{time: \"{time}\"}}")), KINDS[1]),
            (false, true) => (Some(format!("{{position: \"{position}\"}}")), KINDS[2]),
            (true, true) => (Some(format!("{{time: \"{time}\", position: \"{position}\"}}")), KINDS[3]),
        };
        let time = if has_time { time } else { Timestamp::MAX };
        let position = if has_position { position } else { Position::MAX };
        let is_late = has_position && world.is_late(time, position);
        Self { graphql, time, position, kinds: [kind].into_iter().chain(is_late.then_some(KINDS[4])).collect() }
    }

    /// As the only argument, or one of several.
    pub(super) fn argument(&self) -> Option<String> {
        self.graphql.as_ref().map(|as_of| format!("asOf: {as_of}"))
    }
}
