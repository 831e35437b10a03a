//! The events by which people and configurations say what is to be projected.

use deltafold_event::{Event, EventId, Identity, Timestamp, control};
use serde::{Deserialize, Serialize};

/// What is ordered of a projection: the event type, and what else is in the payload beside who said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Ordered {
    /// It is this definition from here on. Another one than before is built anew.
    Defined {
        /// The text of its file.
        sql: String,
    },
    /// It is not wanted any more.
    Removed,
    /// It is to be built anew.
    Rebuild {
        /// Whether what is built waits to be shown until somebody says so.
        #[serde(default)]
        hold: bool,
    },
    /// What was built and waits is to be shown.
    Swapped,
    /// What was shown before is to be shown again.
    Undone,
    /// What is being built is not wanted any more.
    Cancelled,
    /// It is to stay as it is.
    Paused,
    /// It is to go on, after a pause or a failure.
    Resumed,
    /// It is to go on without what an event did.
    Skipped {
        /// The event.
        event: EventId,
    },
}

/// Something that was ordered, with who did and why: the payload of a `$projection` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// What.
    #[serde(flatten)]
    pub ordered: Ordered,
    /// Who said so.
    pub by: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

impl Said {
    /// The event for a projection. Each is another one: what is ordered twice is done twice.
    pub fn event(&self, projection: &str, occurred_at: Timestamp) -> Event {
        let once = uuid::Uuid::new_v4().to_string();
        let id = Identity::domain().text(Some(control::PROJECTION)).text(Some(projection)).text(Some(&once)).id();
        let event_type = match &self.ordered {
            Ordered::Defined { .. } => "defined",
            Ordered::Removed => "removed",
            Ordered::Rebuild { .. } => "rebuild",
            Ordered::Swapped => "swapped",
            Ordered::Undone => "undone",
            Ordered::Cancelled => "cancelled",
            Ordered::Paused => "paused",
            Ordered::Resumed => "resumed",
            Ordered::Skipped { .. } => "skipped",
        };
        let payload = serde_json::to_string(self).expect("a struct of texts is always JSON");
        Event::of_control(control::PROJECTION, projection, event_type, id, payload, occurred_at)
    }
}

impl Ordered {
    /// What an event orders.
    ///
    /// # Errors
    /// With what is wrong with its payload.
    pub fn of(event: &Event) -> Result<Self, String> {
        let said: Result<Said, _> = serde_json::from_str(event.after.as_deref().unwrap_or_default());
        said.map(|said| said.ordered).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_what_is_read() {
        for ordered in [
            Ordered::Defined { sql: "CREATE …".to_owned() },
            Ordered::Removed,
            Ordered::Skipped { event: EventId::from_bytes([7; 16]) },
        ] {
            let said = Said { ordered: ordered.clone(), by: "somebody".to_owned(), reason: None };
            let event = said.event("orders_by_status", Timestamp::from_micros(0));
            assert_eq!(Ordered::of(&event), Ok(ordered));
        }
    }
}
