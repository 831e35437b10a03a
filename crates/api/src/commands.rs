//! What mutations do.
//!
//! This crate changes nothing itself: whoever makes an [`crate::Api`] hands in its [`Commands`].

use std::sync::Arc;

use deltafold_event::{Coordinates, Event, EventId, Identity, Position, Timestamp};
use deltafold_projector::Ordered;
use deltafold_store::{AppendedTo, ExpectedRevision, KnownAggregate};
use futures::future::BoxFuture;
use serde_json::json;
use uuid::Uuid;

use crate::Principal;

/// What mutations do. An operation that was begun runs to its end, even if nobody waits for it any more: what it has
/// changed by then stays, and the store says how far it came. Each says in the event store who has asked for it.
pub trait Commands: Send + Sync + 'static {
    /// Appends domain events to one aggregate, if they are what its type has.
    fn append_events(&self, append: AppendEvents, by: Principal) -> BoxFuture<'static, CommandResult<AppendedTo>>;

    /// Decodes dead letters once more and appends what they become.
    fn retry_dead_letters(&self, which: LetterChoice, by: Principal) -> BoxFuture<'static, CommandResult<Settled>>;

    /// Gives dead letters up, for a reason.
    fn discard_dead_letters(
        &self,
        which: LetterChoice,
        reason: String,
        by: Principal,
    ) -> BoxFuture<'static, CommandResult<Settled>>;

    /// Lets a database that was restored go on in this epoch, for a reason: where that stands in the store.
    fn new_epoch(
        &self,
        origin: String,
        epoch: u32,
        reason: String,
        by: Principal,
    ) -> BoxFuture<'static, CommandResult<Position>>;

    /// Orders something of a projection: where that stands in the store.
    fn order(
        &self,
        projection: String,
        ordered: Ordered,
        reason: Option<String>,
        by: Principal,
    ) -> BoxFuture<'static, CommandResult<Position>>;
}

/// What a command comes to.
pub type CommandResult<T> = Result<T, CommandError>;

/// Why a command was not done, or not to its end. The messages are for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// What it names is not there.
    #[error("{0}")]
    NotFound(String),
    /// Another was first.
    #[error("{0}")]
    Conflict(String),
    /// An aggregate is not at the revision that was expected.
    #[error("{message}")]
    Revision {
        /// Where it is, and what was expected.
        message: String,
        /// Where it is.
        actual: u64,
    },
    /// What is to be appended is not what its type has.
    #[error("{path}: {what}")]
    Invalid {
        /// Where, as in `appendEvents.events[0].payload`.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// Something that it needs is not available now: try again.
    #[error("{0}")]
    Unavailable(String),
    /// Anything else. The message goes to the log, not to whoever asked.
    #[error("{0}")]
    Failed(String),
}

/// Domain events to be appended.
#[derive(Debug, Clone)]
pub struct AppendEvents {
    /// The aggregate's type.
    pub aggregate_type: String,
    /// The aggregate's id.
    pub aggregate_id: String,
    /// What it is to have before.
    pub expected: ExpectedRevision,
    /// What is known of it.
    pub known: KnownAggregate,
    /// At least one, with ids that differ.
    pub events: Vec<NewEvent>,
}

impl AppendEvents {
    /// They as they go on record, with who appends them.
    pub fn on_record(&self, by: &Principal) -> Vec<Event> {
        let aggregate_type: Arc<str> = self.aggregate_type.as_str().into();
        let on_record = |event: &NewEvent| Event {
            id: event.event_id(&self.aggregate_type),
            aggregate_type: aggregate_type.clone(),
            aggregate_id: Some(self.aggregate_id.clone()),
            event_type: event.event_type.as_str().into(),
            operation: None,
            before: None,
            after: Some(event.payload.to_string()),
            metadata: json!({ "id": event.own_id, "by": by.name(), "metadata": event.metadata }).to_string(),
            source_position: None,
            transaction_id: None,
            occurred_at: event.occurred_at,
            coordinates: Coordinates { source: "api".into(), topic: "".into(), partition: 0, offset: 0 },
            schema_id: None,
        };
        self.events.iter().map(on_record).collect()
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// What whoever appends it knows it by.
    pub own_id: String,
    /// Its type.
    pub event_type: String,
    /// What it says.
    pub payload: serde_json::Value,
    /// What goes on record beside it.
    pub metadata: Option<serde_json::Value>,
    /// When it happened.
    pub occurred_at: Timestamp,
}

impl NewEvent {
    /// What the log knows it by, as an event of this type of aggregate.
    pub fn event_id(&self, aggregate_type: &str) -> EventId {
        Identity::domain().text(Some(aggregate_type)).text(Some(&self.own_id)).id()
    }

    /// An id of its own for one that has none.
    pub(crate) fn made_up_id() -> String {
        Uuid::new_v4().to_string()
    }
}

/// Which dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterChoice {
    /// These, each of which must be there and open; without, all that are open.
    pub numbers: Option<Vec<u64>>,
    /// Of this source only.
    pub source: Option<String>,
    /// Of this topic only.
    pub topic: Option<String>,
    /// With this code only.
    pub code: Option<String>,
    /// Numbers greater than this one only.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: u64,
}

/// What became of the dead letters that were chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Letters that are settled now.
    pub settled: u64,
    /// Events that they became.
    pub events: u64,
    /// Letters that still cannot be decoded.
    pub failed: u64,
    /// Why, of the first of them.
    pub failures: Vec<LetterFailure>,
    /// Where the last of what was appended stands.
    pub position: Option<Position>,
    /// The last number that was looked at, where the limit was reached.
    pub stopped_at: Option<u64>,
}

/// A dead letter that still cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterFailure {
    /// Which.
    pub number: u64,
    /// A stable name of the reason that there is now.
    pub code: String,
    /// The reason, for a person, with what to do.
    pub reason: String,
}
