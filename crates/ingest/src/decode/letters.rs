//! Decoding dead letters once more.

use std::collections::HashMap;

use deltafold_cdc::{DecoderConfig, Headers, Ignored, LineHome, LineReader, Record};
use deltafold_store::DeadLetter;

use super::{Admission, OVERLONG_LINE, Reason};
use crate::{registry::Registry, work::Work};

/// Turns dead letters of any sources into events, as the records would be decoded today: with the coordinates that they
/// were read at.
pub(crate) struct LetterDecoder {
    /// By source.
    decoders: HashMap<String, SourceDecoder>,
    registry: Registry,
}

struct SourceDecoder {
    lines: LineReader,
    admission: Admission,
}

impl LetterDecoder {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { decoders: HashMap::new(), registry }
    }

    /// Adds what a letter becomes; `config` says how records of its source are decoded.
    pub(crate) fn decode(
        &mut self,
        letter: &DeadLetter,
        config: impl FnOnce(&str) -> DecoderConfig,
        work: &mut Work,
    ) -> Result<Option<Ignored>, Reason> {
        if !self.decoders.contains_key(&letter.source) {
            let config = DecoderConfig { source: letter.source.as_str().into(), ..config(&letter.source) };
            let decoder = SourceDecoder { lines: LineReader::new(config.limits), admission: Admission::new(config) };
            self.decoders.insert(letter.source.clone(), decoder);
        }
        let SourceDecoder { lines, admission } = self.decoders.get_mut(&letter.source).expect("inserted above");
        let record = match letter.line {
            Some(_) if letter.code == OVERLONG_LINE => return Err(cut_off(letter)),
            Some(_) => {
                let home = LineHome { topic: &letter.topic, line: letter.offset };
                lines.read(letter.value.as_deref().unwrap_or_default(), home)?
            }
            None => Record {
                topic: &letter.topic,
                partition: letter.partition,
                offset: letter.offset,
                timestamp_ms: letter.timestamp_ms,
                key: letter.key.as_deref(),
                value: letter.value.as_deref(),
                headers: if letter.headers.is_empty() { Headers::None } else { Headers::Json(&letter.headers) },
            },
        };
        admission.admit(&record, &mut self.registry, work)
    }
}

fn cut_off(letter: &DeadLetter) -> Reason {
    let file = letter.file.as_deref().unwrap_or(&letter.topic);
    let text = format!(
        "only the beginning of this line is kept, so it cannot be retried: the whole of it is line {} of {file}; make it \
         shorter and ingest it as a file of its own, then discard this one",
        letter.offset
    );
    Reason { code: OVERLONG_LINE, text }
}
