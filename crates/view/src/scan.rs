//! All rows of a mirror, as of a point in both times.

use std::iter::Peekable;

use deltafold_event::Position;
use fjall::{Guard, Iter, Readable, Slice};

use crate::{
    At, ReadError, Reader, Stored, Version,
    as_of::Believed,
    key::{self, Key},
};

/// How many entries of one aggregate are read in a row before it is worth a seek.
const SEEK_AFTER: usize = 64;

/// The rows of a scan, in the order of their keys' bytes.
pub struct Versions(Scan);

enum Scan {
    Now(Iter),
    Past(Box<Past>),
}

pub(crate) fn all(reader: &Reader, at: At, after: Option<&str>) -> Versions {
    let start = match after {
        Some(aggregate) => key::end_of(&key::aggregate(reader.view(), aggregate)),
        None => reader.view().prefix(),
    };
    let trees = &reader.snapshot.shared.keyspaces;
    let end = reader.view().end();
    let range = |tree| reader.snapshot.moment.trees.range(tree, start.clone()..end.clone());
    if at.is_now() {
        return Versions(Scan::Now(range(&trees.current)));
    }
    let superseded = (at.position != Position::MAX).then(|| Pairs(range(&trees.superseded)).peekable());
    let on_record = Pairs(range(&trees.versions)).peekable();
    Versions(Scan::Past(Box::new(Past { reader: reader.clone(), at, on_record, superseded })))
}

impl Versions {
    /// Passes over rows without reading what is in them, at most so many; fewer only at the end.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn pass(&mut self, most: usize) -> Result<usize, ReadError> {
        let mut rows = 0;
        while rows < most {
            let is_row = match &mut self.0 {
                Scan::Now(pairs) => pairs.next().map(|pair| Stored::has_row(&pair.value()?)),
                Scan::Past(past) => past.next().map(|version| version.map(|_| true)),
            };
            match is_row {
                Some(is_row) => rows += usize::from(is_row?),
                None => break,
            }
        }
        Ok(rows)
    }
}

impl Iterator for Versions {
    type Item = Result<Version, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Scan::Now(pairs) => pairs.by_ref().find_map(|pair| now(pair).transpose()),
            Scan::Past(past) => past.next(),
        }
    }
}

fn now(pair: Guard) -> Result<Option<Version>, ReadError> {
    let (key, value) = pair.into_inner()?;
    let entry = Stored::decode(value)?;
    if entry.row().is_none() {
        return Ok(None);
    }
    Ok(Version::new(&key::aggregate_id(&key)?, entry, None))
}

/// Walks the record and, as of a position, what is believed no longer, aggregate by aggregate.
struct Past {
    reader: Reader,
    at: At,
    on_record: Peekable<Pairs>,
    superseded: Option<Peekable<Pairs>>,
}

impl Past {
    fn next(&mut self) -> Option<Result<Version, ReadError>> {
        loop {
            match self.next_aggregate() {
                Ok(Some(aggregate)) => {
                    if let Some(version) = self.version(&aggregate).transpose() {
                        return Some(version);
                    }
                }
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The beginning of the keys of the next aggregate that has any.
    fn next_aggregate(&mut self) -> Result<Option<Key>, ReadError> {
        let on_record = peek_aggregate(&mut self.on_record)?;
        let superseded = match &mut self.superseded {
            Some(superseded) => peek_aggregate(superseded)?,
            None => None,
        };
        Ok(match (on_record, superseded) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        })
    }

    fn version(&mut self, aggregate: &[u8]) -> Result<Option<Version>, ReadError> {
        let id = key::aggregate_id(aggregate)?;
        let at = self.at;
        let end = key::after_time(aggregate, at.time);
        let mut best: Option<Believed> = None;
        let mut walked = 0;
        while let Some((key, value)) = take_of(&mut self.on_record, aggregate)? {
            walked += 1;
            if *key >= *end || walked > SEEK_AFTER {
                self.leave(aggregate);
                break;
            }
            let entry = Stored::decode(value)?;
            if at.believes(entry.recorded_from(), None) {
                best = Some((entry, None));
            }
        }
        while let Some((key, value)) = self.superseded.as_mut().map_or(Ok(None), |pairs| take_of(pairs, aggregate))? {
            let (place, from, to) = key::split_superseded(&key)?;
            if *place < *end && at.believes(from, Some(to)) {
                let entry = Stored::decode(value)?;
                if best.as_ref().is_none_or(|(best, _)| best.coordinate() < entry.coordinate()) {
                    best = Some((entry, Some(to)));
                }
            }
        }
        if walked > SEEK_AFTER {
            best = self.reader.search(Key::from_slice(aggregate), at)?;
        }
        Ok(best.and_then(|(entry, recorded_to)| Version::new(&id, entry, recorded_to)))
    }

    /// Goes on with the next aggregate on record: what is left of this one is read past or, if long, sought past.
    fn leave(&mut self, aggregate: &[u8]) {
        let end = key::end_of(aggregate);
        for _ in 0..SEEK_AFTER {
            if self.on_record.next_if(|pair| pair.as_ref().is_ok_and(|(key, _)| **key < *end)).is_none() {
                return;
            }
        }
        let last = self.reader.view().end();
        self.on_record = Pairs(self.reader.versions(end, last)).peekable();
    }
}

struct Pairs(Iter);

impl Iterator for Pairs {
    type Item = Result<(Slice, Slice), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|pair| Ok(pair.into_inner()?))
    }
}

fn peek_aggregate(pairs: &mut Peekable<Pairs>) -> Result<Option<Key>, ReadError> {
    match pairs.peek() {
        None => Ok(None),
        Some(Ok((key, _))) => match key::aggregate_len(key) {
            Some(len) => Ok(Some(Key::from_slice(&key[..len]))),
            None => Err(ReadError::Corrupt(format!("a key of {} bytes names no aggregate", key.len()))),
        },
        Some(Err(_)) => Err(pairs.next().and_then(Result::err).expect("an error was just seen there")),
    }
}

/// The next pair, if it is the aggregate's.
fn take_of(pairs: &mut Peekable<Pairs>, aggregate: &[u8]) -> Result<Option<(Slice, Slice)>, ReadError> {
    pairs.next_if(|pair| pair.as_ref().map_or(true, |(key, _)| key.starts_with(aggregate))).transpose()
}
