//! What a reader hands on.

use crate::Mark;

/// A stretch of a file: whole lines, or one line that is special in some way (overlong, or the last one, without
/// a line end).
#[derive(Debug)]
pub struct Chunk {
    /// Where it begins.
    pub from: Mark,
    /// Where it ends: what is remembered once everything in it is durable.
    pub to: Mark,
    pub(crate) bytes: Vec<u8>,
    pub(crate) shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Lines, each with its end.
    Lines,
    /// One line without an end, the last of the file.
    Unended,
    /// The first bytes of one line that is `length` bytes long.
    Overlong { length: u64 },
}

/// A line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// The offset of its first byte in the file, decompressed.
    pub start: u64,
    /// What it holds.
    pub content: LineContent<'a>,
}

/// What a line holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineContent<'a> {
    /// The line, without its end.
    Whole(&'a [u8]),
    /// The first bytes of a line that is longer than [`crate::LINE_LIMIT_BYTES`].
    Overlong {
        /// The first [`crate::KEPT_OF_OVERLONG_BYTES`] of it.
        beginning: &'a [u8],
        /// How many bytes it has, without its end.
        length: u64,
    },
}

impl Chunk {
    /// Its lines, in order, blank ones too.
    pub fn lines(&self) -> Lines<'_> {
        Lines { chunk: self, next: 0, number: self.from.lines + 1 }
    }

    /// Whether it is the file's last line, and without a line end: what is in it may not be all of it yet.
    pub fn is_unended(&self) -> bool {
        self.shape == Shape::Unended
    }

    /// Bytes in memory.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// The lines of a chunk.
#[derive(Debug)]
pub struct Lines<'a> {
    chunk: &'a Chunk,
    next: usize,
    number: u64,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.chunk.bytes[self.next..];
        if rest.is_empty() {
            return None;
        }
        let line = |content| Line { number: self.number, start: self.chunk.from.bytes + self.next as u64, content };
        let (line, taken) = match self.chunk.shape {
            Shape::Overlong { length } => (line(LineContent::Overlong { beginning: rest, length }), rest.len()),
            Shape::Unended => (line(LineContent::Whole(rest)), rest.len()),
            Shape::Lines => {
                let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                (line(LineContent::Whole(&rest[..end])), (end + 1).min(rest.len()))
            }
        };
        self.next += taken;
        self.number += 1;
        Some(line)
    }
}
