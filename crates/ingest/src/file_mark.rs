//! What a `$file` event says.

use deltafold_event::{Coordinates, Event, Identity, control};
use deltafold_source::{AppId, Mark};
use serde::{Deserialize, Serialize};

use crate::clock::now;

/// How far a file was read: the `after` of a `$file` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    /// Where, with the digest of everything before.
    #[serde(flatten)]
    pub mark: Mark,
    /// How many events were appended from it so far.
    pub events: u64,
    /// The name under which it was read last.
    pub name: String,
}

impl FileMark {
    /// The control event that says so; it goes into the commit that it speaks of.
    pub(crate) fn event(&self, app_id: &AppId) -> Event {
        let identity = format!("{app_id}@{}", self.mark.bytes);
        Event {
            id: Identity::domain().text(Some(control::FILE)).text(Some(&identity)).id(),
            aggregate_type: control::FILE.into(),
            aggregate_id: Some(app_id.as_str().to_owned()),
            event_type: "read".into(),
            operation: None,
            before: None,
            after: Some(serde_json::to_string(self).expect("numbers and texts are always JSON")),
            metadata: "{}".to_owned(),
            source_position: None,
            transaction_id: None,
            occurred_at: now(),
            coordinates: Coordinates {
                source: "file".into(),
                topic: app_id.to_shared(),
                partition: 0,
                offset: i64::try_from(self.mark.lines).unwrap_or(i64::MAX),
            },
            schema_id: None,
        }
    }

    /// From a `$file` event.
    ///
    /// # Errors
    /// When the event holds none.
    pub fn of(event: &Event) -> Result<Self, serde_json::Error> {
        serde_json::from_str(event.after.as_deref().unwrap_or_default())
    }
}
