//! Why a record cannot become an event.

/// Why a record cannot become an event: what is wrong with it and what to do about it. The record becomes a dead
/// letter with this reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not UTF-8.
    #[error("byte {at} of the {what} is not UTF-8; if the record is in Avro or Protobuf, it needs a converter to JSON")]
    Utf8 {
        /// The line, the key or the value.
        what: &'static str,
        /// The first wrong byte, from 0.
        at: usize,
    },
}

impl DecodeError {
    /// A short name of the reason that never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Utf8 { .. } => "invalid_utf8",
        }
    }
}
