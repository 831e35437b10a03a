//! A round of a build: what changed between two positions, sorted by key, and folded key by key.
//!
//! Reading, sorting and folding go on in partitions by key, in parallel. In the first round nothing is remembered of a
//! key before it comes, and nothing afterwards is, but of one with very many changes: so its pieces need no atomic batch
//! and become sorted runs. A crash in between leaves a part of a piece, which is written again, as it was.

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    thread,
};

use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::streaming::PartitionStream;
use deltafold_event::Position;
use deltafold_view::WriteError;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::runtime::{self, Handle};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        log_relation,
        plan::{Over, over},
    },
    Rest, Stopped, Touched,
    pieces::{Pieces, Place},
    reading::{Reading, Source, Splits, Stream},
    sorted,
};
use crate::{Log, ProjectorError};

/// How far a build has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Round {
    /// What is folded already: everything before this position; none: nothing.
    from: Option<Position>,
    /// What is being folded: everything before this one.
    until: Position,
    /// How far that is, by partition; none: nothing of it. No partitions: not begun.
    partitions: Vec<Option<Place>>,
    /// How many changes are folded at once: the same throughout, as it decides which keys are folded in parts.
    at_once: usize,
    /// How keys are told apart into partitions: `sorted::hashes`.
    hashes: u64,
    is_over: bool,
    /// How many aggregates are folded.
    aggregates: u64,
}

impl Round {
    /// The first one, of what was before a position.
    pub(crate) fn first(until: Position) -> Self {
        Self { from: None, until, partitions: Vec::new(), at_once: 0, hashes: 0, is_over: false, aggregates: 0 }
    }

    /// One that is over.
    pub(crate) fn ended(until: Position) -> Self {
        Self { is_over: true, ..Self::first(until) }
    }

    pub(super) fn next(&self, until: Position) -> Self {
        Self { from: Some(self.until), aggregates: self.aggregates, ..Self::first(until) }
    }

    pub(super) fn ended_at(&self, until: Position) -> Self {
        Self { is_over: true, ..self.next(until) }
    }

    /// Whether this version of the program can go on with it.
    pub(crate) fn goes_on(&self) -> bool {
        self.is_over || self.partitions.is_empty() || self.hashes == sorted::hashes()
    }

    pub(super) fn until(&self) -> Position {
        self.until
    }

    pub(super) fn at_once(&self) -> usize {
        self.at_once
    }

    pub(super) fn is_first(&self) -> bool {
        self.from.is_none()
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn aggregates(&self) -> u64 {
        self.aggregates
    }

    /// How far a partition has come.
    pub(super) fn place(&self, partition: usize) -> Option<&Place> {
        self.partitions.get(partition)?.as_ref()
    }

    /// A partition has come to a place.
    pub(super) fn come_to(&mut self, partition: usize, place: Place, aggregates: u64) {
        self.partitions[partition] = Some(place);
        self.aggregates = self.aggregates.max(aggregates);
    }
}

/// Why a round is to stop, as soon as one of its threads knows.
#[derive(Default)]
pub(super) struct Stop {
    why: Mutex<Option<Stopped>>,
    told: CancellationToken,
}

impl Stop {
    /// The first reason counts.
    pub(super) fn set(&self, stopped: Stopped) {
        self.why.lock().expect("no holder of this lock panics").get_or_insert(stopped);
        self.told.cancel();
    }

    pub(super) fn is_set(&self) -> bool {
        self.told.is_cancelled()
    }

    /// What comes next of a stream, which ends when this is set. A sort that spills may never give anything once what it
    /// reads has failed.
    fn next_of<S>(&self, runtime: &Handle, stream: &mut S) -> Option<S::Item>
    where
        S: futures::Stream + Unpin,
    {
        runtime.block_on(self.told.run_until_cancelled(stream.next())).flatten()
    }

    fn take(&self) -> Option<Stopped> {
        self.why.lock().expect("no holder of this lock panics").take()
    }
}

impl Rest {
    /// Folds what is left of a round, in which these were touched.
    pub(super) fn round(&mut self, touched: Touched, splits: &Splits, log: &dyn Log) -> Result<(), Stopped> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let round = &mut self.generation.round;
        if round.partitions.is_empty() {
            round.partitions = vec![None; threads];
            round.at_once = self.shared.means.at_once;
            round.hashes = sorted::hashes();
        }
        let partitions = round.partitions.len();
        let (until, is_first) = (round.until, round.is_first());
        let stop = Arc::new(Stop::default());
        let schema = self.live.plan.fold.keyed_schema();
        let streams: Vec<Arc<dyn PartitionStream>> = self
            .readings(touched, splits, threads, log, &stop)?
            .map(|reading| Arc::new(Stream::new(Arc::clone(&schema), reading)) as Arc<dyn PartitionStream>)
            .collect();
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("build")
            .enable_all()
            .build()
            .map_err(WriteError::Io)?;
        let _entered = runtime.enter();
        let sorted = sorted::sorted(&schema, streams, partitions, self.shared.means.views.scratch())
            .map_err(|error| sorted::stopped(&error, until))?;
        let generation = Mutex::new(&mut self.generation);
        let pieces = (0..)
            .zip(sorted)
            .map(|(number, sorted)| (Pieces::new(number, &self.name, &self.live, &generation, &self.shared), sorted));
        thread::scope(|scope| {
            let fold = |(pieces, mut sorted)| {
                let (handle, stop) = (runtime.handle().clone(), &stop);
                thread::Builder::new().name("build".into()).spawn_scoped(scope, move || {
                    // Its reason is known before those who read can notice that nobody takes what they give.
                    if let Err(stopped) = fold(&handle, pieces, &mut sorted, stop, until) {
                        stop.set(stopped);
                    }
                })
            };
            // The scope waits for them.
            pieces.map(fold).collect::<Result<Vec<_>, _>>().map(|_| ()).map_err(WriteError::Io)
        })?;
        if let Some(stopped) = stop.take() {
            return Err(stopped);
        }
        self.generation.round.is_over = true;
        if is_first {
            let aggregates = self.shared.work.aggregates.load(Ordering::Relaxed);
            self.generation.round.aggregates = aggregates;
            self.shared.work.before.store(aggregates, Ordering::Relaxed);
        }
        let mut write = self.shared.to.batch();
        write.put_state(&super::state(&self.name), &self.generation.to_bytes());
        Ok(write.commit()?)
    }

    /// What is to be read, in parts.
    fn readings(
        &self,
        touched: Touched,
        splits: &Splits,
        threads: usize,
        log: &dyn Log,
        stop: &Arc<Stop>,
    ) -> Result<impl Iterator<Item = Reading>, ProjectorError> {
        let views = &self.shared.means.views;
        let written = views.written();
        let mut readings = Vec::new();
        for relation in self.live.plan.fold.sources() {
            let reading = |source| Reading {
                plan: Arc::clone(&self.live.plan),
                skipped: self.live.skipped.clone(),
                relation: relation.to_owned(),
                source,
                from: self.generation.round.from,
                until: self.generation.round.until,
                shared: Arc::clone(&self.shared),
                stop: Arc::clone(stop),
            };
            match (over(relation), &touched) {
                (Over::Log, Touched::All) => {
                    readings.push(reading(Source::Log { written: written.clone(), log: log.share() }));
                }
                (Over::Log, Touched::These { moved, .. }) => {
                    let moved = log_relation::settled(moved.iter().copied());
                    readings.push(reading(Source::Moved { moved, log: log.share() }));
                }
                (Over::Rows(name), Touched::All) => {
                    let mirror = written.reader(&views.mirror(name)?);
                    let keys = splits.get(relation).map(Vec::as_slice).unwrap_or_default();
                    readings.extend(Source::parts(&mirror, keys, threads).map(reading));
                }
                (Over::Rows(name), Touched::These { of_types, .. }) => {
                    let mirror = written.reader(&views.mirror(name)?);
                    let aggregates: Vec<_> = of_types.get(name).into_iter().flatten().cloned().collect();
                    let parts = aggregates.chunks(aggregates.len().div_ceil(threads).max(1));
                    let these = |part: &[Arc<str>]| Source::These { mirror: mirror.clone(), aggregates: part.to_vec() };
                    readings.extend(parts.map(|part| reading(these(part))));
                }
            }
        }
        Ok(readings.into_iter())
    }
}

/// Folds a partition as it comes sorted.
fn fold(
    runtime: &Handle,
    mut pieces: Pieces<'_>,
    sorted: &mut SendableRecordBatchStream,
    stop: &Stop,
    until: Position,
) -> Result<(), Stopped> {
    while let Some(rows) = stop.next_of(runtime, sorted) {
        if stop.is_set() {
            return Ok(());
        }
        pieces.take(rows.map_err(|error| sorted::stopped(&error, until))?)?;
    }
    if stop.is_set() { Ok(()) } else { pieces.end() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_rows_that_never_come_is_stopped() {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let stop = Stop::default();
        let mut given = futures::stream::iter([1]).chain(futures::stream::pending());
        assert_eq!(stop.next_of(runtime.handle(), &mut given), Some(1));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| stop.next_of(runtime.handle(), &mut given));
            stop.set(Stopped::Cancelled);
            assert_eq!(waiting.join().unwrap(), None);
        });
        assert!(matches!(stop.take(), Some(Stopped::Cancelled)));
    }
}
