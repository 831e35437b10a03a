//! Decoding chunks of lines.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use deltafold_cdc::{DecodeError, Decoded, Decoder, DecoderConfig, Ignored, LineHome, LineReader};
use deltafold_event::Event;
use deltafold_source::{AppId, Chunk, LINE_LIMIT_BYTES, Line, LineContent, Mark};
use deltafold_store::DeadLetter;

use crate::{
    clock::now,
    registry::{Claimed, Registry},
};

/// What came of a chunk, or of several.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// In the order of the lines, control events among them.
    pub(crate) events: Vec<Event>,
    /// How many of them came from lines.
    pub(crate) from_lines: u64,
    pub(crate) letters: Vec<DeadLetter>,
    /// Up to this byte every dead letter is recorded once `letters` are.
    pub(crate) letters_to: u64,
    pub(crate) ignored: BTreeMap<Ignored, u64>,
    /// Where the lines end that are taken care of; None while that is where they began.
    pub(crate) to: Option<Mark>,
    /// Bytes of lines.
    pub(crate) bytes: u64,
}

impl Work {
    /// Adds what came next.
    pub(crate) fn append(&mut self, next: Self) {
        self.events.extend(next.events);
        self.from_lines += next.from_lines;
        self.letters.extend(next.letters);
        self.letters_to = self.letters_to.max(next.letters_to);
        for (kind, count) in next.ignored {
            *self.ignored.entry(kind).or_default() += count;
        }
        self.to = next.to.or(self.to);
        self.bytes += next.bytes;
    }
}

/// Turns the chunks of one file into events and dead letters.
pub(crate) struct FileDecoder {
    app_id: AppId,
    name: String,
    source: Arc<str>,
    lines: LineReader,
    decoder: Decoder,
    registry: Registry,
    /// Dead letters of lines that end up to here were recorded by an earlier attempt.
    recorded_to: u64,
    decoded: Vec<Decoded>,
}

/// Why a line is set aside.
struct Reason {
    code: &'static str,
    text: String,
}

impl From<DecodeError> for Reason {
    fn from(error: DecodeError) -> Self {
        Self { code: error.code(), text: error.to_string() }
    }
}

impl FileDecoder {
    pub(crate) fn new(path: &Path, app_id: AppId, config: DecoderConfig, registry: Registry, recorded_to: u64) -> Self {
        Self {
            app_id,
            name: path.display().to_string(),
            source: Arc::clone(&config.source),
            lines: LineReader::new(config.limits),
            decoder: Decoder::new(config),
            registry,
            recorded_to,
            decoded: Vec::new(),
        }
    }

    pub(crate) fn decode(&mut self, chunk: &Chunk) -> Work {
        let mut work = Work {
            events: Vec::with_capacity(chunk.size_bytes() / 512),
            letters_to: chunk.to.bytes,
            to: Some(chunk.to),
            bytes: chunk.to.bytes - chunk.from.bytes,
            ..Work::default()
        };
        for line in chunk.lines() {
            let Err(reason) = self.line(&line, &mut work) else { continue };
            // What the last line of a file lacks may be written yet: it is set aside, but read again next time.
            if chunk.is_unended() && is_incomplete(&line) {
                work.to = None;
            }
            let (end, letter) = self.letter(&line, reason);
            if end > self.recorded_to {
                work.letters.push(letter);
            }
        }
        work
    }

    fn line(&mut self, line: &Line<'_>, work: &mut Work) -> Result<(), Reason> {
        let text = match line.content {
            LineContent::Whole(text) => text,
            LineContent::Overlong { length, .. } => {
                let text = format!(
                    "the line has {length} bytes, and {LINE_LIMIT_BYTES} are too many: only its beginning is kept here, \
                     the rest is in the file from byte {}",
                    line.start
                );
                return Err(Reason { code: "overlong_line", text });
            }
        };
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let home = LineHome { topic: self.app_id.as_str(), line: i64::try_from(line.number).unwrap_or(i64::MAX) };
        let record = self.lines.read(text, home)?;
        self.decoded.clear();
        if let Some(kind) = self.decoder.decode(&record, &mut self.decoded)? {
            *work.ignored.entry(kind).or_default() += 1;
        }
        // A record's events stand or fall together: those of one record are of one table.
        for decoded in self.decoded.drain(..) {
            self.registry
                .admit(decoded, &mut work.events)
                .map_err(|claimed| Reason { code: Claimed::CODE, text: claimed.reason })?;
            work.from_lines += 1;
        }
        Ok(())
    }

    /// The dead letter of a line, and where the line's content ends.
    fn letter(&self, line: &Line<'_>, reason: Reason) -> (u64, DeadLetter) {
        let (value, length) = match line.content {
            LineContent::Whole(text) => (text, text.len() as u64),
            LineContent::Overlong { beginning, length } => (beginning, length),
        };
        let letter = DeadLetter {
            source: self.source.to_string(),
            topic: self.app_id.as_str().to_owned(),
            partition: 0,
            offset: i64::try_from(line.number).unwrap_or(i64::MAX),
            file: Some(self.name.clone()),
            line: Some(line.number),
            key: None,
            value: Some(value.to_vec()),
            headers: String::new(),
            code: reason.code.to_owned(),
            reason: reason.text,
            recorded_at: now(),
        };
        (line.start + length, letter)
    }
}

/// Whether more text could make a line whole.
fn is_incomplete(line: &Line<'_>) -> bool {
    match line.content {
        LineContent::Whole(text) => serde_json::from_slice::<serde::de::IgnoredAny>(text).is_err(),
        LineContent::Overlong { .. } => false,
    }
}
