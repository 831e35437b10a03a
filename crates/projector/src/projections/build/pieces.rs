//! Folding the changes of a partition, which come sorted by key and moment, piece by piece.

use std::{
    sync::{Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use arrow::{array::RecordBatch, compute::concat_batches};
use deltafold_event::Position;
use deltafold_projection::{NoMemory, ONLY_KEY, Order};
use deltafold_view::{Batch, ViewStore};

use super::{
    super::generation::{Generation, Left, Live},
    Shared, Stopped, state,
};

/// How many changes of the index are written for one that is folded, before they are written; or after what time.
const WRITTEN_AT_ONCE: usize = 24;
const WRITTEN_EVERY: Duration = Duration::from_secs(2);

/// From how many times as many changes on those of one moment are folded in several pieces, too.
const OF_MOMENT: usize = 4;

/// Until how many times as many they are not where that fails: a sum of which a part is there may be zero, and be divided by.
const OF_MOMENT_THAT_FAILS: usize = 64;

/// Where the last change that is folded stands in the order in which they come ([`Order::place`]).
pub(super) type Place = Vec<u8>;

/// A partition of a round, as it is folded.
pub(super) struct Pieces<'r> {
    partition: usize,
    /// How many changes are folded at once. A key with as many is folded in several pieces.
    at_once: usize,
    name: &'r str,
    live: &'r Live,
    generation: &'r Mutex<&'r mut Generation>,
    shared: &'r Shared,
    views: &'r ViewStore,
    until: Position,
    is_first: bool,
    /// Where it was when the process started: what comes before is passed over.
    begun: Option<Place>,
    waiting: Vec<RecordBatch>,
    count: usize,
    /// With how many they are looked at.
    enough: usize,
    /// A key of which a part is folded already, and is remembered.
    open: Option<Vec<u8>>,
    /// What was folded of whole keys, and is to be written.
    write: Batch,
    written: Instant,
    /// How far that is, and how many changes it takes in.
    place: Option<Place>,
    folded: u64,
}

impl<'r> Pieces<'r> {
    pub(super) fn new(
        partition: usize,
        name: &'r str,
        live: &'r Live,
        generation: &'r Mutex<&'r mut Generation>,
        shared: &'r Shared,
    ) -> Self {
        let (begun, until, at_once, is_first) = {
            let round = &generation.lock().expect("no holder of this lock panics").round;
            (round.place(partition).cloned(), round.until(), round.at_once(), round.is_first())
        };
        let open = match live.plan.fold.has_keys() {
            true => begun.as_deref().map(|place| Order::key_of(place).to_owned()),
            false => Some(ONLY_KEY.to_vec()),
        };
        Self {
            partition,
            at_once,
            name,
            live,
            generation,
            shared,
            views: &shared.to,
            until,
            is_first,
            open,
            begun,
            waiting: Vec::new(),
            count: 0,
            enough: at_once,
            write: shared.to.batch(),
            written: Instant::now(),
            place: None,
            folded: 0,
        }
    }

    /// Takes in the changes that come next.
    pub(super) fn take(&mut self, rows: RecordBatch) -> Result<(), Stopped> {
        self.shared.work.is_read.store(true, Ordering::Relaxed);
        let rows = match &self.begun {
            None => rows,
            Some(begun) => {
                let keys = Keys::of(&rows);
                let passed = keys.first(|at| keys.order.place(at) > &**begun);
                self.shared.work.folded.fetch_add(passed as u64, Ordering::Relaxed);
                rows.slice(passed, rows.num_rows() - passed)
            }
        };
        self.count += rows.num_rows();
        self.waiting.push(rows);
        if self.count >= self.enough { self.fold(false) } else { Ok(()) }
    }

    /// Folds what is left: nothing comes any more.
    pub(super) fn end(mut self) -> Result<(), Stopped> {
        self.fold(true)?;
        self.write()?;
        // If it is this partition's to fold anything.
        if self.begun.is_some() && !self.live.plan.fold.has_keys() { self.fold_on() } else { Ok(()) }
    }

    /// Folds what waits, but for what may belong to something that comes.
    fn fold(&mut self, is_end: bool) -> Result<(), Stopped> {
        if self.shared.is_cancelled.load(Ordering::SeqCst) {
            return Err(Stopped::Cancelled);
        }
        let Some(first) = self.waiting.first() else { return Ok(()) };
        let mut rest = concat_batches(&first.schema(), &self.waiting).expect("they are of one schema");
        while rest.num_rows() > 0 {
            let keys = Keys::of(&rest);
            let rows = rest.num_rows();
            let of_first = keys.first(|at| keys.key(at) > keys.key(0));
            let is_open = self.open.as_deref() == Some(keys.key(0)) || of_first >= self.at_once;
            let last = if is_end { rows } else { keys.first(|at| keys.key(at) == keys.key(rows - 1)) };
            let mut may_wait = false;
            let end = match (is_open, of_first < rows || is_end) {
                (true, true) => of_first,
                (true, false) => {
                    match keys.first(|at| keys.order.key_and_moment(at) == keys.order.key_and_moment(rows - 1)) {
                        0 if rows >= OF_MOMENT * self.at_once => {
                            may_wait = rows < OF_MOMENT_THAT_FAILS * self.at_once;
                            keys.first(|at| keys.order.place(at) == keys.order.place(rows - 1))
                        }
                        // What there is of one moment is folded at once.
                        before => before,
                    }
                }
                (false, true) => keys.first_of_many(self.at_once).unwrap_or(last).min(last),
                (false, false) => 0,
            };
            if end == 0 {
                break;
            }
            let piece = rest.slice(0, end);
            let means = &self.shared.means;
            match means.work(|| if is_open { self.fold_part(&piece) } else { self.fold_whole(&piece) }) {
                Err(Stopped::Failed(_)) if may_wait => break,
                folded => folded?,
            }
            rest = rest.slice(end, rows - end);
        }
        self.count = rest.num_rows();
        self.enough = self.at_once.max(2 * self.count);
        self.waiting = vec![rest];
        Ok(())
    }

    /// Folds all there is of some keys.
    fn fold_whole(&mut self, rows: &RecordBatch) -> Result<(), Stopped> {
        let folded = match self.is_first {
            true => self.live.fold_keyed(rows, self.until, &NoMemory::default(), &mut self.write)?,
            false => {
                let memory = self.live.memory(&self.views.written());
                self.live.fold_keyed(rows, self.until, &memory, &mut self.write)?
            }
        };
        folded.map_err(Stopped::Failed)?;
        self.come_to(rows);
        let is_much = self.write.len() >= WRITTEN_AT_ONCE * self.at_once;
        if is_much || self.written.elapsed() >= WRITTEN_EVERY {
            self.write()?;
        }
        Ok(())
    }

    /// Folds a part of a key, which has to be remembered for the next one.
    fn fold_part(&mut self, rows: &RecordBatch) -> Result<(), Stopped> {
        self.write()?;
        let mut write = self.views.batch();
        let memory = self.live.memory(&self.views.written());
        let left = self.live.fold_keyed(rows, self.until, &memory, &mut write)?.map_err(Stopped::Failed)?;
        self.come_to(rows);
        self.open = self.place.as_deref().map(|place| Order::key_of(place).to_owned());
        self.commit(write)?;
        match left {
            Left::Nothing => Ok(()),
            Left::Some => self.fold_on(),
        }
    }

    /// Folds on until nothing is left of what was folded, maybe before a crash.
    fn fold_on(&self) -> Result<(), Stopped> {
        let is_cancelled = || self.shared.is_cancelled.load(Ordering::SeqCst);
        super::fold_on(self.live, self.until, self.views, is_cancelled)
    }

    fn come_to(&mut self, rows: &RecordBatch) {
        self.place = Some(Order::of(rows).place(rows.num_rows() - 1).to_owned());
        self.folded += rows.num_rows() as u64;
    }

    /// Writes what was folded of whole keys.
    fn write(&mut self) -> Result<(), Stopped> {
        let write = std::mem::replace(&mut self.write, self.views.batch());
        self.written = Instant::now();
        if self.is_first {
            write.commit_runs()?;
            self.commit(self.views.batch())
        } else {
            self.commit(write)
        }
    }

    /// Writes something with how far it has come.
    fn commit(&mut self, mut write: Batch) -> Result<(), Stopped> {
        let Some(place) = self.place.take() else { return Ok(()) };
        let mut generation = self.generation.lock().expect("no holder of this lock panics");
        let (work, folded) = (&self.shared.work, std::mem::take(&mut self.folded));
        let aggregates = if self.is_first { work.progress_with(folded).aggregates } else { 0 };
        generation.round.come_to(self.partition, place, aggregates);
        write.put_state(&state(self.name), &generation.to_bytes());
        write.commit()?;
        // What is told of it is durable.
        work.folded.fetch_add(folded, Ordering::Relaxed);
        Ok(())
    }
}

/// Changes in their order.
#[derive(Clone, Copy)]
struct Keys<'b> {
    order: Order<'b>,
    rows: usize,
}

impl<'b> Keys<'b> {
    fn of(rows: &'b RecordBatch) -> Self {
        Self { order: Order::of(rows), rows: rows.num_rows() }
    }

    fn key(self, at: usize) -> &'b [u8] {
        self.order.key(at)
    }

    /// The first for which something is true, which then is for all that follow.
    fn first(self, is: impl Fn(usize) -> bool) -> usize {
        let (mut from, mut until) = (0, self.rows);
        while from < until {
            let middle = from.midpoint(until);
            if is(middle) { until = middle } else { from = middle + 1 }
        }
        from
    }

    /// Where the first key begins that has so many changes.
    fn first_of_many(self, many: usize) -> Option<usize> {
        let rows = self.rows;
        let mut at = 0;
        while at + many <= rows {
            // Only a key that spans so many can be one.
            let of_last = self.first(|other| self.key(other) >= self.key(at + many - 1));
            let end = self.first(|other| self.key(other) > self.key(at + many - 1));
            if end - of_last >= many {
                return Some(of_last);
            }
            at = end.max(at + 1);
        }
        None
    }
}
