//! Building a generation beside the one that is shown.
//!
//! A build is made of rounds (`round`). The first folds every aggregate of every relation as it was believed at a
//! position, each next one what has changed in them until another position, until little has: that rest is the folder's,
//! who then shows the generation. Mirrors know what was believed at any position, so that a build that a crash cut short
//! goes on where it was.

mod as_believed;
mod differences;
mod means;
mod pieces;
mod reading;
mod round;
mod sorted;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use deltafold_event::Position;
use deltafold_view::{Batch, Snapshot, ViewStore, WriteError};

use super::{
    Changes, Wake,
    generation::{Generation, Left, Live},
    last_before,
    log_relation::{self, LogChange, Moved},
    plan::{Over, Plan, over},
    record::Failed,
};
use crate::{
    Log, ProjectorError,
    catalog::{Building, Progress},
};
use differences::Differences;
use reading::Splits;

pub(crate) use as_believed::AsBelieved;
pub(crate) use means::Means;
pub(crate) use round::Round;

/// How the names of the states begin that keep how far builds have come.
pub(crate) const STATES: &str = "build/";

/// How many aggregates are so few that the folder can wait for them.
const FEW: usize = 2_000;
/// From how many on all are compared.
const MANY: usize = 500_000;
/// How often it is tried to come down to a few.
const ROUNDS: u32 = 16;
/// How many the folder waits for after that.
const MOST: usize = 50_000;

/// A build that is under way on a thread of its own.
pub(crate) struct Build {
    plan: Arc<Plan>,
    number: u32,
    ordered: Option<Position>,
    shared: Arc<Shared>,
    thread: thread::JoinHandle<Result<Built, ProjectorError>>,
}

struct Shared {
    following: Mutex<Following>,
    is_cancelled: Arc<AtomicBool>,
    means: Arc<Means>,
    /// Where it is built.
    to: ViewStore,
    work: Arc<Work>,
    is_over: Mutex<bool>,
    over: Condvar,
}

impl Shared {
    /// Of a build that follows nothing.
    fn new(means: Arc<Means>, to: ViewStore, is_cancelled: Arc<AtomicBool>) -> Self {
        let nothing = Following { touched: Touched::none(), checkpoint: Position::ZERO, is_replayed: false };
        Self {
            following: Mutex::new(nothing),
            is_cancelled,
            means,
            to,
            work: Arc::default(),
            is_over: Mutex::new(false),
            over: Condvar::new(),
        }
    }
}

/// How much was done of the first round, which is nearly all of a build.
#[derive(Default)]
struct Work {
    /// How many aggregates there are, and how many are read.
    aggregates: AtomicU64,
    read: AtomicU64,
    /// How many changes were found in them, and how many are folded.
    found: AtomicU64,
    folded: AtomicU64,
    /// Whether all are read.
    is_read: AtomicBool,
    /// What was done before the process started again, in aggregates.
    before: AtomicU64,
}

impl Work {
    fn progress(&self) -> Progress {
        self.progress_with(0)
    }

    /// In aggregates, with so many more changes folded: reading counts one half, folding the other.
    fn progress_with(&self, more: u64) -> Progress {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let aggregates = of(&self.aggregates);
        let halves = match self.is_read.load(Ordering::Relaxed) {
            false => of(&self.read).min(aggregates),
            true => {
                let folded = of(&self.folded) + more;
                let folded = u128::from(aggregates) * u128::from(folded) / u128::from(of(&self.found).max(1));
                aggregates + u64::try_from(folded).unwrap_or(u64::MAX).min(aggregates)
            }
        };
        Progress { aggregates: (halves / 2).max(of(&self.before)), of_aggregates: aggregates }
    }
}

/// What has changed since the build looked last, and until when.
struct Following {
    touched: Touched,
    checkpoint: Position,
    /// Whether what the log's reading again has changed is believed from this checkpoint on, and not before.
    is_replayed: bool,
}

/// Aggregates by type.
enum Touched {
    All,
    These { of_types: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>, moved: Vec<Moved> },
}

impl Touched {
    fn none() -> Self {
        Self::These { of_types: BTreeMap::new(), moved: Vec::new() }
    }

    fn count(&self) -> usize {
        match self {
            Self::All => usize::MAX,
            Self::These { of_types, moved } => moved.len() + of_types.values().map(BTreeSet::len).sum::<usize>(),
        }
    }
}

/// What a build has come to.
pub(crate) enum Built {
    /// All but what has changed in the last moments.
    Whole(Box<Rest>),
    Failed(Failed),
    Cancelled,
}

/// A generation that is built, but for the last of what has changed.
pub(crate) struct Rest {
    name: Arc<str>,
    pub(crate) live: Live,
    pub(crate) generation: Generation,
    shared: Arc<Shared>,
}

impl Build {
    /// Begins, or goes on where a build was cut short.
    pub(crate) fn begin(
        name: &Arc<str>,
        live: Live,
        generation: Generation,
        means: &Arc<Means>,
        log: Box<dyn Log>,
        checkpoint: Position,
        wake: Wake,
    ) -> Result<Self, ProjectorError> {
        // Of one that was begun before, nobody has noted what has changed since.
        let touched = if generation.round.until() < checkpoint { Touched::All } else { Touched::none() };
        let shared = Arc::new(Shared {
            following: Mutex::new(Following { touched, checkpoint, is_replayed: false }),
            work: Arc::new(Work { before: AtomicU64::new(generation.round.aggregates()), ..Work::default() }),
            ..Shared::new(Arc::clone(means), means.views.clone(), Arc::default())
        });
        Self::go_on(Box::new(Rest { name: Arc::clone(name), live, generation, shared }), log, wake)
    }

    /// Goes on with what could not be ended.
    pub(crate) fn go_on(rest: Box<Rest>, mut log: Box<dyn Log>, wake: Wake) -> Result<Self, ProjectorError> {
        let (plan, number, ordered) = (Arc::clone(&rest.live.plan), rest.generation.number, rest.generation.ordered);
        let shared = Arc::clone(&rest.shared);
        *shared.is_over.lock().expect("no holder of this lock panics") = false;
        let over = Arc::clone(&shared);
        let run = move || {
            let built = rest.build(&mut *log);
            *over.is_over.lock().expect("no holder of this lock panics") = true;
            over.over.notify_all();
            wake();
            built
        };
        let thread = thread::Builder::new().name("build".into()).spawn(run).map_err(WriteError::Io)?;
        Ok(Self { plan, number, ordered, shared, thread })
    }

    /// The number of its generation.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Where it was ordered.
    pub(crate) fn ordered(&self) -> Option<Position> {
        self.ordered
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Notes what a commit has changed.
    pub(crate) fn follow(&self, changes: &Changes, checkpoint: Position, is_replay: bool) {
        let mut following = self.shared.following.lock().expect("no holder of this lock panics");
        following.checkpoint = checkpoint;
        // A round that began between the two does not see it.
        if std::mem::replace(&mut following.is_replayed, is_replay) || is_replay {
            following.touched = Touched::All;
        }
        let Touched::These { of_types, moved } = &mut following.touched else { return };
        for (name, changes) in changes.rows.iter().filter(|(name, _)| self.plan.is_over(name)) {
            let of_type = of_types.entry(Arc::clone(name)).or_default();
            of_type.extend(changes.iter().map(|change| Arc::clone(&change.aggregate)));
        }
        if self.plan.is_over_log() {
            moved.extend_from_slice(&changes.moved);
        }
    }

    /// Whether it has come as far as it can by itself.
    pub(crate) fn is_over(&self) -> bool {
        *self.shared.is_over.lock().expect("no holder of this lock panics")
    }

    /// Waits until it has.
    pub(crate) fn wait(&self) {
        let is_over = self.shared.is_over.lock().expect("no holder of this lock panics");
        drop(self.shared.over.wait_while(is_over, |is_over| !*is_over));
    }

    /// What it has come to.
    pub(crate) fn end(self) -> Result<Built, ProjectorError> {
        self.thread.join().map_err(|_| WriteError::Stopped)?
    }

    /// Gives it up, and waits until nothing more of it is written.
    pub(crate) fn cancel(self) {
        self.shared.is_cancelled.store(true, Ordering::SeqCst);
        // What it has come to does not matter any more.
        let _ = self.thread.join();
    }

    pub(crate) fn building(&self) -> Building {
        let work = Arc::clone(&self.shared.work);
        Building::new(move || work.progress())
    }
}

impl Rest {
    fn build(mut self, log: &mut dyn Log) -> Result<Built, ProjectorError> {
        let splits = self.look_around()?;
        if let Err(failed) = self.begin_folding()? {
            return Ok(Built::Failed(failed));
        }
        // Of what the folder has folded of it.
        let is_cancelled = || self.shared.is_cancelled.load(Ordering::SeqCst);
        match fold_on(&self.live, self.generation.round.until(), &self.shared.to, is_cancelled) {
            Ok(()) => {}
            Err(Stopped::Cancelled) => return Ok(Built::Cancelled),
            Err(Stopped::Failed(failed)) => return Ok(Built::Failed(failed)),
            Err(Stopped::Broken(error)) => return Err(error),
        }
        // Of a round that was begun before, nobody has noted what it was of.
        let mut of = Touched::All;
        for number in 0.. {
            if !self.generation.round.is_over() {
                match self.round(of, &splits, log) {
                    Ok(()) => {}
                    Err(Stopped::Cancelled) => return Ok(Built::Cancelled),
                    Err(Stopped::Failed(failed)) => return Ok(Built::Failed(failed)),
                    Err(Stopped::Broken(error)) => return Err(error),
                }
            }
            let (touched, until) = {
                let mut following = self.shared.following.lock().expect("no holder of this lock panics");
                // Where it is always some more, the folder waits for them; never for all.
                if following.touched.count() <= if number < ROUNDS { FEW } else { MOST } {
                    break;
                }
                (std::mem::replace(&mut following.touched, Touched::none()), following.checkpoint)
            };
            self.generation.round = self.generation.round.next(until);
            of = if touched.count() > MANY { Touched::All } else { touched };
        }
        Ok(Built::Whole(Box::new(self)))
    }

    /// Whether the folder would have to wait too long for what is left.
    pub(crate) fn has_much_left(&self) -> bool {
        let following = self.shared.following.lock().expect("no holder of this lock panics");
        matches!(following.touched, Touched::All)
    }

    /// What the folder has to do before it is shown. Everything before `checkpoint` is folded in the mirrors.
    pub(crate) fn catch_up(
        &mut self,
        checkpoint: Position,
        written: &Snapshot,
        log: &mut dyn Log,
        write: &mut Batch,
    ) -> Result<Result<Left, Failed>, ProjectorError> {
        let touched = {
            let mut following = self.shared.following.lock().expect("no holder of this lock panics");
            std::mem::replace(&mut following.touched, Touched::none())
        };
        self.fold_these(touched, checkpoint, written, log, write)
    }

    /// Counts the aggregates, and finds where to split them for several threads.
    fn look_around(&self) -> Result<Splits, ProjectorError> {
        let views = &self.shared.means.views;
        let (mut splits, mut aggregates) = (Splits::new(), 0);
        for relation in self.live.plan.fold.sources() {
            let Over::Rows(name) = over(relation) else { continue };
            let (count, keys) = reading::split(&views.written().reader(&views.mirror(name)?))?;
            aggregates += count;
            splits.insert(relation.to_owned(), keys);
        }
        self.shared.work.aggregates.store(aggregates, Ordering::Relaxed);
        Ok(splits)
    }

    /// Folds that nothing is there, if that was not done: where all rows are one group, it is there from the beginning.
    /// What the index knows of the build is durable afterwards, before anything of it is.
    fn begin_folding(&mut self) -> Result<Result<(), Failed>, ProjectorError> {
        let views = self.shared.to.clone();
        if !self.generation.is_begun {
            let mut write = views.batch();
            let nothing = self.live.plan.fold.sources().map(|relation| (relation, Vec::new())).collect();
            let until = self.generation.round.until();
            let memory = self.live.memory(&views.written());
            if let Err(failed) = self.live.fold_changes(nothing, true, until, &memory, &mut write)? {
                return Ok(Err(failed));
            }
            self.generation.is_begun = true;
            write.put_state(&state(&self.name), &self.generation.to_bytes());
            write.commit()?;
        }
        views.sync()?;
        Ok(Ok(()))
    }

    /// Folds what has changed in some aggregates, at once.
    fn fold_these(
        &mut self,
        touched: Touched,
        until: Position,
        written: &Snapshot,
        log: &mut dyn Log,
        write: &mut Batch,
    ) -> Result<Result<Left, Failed>, ProjectorError> {
        let Touched::These { of_types, moved } = touched else {
            unreachable!("where all were touched, a round looks at all of them")
        };
        let from = self.generation.round.until();
        let plan = Arc::clone(&self.live.plan);
        let mut of_relations: Vec<(&str, Differences, Vec<LogChange>)> = Vec::new();
        for relation in plan.fold.sources() {
            let mut changes = Differences::default();
            let mut of_log = Vec::new();
            match over(relation) {
                Over::Log => of_log = log_relation::read_rows(&log_relation::settled(moved.iter().copied()), log)?,
                Over::Rows(name) => {
                    if let (Some(aggregates), Some(mirror)) = (of_types.get(name), written.mirror(name)) {
                        let mirror = written.reader(&mirror);
                        for aggregate in aggregates {
                            let before = mirror.timeline(aggregate, last_before(from))?;
                            let now = mirror.timeline(aggregate, last_before(until))?;
                            changes.add(before, now);
                        }
                    }
                }
            }
            of_relations.push((relation, changes, of_log));
        }
        let changes = of_relations
            .iter()
            .map(|(relation, rows, log)| (*relation, rows.changes().chain(log.iter().map(LogChange::change)).collect()))
            .collect();
        let folded = self.live.fold_changes(changes, false, until, &self.live.memory(written), write)?;
        self.generation.round = self.generation.round.ended_at(until);
        write.put_state(&state(&self.name), &self.generation.to_bytes());
        Ok(folded)
    }
}

/// Folds on until nothing is left of what was folded before a position.
fn fold_on(live: &Live, until: Position, views: &ViewStore, is_cancelled: impl Fn() -> bool) -> Result<(), Stopped> {
    loop {
        if is_cancelled() {
            return Err(Stopped::Cancelled);
        }
        let mut write = views.batch();
        let left = live.fold_on(until, &live.memory(&views.written()), &mut write)?.map_err(Stopped::Failed)?;
        write.commit()?;
        if left == Left::Nothing {
            return Ok(());
        }
    }
}

/// The name of the state that keeps how far a build has come.
fn state(name: &str) -> String {
    format!("{STATES}{name}")
}

/// Why a round did not come to its end.
enum Stopped {
    Cancelled,
    Failed(Failed),
    Broken(ProjectorError),
}

impl<E: Into<ProjectorError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}
