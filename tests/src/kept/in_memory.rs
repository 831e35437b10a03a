//! The relation keepers with a memory that forgets nothing and looks at all that they write.

use std::collections::{BTreeMap, BTreeSet};

use deltafold_event::{Position, StoredEvent};
use deltafold_relation::{Keeper, KeeperState, Schemas};

use super::{Kept, shelf::Shelf};
use crate::naive::{self, Relation};

/// The keepers of a stream's types, with all they remember.
#[derive(Debug, Default)]
pub struct InMemory {
    types: BTreeMap<String, (Keeper, Shelf)>,
    schemas: Schemas,
}

impl Kept for InMemory {
    const POSITIONS: usize = usize::MAX;
    const ONE_IN: u32 = 1;

    fn new(schemas: &naive::Schemas) -> Self {
        let mut kept = Self::default();
        for schema in schemas.values() {
            kept.schemas.insert(schema.clone().into());
        }
        kept
    }

    fn fold(&mut self, events: &[StoredEvent]) {
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

    fn restart(&mut self) {
        for (keeper, shelf) in self.types.values_mut() {
            *keeper = Keeper::new(shelf.state());
            shelf.reread();
        }
    }

    fn relation(&self, name: &str, at: Position, _: &Relation) -> Relation {
        self.types.get(name).map(|(_, shelf)| shelf.believed(at)).unwrap_or_default()
    }

    fn flaw(&self, name: &str) -> Option<String> {
        self.types.get(name).and_then(|(_, shelf)| shelf.flaw())
    }
}
