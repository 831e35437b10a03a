//! Reading what a round folds: relations, in parts, on threads of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, atomic::Ordering},
    thread,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::DataFusionError,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchReceiverStream, streaming::PartitionStream},
};
use deltafold_event::{EventId, Position};
use deltafold_projection::{Change, FoldError};
use deltafold_view::{Part, ReadError, Reader, Snapshot, Timeline, WriteError};

use super::{
    super::{
        last_before,
        log_relation::{self, LogChange, Moved},
        plan::Plan,
        record::Failed,
    },
    Differences, Shared, Stopped,
    round::Stop,
};
use crate::{Log, ProjectorError};

/// How many changes are handed on at once, and how long their rows may be for that, in bytes.
const AT_ONCE: usize = 8_192;
const BYTES_AT_ONCE: usize = 4 << 20;
/// How many events of the log are looked for at once.
const OF_LOG: usize = 1_000_000;

/// Where the aggregates of relations are split: some of their keys, evenly apart.
pub(super) type Splits = BTreeMap<String, Vec<Box<str>>>;

/// An aggregate as it was folded, and as it is.
type Pair = (Option<Timeline>, Option<Timeline>);

/// A part of what a round reads.
pub(super) struct Reading {
    pub(super) plan: Arc<Plan>,
    /// Events that are left out.
    pub(super) skipped: BTreeSet<EventId>,
    pub(super) relation: String,
    pub(super) source: Source,
    /// What is folded already: everything before this position; none: nothing.
    pub(super) from: Option<Position>,
    /// Until where it is folded.
    pub(super) until: Position,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: Arc<Stop>,
}

/// Where it is read.
pub(super) enum Source {
    /// Aggregates after one and until another.
    Rows {
        mirror: Reader,
        after: Option<Box<str>>,
        until: Option<Box<str>>,
    },
    These {
        mirror: Reader,
        aggregates: Vec<Arc<str>>,
    },
    Log {
        written: Snapshot,
        log: Box<dyn Log>,
    },
    /// Events that came or went, by position.
    Moved {
        moved: Vec<Moved>,
        log: Box<dyn Log>,
    },
}

/// How many aggregates a mirror has, and some of their keys: evenly apart. Nobody works on a build before it is known,
/// so two threads count.
pub(super) fn split(mirror: &Reader) -> Result<(u64, Vec<Box<str>>), ProjectorError> {
    let mut keys = mirror.keys();
    let (Some(first), Some(last)) = (keys.next().transpose()?, keys.next_back().transpose()?) else {
        let few = Sample::of(mirror.keys())?;
        return Ok((few.count, few.keys));
    };
    let middle = between(&first, &last);
    let part = |after, until| mirror.keys_in(Part { after, until });
    let all = thread::scope(|scope| {
        let above = || Sample::of(part(Some(&middle), None));
        let above = thread::Builder::new().name("build".into()).spawn_scoped(scope, above).map_err(WriteError::Io)?;
        let below = Sample::of(part(None, Some(&middle)))?;
        Ok::<_, ProjectorError>(below.followed_by(above.join().expect("reading does not panic")?))
    })?;
    Ok((all.count, all.keys))
}

/// Something about in the middle of two keys, where keys are numbers, or of digits and letters.
fn between(first: &str, last: &str) -> String {
    let mut between = String::new();
    let mut first = first.chars();
    for last in last.chars() {
        let first = first.next();
        if first == Some(last) {
            between.push(last);
            continue;
        }
        let (first, top) = (first.map_or(0, u32::from), u32::from(last));
        between.push(char::from_u32(top - top.saturating_sub(first) / 2).unwrap_or(last));
        break;
    }
    between
}

/// Some of many keys.
#[derive(Debug, PartialEq)]
struct Sample {
    /// How many keys there are, and one in how many is here.
    count: u64,
    every: u64,
    keys: Vec<Box<str>>,
}

impl Sample {
    const MOST: usize = 1_024;

    fn of(all: impl Iterator<Item = Result<Box<str>, ReadError>>) -> Result<Self, ReadError> {
        let mut sample = Self { count: 0, every: 1, keys: Vec::new() };
        for key in all {
            let key = key?;
            if sample.count.is_multiple_of(sample.every) {
                sample.keys.push(key);
                if sample.keys.len() > Self::MOST {
                    sample.thin(2 * sample.every);
                }
            }
            sample.count += 1;
        }
        Ok(sample)
    }

    /// Keeps one in so many.
    fn thin(&mut self, every: u64) {
        let (times, mut number) = (every / self.every, 0..);
        self.keys.retain(|_| number.next().is_some_and(|number: u64| number.is_multiple_of(times)));
        self.every = every;
    }

    /// With one of keys that come after these.
    fn followed_by(mut self, mut later: Self) -> Self {
        let every = self.every.max(later.every);
        [&mut self, &mut later].into_iter().for_each(|sample| sample.thin(every));
        self.count += later.count;
        self.keys.append(&mut later.keys);
        self
    }
}

impl Source {
    /// The rows of a mirror, in so many parts.
    pub(super) fn parts<'k>(
        mirror: &'k Reader,
        keys: &'k [Box<str>],
        parts: usize,
    ) -> impl Iterator<Item = Self> + use<'k> {
        let key = move |number: usize| match number {
            0 => None,
            _ if number == parts => None,
            _ => keys.get(number * keys.len() / parts).cloned(),
        };
        (0..parts).map(move |number| Self::Rows { mirror: mirror.clone(), after: key(number), until: key(number + 1) })
    }
}

impl Reading {
    /// Reads all of it.
    fn run(self, put: impl Fn(RecordBatch) -> bool) -> Result<(), Stopped> {
        let Self { plan, skipped, relation, source, from, until, shared, stop } = self;
        let put = |changes: Vec<Change<'_>>| {
            if shared.is_cancelled.load(Ordering::SeqCst) {
                return Err(Stopped::Cancelled);
            }
            let counted = changes.into_iter().filter(|change| !skipped.contains(&change.event));
            match shared.means.work(|| plan.fold.keyed(&relation, &counted.collect::<Vec<_>>())) {
                Ok(rows) => {
                    shared.work.found.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
                    // Who folds them has stopped, and has said why.
                    if put(rows) && !stop.is_set() { Ok(()) } else { Err(Stopped::Cancelled) }
                }
                Err(FoldError::Change { event, what }) => Err(Stopped::Failed(Failed { event, before: until, what })),
                Err(FoldError::Memory(never)) => match never {},
                Err(FoldError::Damaged) => unreachable!("nothing is remembered"),
            }
        };
        let now = last_before(until);
        let of_log = |moved: &[Moved], log: &mut dyn Log| {
            moved.chunks(AT_ONCE).try_for_each(|moved| {
                let rows = log_relation::read_rows(moved, log)?;
                put(rows.iter().map(LogChange::change).collect())
            })
        };
        let of_rows = |compared: &mut dyn Iterator<Item = Result<Pair, ReadError>>| {
            let mut compared = compared.peekable();
            while compared.peek().is_some() {
                let mut read = 0;
                let mut differences = Differences::default();
                shared.means.work(|| {
                    for pair in &mut compared {
                        let (before, now) = pair?;
                        differences.add(before, now);
                        read += 1;
                        if differences.len() >= AT_ONCE || differences.bytes() >= BYTES_AT_ONCE {
                            break;
                        }
                    }
                    Ok::<_, ReadError>(())
                })?;
                put(differences.changes().collect())?;
                shared.work.read.fetch_add(read, Ordering::Relaxed);
            }
            Ok(())
        };
        match source {
            Source::Rows { mirror, after, until: end } => {
                let part = Part { after: after.as_deref(), until: end.as_deref() };
                match from {
                    Some(from) => of_rows(&mut mirror.compared(last_before(from), now, part)),
                    None => of_rows(&mut mirror.timelines(now, part).map(|timeline| Ok((None, Some(timeline?))))),
                }
            }
            Source::These { mirror, aggregates } => of_rows(&mut aggregates.iter().map(|aggregate| {
                let before = from.map(|from| mirror.timeline(aggregate, last_before(from))).transpose()?;
                Ok((before.flatten(), mirror.timeline(aggregate, now)?))
            })),
            Source::Moved { moved, mut log } => of_log(&moved, &mut *log),
            Source::Log { written, mut log } => {
                let mut above = None;
                loop {
                    let (moved, is_cut) = log_relation::differences(&written, from, until, above, OF_LOG)?;
                    of_log(&moved, &mut *log)?;
                    above = moved.last().map(|(position, ..)| *position);
                    if !is_cut {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// A part as a stream, once.
pub(super) struct Stream {
    schema: SchemaRef,
    reading: Mutex<Option<Reading>>,
}

impl Stream {
    pub(super) fn new(schema: SchemaRef, reading: Reading) -> Self {
        Self { schema, reading: Mutex::new(Some(reading)) }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl PartitionStream for Stream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let reading = self.reading.lock().expect("no holder of this lock panics").take();
        let mut stream = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), 2);
        let to = stream.tx();
        // On a thread that may block: the log is read on a runtime of its own.
        stream.spawn_blocking(move || {
            let Some(reading) = reading else { return Ok(()) };
            let stop = Arc::clone(&reading.stop);
            reading.run(|rows| to.blocking_send(Ok(rows)).is_ok()).map_err(|stopped| {
                stop.set(stopped);
                DataFusionError::Execution("reading has stopped".to_owned())
            })
        });
        stream.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_keys_is_between_them() {
        for (first, last, middle) in
            [("1", "99", "5"), ("100", "299", "2"), ("a-1", "a-9", "a-5"), ("", "8", "\u{1c}"), ("a", "ab", "a1")]
        {
            assert_eq!(between(first, last), middle);
            assert!(first <= middle && middle <= last);
        }
    }

    #[test]
    fn a_sample_of_two_halves_is_one_of_all() {
        let sample = |keys: std::ops::Range<u32>| Sample::of(keys.map(|key| Ok(format!("{key:06}").into()))).unwrap();
        for (middle, end) in [(0, 3), (8_192, 10_000), (65_536, 70_000), (16_384, 70_000)] {
            let both = sample(0..middle).followed_by(sample(middle..end));
            let all = sample(0..end);
            assert_eq!(both.count, u64::from(end));
            let places = both.keys.iter().map(|key| key.parse::<u64>().unwrap());
            assert!(places.eq((0..u64::from(end)).step_by(both.every as usize)), "{middle} of {end}");
            assert!(both.every <= all.every && both.keys.len() <= 2 * Sample::MOST);
        }
    }
}
