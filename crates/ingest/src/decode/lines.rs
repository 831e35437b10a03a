//! Decoding chunks of lines.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use deltafold_cdc::{DecoderConfig, LineHome, LineReader};
use deltafold_source::{AppId, Chunk, LINE_LIMIT_BYTES, Line, LineContent};
use deltafold_store::DeadLetter;

use super::{Admission, Reason};
use crate::{
    clock::now,
    offset::offset_of,
    registry::Registry,
    work::{Reached, Work},
};

/// Turns the chunks of one file into events and dead letters.
pub(crate) struct LineDecoder {
    app_id: AppId,
    name: String,
    source: Arc<str>,
    lines: LineReader,
    admission: Admission,
    /// Dead letters of lines that end up to here were recorded by an earlier attempt.
    recorded_to: Option<i64>,
}

impl LineDecoder {
    pub(crate) fn new(
        path: &Path,
        app_id: AppId,
        config: DecoderConfig,
        registry: Registry,
        recorded_to: Option<i64>,
    ) -> Self {
        Self {
            app_id,
            name: path.display().to_string(),
            source: Arc::clone(&config.source),
            lines: LineReader::new(config.limits),
            admission: Admission::new(config, registry),
            recorded_to,
        }
    }

    pub(crate) fn decode(&mut self, chunk: &Chunk) -> Work {
        let mut work = Work {
            events: Vec::with_capacity(chunk.size_bytes() / 512),
            bytes: chunk.to.bytes - chunk.from.bytes,
            ..Work::default()
        };
        let mut reached = Reached {
            // A file that nothing was read of is one that the store has not seen.
            from: Some(offset_of(chunk.from.bytes)).filter(|bytes| *bytes > 0),
            to: Some(offset_of(chunk.to.bytes)),
            mark: Some(chunk.to),
            letters: 0,
            letters_from: self.recorded_to,
            letters_to: offset_of(chunk.to.bytes),
        };
        for line in chunk.lines() {
            let Err(reason) = self.line(&line, &mut work) else { continue };
            // What the last line of a file lacks may be written yet: it is set aside, but read again next time.
            if chunk.is_unended() && is_incomplete(&line) {
                (reached.to, reached.mark) = (None, None);
            }
            let (end, letter) = self.letter(&line, reason);
            if self.recorded_to.is_none_or(|recorded_to| offset_of(end) > recorded_to) {
                work.letters.push(letter);
                reached.letters += 1;
            }
        }
        work.reached = BTreeMap::from([(self.app_id.to_shared(), reached)]);
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
        self.admission.admit(&record, work)
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
