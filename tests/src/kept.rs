//! What becomes of a stream once it is folded: by the relation keepers alone, with all that they write held in
//! memory and looked at, and by keepers, projector and view store together, asked as the query API asks them.

mod belief;
mod in_memory;
mod on_disk;
mod shelf;

use deltafold_event::{Position, StoredEvent};

use crate::naive::{Relation, Schemas};

pub use in_memory::InMemory;
pub use on_disk::OnDisk;

/// Something that folds a stream and can be asked what it believes.
pub trait Kept {
    /// At how many positions of a type it can be asked in a reasonable time.
    const POSITIONS: usize;
    /// With one in how many of soak's histories it is tried.
    const ONE_IN: u32;

    /// With nothing folded, but with the schemas that events will refer to.
    fn new(schemas: &Schemas) -> Self;

    /// Folds commits that follow those folded before.
    fn fold(&mut self, events: &[StoredEvent]);

    /// Forgets everything but what was written down, as a restart does.
    fn restart(&mut self);

    /// What was believed of a type at a position. What is expected says which aggregates and moments to ask for,
    /// beside those that are found.
    fn relation(&self, name: &str, at: Position, expected: &Relation) -> Relation;

    /// What does not hold of all that was written of a type, though it must, whatever was folded.
    fn flaw(&self, name: &str) -> Option<String>;
}
