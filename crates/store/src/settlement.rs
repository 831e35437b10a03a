//! What became of dead letters.

use deltafold_event::{Coordinates, Event, EventId, Identity, Position, StoredEvent, Timestamp, control};
use serde::{Deserialize, Serialize};

use crate::{DeadLetter, LetterId};

/// What became of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was decoded after all.
    Retried {
        /// What it became, in order; none of what is understood and has no event in it.
        events: Vec<EventId>,
        /// What it is if it has no event in it: `heartbeat`, `tombstone`, …
        ignored: Option<String>,
    },
    /// It was given up.
    Discarded {
        /// Why.
        reason: String,
    },
}

/// What became of a dead letter, through whom, and where that is on record: its `$dead_letter` event, of which there is
/// at most one ([`crate::Conflict::Claimed`]), in the commit of the events that it became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// What became of it.
    pub outcome: Outcome,
    /// Who has asked for it.
    pub by: String,
    /// Where it is on record.
    pub position: Position,
    /// Since when.
    pub recorded_at: Timestamp,
}

/// Where a dead letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LetterState {
    /// It waits.
    Open,
    /// It was decoded after all.
    Retried,
    /// It was given up.
    Discarded,
}

impl LetterState {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Open, Self::Retried, Self::Discarded];

    /// Its name; of those that are not open, the type of the event that says so.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Retried => "retried",
            Self::Discarded => "discarded",
        }
    }
}

/// The `after` of a `$dead_letter` event.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    number: u64,
    code: String,
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    events: Option<Vec<EventId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ignored: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Outcome {
    /// Where the letter stands with it.
    pub fn state(&self) -> LetterState {
        match self {
            Self::Retried { .. } => LetterState::Retried,
            Self::Discarded { .. } => LetterState::Discarded,
        }
    }

    /// The event that says so of the letter with this number. It goes into the commit of the events that the letter
    /// became, and makes it one that can be made once.
    pub fn event(&self, number: u64, letter: &DeadLetter, by: &str, occurred_at: Timestamp) -> Event {
        let id = letter.id().to_string();
        let (events, ignored, reason) = match self {
            Self::Retried { events, ignored } => (Some(events.clone()), ignored.clone(), None),
            Self::Discarded { reason } => (None, None, Some(reason.clone())),
        };
        let said = Said { number, code: letter.code.clone(), by: by.to_owned(), events, ignored, reason };
        Event {
            id: Identity::domain().text(Some(control::DEAD_LETTER)).text(Some(&id)).id(),
            aggregate_type: control::DEAD_LETTER.into(),
            aggregate_id: Some(id),
            event_type: self.state().name().into(),
            operation: None,
            before: None,
            after: Some(serde_json::to_string(&said).expect("numbers and texts are always JSON")),
            metadata: "{}".to_owned(),
            source_position: None,
            transaction_id: None,
            occurred_at,
            coordinates: Coordinates {
                source: letter.source.as_str().into(),
                topic: letter.topic.as_str().into(),
                partition: letter.partition,
                offset: letter.offset,
            },
            schema_id: None,
        }
    }
}

impl Settlement {
    /// From a `$dead_letter` event: whose, and what.
    pub(crate) fn of(stored: &StoredEvent) -> Result<(LetterId, Self), String> {
        let event = &stored.event;
        let broken = |what: &dyn std::fmt::Display| format!("its $dead_letter event at {}: {what}", stored.position);
        let id = event.aggregate_id.as_deref().unwrap_or_default().parse().map_err(|error| broken(&error))?;
        let said: Said =
            serde_json::from_str(event.after.as_deref().unwrap_or_default()).map_err(|error| broken(&error))?;
        let outcome = match &*event.event_type {
            "discarded" => Outcome::Discarded { reason: said.reason.unwrap_or_default() },
            _ => Outcome::Retried { events: said.events.unwrap_or_default(), ignored: said.ignored },
        };
        Ok((id, Self { outcome, by: said.by, position: stored.position, recorded_at: stored.recorded_at }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_event_says_is_what_became_of_the_letter() {
        let letter = DeadLetter {
            source: "file".into(),
            topic: "file/1".into(),
            partition: 0,
            offset: 3,
            file: Some("a.jsonl".into()),
            line: Some(3),
            timestamp_ms: None,
            key: None,
            value: Some(b"{".to_vec()),
            headers: String::new(),
            code: "truncated_json".into(),
            reason: "cut off".into(),
            recorded_at: Timestamp::from_micros(0),
        };
        let now = Timestamp::from_micros(5);
        for outcome in [
            Outcome::Retried { events: vec![EventId::from_bytes([7; 16])], ignored: None },
            Outcome::Retried { events: Vec::new(), ignored: Some("heartbeat".into()) },
            Outcome::Discarded { reason: "a \"test\"".into() },
        ] {
            let event = outcome.event(12, &letter, "ops", now);
            let stored = StoredEvent { position: Position::ZERO, recorded_at: now, event };
            let settlement = Settlement { outcome, by: "ops".into(), position: Position::ZERO, recorded_at: now };
            assert_eq!(Settlement::of(&stored), Ok((letter.id(), settlement)));
        }
    }
}
