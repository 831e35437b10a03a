//! The names of events.

use std::sync::Arc;

use deltafold_event::Operation;

/// The event types of changes, made once.
#[derive(Debug)]
pub(crate) struct EventTypes([(Operation, Arc<str>); 5]);

impl EventTypes {
    /// The event type of a change with this operation.
    pub(crate) fn of(&self, operation: Operation) -> Arc<str> {
        match self.0.iter().find(|(known, _)| *known == operation) {
            Some((_, name)) => name.clone(),
            None => operation.event_type().into(),
        }
    }
}

impl Default for EventTypes {
    fn default() -> Self {
        use Operation::{Create, Delete, Read, Truncate, Update};
        Self([Update, Create, Delete, Read, Truncate].map(|operation| (operation, operation.event_type().into())))
    }
}
