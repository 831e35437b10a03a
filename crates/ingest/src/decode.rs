//! From records to events and dead letters.

mod letters;
mod lines;
mod records;

use std::sync::Arc;

use deltafold_cdc::{DecodeError, Decoded, Decoder, DecoderConfig, Ignored, Limits, Record, transaction_end};
use deltafold_event::Coordinates;

use crate::{
    registry::{Claimed, Registry},
    work::Work,
};

pub(crate) use self::{letters::LetterDecoder, lines::LineDecoder, records::RecordDecoder};

/// What decoding is the same for, wherever records come from.
struct Admission {
    source: Arc<str>,
    limits: Limits,
    decoder: Decoder,
    decoded: Vec<Decoded>,
}

/// Why a record is set aside.
#[derive(Debug)]
pub(crate) struct Reason {
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

/// A line of which only the beginning is kept.
const OVERLONG_LINE: &str = "overlong_line";

impl From<DecodeError> for Reason {
    fn from(error: DecodeError) -> Self {
        Self { code: error.code(), text: error.to_string() }
    }
}

impl Admission {
    fn new(config: DecoderConfig) -> Self {
        Self {
            source: Arc::clone(&config.source),
            limits: config.limits,
            decoder: Decoder::new(config),
            decoded: Vec::new(),
        }
    }

    /// Adds a record's events, with the control events that they need; those of one record stand or fall together,
    /// for they are of one table. Some(…): the record is understood and has none.
    fn admit(
        &mut self,
        record: &Record<'_>,
        registry: &mut Registry,
        work: &mut Work,
    ) -> Result<Option<Ignored>, Reason> {
        self.decoded.clear();
        let ignored = self.decoder.decode(record, &mut self.decoded)?;
        if let Some(kind) = ignored {
            *work.ignored.entry(kind).or_default() += 1;
            if kind == Ignored::Transaction {
                self.note_end(record, work);
            }
        }
        for decoded in self.decoded.drain(..) {
            registry
                .admit(decoded, &mut work.events)
                .map_err(|claimed| Reason { code: Claimed::CODE, text: claimed.reason })?;
            work.from_records += 1;
        }
        Ok(ignored)
    }

    /// Keeps what a record says of the end of a transaction.
    fn note_end(&self, record: &Record<'_>, work: &mut Work) {
        let Some(end) = transaction_end(record, &self.limits) else { return };
        work.ended.push(end);
        work.ended_at = Some(Coordinates {
            source: Arc::clone(&self.source),
            topic: record.topic.into(),
            partition: record.partition,
            offset: record.offset,
        });
    }
}
