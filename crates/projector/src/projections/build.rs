//! Building a generation beside the one that is shown.
//!
//! A build is made of rounds. The first folds every aggregate of every relation as it was believed at a position, each
//! next one what has changed in them until another position, until little has: that rest is the folder's, who then shows
//! the generation. Mirrors know what was believed at any position, so that a build that a crash cut short goes on where
//! it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use deltafold_event::{EventId, Position, Timestamp};
use deltafold_projection::Change;
use deltafold_view::{Batch, Reader, Snapshot, Timeline, ViewStore, WriteError};
use serde::{Deserialize, Serialize};

use super::{
    Changes, Wake,
    generation::{Generation, Live},
    last_before,
    log_relation::{self, LogChange, Moved},
    plan::{Over, Plan, over},
    record::Failed,
};
use crate::{Log, ProjectorError, catalog::Progress};

/// How the names of the states begin that keep how far builds have come.
pub(crate) const STATES: &str = "build/";

/// How many changes are folded at once.
const CHANGES_AT_ONCE: usize = 131_072;
/// How many aggregates are so few that the folder can wait for them.
const FEW: usize = 2_000;
/// From how many on all are compared.
const MANY: usize = 50_000;
/// How often it is tried to come down to a few.
const ROUNDS: u32 = 16;

/// How far a build has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Round {
    /// What is folded already: everything before this position; none: nothing.
    from: Option<Position>,
    /// What is being folded: everything before this one.
    until: Position,
    /// Of how many relations it is.
    relations: usize,
    /// And of the next one, up to this aggregate; of the log, up to this position.
    after: Option<String>,
    /// How many aggregates are folded.
    aggregates: u64,
}

impl Round {
    /// The first one, of what was before a position.
    pub(crate) fn first(until: Position) -> Self {
        Self { from: None, until, relations: 0, after: None, aggregates: 0 }
    }

    /// One of all relations that is done.
    pub(crate) fn ended(until: Position, relations: usize) -> Self {
        Self { from: None, until, relations, after: None, aggregates: 0 }
    }

    fn next(&self, until: Position) -> Self {
        Self { from: Some(self.until), until, relations: 0, after: None, aggregates: 0 }
    }
}

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
    is_cancelled: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
    is_over: Mutex<bool>,
    over: Condvar,
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
        views: &ViewStore,
        log: Box<dyn Log>,
        checkpoint: Position,
        wake: Wake,
    ) -> Result<Self, ProjectorError> {
        // Of one that was begun before, nobody has noted what has changed since.
        let touched = if generation.round.until < checkpoint { Touched::All } else { Touched::none() };
        let shared = Arc::new(Shared {
            following: Mutex::new(Following { touched, checkpoint, is_replayed: false }),
            is_cancelled: AtomicBool::new(false),
            done: AtomicU64::new(generation.round.aggregates),
            total: AtomicU64::new(0),
            is_over: Mutex::new(false),
            over: Condvar::new(),
        });
        Self::go_on(Box::new(Rest { name: Arc::clone(name), live, generation, shared }), views, log, wake)
    }

    /// Goes on with what could not be ended.
    pub(crate) fn go_on(
        rest: Box<Rest>,
        views: &ViewStore,
        mut log: Box<dyn Log>,
        wake: Wake,
    ) -> Result<Self, ProjectorError> {
        let (plan, number, ordered) = (Arc::clone(&rest.live.plan), rest.generation.number, rest.generation.ordered);
        let (views, shared) = (views.clone(), Arc::clone(&rest.shared));
        *shared.is_over.lock().expect("no holder of this lock panics") = false;
        let over = Arc::clone(&shared);
        let run = move || {
            let built = rest.build(&views, &mut *log);
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

    pub(crate) fn plan(&self) -> &Plan {
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

    pub(crate) fn progress(&self) -> Progress {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Progress { aggregates: of(&self.shared.done), of_aggregates: of(&self.shared.total) }
    }
}

impl Rest {
    fn build(mut self, views: &ViewStore, log: &mut dyn Log) -> Result<Built, ProjectorError> {
        self.count(views)?;
        for number in 0.. {
            match self.round(views, log)? {
                Ok(true) => {}
                Ok(false) => return Ok(Built::Cancelled),
                Err(failed) => return Ok(Built::Failed(failed)),
            }
            let (touched, until) = {
                let mut following = self.shared.following.lock().expect("no holder of this lock panics");
                // Where it is always some more, the folder waits for them; never for all.
                if following.touched.count() <= if number < ROUNDS { FEW } else { MANY } {
                    break;
                }
                (std::mem::replace(&mut following.touched, Touched::none()), following.checkpoint)
            };
            if touched.count() > MANY {
                self.generation.round = self.generation.round.next(until);
                continue;
            }
            let mut write = views.batch();
            match self.fold_these(touched, until, &views.written(), log, &mut write)? {
                Ok(()) => write.commit()?,
                Err(failed) => return Ok(Built::Failed(failed)),
            }
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
    ) -> Result<Result<(), Failed>, ProjectorError> {
        let touched = {
            let mut following = self.shared.following.lock().expect("no holder of this lock panics");
            std::mem::replace(&mut following.touched, Touched::none())
        };
        self.fold_these(touched, checkpoint, written, log, write)
    }

    /// How many aggregates there are.
    fn count(&self, views: &ViewStore) -> Result<(), ProjectorError> {
        for relation in self.live.plan.fold.sources() {
            let Over::Rows(name) = over(relation) else { continue };
            let mirror = views.mirror(name)?;
            let keys = views.written().reader(&mirror).keys().count();
            self.shared.total.fetch_add(keys as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Folds what is left of a round; false if it was cancelled.
    fn round(&mut self, views: &ViewStore, log: &mut dyn Log) -> Result<Result<bool, Failed>, ProjectorError> {
        let plan = Arc::clone(&self.live.plan);
        let relations: Vec<&str> = plan.fold.sources().collect();
        let begun = self.generation.round.relations;
        for (number, relation) in relations.iter().enumerate().skip(begun) {
            loop {
                if self.shared.is_cancelled.load(Ordering::SeqCst) {
                    return Ok(Ok(false));
                }
                let written = views.written();
                let mut changes = Differences::default();
                let round = &mut self.generation.round;
                match over(relation) {
                    Over::Log => changes.read_log(&written, round, CHANGES_AT_ONCE, log)?,
                    Over::Rows(name) => {
                        let read = changes.read(&written.reader(&views.mirror(name)?), round, CHANGES_AT_ONCE)?;
                        round.aggregates += read as u64;
                        self.shared.done.fetch_add(read as u64, Ordering::Relaxed);
                    }
                }
                let last = changes.last.take();
                let is_end = last.is_none();
                round.relations = if is_end { number + 1 } else { number };
                round.after = last.map(String::from);
                let mut write = views.batch();
                let until = round.until;
                match self.fold(relation, &changes, until, &written, &mut write)? {
                    Ok(()) => write.commit()?,
                    Err(failed) => return Ok(Err(failed)),
                }
                if is_end {
                    break;
                }
            }
        }
        Ok(Ok(true))
    }

    /// Folds what has changed in some aggregates, at once.
    fn fold_these(
        &mut self,
        touched: Touched,
        until: Position,
        written: &Snapshot,
        log: &mut dyn Log,
        write: &mut Batch,
    ) -> Result<Result<(), Failed>, ProjectorError> {
        let Touched::These { of_types, moved } = touched else {
            unreachable!("where all were touched, a round looks at all of them")
        };
        let from = self.generation.round.until;
        let plan = Arc::clone(&self.live.plan);
        let mut of_relations: Vec<(&str, Differences)> = Vec::new();
        for relation in plan.fold.sources() {
            let mut changes = Differences::default();
            match over(relation) {
                Over::Log => changes.log = log_relation::read_rows(&log_relation::settled(moved.iter().copied()), log)?,
                Over::Rows(name) => {
                    if let (Some(aggregates), Some(mirror)) = (of_types.get(name), written.mirror(name)) {
                        let mirror = written.reader(&mirror);
                        for aggregate in aggregates {
                            let before = mirror.timeline(aggregate, last_before(from))?;
                            let now = mirror.timeline(aggregate, last_before(until))?;
                            changes.add(before.as_ref(), now.as_ref());
                        }
                    }
                }
            }
            of_relations.push((relation, changes));
        }
        let changes = of_relations.iter().map(|(relation, changes)| (*relation, changes.changes())).collect();
        self.generation.round = Round { relations: of_relations.len(), ..self.generation.round.next(until) };
        self.fold_all(changes, until, written, write)
    }

    fn fold(
        &mut self,
        relation: &str,
        changes: &Differences,
        until: Position,
        written: &Snapshot,
        write: &mut Batch,
    ) -> Result<Result<(), Failed>, ProjectorError> {
        let plan = Arc::clone(&self.live.plan);
        let of = |other: &str| if other == relation { changes.changes() } else { Vec::new() };
        let changes = plan.fold.sources().map(|other| (other, of(other))).collect();
        self.fold_all(changes, until, written, write)
    }

    /// Folds changes, and writes with them how far it has come.
    fn fold_all(
        &mut self,
        changes: BTreeMap<&str, Vec<Change<'_>>>,
        until: Position,
        written: &Snapshot,
        write: &mut Batch,
    ) -> Result<Result<(), Failed>, ProjectorError> {
        let is_first = !std::mem::replace(&mut self.generation.is_begun, true);
        let folded = self.live.fold_changes(changes, is_first, until, written, write)?;
        write.put_state(&format!("{STATES}{}", self.name), &self.generation.to_bytes());
        Ok(folded)
    }
}

/// What is different in some aggregates from what was folded of them.
#[derive(Default)]
struct Differences {
    changes: Vec<(Arc<str>, Timestamp, i8, EventId)>,
    log: Vec<LogChange>,
    /// The last aggregate that was read, or position of the log, if there may be more.
    last: Option<Box<str>>,
}

impl Differences {
    /// Reads so many changes of a round, and says of how many aggregates they are.
    fn read(&mut self, mirror: &Reader, round: &Round, most: usize) -> Result<usize, ProjectorError> {
        let after = round.after.as_deref();
        let now = last_before(round.until);
        let mut compared: Box<dyn Iterator<Item = _>> = match round.from {
            Some(from) => Box::new(mirror.compared(last_before(from), now, after)),
            None => Box::new(mirror.timelines(now, after).map(|timeline| Ok((None, Some(timeline?))))),
        };
        let mut read = 0;
        while let Some((was, is)) = compared.next().transpose()? {
            self.add(was.as_ref(), is.as_ref());
            read += 1;
            if self.changes.len() >= most {
                self.last = was.or(is).map(|timeline| timeline.key);
                break;
            }
        }
        Ok(read)
    }

    /// Reads so many changes of a round in the log.
    fn read_log(
        &mut self,
        written: &Snapshot,
        round: &Round,
        most: usize,
        log: &mut dyn Log,
    ) -> Result<(), ProjectorError> {
        let above = round.after.as_deref().and_then(|position| position.parse().ok());
        let (moved, is_cut) = log_relation::differences(written, round.from, round.until, above, most)?;
        self.last = moved.last().filter(|_| is_cut).map(|(position, ..)| position.to_string().into());
        self.log = log_relation::read_rows(&moved, log)?;
        Ok(())
    }

    /// What is different in one of them.
    fn add(&mut self, before: Option<&Timeline>, now: Option<&Timeline>) {
        let is_same = |one: &Timeline, other: &Timeline| {
            let rows = |timeline: &Timeline| {
                timeline
                    .versions
                    .iter()
                    .map(|(from, entry)| (*from, entry.row().map(str::to_owned)))
                    .collect::<Vec<_>>()
            };
            rows(one) == rows(other)
        };
        if before.zip(now).is_some_and(|(before, now)| is_same(before, now)) {
            return;
        }
        for (timeline, sign) in [(before, -1), (now, 1)] {
            let mut standing: Option<(Arc<str>, EventId)> = None;
            for (from, entry) in timeline.into_iter().flat_map(|timeline| &timeline.versions) {
                if let Some((row, event)) = standing.take() {
                    self.changes.push((row, *from, -sign, event));
                }
                let event = entry.entry().event.unwrap_or_else(|| EventId::from_bytes([0; 16]));
                standing = entry.row().map(|row| (Arc::from(row), event));
                if let Some((row, event)) = &standing {
                    self.changes.push((Arc::clone(row), *from, sign, *event));
                }
            }
        }
    }

    fn changes(&self) -> Vec<Change<'_>> {
        self.changes
            .iter()
            .map(|(row, valid_from, weight, event)| Change {
                row,
                valid_from: *valid_from,
                weight: *weight,
                event: *event,
            })
            .chain(self.log.iter().map(LogChange::change))
            .collect()
    }
}
