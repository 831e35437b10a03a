//! A second, slow reading of `fold.md`, to hold the real one against.
//!
//! It shares no code with the relation keepers, the views or the projector: for a position P it takes the
//! events recorded at or before P and works out everything from nothing, so that what it says about P cannot
//! depend on anything that came later (law 7), nor on how the events were cut into batches (law 1). It is
//! written to be read beside the specification; it may take time in the square of the number of events.
//!
//! 1. `known`: which distinct events there are, and where each stands among the others.
//! 2. `image`: what one event says of its row.
//! 3. `walk`: the events of all aggregates applied in order: stacks, moves, truncates, changed keys.
//! 4. `versions`: the stretches of valid time over which a row is the same.

mod difference;
mod image;
mod known;
mod listing;
mod versions;
mod walk;

pub use difference::difference;
pub use image::Content;
pub use listing::listing;
pub use versions::{Entry, Relation, Version};

use std::collections::BTreeMap;

use deltafold_event::{Position, RowSchema, SchemaId, StoredEvent};

/// The schemas that events refer to.
pub type Schemas = BTreeMap<SchemaId, RowSchema>;

/// The relation of one aggregate type, as the events recorded at or before `until` tell it.
///
/// `events` are those of the type, in the order of their positions.
pub fn fold(events: &[StoredEvent], schemas: &Schemas, until: Position) -> Relation {
    let recorded = events.iter().take_while(|event| event.position <= until);
    let known = known::distinct(recorded, schemas);
    versions::relation(walk::walk(&known))
}
