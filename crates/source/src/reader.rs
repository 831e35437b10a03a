//! Cutting a stream of bytes into chunks of whole lines.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memrchr};

use crate::{
    Mark,
    chunk::{Chunk, Shape},
    digest::RollingDigest,
};

/// A line of this many bytes or more is not read as one: it is handed on as overlong.
pub const LINE_LIMIT_BYTES: usize = 50_000_000;

/// How much of an overlong line is kept.
pub const KEPT_OF_OVERLONG_BYTES: usize = 64 * 1024;

/// Bytes read at once; chunks are about as large.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Reads chunks of whole lines. Memory is bounded by [`LINE_LIMIT_BYTES`] and a chunk.
pub(crate) struct LineReader<R> {
    inner: R,
    limits: Limits,
    /// Where the next chunk begins.
    at: Mark,
    /// Of everything before `at`.
    digest: RollingDigest,
    /// Read, but not handed on; `at` is its beginning.
    rest: Vec<u8>,
    /// How much of `rest` is known to hold no line end.
    searched: usize,
    /// Met after lines that had to be handed on first.
    failed: Option<io::Error>,
}

/// What a test may make small.
#[derive(Debug, Clone, Copy)]
struct Limits {
    line: usize,
    kept: usize,
    chunk: usize,
}

impl<R: Read> LineReader<R> {
    /// `inner` stands at `at`, and `digest` is of everything before.
    pub(crate) fn new(inner: R, at: Mark, digest: RollingDigest) -> Self {
        let limits = Limits { line: LINE_LIMIT_BYTES, kept: KEPT_OF_OVERLONG_BYTES, chunk: CHUNK_BYTES };
        Self { inner, limits, at, digest, rest: Vec::new(), searched: 0, failed: None }
    }

    /// Where the next chunk begins.
    pub(crate) fn at(&self) -> Mark {
        self.at
    }

    /// The next lines, or None at the end of what there is now. A last line without an end is kept back: it is
    /// [`Self::take_unended`], or the next call finds its end if more has come.
    pub(crate) fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        loop {
            if let Some(last) = memrchr(b'\n', &self.rest[self.searched..]) {
                let after = self.rest.split_off(self.searched + last + 1);
                let lines = std::mem::replace(&mut self.rest, after);
                self.searched = self.rest.len();
                return Ok(Some(self.chunk_of(lines)));
            }
            self.searched = self.rest.len();
            if self.rest.len() >= self.limits.line {
                return self.read_overlong().map(Some);
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// The last line, which has no end, as it stands; None if there is no such line.
    pub(crate) fn take_unended(&mut self) -> Option<Chunk> {
        if self.rest.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.rest);
        self.searched = 0;
        self.digest.update(&bytes);
        Some(self.advance(bytes.len() as u64, 0, bytes, Shape::Unended))
    }

    /// Adds up to a chunk of bytes to `rest`; none only at the end. What was read before an error is handed on
    /// first.
    fn fill(&mut self) -> io::Result<usize> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let before = self.rest.len();
        self.rest.reserve(self.limits.chunk);
        let read = (&mut self.inner).take(self.limits.chunk as u64).read_to_end(&mut self.rest);
        match (read, self.rest.len() - before) {
            (Err(error), 0) => Err(error),
            (Err(error), read) => {
                self.failed = Some(error);
                Ok(read)
            }
            (Ok(_), read) => Ok(read),
        }
    }

    /// A chunk of lines with their ends. Only the first can be overlong, since only it can be longer than one
    /// read.
    fn chunk_of(&mut self, mut lines: Vec<u8>) -> Chunk {
        let first = memchr(b'\n', &lines).expect("lines have ends");
        if first < self.limits.line {
            self.digest.update(&lines);
            let ends = memchr_iter(b'\n', &lines).count() as u64;
            return self.advance(lines.len() as u64, ends, lines, Shape::Lines);
        }
        let mut after = lines.split_off(first + 1);
        after.append(&mut self.rest);
        self.rest = after;
        self.searched = 0;
        self.digest.update(&lines);
        lines.truncate(self.limits.kept);
        self.advance(first as u64 + 1, 1, lines, Shape::Overlong { length: first as u64 })
    }

    /// Reads to the end of a line whose beginning fills `rest`, and keeps only the beginning.
    fn read_overlong(&mut self) -> io::Result<Chunk> {
        let mut kept = std::mem::take(&mut self.rest);
        self.digest.update(&kept);
        let mut length = kept.len() as u64;
        kept.truncate(self.limits.kept);
        kept.shrink_to_fit();
        loop {
            if self.fill()? == 0 {
                self.searched = 0;
                return Ok(self.advance(length, 0, kept, Shape::Overlong { length }));
            }
            if let Some(end) = memchr(b'\n', &self.rest) {
                let after = self.rest.split_off(end + 1);
                self.digest.update(&self.rest);
                length += end as u64;
                self.rest = after;
                self.searched = 0;
                return Ok(self.advance(length + 1, 1, kept, Shape::Overlong { length }));
            }
            self.digest.update(&self.rest);
            length += self.rest.len() as u64;
            self.rest.clear();
        }
    }

    /// A chunk of what was taken into the digest.
    fn advance(&mut self, consumed: u64, lines: u64, bytes: Vec<u8>, shape: Shape) -> Chunk {
        let from = self.at;
        self.at = Mark { bytes: from.bytes + consumed, digest: self.digest.digest(), lines: from.lines + lines };
        Chunk { from, to: self.at, bytes, shape }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::LineContent;

    fn small(bytes: &[u8]) -> LineReader<&[u8]> {
        let mut reader = LineReader::new(bytes, Mark::start(), RollingDigest::new());
        reader.limits = Limits { line: 10, kept: 4, chunk: 7 };
        reader
    }

    /// Lines as (number, start, text), an overlong one with its length, and the last mark.
    fn read(bytes: &[u8]) -> (Vec<(u64, u64, String)>, Mark) {
        let mut reader = small(bytes);
        let mut lines = Vec::new();
        let mut take = |chunk: &Chunk| {
            for line in chunk.lines() {
                let text = match line.content {
                    LineContent::Whole(text) => String::from_utf8(text.to_vec()).unwrap(),
                    LineContent::Overlong { beginning, length } => {
                        format!("{}…{length}", String::from_utf8(beginning.to_vec()).unwrap())
                    }
                };
                lines.push((line.number, line.start, text));
            }
        };
        while let Some(chunk) = reader.next_chunk().unwrap() {
            take(&chunk);
        }
        if let Some(chunk) = reader.take_unended() {
            assert!(chunk.is_unended());
            take(&chunk);
        }
        (lines, reader.at())
    }

    #[test]
    fn overlong_lines_keep_their_beginning_and_nothing_else() {
        let (lines, end) = read(b"one\n0123456789\ntwo\n0123456789012345678901234567890\nend");
        let texts: Vec<_> = lines.iter().map(|(number, start, text)| (*number, *start, text.as_str())).collect();
        assert_eq!(texts, [(1, 0, "one"), (2, 4, "0123…10"), (3, 15, "two"), (4, 19, "0123…31"), (5, 51, "end")]);
        assert_eq!((end.bytes, end.lines), (54, 4));
    }

    #[test]
    fn an_error_comes_after_the_lines_before_it() {
        struct Broken(bool);
        impl Read for Broken {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                buffer[..6].copy_from_slice(b"one\ntw");
                Ok(6)
            }
        }
        let mut reader = LineReader::new(Broken(false), Mark::start(), RollingDigest::new());
        assert_eq!(reader.next_chunk().unwrap().unwrap().to.bytes, 4);
        assert_eq!(reader.next_chunk().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    proptest! {
        /// However the bytes fall into reads, the lines, their places and the digest are those of the whole.
        #[test]
        fn lines_are_those_of_a_naive_split(lines in prop::collection::vec("[a-c]{0,24}", 0..20), ended: bool) {
            let mut text = lines.join("\n");
            if ended {
                text.push('\n');
            }
            let mut expected = Vec::new();
            let mut start = 0;
            let mut naive: Vec<_> = text.split('\n').collect();
            if naive.last() == Some(&"") {
                naive.pop();
            }
            for (index, line) in naive.iter().enumerate() {
                let shown = if line.len() >= 10 { format!("{}…{}", &line[..4], line.len()) } else { (*line).to_owned() };
                expected.push((index as u64 + 1, start, shown));
                start += line.len() as u64 + 1;
            }
            // A last overlong line without an end is never "unended": nothing of it is waited for.
            let last_is_overlong = naive.last().is_some_and(|line| line.len() >= 10);
            prop_assume!(ended || !last_is_overlong);
            let (read, end) = read(text.as_bytes());
            prop_assert_eq!(read, expected);
            let mut digest = RollingDigest::new();
            digest.update(text.as_bytes());
            let ends = text.matches('\n').count() as u64;
            prop_assert_eq!(end, Mark { bytes: text.len() as u64, digest: digest.digest(), lines: ends });
        }
    }
}
