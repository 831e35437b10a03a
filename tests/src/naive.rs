//! A second, slow reading of `fold.md`, to hold the real one against.
//!
//! It shares no code with the relation keepers, the views or the projector: for a position P it takes the
//! events recorded at or before P and works out everything from nothing, so that what it says about P cannot
//! depend on anything that came later (law 7), nor on how the events were cut into batches (law 1). It is
//! written to be read beside the specification; it may take time in the square of the number of events.
//!
//! 0. `resets`: which events count, where databases are restored.
//! 1. `known`: which distinct events there are, and where each stands among the others.
//! 2. `image`: what one event says of its row.
//! 3. `walk`: the events of all aggregates applied in order: stacks, moves, truncates, changed keys.
//! 4. `versions`: the stretches of valid time over which a row is the same.

mod difference;
mod image;
mod known;
mod listing;
mod resets;
mod versions;
mod walk;

pub use difference::difference;
pub use image::Content;
pub use listing::listing;
pub use resets::Resets;
pub use versions::{Entry, Relation, Version};

use std::collections::BTreeMap;

use deltafold_event::{Position, RowSchema, SchemaId, StoredEvent};

use self::resets::{Counted, Said};

/// The schemas that events refer to.
pub type Schemas = BTreeMap<SchemaId, RowSchema>;

/// The relation of one aggregate type, as the events recorded at or before `until` tell it.
///
/// `events` are those of the type, in the order of their positions.
pub fn fold(events: &[StoredEvent], schemas: &Schemas, until: Position) -> Relation {
    let recorded = events.iter().take_while(|event| event.position <= until);
    let counted = recorded.map(|stored| {
        let event = &stored.event;
        Counted { event, is_own: true, epoch: 0, is_unsaid: false, snapshot: None }
    });
    relation(counted, schemas)
}

/// A history in which databases are restored.
#[derive(Debug)]
pub struct Restored<'a> {
    events: &'a [StoredEvent],
    said: Vec<Option<Said>>,
}

impl<'a> Restored<'a> {
    /// Of all events of a store, in the order of their positions.
    pub fn of(events: &'a [StoredEvent]) -> Self {
        Self { events, said: events.iter().map(|stored| resets::said(&stored.event)).collect() }
    }

    /// The relation of one aggregate type, as the events recorded at or before `until` tell it.
    pub fn fold(&self, name: &str, schemas: &Schemas, until: Position) -> Relation {
        let recorded = self.events.partition_point(|event| event.position <= until);
        let counted = resets::counted(&self.events[..recorded], &self.said[..recorded], name);
        relation(counted.into_iter(), schemas)
    }

    /// Of each event that has an origin: its epoch there, and whether it counts.
    pub fn epochs(&self) -> Vec<Option<(u32, bool)>> {
        resets::epochs(self.events, &self.said)
    }

    /// How often databases were restored.
    pub fn resets(&self) -> Resets {
        resets::count(self.events, &self.said)
    }
}

fn relation<'a>(counted: impl Iterator<Item = Counted<'a>>, schemas: &'a Schemas) -> Relation {
    let (known, sweeps) = known::distinct(counted, schemas);
    versions::relation(walk::walk(&known, &sweeps))
}
