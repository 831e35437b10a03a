//! From records to events and dead letters.

mod lines;
mod records;

use deltafold_cdc::{DecodeError, Decoded, Decoder, DecoderConfig, Record};

use crate::{
    registry::{Claimed, Registry},
    work::Work,
};

pub(crate) use self::{lines::LineDecoder, records::RecordDecoder};

/// What decoding is the same for, wherever records come from.
struct Admission {
    decoder: Decoder,
    registry: Registry,
    decoded: Vec<Decoded>,
}

/// Why a record is set aside.
struct Reason {
    code: &'static str,
    text: String,
}

impl From<DecodeError> for Reason {
    fn from(error: DecodeError) -> Self {
        Self { code: error.code(), text: error.to_string() }
    }
}

impl Admission {
    fn new(config: DecoderConfig, registry: Registry) -> Self {
        Self { decoder: Decoder::new(config), registry, decoded: Vec::new() }
    }

    /// Adds a record's events, with the control events that they need; those of one record stand or fall together,
    /// for they are of one table.
    fn admit(&mut self, record: &Record<'_>, work: &mut Work) -> Result<(), Reason> {
        self.decoded.clear();
        if let Some(kind) = self.decoder.decode(record, &mut self.decoded)? {
            *work.ignored.entry(kind).or_default() += 1;
        }
        for decoded in self.decoded.drain(..) {
            self.registry
                .admit(decoded, &mut work.events)
                .map_err(|claimed| Reason { code: Claimed::CODE, text: claimed.reason })?;
            work.from_records += 1;
        }
        Ok(())
    }
}
