//! Records as bytes.

use deltafold_event::{EventId, Operation, OrderKey, Position, Row, Timestamp};
use serde::{
    Serialize,
    ser::{SerializeSeq, Serializer},
};

use super::{Given, Record, RecordKind, Since};
use crate::Last;

/// The first byte of [`Record::to_bytes`].
const FORMAT: u8 = 1;

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

/// A [`Record`] as it is written: its members in their order, but for the JSON of the row that is shown.
#[derive(Serialize)]
struct Written<'a> {
    order: &'a OrderKey,
    valid_from: Timestamp,
    recorded_from: Position,
    position: Position,
    id: EventId,
    revision: u64,
    kind: RecordKind,
    operation: Option<Operation>,
    event_type: &'a str,
    occurred_at: Timestamp,
    log_valid_from: Timestamp,
    transaction: Option<&'a str>,
    given: Option<&'a Given>,
    rows: Rows<'a>,
    moved_from: Option<&'a str>,
    moved_to: Option<&'a str>,
    took: Option<&'a Row>,
    since: Since,
}

struct Rows<'a>(&'a [Row]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.0.len()))?;
        if let Some((shown, below)) = self.0.split_last() {
            for row in below {
                rows.serialize_element(row)?;
            }
            rows.serialize_element(&Row { json: String::new(), incomplete: shown.incomplete })?;
        }
        rows.end()
    }
}

impl Record {
    /// A format byte and postcard, without the JSON of the row that is shown: a view keeps that beside.
    pub fn to_bytes(&self) -> Vec<u8> {
        let capacity = 192 + self.given.as_ref().map_or(0, |given| given.json.len());
        let mut bytes = Vec::with_capacity(capacity);
        bytes.push(FORMAT);
        let written = Written {
            order: &self.order,
            valid_from: self.valid_from,
            recorded_from: self.recorded_from,
            position: self.position,
            id: self.id,
            revision: self.revision,
            kind: self.kind,
            operation: self.operation,
            event_type: &self.event_type,
            occurred_at: self.occurred_at,
            log_valid_from: self.log_valid_from,
            transaction: self.transaction.as_deref(),
            given: self.given.as_ref(),
            rows: Rows(&self.rows),
            moved_from: self.moved_from.as_deref(),
            moved_to: self.moved_to.as_deref(),
            took: self.took.as_ref(),
            since: self.since,
        };
        postcard::to_extend(&written, bytes).expect("writing to memory does not fail")
    }

    /// From [`Self::to_bytes`] and the JSON of the row shown.
    ///
    /// # Errors
    /// When the bytes are of another format or damaged, or the row is missing.
    pub fn from_bytes(bytes: &[u8], shown: Option<&str>) -> Result<Self, RecordError> {
        let mut record: Self = match bytes.split_first() {
            Some((&FORMAT, rest)) => {
                postcard::from_bytes(rest).map_err(|error| RecordError::Damaged(error.to_string()))?
            }
            Some((&other, _)) => return Err(RecordError::Format(other)),
            None => return Err(RecordError::Damaged("no bytes".to_owned())),
        };
        match (record.rows.last_mut(), shown) {
            (Some(row), Some(json)) => row.json = json.to_owned(),
            (None, None) => {}
            (Some(_), None) => return Err(RecordError::Damaged("its row is missing".to_owned())),
            (None, Some(_)) => return Err(RecordError::Damaged("a row stands beside it, and it has none".to_owned())),
        }
        Ok(record)
    }
}

impl Last {
    /// The number of revisions (u64, big-endian), then [`Record::to_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.revisions.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.record.to_bytes());
        bytes
    }

    /// From [`Self::to_bytes`] and the JSON of the row shown.
    ///
    /// # Errors
    /// As [`Record::from_bytes`].
    pub fn from_bytes(bytes: &[u8], shown: Option<&str>) -> Result<Self, RecordError> {
        let Some((revisions, record)) = bytes.split_first_chunk::<8>() else {
            return Err(RecordError::Damaged("too short".to_owned()));
        };
        Ok(Self { record: Record::from_bytes(record, shown)?.into(), revisions: u64::from_be_bytes(*revisions) })
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
            rows: vec![Row::new("{}"), Row { json: r#"{"a":1}"#.into(), incomplete: true }],
            moved_from: None,
            moved_to: None,
            took: None,
            since: Since { valid_from, recorded_from: position, id },
        }
    }

    /// Frozen: views on disk are read by later builds. Another layout needs another format byte.
    #[test]
    fn bytes_never_change() {
        let hex: String = record().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "01000950000000000000000512000e848080088480800810010101010101010101010101010101010300010107757064617465640e0e\
             01017401027b7d01016102027b7d0000010000000e848080081001010101010101010101010101010101"
        );
    }

    #[test]
    fn bytes_round_trip_with_the_row_beside_them() {
        let bytes = record().to_bytes();
        assert_eq!(Record::from_bytes(&bytes, Some(r#"{"a":1}"#)), Ok(record()));
        assert!(Record::from_bytes(&bytes, None).is_err());
        assert_eq!(Record::from_bytes(&[9, 0], None), Err(RecordError::Format(9)));
        assert!(Record::from_bytes(&bytes[..bytes.len() - 1], Some("{}")).is_err());
        let last = Last { record: record().into(), revisions: 4 };
        assert_eq!(Last::from_bytes(&last.to_bytes(), Some(r#"{"a":1}"#)), Ok(last));
    }
}
