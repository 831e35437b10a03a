//! What is left of the changes of keys with very many rows: it is given piece by piece.
//!
//! | key | value |
//! |---|---|
//! | operator, `W`, key | what is left of a change ([`Work`]) |
//! | operator, `Q`, key, number | changes that came meanwhile, to be folded after it ([`Waiting`]) |
//!
//! A side remembers a change before what follows from it is given; nothing else changes a key while something of it is
//! left. A piece is a part of the rows by their digests, which are spread evenly.

use deltafold_event::EventId;
use serde::{Deserialize, Serialize};

use super::{Change, by_row::ByRow, keys, side::Row};
use crate::{
    fold::{
        Writes,
        error::Fault,
        keys::{begin, end},
        steps::Steps,
    },
    memory::Memory,
};

const WORK: u8 = b'W';
const QUEUE: u8 = b'Q';

/// A part of a side's rows: the one with this number of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) number: u64,
    pub(super) of: u64,
}

impl Part {
    pub(super) const ALL: Self = Self { number: 0, of: 1 };

    fn start(number: u64, of: u64) -> u128 {
        u128::MAX / u128::from(of) * u128::from(number)
    }

    /// Where it begins, and where the next one does, if there is one.
    pub(super) fn bounds(self) -> ([u8; 16], Option<[u8; 16]>) {
        let start = |number| Self::start(number, self.of).to_be_bytes();
        (start(self.number), (self.number + 1 < self.of).then(|| start(self.number + 1)))
    }

    pub(super) fn has(self, digest: [u8; 16]) -> bool {
        let (start, end) = self.bounds();
        start <= digest && end.is_none_or(|end| digest < end)
    }

    pub(super) fn has_row(self, row: &[u8]) -> bool {
        self == Self::ALL || self.has(keys::digest(row))
    }
}

/// Which rows are met next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Next {
    /// Those on the right, with what has changed on the left.
    Right(Part),
    /// Those on the left that have not changed, with everything else that has.
    Left(Part),
}

/// A change of a key that both sides remember, and what of it is given next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Work {
    left: Vec<(Row, Steps, EventId)>,
    right: Vec<(Row, Steps, EventId)>,
    /// From when on there were rows on the right, and from when on there are, where that has changed.
    pub(super) existence: Option<(Steps, Steps, EventId)>,
    pub(super) from: i64,
    pub(super) next: Next,
    /// In how many parts the rows on the left are met; none where they are not.
    pub(super) of_left: Option<u64>,
}

impl Work {
    pub(super) fn new(
        (left, right): (&ByRow<Change>, &ByRow<Change>),
        existence: Option<(Steps, Steps, u32)>,
        from: i64,
        (of_right, of_left): (Option<u64>, Option<u64>),
        writes: &Writes,
    ) -> Option<Self> {
        let changes = |changes: &ByRow<Change>| {
            let change =
                |(row, change): &(Row, Change)| (row.clone(), change.steps.clone(), writes.event(change.cause));
            changes.iter().map(change).collect()
        };
        let next = match (of_right, of_left) {
            (Some(of), _) => Next::Right(Part { number: 0, of }),
            (None, Some(of)) => Next::Left(Part { number: 0, of }),
            (None, None) => return None,
        };
        let existence = existence.map(|(old, new, cause)| (old, new, writes.event(cause)));
        Some(Self { left: changes(left), right: changes(right), existence, from, next, of_left })
    }

    /// What has changed on both sides.
    pub(super) fn changes(&self, writes: &mut Writes) -> (ByRow<Change>, ByRow<Change>) {
        let mut of = |changes: &[(Row, Steps, EventId)]| {
            let change = |(row, steps, event): &(Row, Steps, EventId)| {
                (row.clone(), Change { steps: steps.clone(), cause: writes.cause(*event) })
            };
            changes.iter().map(change).collect()
        };
        (of(&self.left), of(&self.right))
    }

    /// The same, of which one more part is given; none: all is.
    pub(super) fn after(mut self) -> Option<Self> {
        let next = |part: Part| (part.number + 1 < part.of).then_some(Part { number: part.number + 1, ..part });
        self.next = match self.next {
            Next::Right(part) => match next(part) {
                Some(part) => Next::Right(part),
                None => Next::Left(Part { number: 0, of: self.of_left? }),
            },
            Next::Left(part) => Next::Left(next(part)?),
        };
        Some(self)
    }

    pub(super) fn put(&self, operator: u16, key: &[u8], writes: &mut Writes) {
        writes.put(of_key(operator, WORK, key), Some(encoded(self)));
    }

    pub(super) fn remove(operator: u16, key: &[u8], writes: &mut Writes) {
        writes.put(of_key(operator, WORK, key), None);
    }
}

/// A row that came or went while something was left of its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) is_left: bool,
    pub(super) row: Row,
    pub(super) at: i64,
    pub(super) weight: i64,
    pub(super) event: EventId,
}

/// The keys of which something is left, with what it is.
pub(super) fn works<M: Memory>(
    operator: u16,
    memory: &M,
) -> impl Iterator<Item = Result<(Row, Work), Fault<M::Error>>> + '_ {
    let all = begin(operator, WORK, &[]);
    memory.range(&all, &end(&all)).map(move |pair| {
        let (key, work) = pair.map_err(Fault::Memory)?;
        let work = postcard::from_bytes(&work).map_err(|_| Fault::Damaged)?;
        Ok((key[all.len()..].into(), work))
    })
}

/// Whether something is left of a key.
pub(super) fn is_left<M: Memory>(operator: u16, key: &[u8], memory: &M) -> Result<bool, Fault<M::Error>> {
    Ok(memory.get(&of_key(operator, WORK, key)).map_err(Fault::Memory)?.is_some())
}

/// Lets changes of a key wait.
pub(super) fn wait<M: Memory>(
    operator: u16,
    key: &[u8],
    changes: &[Waiting],
    memory: &M,
    writes: &mut Writes,
) -> Result<(), Fault<M::Error>> {
    let queue = queue(operator, key);
    let last = memory.last_in(&queue, &end(&queue)).map_err(Fault::Memory)?;
    let number = match last {
        Some((last, _)) => {
            let number = last[queue.len()..].first_chunk().ok_or(Fault::Damaged)?;
            u64::from_be_bytes(*number) + 1
        }
        None => 0,
    };
    writes.put([&queue[..], &number.to_be_bytes()].concat(), Some(encoded(&changes)));
    Ok(())
}

/// Takes the changes of a key that wait.
pub(super) fn take_waiting<M: Memory>(
    operator: u16,
    key: &[u8],
    memory: &M,
    writes: &mut Writes,
) -> Result<Vec<Waiting>, Fault<M::Error>> {
    let queue = queue(operator, key);
    let mut all = Vec::new();
    for pair in memory.range(&queue, &end(&queue)) {
        let (of_some, some) = pair.map_err(Fault::Memory)?;
        all.append(&mut postcard::from_bytes::<Vec<Waiting>>(&some).map_err(|_| Fault::Damaged)?);
        writes.put(of_some.into(), None);
    }
    Ok(all)
}

fn queue(operator: u16, key: &[u8]) -> Vec<u8> {
    of_key(operator, QUEUE, key)
}

fn of_key(operator: u16, kind: u8, key: &[u8]) -> Vec<u8> {
    let mut of_key = begin(operator, kind, &[]);
    of_key.extend_from_slice(key);
    of_key
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("all of it can be written")
}
