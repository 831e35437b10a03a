//! What is left of the changes of keys with very many rows: it is given piece by piece.
//!
//! | key | value |
//! |---|---|
//! | operator, `W`, key | what is left of a change ([`Work`]) |
//! | operator, `Q`, key, number | changes that came meanwhile, to be folded after it ([`Both`]) |
//!
//! A side remembers changes as they come, before what follows from them is given: what is given of one is as it was before
//! those that wait. A piece is a part of the rows by their digests, which are spread evenly.

use deltafold_event::EventId;
use serde::{Deserialize, Serialize};

use super::{Change, OfKey, by_row::ByRow, keys, seen::Difference, side::Row};
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

/// Rows that changed, and why.
type Changed = Vec<(Row, Steps, EventId)>;

/// A change of a key that both sides remember, and what of it is given next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Work {
    left: Changed,
    right: Changed,
    /// From when on there were rows on the right, and from when on there are, where that has changed.
    pub(super) existence: Option<(Steps, Steps, EventId)>,
    pub(super) from: i64,
    pub(super) next: Next,
    /// In how many parts the rows on the left are met; none where they are not.
    pub(super) of_left: Option<u64>,
}

/// What has changed in rows of one side.
fn changed<'c>(changes: impl Iterator<Item = (&'c Row, Steps, u32)>, writes: &Writes) -> Changed {
    changes.map(|(row, steps, cause)| (row.clone(), steps, writes.event(cause))).collect()
}

fn changes(changed: &Changed, writes: &mut Writes) -> ByRow<Change> {
    let change = |(row, steps, event): &(Row, Steps, EventId)| {
        (row.clone(), Change { steps: steps.clone(), cause: writes.cause(*event) })
    };
    changed.iter().map(change).collect()
}

impl Work {
    pub(super) fn new(
        (left, right): (&ByRow<Difference>, &ByRow<Difference>),
        existence: Option<(Steps, Steps, u32)>,
        from: i64,
        (of_right, of_left): (Option<u64>, Option<u64>),
        writes: &Writes,
    ) -> Option<Self> {
        let all = |differences: &ByRow<Difference>| {
            let all = differences.iter().filter_map(|(row, difference)| {
                Some((row, difference.new.clone().plus_times(&difference.old, -1), difference.cause?))
            });
            changed(all, writes)
        };
        // Those on the left that are in the end as they were, too: whether there is any on the right was already told of
        // them, and pieces leave them out.
        let left = all(left);
        let mut right = all(right);
        right.retain(|(_, steps, _)| !steps.is_empty());
        let next = match (of_right, of_left) {
            (Some(of), _) => Next::Right(Part { number: 0, of }),
            (None, Some(of)) => Next::Left(Part { number: 0, of }),
            (None, None) => return None,
        };
        let existence = existence.map(|(old, new, cause)| (old, new, writes.event(cause)));
        Some(Self { left, right, existence, from, next, of_left })
    }

    /// What has changed on both sides.
    pub(super) fn changes(&self, writes: &mut Writes) -> (ByRow<Change>, ByRow<Change>) {
        (changes(&self.left, writes), changes(&self.right, writes))
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

/// What changed while something was left of a key, which both sides remember.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Both {
    left: Changed,
    right: Changed,
    /// By how many more there are on the right, where that counts.
    count: Option<(Steps, EventId)>,
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
    of_key: &OfKey,
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
    let of_side = |changes: &ByRow<Change>| {
        changed(changes.iter().map(|(row, change)| (row, change.steps.clone(), change.cause)), writes)
    };
    let count = of_key.count.as_ref().map(|change| (change.steps.clone(), writes.event(change.cause)));
    let both = Both { left: of_side(&of_key.left), right: of_side(&of_key.right), count };
    writes.put([&queue[..], &number.to_be_bytes()].concat(), Some(encoded(&both)));
    Ok(())
}

/// The changes of a key that wait.
pub(super) fn waiting<M: Memory>(
    operator: u16,
    key: &[u8],
    memory: &M,
    writes: &mut Writes,
) -> Result<OfKey, Fault<M::Error>> {
    let queue = queue(operator, key);
    let mut all = OfKey::default();
    let add = |change: &mut Change, steps: &Steps| {
        change.steps = std::mem::take(&mut change.steps).plus(steps);
    };
    for pair in memory.range(&queue, &end(&queue)) {
        let (_, both) = pair.map_err(Fault::Memory)?;
        let both: Both = postcard::from_bytes(&both).map_err(|_| Fault::Damaged)?;
        for (of_side, changed) in [(&mut all.left, both.left), (&mut all.right, both.right)] {
            for (row, steps, event) in changed {
                let nothing = || Change { steps: Steps::default(), cause: writes.cause(event) };
                add(of_side.of(&row, nothing), &steps);
            }
        }
        if let Some((steps, event)) = both.count {
            let nothing = || Change { steps: Steps::default(), cause: writes.cause(event) };
            add(all.count.get_or_insert_with(nothing), &steps);
        }
    }
    Ok(all)
}

/// No change of a key waits any more.
pub(super) fn forget_waiting<M: Memory>(
    operator: u16,
    key: &[u8],
    memory: &M,
    writes: &mut Writes,
) -> Result<(), Fault<M::Error>> {
    let queue = queue(operator, key);
    for pair in memory.range(&queue, &end(&queue)) {
        let (of_some, _) = pair.map_err(Fault::Memory)?;
        writes.put(of_some.into(), None);
    }
    Ok(())
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
