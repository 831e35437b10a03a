//! Entries: what a relation keeper knows after one event of one aggregate.

use std::{fmt, io::Read};

use byteview::ByteView;
use deltafold_event::{EventId, Position, Timestamp};
use fjall::Slice;
use simdutf8::basic::from_utf8;
use smallvec::SmallVec;

use crate::ReadError;

/// One entry of an aggregate's history, borrowed: to be written ([`Stored::new`]) or as read ([`Stored::entry`]).
///
/// Entries of an aggregate are ordered by `(valid_from, order)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its valid time.
    pub valid_from: Timestamp,
    /// The bytes of its order key. No order may be the beginning of another ([`deltafold_event::OrderKey`]'s are
    /// not).
    pub order: &'a [u8],
    /// The position from which it is believed.
    pub recorded_from: Position,
    /// Where the version that it shows began.
    pub since_valid_from: Timestamp,
    /// The position from which that beginning is believed.
    pub since_recorded_from: Position,
    /// The event that began that version.
    pub event: Option<EventId>,
    /// The rank of its event; 0 when it is not an event of its own aggregate.
    pub revision: u64,
    /// The position of its event.
    pub position: Position,
    /// Whether an unchanged value stands as null.
    pub incomplete: bool,
    /// The row after it, a JSON object; none: absent.
    pub row: Option<&'a str>,
    /// Whatever else the keeper remembers, opaque here.
    pub memory: &'a [u8],
}

impl<'a> Entry<'a> {
    /// An entry that begins a version of its own at `position`, in which the row is absent; to be filled in.
    pub fn absent(valid_from: Timestamp, order: &'a [u8], position: Position) -> Self {
        Self {
            valid_from,
            order,
            recorded_from: position,
            since_valid_from: valid_from,
            since_recorded_from: position,
            event: None,
            revision: 0,
            position,
            incomplete: false,
            row: None,
            memory: &[],
        }
    }
}

/// An entry in the bytes it has on disk; cheap to clone.
///
/// | bytes | what |
/// |---|---|
/// | 1 | layout version, 1 |
/// | 1 | flags: 1 a row, 2 incomplete, 4 an event, 8 its own `since`, 16 its own `position` |
/// | 8, 8, 8 | `valid_from`, `recorded_from`, `revision` |
/// | 2, 4 | lengths of `order` and of `row` |
/// | 16 | if flag 8: `since_valid_from`, `since_recorded_from`; else they are the entry's own |
/// | 8 | if flag 16: `position`; else it is `recorded_from` |
/// | 16 | if flag 4: `event` |
/// | … | `order`, `row`, and to the end `memory` |
///
/// Numbers are big-endian, signed ones in two's complement.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    bytes: Slice,
    header: Header,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Header {
    valid_from: Timestamp,
    recorded_from: Position,
    since_valid_from: Timestamp,
    since_recorded_from: Position,
    event: Option<EventId>,
    revision: u64,
    position: Position,
    incomplete: bool,
    has_row: bool,
    order_start: usize,
    row_start: usize,
    memory_start: usize,
}

const LAYOUT: u8 = 1;
const FIXED_BYTES: usize = 32;
const HAS_ROW: u8 = 1;
const INCOMPLETE: u8 = 2;
const HAS_EVENT: u8 = 4;
const OWN_SINCE: u8 = 8;
const OWN_POSITION: u8 = 16;

impl Stored {
    /// Lays an entry out.
    ///
    /// # Panics
    /// When the order is longer than 64 KiB or the row than 4 GiB.
    pub fn new(entry: &Entry<'_>) -> Self {
        let (bytes, header) = lay_out(entry, &[]);
        Self { bytes: bytes.into(), header }
    }

    /// Lays out an entry, and the same with more at the end of its memory: the bytes they have in common are there once.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn with_more_memory(entry: &Entry<'_>, more: &[u8]) -> (Self, Self) {
        let (bytes, header) = lay_out(entry, more);
        let without = bytes.slice(..bytes.len() - more.len());
        (Self { bytes: without.into(), header }, Self { bytes: bytes.into(), header })
    }

    /// Reads an entry from disk; its row is not copied.
    pub(crate) fn decode(bytes: Slice) -> Result<Self, ReadError> {
        let header = Header::parse(&bytes).ok_or_else(|| damaged(&bytes))?;
        from_utf8(&bytes[header.row_start..header.memory_start]).map_err(|_| damaged(&bytes))?;
        Ok(Self { bytes, header })
    }

    /// Whether an entry on disk has a row.
    pub(crate) fn has_row(bytes: &[u8]) -> Result<bool, ReadError> {
        Header::parse(bytes).map(|header| header.has_row).ok_or_else(|| damaged(bytes))
    }

    /// A copy that holds on to nothing else: it may have been read as a part of a whole block.
    pub(crate) fn own(&self) -> Self {
        Self { bytes: Slice::new(&self.bytes), header: self.header }
    }

    /// The bytes on disk.
    pub(crate) fn bytes(&self) -> &Slice {
        &self.bytes
    }

    /// What it says.
    pub fn entry(&self) -> Entry<'_> {
        let header = &self.header;
        Entry {
            valid_from: header.valid_from,
            order: self.order(),
            recorded_from: header.recorded_from,
            since_valid_from: header.since_valid_from,
            since_recorded_from: header.since_recorded_from,
            event: header.event,
            revision: header.revision,
            position: header.position,
            incomplete: header.incomplete,
            row: self.row(),
            memory: &self.bytes[header.memory_start..],
        }
    }

    /// The row alone.
    pub fn row(&self) -> Option<&str> {
        let row = &self.bytes[self.header.row_start..self.header.memory_start];
        self.header.has_row.then(|| from_utf8(row).expect("written from a str, or checked when decoded"))
    }

    /// Where it stands in its aggregate.
    pub(crate) fn coordinate(&self) -> (Timestamp, &[u8]) {
        (self.header.valid_from, self.order())
    }

    pub(crate) fn recorded_from(&self) -> Position {
        self.header.recorded_from
    }

    /// What tells the version that it shows from others.
    pub(crate) fn since(&self) -> (Timestamp, Position, Option<EventId>) {
        (self.header.since_valid_from, self.header.since_recorded_from, self.header.event)
    }

    fn order(&self) -> &[u8] {
        &self.bytes[self.header.order_start..self.header.row_start]
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry().fmt(f)
    }
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let [layout, flags] = take::<2>(&mut rest)?;
        if layout != LAYOUT {
            return None;
        }
        let valid_from = Timestamp::from_micros(i64::from_be_bytes(take(&mut rest)?));
        let recorded_from = Position::from_bytes(take(&mut rest)?);
        let revision = u64::from_be_bytes(take(&mut rest)?);
        let order_len = usize::from(u16::from_be_bytes(take(&mut rest)?));
        let row_len = usize::try_from(u32::from_be_bytes(take(&mut rest)?)).ok()?;
        let (since_valid_from, since_recorded_from) = if flags & OWN_SINCE == 0 {
            (valid_from, recorded_from)
        } else {
            (Timestamp::from_micros(i64::from_be_bytes(take(&mut rest)?)), Position::from_bytes(take(&mut rest)?))
        };
        let position = if flags & OWN_POSITION == 0 { recorded_from } else { Position::from_bytes(take(&mut rest)?) };
        let event = if flags & HAS_EVENT == 0 { None } else { Some(EventId::from_bytes(take(&mut rest)?)) };
        let order_start = bytes.len() - rest.len();
        let row_start = order_start + order_len;
        let memory_start = row_start + row_len;
        (memory_start <= bytes.len()).then_some(Self {
            valid_from,
            recorded_from,
            since_valid_from,
            since_recorded_from,
            event,
            revision,
            position,
            incomplete: flags & INCOMPLETE != 0,
            has_row: flags & HAS_ROW != 0,
            order_start,
            row_start,
            memory_start,
        })
    }
}

fn lay_out(entry: &Entry<'_>, more: &[u8]) -> (ByteView, Header) {
    let own_since = (entry.since_valid_from, entry.since_recorded_from) != (entry.valid_from, entry.recorded_from);
    let own_position = entry.position != entry.recorded_from;
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let flags = flag(entry.row.is_some(), HAS_ROW)
        | flag(entry.incomplete, INCOMPLETE)
        | flag(entry.event.is_some(), HAS_EVENT)
        | flag(own_since, OWN_SINCE)
        | flag(own_position, OWN_POSITION);
    let row = entry.row.unwrap_or_default().as_bytes();
    let order_len = u16::try_from(entry.order.len()).expect("an order key is at most a few hundred bytes long");
    let row_len = u32::try_from(row.len()).expect("a row is at most as long as a message");

    let mut bytes = SmallVec::<[u8; FIXED_BYTES + 40]>::new();
    bytes.extend_from_slice(&[LAYOUT, flags]);
    bytes.extend_from_slice(&entry.valid_from.as_micros().to_be_bytes());
    bytes.extend_from_slice(&entry.recorded_from.to_bytes());
    bytes.extend_from_slice(&entry.revision.to_be_bytes());
    bytes.extend_from_slice(&order_len.to_be_bytes());
    bytes.extend_from_slice(&row_len.to_be_bytes());
    if own_since {
        bytes.extend_from_slice(&entry.since_valid_from.as_micros().to_be_bytes());
        bytes.extend_from_slice(&entry.since_recorded_from.to_bytes());
    }
    if own_position {
        bytes.extend_from_slice(&entry.position.to_bytes());
    }
    if let Some(event) = &entry.event {
        bytes.extend_from_slice(event.as_bytes());
    }
    let order_start = bytes.len();
    let row_start = order_start + entry.order.len();
    let memory_start = row_start + row.len();
    // Read from where they are, so that they are copied once.
    let mut parts = (&*bytes).chain(entry.order).chain(row).chain(entry.memory).chain(more);
    let len = memory_start + entry.memory.len() + more.len();
    let bytes = ByteView::from_reader(&mut parts, len).expect("memory can be read");
    let header = Header {
        valid_from: entry.valid_from,
        recorded_from: entry.recorded_from,
        since_valid_from: entry.since_valid_from,
        since_recorded_from: entry.since_recorded_from,
        event: entry.event,
        revision: entry.revision,
        position: entry.position,
        incomplete: entry.incomplete,
        has_row: entry.row.is_some(),
        order_start,
        row_start,
        memory_start,
    };
    (bytes, header)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

fn damaged(bytes: &[u8]) -> ReadError {
    ReadError::Corrupt(format!("an entry of {} bytes is not in layout {LAYOUT}", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_laid_out_is_read_again() {
        let position = Position::new(3, 1).unwrap();
        let plain =
            Entry { row: Some("{\"a\":\"é\"}"), ..Entry::absent(Timestamp::from_micros(-5), b"ord", position) };
        let full = Entry {
            since_valid_from: Timestamp::MIN,
            since_recorded_from: Position::ZERO,
            event: Some(EventId::from_bytes([7; 16])),
            revision: 9,
            position: Position::ZERO,
            incomplete: true,
            memory: b"memo",
            ..plain
        };
        for entry in [plain, full, Entry { row: None, ..full }, Entry { row: Some(""), order: b"", ..plain }] {
            let stored = Stored::new(&entry);
            assert_eq!(stored.entry(), entry);
            let decoded = Stored::decode(stored.bytes().clone()).unwrap();
            assert!(decoded == stored);
            let without_memory = Entry { memory: b"", ..entry };
            let (without, with) = Stored::with_more_memory(&without_memory, entry.memory);
            assert!(without == Stored::new(&without_memory) && with == stored);
            for cut in 0..stored.bytes().len() - entry.memory.len() {
                assert!(Stored::decode(stored.bytes()[..cut].into()).is_err());
            }
        }
    }

    /// Frozen: an index on disk is read by later versions.
    #[test]
    fn the_layout_never_changes() {
        let entry = Entry {
            event: Some(EventId::from_bytes([0xEE; 16])),
            revision: 2,
            row: Some("{}"),
            memory: b"m",
            ..Entry::absent(Timestamp::from_micros(1), b"o", Position::new(0, 5).unwrap())
        };
        let mut expected = vec![1, 5];
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 2]);
        expected.extend_from_slice(&[0, 1, 0, 0, 0, 2]);
        expected.extend_from_slice(&[0xEE; 16]);
        expected.extend_from_slice(b"o{}m");
        assert_eq!(&**Stored::new(&entry).bytes(), &expected[..]);
    }
}
