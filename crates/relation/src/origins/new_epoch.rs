//! The event by which an operator lets an origin go on.

use deltafold_event::{Event, Identity, Timestamp, control};
use serde::{Deserialize, Serialize};

/// The payload of a `$source` event of the type `new_epoch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEpoch {
    /// What was held of epochs up to this one goes on.
    pub epoch: u32,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: String,
}

impl NewEpoch {
    /// The type of the event.
    pub const EVENT_TYPE: &'static str = "new_epoch";

    /// Of an event's payload; none of another.
    pub(super) fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// The event for an origin. Saying it twice is saying it once: its id is that of the origin's epoch.
    pub fn event(&self, origin: &str, occurred_at: Timestamp) -> Event {
        let id = Identity::domain().text(Some(control::SOURCE)).text(Some(origin)).number(self.epoch).id();
        let payload = serde_json::to_string(self).expect("a struct of texts is always JSON");
        Event::of_control(control::SOURCE, origin, Self::EVENT_TYPE, id, payload, occurred_at)
    }
}
