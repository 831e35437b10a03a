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
    RowChanges, Wake,
    generation::{Generation, Live},
    plan::{Plan, of_type},
    record::Failed,
};
use crate::{ProjectorError, catalog::Progress};

/// How the names of the states begin that keep how far builds have come.
pub(crate) const STATES: &str = "build/";

/// How many changes are folded at once.
const CHANGES_AT_ONCE: usize = 131_072;
/// How many aggregates are so few that the folder can wait for them.
const FEW: usize = 2_000;
/// From how many on all are compared.
const MANY: usize = 50_000;
/// How often it is tried to come down to a few.
const ROUNDS: usize = 16;

/// How far a build has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Round {
    /// What is folded already: everything before this position; none: nothing.
    from: Option<Position>,
    /// What is being folded: everything before this one.
    until: Position,
    /// Of how many relations it is.
    relations: usize,
    /// And of the next one, up to this aggregate.
    after: Option<String>,
}

impl Round {
    /// The first one, of what was before a position.
    pub(crate) fn first(until: Position) -> Self {
        Self { from: None, until, relations: 0, after: None }
    }

    fn next(&self, until: Position) -> Self {
        Self { from: Some(self.until), until, relations: 0, after: None }
    }
}

/// A build that is under way on a thread of its own.
pub(crate) struct Build {
    plan: Arc<Plan>,
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
}

/// Aggregates by type.
enum Touched {
    All,
    These(BTreeMap<Arc<str>, BTreeSet<Arc<str>>>),
}

impl Touched {
    fn none() -> Self {
        Self::These(BTreeMap::new())
    }

    fn count(&self) -> usize {
        match self {
            Self::All => usize::MAX,
            Self::These(of_types) => of_types.values().map(BTreeSet::len).sum(),
        }
    }
}

/// What a build has come to.
pub(crate) enum Built {
    /// All but what has changed in the last moments.
    Whole(Rest),
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
        checkpoint: Position,
        wake: Wake,
    ) -> Result<Self, ProjectorError> {
        // Of one that was begun before, nobody has noted what has changed since.
        let touched = if generation.round.until < checkpoint { Touched::All } else { Touched::none() };
        let shared = Arc::new(Shared {
            following: Mutex::new(Following { touched, checkpoint }),
            is_cancelled: AtomicBool::new(false),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            is_over: Mutex::new(false),
            over: Condvar::new(),
        });
        Self::go_on(Rest { name: Arc::clone(name), live, generation, shared }, views, wake)
    }

    /// Goes on with what could not be ended.
    pub(crate) fn go_on(rest: Rest, views: &ViewStore, wake: Wake) -> Result<Self, ProjectorError> {
        let (plan, ordered) = (Arc::clone(&rest.live.plan), rest.generation.ordered);
        let (views, shared) = (views.clone(), Arc::clone(&rest.shared));
        *shared.is_over.lock().expect("no holder of this lock panics") = false;
        let over = Arc::clone(&shared);
        let run = move || {
            let built = rest.build(&views);
            *over.is_over.lock().expect("no holder of this lock panics") = true;
            over.over.notify_all();
            wake();
            built
        };
        let thread = thread::Builder::new().name("build".into()).spawn(run).map_err(WriteError::Io)?;
        Ok(Self { plan, ordered, shared, thread })
    }

    /// Where it was ordered.
    pub(crate) fn ordered(&self) -> Option<Position> {
        self.ordered
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Notes what a commit has changed.
    pub(crate) fn follow(&self, changes: &RowChanges, checkpoint: Position, is_replay: bool) {
        let mut following = self.shared.following.lock().expect("no holder of this lock panics");
        following.checkpoint = checkpoint;
        if is_replay {
            following.touched = Touched::All;
        }
        let Touched::These(touched) = &mut following.touched else { return };
        for (name, changes) in changes.iter().filter(|(name, _)| self.plan.is_over(name)) {
            let of_type = touched.entry(Arc::clone(name)).or_default();
            of_type.extend(changes.iter().map(|change| Arc::clone(&change.aggregate)));
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
    fn build(mut self, views: &ViewStore) -> Result<Built, ProjectorError> {
        self.count(views)?;
        for _ in 0..ROUNDS {
            match self.round(views)? {
                Ok(true) => {}
                Ok(false) => return Ok(Built::Cancelled),
                Err(failed) => return Ok(Built::Failed(failed)),
            }
            let (touched, until) = {
                let mut following = self.shared.following.lock().expect("no holder of this lock panics");
                if following.touched.count() <= FEW {
                    break;
                }
                (std::mem::replace(&mut following.touched, Touched::none()), following.checkpoint)
            };
            match touched {
                Touched::These(of_types) if of_types.values().map(BTreeSet::len).sum::<usize>() <= MANY => {
                    let mut write = views.batch();
                    match self.fold_these(&of_types, until, &views.written(), &mut write)? {
                        Ok(()) => write.commit()?,
                        Err(failed) => return Ok(Built::Failed(failed)),
                    }
                }
                Touched::These(_) | Touched::All => self.generation.round = self.generation.round.next(until),
            }
        }
        Ok(Built::Whole(self))
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
        write: &mut Batch,
    ) -> Result<Result<(), Failed>, ProjectorError> {
        let touched = {
            let mut following = self.shared.following.lock().expect("no holder of this lock panics");
            std::mem::replace(&mut following.touched, Touched::none())
        };
        match touched {
            Touched::These(of_types) => self.fold_these(&of_types, checkpoint, written, write),
            Touched::All => unreachable!("the build has looked at all of them"),
        }
    }

    /// How many aggregates there are.
    fn count(&self, views: &ViewStore) -> Result<(), ProjectorError> {
        for relation in self.live.plan.fold.sources() {
            let mirror = views.mirror(of_type(relation))?;
            let keys = views.written().reader(&mirror).keys().count();
            self.shared.total.fetch_add(keys as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Folds what is left of a round; false if it was cancelled.
    fn round(&mut self, views: &ViewStore) -> Result<Result<bool, Failed>, ProjectorError> {
        let plan = Arc::clone(&self.live.plan);
        let relations: Vec<&str> = plan.fold.sources().collect();
        let begun = self.generation.round.relations;
        for (number, relation) in relations.iter().enumerate().skip(begun) {
            let mirror = views.mirror(of_type(relation))?;
            loop {
                if self.shared.is_cancelled.load(Ordering::SeqCst) {
                    return Ok(Ok(false));
                }
                let written = views.written();
                let mut changes = Differences::default();
                let read = changes.read(&written.reader(&mirror), &self.generation.round, CHANGES_AT_ONCE)?;
                self.shared.done.fetch_add(read as u64, Ordering::Relaxed);
                let round = &mut self.generation.round;
                let is_end = match changes.last.take() {
                    Some(last) => {
                        round.after = Some(last.into_string());
                        false
                    }
                    None => {
                        (round.relations, round.after) = (number + 1, None);
                        true
                    }
                };
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
        of_types: &BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
        until: Position,
        written: &Snapshot,
        write: &mut Batch,
    ) -> Result<Result<(), Failed>, ProjectorError> {
        let from = self.generation.round.until;
        let plan = Arc::clone(&self.live.plan);
        let mut of_relations: Vec<(&str, Differences)> = Vec::new();
        for relation in plan.fold.sources() {
            let mut changes = Differences::default();
            if let (Some(aggregates), Some(mirror)) = (of_types.get(of_type(relation)), mirror(written, relation)) {
                for aggregate in aggregates {
                    let before = mirror.timeline(aggregate, last_before(from))?;
                    let now = mirror.timeline(aggregate, last_before(until))?;
                    changes.add(before.as_ref(), now.as_ref());
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

/// The mirror of a relation, as a snapshot has it.
fn mirror(written: &Snapshot, relation: &str) -> Option<Reader> {
    written.mirror(of_type(relation)).map(|mirror| written.reader(&mirror))
}

fn last_before(end: Position) -> Position {
    Position::from_i64(end.as_i64() - 1).unwrap_or(Position::ZERO)
}

/// What is different in some aggregates from what was folded of them.
#[derive(Default)]
struct Differences {
    changes: Vec<(Arc<str>, Timestamp, i8, EventId)>,
    /// The last aggregate that was read, if there may be more.
    last: Option<Box<str>>,
}

impl Differences {
    /// Reads so many changes of a round, and says of how many aggregates they are.
    fn read(&mut self, mirror: &Reader, round: &Round, most: usize) -> Result<usize, ProjectorError> {
        let after = round.after.as_deref();
        let mut now = mirror.timelines(last_before(round.until), after).peekable();
        let mut before = round.from.map(|from| mirror.timelines(last_before(from), after).peekable());
        let mut read = 0;
        loop {
            let next = |timelines: &mut std::iter::Peekable<deltafold_view::Timelines>| match timelines.peek() {
                Some(Ok(timeline)) => Ok(Some(timeline.key.clone())),
                Some(Err(_)) => Err(timelines.next().and_then(Result::err).expect("just seen")),
                None => Ok(None),
            };
            let (of_now, of_before) = (next(&mut now)?, before.as_mut().map_or(Ok(None), next)?);
            let Some(key) = of_now.iter().chain(&of_before).min_by(|a, b| a.as_bytes().cmp(b.as_bytes())).cloned()
            else {
                return Ok(read);
            };
            let was = match &mut before {
                Some(before) if of_before.as_ref() == Some(&key) => before.next().transpose()?,
                _ => None,
            };
            let is = if of_now.as_ref() == Some(&key) { now.next().transpose()? } else { None };
            self.add(was.as_ref(), is.as_ref());
            read += 1;
            if self.changes.len() >= most {
                self.last = Some(key);
                return Ok(read);
            }
        }
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
            .collect()
    }
}
