//! The projections: which there are, what is folded of each, and what of it is shown.
//!
//! What is wanted is in the log, as `$projection` events: every replica follows the same definitions and orders. What
//! has come of it is in the index: the generations of each projection, of which one is shown. A generation is built from
//! the mirrors beside the one that is shown (`build`), catches up with what has changed meanwhile, and takes its place
//! in the batch that makes it whole. From there on it is folded with its relations, in the same batches.

mod arranged;
mod build;
mod building;
mod control;
mod fold_memory;
mod folding;
mod forgetting;
mod generation;
mod log_relation;
mod plan;
mod record;
mod shown;
mod unseen;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use deltafold_event::{Position, StoredEvent, Timestamp, control as aggregate};
use deltafold_relation::RowChange;
use deltafold_view::{Batch, Snapshot, ViewStore};

use crate::{Log, Options, ProjectorError, ViewInfo, WantedIndexes};
use build::Build;
use forgetting::Forgetting;
use generation::Live;
use log_relation::LogChange;
use record::{Failed, Record};
use unseen::Unseen;

pub(crate) use build::{AsBelieved, Means};
pub use control::{Ordered, Said};
pub(crate) use generation::Generation;
pub(crate) use log_relation::{Moved, there};
pub(crate) use plan::{Plan, relations as plan_relations};
pub use unseen::{shown_earlier, was_whole_at, whole_until};

/// What changed in relations.
#[derive(Default)]
pub(crate) struct Changes {
    /// In the rows of aggregate types.
    pub(crate) rows: BTreeMap<Arc<str>, Vec<RowChange>>,
    /// In the log: which events moved, and what is in them.
    pub(crate) moved: Vec<Moved>,
    pub(crate) log: Vec<LogChange>,
}

impl Changes {
    /// Takes in which events of the log moved; `there` are some that need not be read for what is in them.
    pub(crate) fn take_log(
        &mut self,
        moved: Vec<Moved>,
        there: &BTreeMap<Position, &StoredEvent>,
        log: &mut dyn Log,
    ) -> Result<(), ProjectorError> {
        self.moved = log_relation::settled(moved);
        self.log = log_relation::with_rows(&self.moved, there, log)?;
        Ok(())
    }
}

/// The last position before an exclusive end.
pub(crate) fn last_before(end: Position) -> Position {
    Position::from_i64(end.as_i64() - 1).unwrap_or(Position::ZERO)
}

/// What a snapshot shows of a derived view, and everything before what position is folded in it; none: nothing yet.
pub(crate) fn shown_generation(
    snapshot: &Snapshot,
    name: &str,
) -> Result<Option<(Generation, Position)>, ProjectorError> {
    let state = format!("{}{name}", record::STATES);
    let Some(bytes) = snapshot.state(&state)? else { return Ok(None) };
    let record = Record::from_bytes(&bytes).map_err(|what| ProjectorError::Memory { view: name.to_owned(), what })?;
    let until =
        Unseen::read(snapshot)?.shown_until(name).map_or_else(|| snapshot.checkpoint(&state), |it| Ok(Some(it)));
    Ok(record.serving.zip(until?))
}

/// In how many parts of the time that beliefs are kept they are forgotten.
const FORGOTTEN_IN_PARTS: i64 = 6;

/// What is called when a build has come so far that the folder has to do something.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// What projections are over.
#[derive(Clone)]
pub(crate) struct Followed {
    plans: Vec<Arc<Plan>>,
    /// Whether between commits there is nothing to be done for any of them.
    pub(crate) is_quiet: bool,
}

impl Followed {
    /// Whether changes of a relation are wanted.
    pub(crate) fn want(&self, aggregate_type: &str) -> bool {
        self.plans.iter().any(|plan| plan.is_over(aggregate_type))
    }

    /// Whether changes of the log are wanted.
    pub(crate) fn want_log(&self) -> bool {
        self.plans.iter().any(|plan| plan.is_over_log())
    }
}

/// All projections of a folder.
pub(crate) struct Projections {
    views: ViewStore,
    /// Called when a build is over.
    pub(crate) wake: Wake,
    by_name: BTreeMap<Arc<str>, Projection>,
    /// What relations are like, as definitions were typed last.
    relations: Vec<Arc<ViewInfo>>,
    /// Whether something was ordered since.
    is_ordered: bool,
    /// Until when what was believed is forgotten, or about to be.
    forgotten: Timestamp,
    forgetting: Option<Forgetting>,
    /// What builds share.
    means: Arc<Means>,
    /// Which indexes views are to have.
    indexes: WantedIndexes,
    /// How long views are shown whose definitions were removed.
    keep_removed: Duration,
    /// How many pairs of joined rows are folded at once, and for how long what is left is folded on.
    joined_pairs: u64,
    folded_on: Duration,
    /// Those of which something is left to be folded, as what is written has them.
    unseen: Unseen,
    /// Everything before it was folded in those that are.
    until: Position,
    /// Whether it was looked for arrangements that nothing needs since that could have changed.
    are_swept: bool,
}

struct Projection {
    record: Record,
    /// Whether the record is not written as it is.
    is_changed: bool,
    /// How its definition is folded; else why it cannot be, as things are.
    plan: Result<Arc<Plan>, String>,
    /// The generation that is shown, while it is folded.
    live: Option<Live>,
    /// Everything before it is folded in what is shown.
    followed: Position,
    /// One that waits to be shown, while it is folded.
    ready: Option<Live>,
    /// The one that is being built.
    build: Option<Build>,
}

impl Projections {
    /// Takes up what the index remembers; everything before `checkpoint` is folded in the mirrors.
    pub(crate) fn open(
        views: ViewStore,
        snapshot: &Snapshot,
        checkpoint: Position,
        relations: Vec<Arc<ViewInfo>>,
        options: &Options,
    ) -> Result<Self, ProjectorError> {
        let damaged = |view: &str, what| ProjectorError::Memory { view: view.to_owned(), what };
        let mut by_name = BTreeMap::new();
        for (name, bytes) in snapshot.states(record::STATES)? {
            let mut record = Record::from_bytes(&bytes).map_err(|what| damaged(&name, what))?;
            if let Some(bytes) = snapshot.state(&format!("{}{name}", build::STATES))? {
                let building = Generation::from_bytes(&bytes).map_err(|what| damaged(&name, what))?;
                record.building =
                    record.building.map(|begun| if begun.number == building.number { building } else { begun });
            }
            by_name.insert(name.into(), Projection::new(record));
        }
        let wake: Wake = Arc::new(|| {});
        let means = Arc::new(Means::new(views.clone(), options.built_changes));
        let mut projections = Self {
            views,
            wake,
            by_name,
            relations: Vec::new(),
            is_ordered: true,
            forgotten: Timestamp::MIN,
            forgetting: None,
            means,
            indexes: options.indexes.clone(),
            keep_removed: options.keep_removed,
            joined_pairs: options.joined_pairs,
            folded_on: options.folded_on,
            unseen: Unseen::read(snapshot)?,
            until: checkpoint,
            are_swept: false,
        };
        projections.prepare(relations);
        let known = plan::relations(&projections.relations);
        for (name, projection) in &mut projections.by_name {
            // One that was folded until now goes on being folded; another one is built anew.
            let unseen = &projections.unseen;
            let wanted = projection.plan.as_ref().ok();
            let live = |generation: &Option<Generation>, followed: Position, of: &str| {
                let Some(generation) = generation.as_ref().filter(|_| followed == checkpoint) else { return Ok(None) };
                let Some(plan) = generation.plan(name, wanted, &known, options.joined_pairs) else { return Ok(None) };
                let view = projections.views.generation(name, generation.number)?;
                let mut live = Live::new(plan, view, generation.skipped.clone());
                live.arrange(generation.arranged.views(&projections.views)?);
                Ok::<_, ProjectorError>(Some(live.with_left(unseen.left(of))))
            };
            let until =
                |of: &str| Ok::<_, ProjectorError>(snapshot.checkpoint(&format!("{of}{name}"))?.unwrap_or_default());
            let followed = until(record::STATES)?;
            // In the middle of what is read again the position is the same before and after a failure.
            let serving = if projection.record.is_stopped { &None } else { &projection.record.serving };
            let (shown, ready) = (
                live(serving, followed, name)?,
                live(&projection.record.ready, until(record::READY)?, &unseen::ready(name))?,
            );
            (projection.live, projection.ready, projection.followed) = (shown, ready, followed);
            if projection.ready.is_none() && projection.record.ready.is_some() {
                projection.record.lose_ready();
                projection.is_changed = true;
            }
        }
        Ok(projections)
    }

    /// Takes in what a `$projection` event orders.
    pub(crate) fn control(&mut self, stored: &StoredEvent) {
        let event = &stored.event;
        let (true, Some(name)) = (&*event.aggregate_type == aggregate::PROJECTION, &event.aggregate_id) else { return };
        let ordered = match Ordered::of(event) {
            Ok(ordered) => ordered,
            // It stops nothing else.
            Err(what) => {
                tracing::error!(position = %stored.position, what, "a $projection event cannot be read");
                return;
            }
        };
        let projection = self.by_name.entry(name.as_str().into()).or_insert_with(|| Projection::new(Record::default()));
        if projection.record.obey(&ordered, (stored.position, event.occurred_at), projection.followed) {
            projection.is_changed = true;
            let record = &projection.record;
            if matches!(ordered, Ordered::Swapped) && record.ready.is_none() && projection.ready.is_some() {
                (projection.live, projection.followed) = (projection.ready.take(), self.until);
                self.unseen.rename(&unseen::ready(name), name);
                self.are_swept = false;
            }
            if record.is_paused || record.serving.is_none() {
                projection.live = None;
            }
            if record.is_paused || record.ready.is_none() {
                projection.ready = None;
            }
            // What was being built is not shown any more, if something else was ordered.
            let is_wanted = |build: &Build| {
                let building = record.building.as_ref().is_some_and(|building| building.number == build.number());
                building && build.ordered() == record.build_wanted && !record.is_paused
            };
            if !projection.build.as_ref().is_some_and(is_wanted) {
                projection.cancel_build();
            }
            self.is_ordered = true;
        }
    }

    /// Ends those whose definitions were removed long enough before what was recorded last.
    pub(crate) fn remove_due(&mut self, recorded_at: Timestamp) {
        let kept_us = i64::try_from(self.keep_removed.as_micros()).unwrap_or(i64::MAX);
        for (name, projection) in &mut self.by_name {
            let goes_at = projection.record.removed.map(|removed| removed.as_micros().saturating_add(kept_us));
            if goes_at.is_some_and(|goes_at| goes_at <= recorded_at.as_micros()) {
                projection.record.remove();
                self.unseen.forget(name);
                self.unseen.forget(&unseen::ready(name));
                projection.is_changed = true;
                (projection.live, projection.ready) = (None, None);
                projection.cancel_build();
            }
        }
    }

    /// Types definitions over what relations are like now. A view whose relations have changed in what it is made of is
    /// folded no more: it is built anew.
    pub(crate) fn prepare(&mut self, relations: Vec<Arc<ViewInfo>>) {
        let is_same = |one: &[Arc<ViewInfo>], other: &[Arc<ViewInfo>]| {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| Arc::ptr_eq(one, other))
        };
        if self.by_name.is_empty() || (!self.is_ordered && is_same(&self.relations, &relations)) {
            self.relations = relations;
            return;
        }
        let known = plan::relations(&relations);
        for (name, projection) in &mut self.by_name {
            let Some(sql) = &projection.record.sql else { continue };
            projection.plan = match relations.iter().any(|mirror| mirror.name == *name) {
                true => {
                    Err(format!("{name} is an aggregate type, whose mirror has that name: call the view otherwise"))
                }
                false => Plan::new(name, sql, &known).map(|plan| Arc::new(plan.in_pieces_of(self.joined_pairs))),
            };
            let is_of = |build: &Build| projection.plan.as_ref().is_ok_and(|plan| build.plan().is_same(plan));
            if !projection.build.as_ref().is_some_and(is_of) {
                projection.cancel_build();
            }
            for followed in [&mut projection.live, &mut projection.ready] {
                let Some(live) = followed else { continue };
                match &projection.plan {
                    Ok(plan) if plan.is_same(&live.plan) => live.plan = Arc::clone(plan),
                    // It goes on until what was ordered is there, unless its relations are not what they were.
                    _ if live.fits(&known) => {}
                    _ => *followed = None,
                }
            }
            if projection.ready.is_none() && projection.record.ready.is_some() {
                projection.record.lose_ready();
                projection.is_changed = true;
            }
        }
        self.relations = relations;
        self.is_ordered = false;
    }

    /// What relations are followed.
    pub(crate) fn followed(&self) -> Followed {
        let plans = self.by_name.values().flat_map(|projection| {
            let followed = projection.live.iter().chain(&projection.ready).map(|live| &live.plan);
            followed.chain(projection.build.as_ref().map(Build::plan)).cloned()
        });
        let is_quiet = self.by_name.is_empty() || self.are_swept && self.by_name.values().all(Projection::is_quiet);
        Followed { plans: plans.collect(), is_quiet }
    }

    /// Writes what is known of projections, if it is not written.
    fn put(&mut self, write: &mut Batch) {
        for (name, projection) in &mut self.by_name {
            if std::mem::take(&mut projection.is_changed) {
                let state = format!("{}{name}", record::STATES);
                write.put_state(&state, &projection.record.to_bytes());
                write.put_checkpoint(&state, projection.followed);
            }
        }
        self.unseen.put(write);
    }

    /// Whether a view is being built, which is told what changes.
    pub(crate) fn is_building(&self) -> bool {
        self.by_name.values().any(|projection| projection.build.is_some())
    }

    /// Tells builds what a commit has changed, after which everything before `checkpoint` is folded in the mirrors.
    /// `is_replay`: what was folded before is folded otherwise, and more of that follows.
    pub(crate) fn follow(&self, changes: &Changes, checkpoint: Position, is_replay: bool) {
        for build in self.by_name.values().filter_map(|projection| projection.build.as_ref()) {
            build.follow(changes, checkpoint, is_replay);
        }
    }

    /// Between commits: ends the builds that have come far enough, and begins those that are due.
    /// What was folded last had been recorded at `recorded_at`.
    pub(crate) fn go_on(
        &mut self,
        checkpoint: Position,
        recorded_at: Option<Timestamp>,
        log: &mut dyn Log,
    ) -> Result<(), ProjectorError> {
        if let Some(recorded_at) = recorded_at {
            self.remove_due(recorded_at);
        }
        self.fold_on()?;
        self.end_builds(checkpoint, recorded_at, log)?;
        let begun = self.begin_generations(checkpoint);
        // Before anything is folded for them: a generation's number is never given to another one.
        let mut write = self.views.batch();
        self.put(&mut write);
        if !write.is_empty() {
            write.commit()?;
        }
        self.begin_builds(begun, checkpoint, log)?;
        self.drop_generations()
    }

    /// Begins to remove what views were believed to be longer than so long ago, every now and then.
    pub(crate) fn forget_if_due(&mut self, recorded_at: Timestamp, kept: Duration) -> Result<(), ProjectorError> {
        let kept_us = i64::try_from(kept.as_micros()).unwrap_or(i64::MAX);
        let since = Timestamp::from_micros(recorded_at.as_micros().saturating_sub(kept_us));
        let every_us = kept_us / FORGOTTEN_IN_PARTS;
        if self.by_name.is_empty() || since.as_micros().saturating_sub(self.forgotten.as_micros()) < every_us {
            return Ok(());
        }
        self.forgotten = since;
        let Some(end) = self.views.snapshot().first_end_since(since)? else { return Ok(()) };
        // What is shown as it was before something that is not all there yet stays; of a view that has stopped in the middle
        // of that, it is computed once it is gone.
        let end = if self.is_whole() { end } else { self.unseen.first().map_or(end, |first| end.min(first)) };
        let before = last_before(end);
        let mut views = Vec::new();
        for (name, projection) in &self.by_name {
            for generation in projection.record.serving.iter().chain(&projection.record.ready) {
                views.push(self.views.generation(name, generation.number)?);
            }
        }
        self.forgetting = Some(Forgetting::begin(self.views.clone(), views, before, end)?);
        Ok(())
    }

    /// Removes the generations of which nothing is needed.
    fn drop_generations(&mut self) -> Result<(), ProjectorError> {
        for (name, projection) in &mut self.by_name {
            if projection.build.is_some() {
                continue;
            }
            while let Some(number) = projection.record.dropped.first().copied() {
                self.views.drop_generation(name, number)?;
                projection.record.dropped.remove(&number);
                (projection.is_changed, self.are_swept) = (true, false);
            }
        }
        self.sweep()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl Drop for Projections {
    fn drop(&mut self) {
        self.by_name.values_mut().for_each(Projection::cancel_build);
    }
}

impl Projection {
    fn new(record: Record) -> Self {
        Self {
            record,
            is_changed: false,
            plan: Err("it was not looked at yet".to_owned()),
            live: None,
            followed: Position::ZERO,
            ready: None,
            build: None,
        }
    }

    /// Whether there is nothing to be done for it between commits.
    fn is_quiet(&self) -> bool {
        let is_kept = self.is_changed || !self.record.dropped.is_empty();
        !is_kept && self.build.is_none() && self.is_whole() && (self.is_as_wanted() || !self.can_be_built())
    }

    /// Whether what is folded, or waits to be shown, is what was wanted.
    fn is_as_wanted(&self) -> bool {
        let mut followed = self.live.iter().chain(&self.ready);
        let is_same = |plan: &Plan| followed.any(|live| live.plan.is_same(plan));
        self.record.build_wanted.is_none() && self.plan.as_deref().is_ok_and(is_same)
    }

    /// Whether it can be built as things are.
    fn can_be_built(&self) -> bool {
        let record = &self.record;
        let is_given_up =
            |plan: &Plan| record.given_up.as_ref().is_some_and(|(sql, shape)| (sql, shape) == (&plan.sql, &plan.shape));
        let is_stopped = record.sql.is_none() || record.is_paused || record.failed.is_some();
        !is_stopped && self.plan.as_deref().is_ok_and(|plan| !is_given_up(plan))
    }

    /// It cannot go on; what is shown stays.
    fn fail(&mut self, name: &str, failed: Failed) {
        tracing::error!(projection = name, %failed, "it has stopped");
        self.cancel_build();
        self.record.stop(failed);
        self.ready = None;
        self.is_changed = true;
    }

    fn cancel_build(&mut self) {
        if let Some(build) = self.build.take() {
            build.cancel();
        }
    }
}
