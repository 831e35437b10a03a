//! What befalls the rows that a definition is over.

use std::collections::{BTreeMap, BTreeSet};

use deltafold_event::{Operation, SourcePosition, StoredEvent};

/// Something that operators have to come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meets {
    /// A log event after a later one of its aggregate.
    Late,
    /// An event that was there before.
    Duplicate,
    /// A row that changes or goes.
    Retraction,
    /// A table that is emptied.
    Truncate,
    /// A row that gets another key.
    Move,
}

impl Meets {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Late, Self::Duplicate, Self::Retraction, Self::Truncate, Self::Move];
}

/// What befalls the rows of some types in a stream as it was stored.
pub fn meets(stored: &[StoredEvent], of_types: impl Fn(&str) -> bool) -> BTreeSet<Meets> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut newest: BTreeMap<(&str, &str), &SourcePosition> = BTreeMap::new();
    for StoredEvent { event, .. } in stored.iter().filter(|stored| of_types(&stored.event.aggregate_type)) {
        if !seen.insert(event.id) {
            found.insert(Meets::Duplicate);
            continue;
        }
        match event.operation {
            Some(Operation::Truncate) => drop(found.insert(Meets::Truncate)),
            Some(Operation::Update | Operation::Delete) => drop(found.insert(Meets::Retraction)),
            _ => {}
        }
        if event.metadata.contains("\"moved_from\"") || event.metadata.contains("\"moved_to\"") {
            found.insert(Meets::Move);
        }
        let (Some(id), Some(position)) = (&event.aggregate_id, &event.source_position) else { continue };
        let newest = newest.entry((&event.aggregate_type, id)).or_insert(position);
        if position < *newest {
            found.insert(Meets::Late);
        } else {
            *newest = position;
        }
    }
    found
}
