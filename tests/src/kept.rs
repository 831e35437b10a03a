//! What the relation keepers make of a stream, kept in memory.

mod belief;
mod shelf;

use std::collections::{BTreeMap, BTreeSet};

use deltafold_event::{Position, StoredEvent};
use deltafold_relation::{Keeper, KeeperState, Schemas};

use crate::naive::{self, Relation};
use shelf::Shelf;

/// The keepers of a stream's types, with all they remember.
#[derive(Debug, Default)]
pub struct Kept {
    types: BTreeMap<String, (Keeper, Shelf)>,
    schemas: Schemas,
}

impl Kept {
    /// With no memory, but for the schemas that events will refer to.
    pub fn new(schemas: &naive::Schemas) -> Self {
        let mut kept = Self::default();
        for schema in schemas.values() {
            kept.schemas.insert(schema.clone().into());
        }
        kept
    }

    /// Folds events that follow those folded before, a commit at a time.
    pub fn fold(&mut self, events: &[StoredEvent]) {
        for commit in events.chunk_by(|a, b| a.position.version() == b.position.version()) {
            let types: BTreeSet<&str> = commit.iter().map(|stored| &*stored.event.aggregate_type).collect();
            for name in types {
                let of_type: Vec<StoredEvent> =
                    commit.iter().filter(|stored| &*stored.event.aggregate_type == name).cloned().collect();
                let (keeper, shelf) = self
                    .types
                    .entry(name.to_owned())
                    .or_insert_with(|| (Keeper::new(KeeperState::default()), Shelf::default()));
                let changes = keeper.fold(&of_type, &self.schemas, shelf).expect("memory does not fail");
                shelf.apply(changes);
            }
        }
    }

    /// Forgets everything but what was written down, as a restart does.
    pub fn restart(&mut self) {
        for (keeper, shelf) in self.types.values_mut() {
            *keeper = Keeper::new(shelf.state());
            shelf.reread();
        }
    }

    /// What was believed of a type at a position.
    pub fn relation(&self, name: &str, at: Position) -> Relation {
        self.types.get(name).map(|(_, shelf)| shelf.believed(at)).unwrap_or_default()
    }

    /// What does not hold of a type's memory and of the changes handed on, though it must, whatever was folded.
    pub fn flaw(&self, name: &str) -> Option<String> {
        self.types.get(name).and_then(|(_, shelf)| shelf.flaw())
    }
}
