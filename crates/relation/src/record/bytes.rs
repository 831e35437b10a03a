//! Records as bytes.

use deltafold_event::Row;

use super::Record;
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

impl Record {
    /// A format byte and postcard, without the JSON of the row that is shown: a view keeps that beside.
    pub fn to_bytes(&self) -> Vec<u8> {
        let capacity = 192 + self.given.as_ref().map_or(0, |given| given.json.len());
        let mut bytes = Vec::with_capacity(capacity);
        bytes.push(FORMAT);
        match self.rows.split_last() {
            None => postcard::to_extend(self, bytes).expect("writing to memory does not fail"),
            Some((shown, below)) => {
                let mut rows = below.to_vec();
                rows.push(Row { json: String::new(), incomplete: shown.incomplete });
                let without = Self { rows, ..self.clone() };
                postcard::to_extend(&without, bytes).expect("writing to memory does not fail")
            }
        }
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
