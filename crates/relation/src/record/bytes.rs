//! Records as bytes.

use std::borrow::Cow;

use deltafold_event::{EventId, Operation, OrderKey, Position, Row, Timestamp};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{Given, Record, RecordKind, Since, Stack};
use crate::Last;

/// The first byte of [`Record::to_bytes`].
const FORMAT: u8 = 3;

/// How long most records are at the most, as bytes.
const TYPICAL_BYTES: usize = 128;

/// A record as bytes; mostly short enough for no allocation.
type Bytes = SmallVec<[u8; TYPICAL_BYTES]>;

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by another version.
    #[error("a record of format {0}, where this build reads {FORMAT}: rebuild the view")]
    Format(u8),
    /// Damaged.
    #[error("a record that cannot be read: {0}: rebuild the view")]
    Damaged(String),
}

/// What a view keeps of a record to find and show it, and [`Record::to_bytes`] leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside<'a> {
    /// As [`Record::order`].
    pub order: OrderKey,
    /// As [`Record::valid_from`].
    pub valid_from: Timestamp,
    /// As [`Record::recorded_from`].
    pub recorded_from: Position,
    /// As [`Record::position`].
    pub position: Position,
    /// As [`Record::revision`].
    pub revision: u64,
    /// As [`Record::since`].
    pub since: Since,
    /// The JSON of the row that is shown.
    pub shown: Option<&'a str>,
}

/// What is written of a [`Record`].
#[derive(Serialize, Deserialize)]
struct Written<'a> {
    /// None: the event that began the version shown.
    id: Option<EventId>,
    kind: RecordKind,
    operation: Option<Operation>,
    /// None: the operation's own.
    event_type: Option<&'a str>,
    /// None: when it became valid.
    occurred_at: Option<Timestamp>,
    /// None: when it became valid.
    log_valid_from: Option<Timestamp>,
    transaction: Option<&'a str>,
    given: Option<Cow<'a, Given>>,
    /// The rows under the one that is shown.
    below: Cow<'a, [Row]>,
    /// Of the row that is shown.
    incomplete: bool,
    moved_from: Option<&'a str>,
    moved_to: Option<&'a str>,
    took: Option<Cow<'a, Row>>,
}

impl Record {
    /// What a view keeps beside [`Self::to_bytes`].
    pub fn beside(&self) -> Beside<'_> {
        Beside {
            order: self.order.clone(),
            valid_from: self.valid_from,
            recorded_from: self.recorded_from,
            position: self.position,
            revision: self.revision,
            since: self.since,
            shown: self.shown().map(|row| row.json.as_str()),
        }
    }

    /// A format byte and postcard, without what is [`Beside`] it.
    pub fn to_bytes(&self) -> Bytes {
        let (shown, below) = self.rows.split_last().unzip();
        let event_type = &*self.event_type;
        let written = Written {
            id: (self.id != self.since.id).then_some(self.id),
            kind: self.kind,
            operation: self.operation,
            event_type: (self.operation.map(Operation::event_type) != Some(event_type)).then_some(event_type),
            occurred_at: (self.occurred_at != self.valid_from).then_some(self.occurred_at),
            log_valid_from: (self.log_valid_from != self.valid_from).then_some(self.log_valid_from),
            transaction: self.transaction.as_deref(),
            given: self.given.as_ref().map(Cow::Borrowed),
            below: below.unwrap_or_default().into(),
            incomplete: shown.is_some_and(|row| row.incomplete),
            moved_from: self.moved_from.as_deref(),
            moved_to: self.moved_to.as_deref(),
            took: self.took.as_ref().map(Cow::Borrowed),
        };
        let mut bytes = Bytes::from_elem(FORMAT, TYPICAL_BYTES);
        match postcard::to_slice(&written, &mut bytes[1..]) {
            Ok(written) => {
                let len = 1 + written.len();
                bytes.truncate(len);
                bytes
            }
            // It does not fit, and is written anew.
            Err(_) => postcard::to_extend(&written, vec![FORMAT]).expect("writing to memory does not fail").into(),
        }
    }

    /// From [`Self::to_bytes`] and what was kept beside it.
    ///
    /// # Errors
    /// When the bytes are of another format or damaged, or the row is missing.
    pub fn from_bytes(bytes: &[u8], beside: Beside<'_>) -> Result<Self, RecordError> {
        let damaged = |what: &str| RecordError::Damaged(what.to_owned());
        let written: Written<'_> = match bytes.split_first() {
            Some((&FORMAT, rest)) => {
                postcard::from_bytes(rest).map_err(|error| RecordError::Damaged(error.to_string()))?
            }
            Some((&other, _)) => return Err(RecordError::Format(other)),
            None => return Err(damaged("no bytes")),
        };
        let event_type = written.event_type.or(written.operation.map(Operation::event_type));
        let mut rows = Stack::from(written.below.into_owned());
        match beside.shown {
            Some(json) => rows.push(Row { json: json.to_owned(), incomplete: written.incomplete }),
            None if rows.is_empty() => {}
            None => return Err(damaged("its row is missing")),
        }
        Ok(Self {
            order: beside.order,
            valid_from: beside.valid_from,
            recorded_from: beside.recorded_from,
            position: beside.position,
            id: written.id.unwrap_or(beside.since.id),
            revision: beside.revision,
            kind: written.kind,
            operation: written.operation,
            event_type: event_type.ok_or_else(|| damaged("its event has no type"))?.into(),
            occurred_at: written.occurred_at.unwrap_or(beside.valid_from),
            log_valid_from: written.log_valid_from.unwrap_or(beside.valid_from),
            transaction: written.transaction.map(Into::into),
            given: written.given.map(Cow::into_owned),
            rows,
            moved_from: written.moved_from.map(str::to_owned),
            moved_to: written.moved_to.map(str::to_owned),
            took: written.took.map(Cow::into_owned),
            since: beside.since,
        })
    }
}

impl Last {
    /// What its bytes have after [`Record::to_bytes`]: the number of revisions, big-endian.
    pub fn tail_bytes(&self) -> [u8; 8] {
        self.revisions.to_be_bytes()
    }

    /// From [`Record::to_bytes`] and [`Self::tail_bytes`], and what was kept beside them.
    ///
    /// # Errors
    /// As [`Record::from_bytes`].
    pub fn from_bytes(bytes: &[u8], beside: Beside<'_>) -> Result<Self, RecordError> {
        let Some((record, revisions)) = bytes.split_last_chunk() else {
            return Err(RecordError::Damaged("too short".to_owned()));
        };
        Ok(Self { record: Record::from_bytes(record, beside)?.into(), revisions: u64::from_be_bytes(*revisions) })
    }
}

#[cfg(test)]
mod tests {
    use deltafold_event::SourcePosition;

    use super::*;

    fn record() -> Record {
        let (valid_from, id) = (Timestamp::from_micros(7), EventId::from_bytes([1; 16]));
        let position = Position::new(1, 2).unwrap();
        Record {
            order: OrderKey::log(SourcePosition::postgres(5), 9),
            valid_from,
            recorded_from: position,
            position,
            id,
            revision: 3,
            kind: RecordKind::Log,
            operation: Some(Operation::Update),
            event_type: "updated".into(),
            occurred_at: valid_from,
            log_valid_from: valid_from,
            transaction: Some("t".into()),
            given: Some(Given { json: "{}".into(), unchanged: vec!["a".into()] }),
            rows: [Row::new("{}"), Row { json: r#"{"a":1}"#.into(), incomplete: true }].into_iter().collect(),
            moved_from: None,
            moved_to: None,
            took: None,
            since: Since { valid_from, recorded_from: position, id },
        }
    }

    /// Frozen: views on disk are read by later builds. Another layout needs another format byte.
    #[test]
    fn bytes_never_change() {
        let hex = |record: &Record| record.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(&record()), "030000010100000001017401027b7d01016101027b7d0001000000");
        let other = Record {
            id: EventId::from_bytes([2; 16]),
            event_type: "paid".into(),
            occurred_at: Timestamp::from_micros(6),
            log_valid_from: Timestamp::MIN,
            moved_from: Some("4".into()),
            moved_to: Some("5".into()),
            took: Some(Row::new("{}")),
            ..record()
        };
        assert_eq!(
            hex(&other),
            "03011002020202020202020202020202020202000101010470616964010c01ffffffffffffffffff0101017401027b7d01016101027b7d000101013401013501027b7d00"
        );
        assert_eq!(Record::from_bytes(&other.to_bytes(), other.beside()), Ok(other));
    }

    #[test]
    fn bytes_round_trip_with_the_row_beside_them() {
        let (record, bytes) = (record(), record().to_bytes());
        assert_eq!(Record::from_bytes(&bytes, record.beside()).as_ref(), Ok(&record));
        assert!(Record::from_bytes(&bytes, Beside { shown: None, ..record.beside() }).is_err());
        assert_eq!(Record::from_bytes(&[9, 0], record.beside()), Err(RecordError::Format(9)));
        assert!(Record::from_bytes(&bytes[..bytes.len() - 1], record.beside()).is_err());
        let last = Last { record: record.into(), revisions: 4 };
        assert_eq!(
            Last::from_bytes(&[&bytes[..], &last.tail_bytes()].concat(), last.record.beside()),
            Ok(last.clone())
        );
    }
}
