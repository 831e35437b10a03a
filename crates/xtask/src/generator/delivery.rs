//! Lines on their way into the file: most are written at once, some later than their place in the log.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

/// A history entry: an order's id, and which of its changes.
pub(super) type Entry = (u64, usize);

/// Writes lines, and counts them.
pub(super) struct Delivery<'a> {
    out: &'a mut dyn Write,
    lines: u64,
    delayed: BinaryHeap<Reverse<Delayed>>,
    /// How many were ever delayed.
    delays: u64,
    first_lines: Vec<(Entry, u64)>,
}

/// A line to be written once `due` lines are.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Delayed {
    due: u64,
    /// Breaks ties, so that the order does not depend on the heap.
    number: u64,
    text: String,
    first_of: Option<Entry>,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, lines: 0, delayed: BinaryHeap::new(), delays: 0, first_lines: Vec::new() }
    }

    /// Writes a line, then the delayed ones that are due after it. `first_of` is what it is the first to tell of.
    pub(super) fn write(&mut self, line: &[u8], first_of: Option<Entry>) -> io::Result<()> {
        self.write_line(line, first_of)?;
        while self.delayed.peek().is_some_and(|Reverse(delayed)| delayed.due <= self.lines) {
            self.write_delayed()?;
        }
        Ok(())
    }

    /// Keeps a line until at least `by` others have been written.
    pub(super) fn delay(&mut self, text: String, by: u64, first_of: Option<Entry>) {
        self.delays += 1;
        self.delayed.push(Reverse(Delayed { due: self.lines + by, number: self.delays, text, first_of }));
    }

    /// Writes what is still delayed; returns the number of lines, and of the history entries the lines that first told of them.
    pub(super) fn finish(mut self) -> io::Result<(u64, Vec<(Entry, u64)>)> {
        while !self.delayed.is_empty() {
            self.write_delayed()?;
        }
        self.out.flush()?;
        Ok((self.lines, self.first_lines))
    }

    fn write_delayed(&mut self) -> io::Result<()> {
        let Some(Reverse(Delayed { text, first_of, .. })) = self.delayed.pop() else { return Ok(()) };
        self.write_line(text.as_bytes(), first_of)
    }

    fn write_line(&mut self, line: &[u8], first_of: Option<Entry>) -> io::Result<()> {
        self.lines += 1;
        self.first_lines.extend(first_of.map(|entry| (entry, self.lines)));
        self.out.write_all(line)
    }
}
