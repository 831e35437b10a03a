//! What reads give.

use deltafold_event::{EventId, Position, Timestamp};

use crate::{Entry, Stored};

/// A point in both times: what was recorded at or before `position` says of the moment `time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct At {
    /// The valid moment; [`Timestamp::MAX`] is now.
    pub time: Timestamp,
    /// The last position that counts; [`Position::MAX`] is everything recorded so far.
    pub position: Position,
}

impl At {
    /// As things are now, by everything recorded.
    pub const NOW: Self = Self { time: Timestamp::MAX, position: Position::MAX };

    /// As of a moment, by everything recorded.
    pub fn time(time: Timestamp) -> Self {
        Self { time, ..Self::NOW }
    }

    /// As things stood at a position.
    pub fn position(position: Position) -> Self {
        Self { position, ..Self::NOW }
    }

    /// Whether it is [`Self::NOW`].
    pub fn is_now(&self) -> bool {
        *self == Self::NOW
    }

    /// Whether an entry counts that was believed from `from` until `to`.
    pub(crate) fn believes(&self, from: Position, to: Option<Position>) -> bool {
        from <= self.position && to.is_none_or(|to| self.position < to)
    }
}

/// One version of a row: its content over a stretch of valid time.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// The aggregate id.
    pub key: Box<str>,
    /// Where its stretch of valid time begins. It ends where [`crate::Reader::valid_to`] says.
    pub valid_from: Timestamp,
    /// The position from which it was believed.
    pub recorded_from: Position,
    /// The position from which it was believed no longer; none: it still is.
    pub recorded_to: Option<Position>,
    /// The event that began it.
    pub event: Option<EventId>,
    /// Whether an unchanged value could not be found, so that it stands as null.
    pub incomplete: bool,
    /// The revision of the newest event in its stretch (at the moment read); 0 when that is not an event of its own.
    pub revision: u64,
    /// The position of that event.
    pub position: Position,
    entry: Stored,
}

impl Version {
    /// The version an entry shows; none when the row was absent.
    pub(crate) fn new(key: &str, entry: Stored, recorded_to: Option<Position>) -> Option<Self> {
        let Entry {
            since_valid_from: valid_from,
            since_recorded_from: recorded_from,
            event,
            revision,
            position,
            incomplete,
            row,
            ..
        } = entry.entry();
        row?;
        Some(Self {
            key: key.into(),
            valid_from,
            recorded_from,
            recorded_to,
            event,
            incomplete,
            revision,
            position,
            entry,
        })
    }

    /// The row: a JSON object of canonical values.
    pub fn row(&self) -> &str {
        self.entry.row().expect("a version is made of an entry with a row")
    }

    /// The entry that was read: the newest at or before the moment asked for.
    pub fn entry(&self) -> Entry<'_> {
        self.entry.entry()
    }
}
