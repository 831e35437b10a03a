//! Folding a run of commits into all views at once.
//!
//! The mirrors come first. What follows from them, which is the derived views and then the commit of everything, goes on
//! on other threads while the mirrors take the next commits ([`Folder::fold_ahead`], `writer`).

mod bulk;
mod progress;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use deltafold_event::{Position, StoredEvent, Timestamp, control};
use deltafold_relation::{Consistent, Observed, Origins, Schemas, Step, Transactions};
use deltafold_store::Batch;
use deltafold_view::{Pending, ViewStore};

pub use progress::consistent;
use progress::{NEWEST, RECORDED_AT, TRANSACTIONS, moment};

use crate::{
    Catalog, Log, Options, ProjectorError, ViewInfo,
    mirror::MirrorView,
    projections::{Changes, Followed, Projections},
    writer::{Derived, Writer},
};

/// The name, in the view store, of the checkpoint that all mirrors share: one reader of the log feeds them all.
/// Everything below it is in a [`deltafold_view::Snapshot`] that has it.
pub const CHECKPOINT: &str = "mirrors";

/// The name of the state that keeps what is known of origins: [`Origins::to_bytes`].
pub(crate) const ORIGINS: &str = "mirrors/origins";

/// The types of the store's own events that count in [`Catalog::control`].
const CHANGING: [&str; 3] = [control::SCHEMA, control::SOURCE, control::PROJECTION];

/// Called with what there is to read.
type Show = Arc<dyn Fn(Catalog) + Send + Sync>;

/// What keepers are told, by type.
type Steps<'e> = BTreeMap<Arc<str>, Vec<Step<'e>>>;

/// What the mirrors made of some events, to be written.
struct Folded {
    write: deltafold_view::Batch,
    changes: Changes,
    checkpoint: Position,
    is_replay: bool,
}

/// Every keeper with its mirror, and how far they have come: what a [`crate::Projector`] runs, without its tasks.
pub struct Folder {
    views: ViewStore,
    writer: Writer,
    log: Box<dyn Log>,
    options: Options,
    schemas: Schemas,
    origins: Origins,
    mirrors: BTreeMap<Arc<str>, MirrorView>,
    projections: Arc<Mutex<Projections>>,
    /// What is known of them without asking, as long as nobody but the writer's thread changes them.
    followed: Option<Followed>,
    checkpoint: Position,
    recorded_at: Option<Timestamp>,
    newest: Option<Timestamp>,
    transactions: Transactions,
    consistent: Option<Consistent>,
    control: Position,
    control_changed: bool,
    bulk_until: Option<Position>,
    /// Types whose events below a position were loaded.
    loaded: (BTreeSet<Arc<str>>, Position),
}

impl Folder {
    /// Takes up what the index remembers. `schemas` are those that events below the checkpoint have told; `log` is where
    /// events below it can be read again.
    ///
    /// # Errors
    /// When the index cannot be read, or what it remembers is damaged.
    pub fn open(
        views: ViewStore,
        schemas: Schemas,
        log: impl Log + 'static,
        options: Options,
    ) -> Result<Self, ProjectorError> {
        let snapshot = views.snapshot();
        let checkpoint = snapshot.checkpoint(CHECKPOINT)?.unwrap_or(Position::ZERO);
        let mut mirrors = BTreeMap::new();
        for mirror in views.mirrors() {
            let name: Arc<str> = mirror.name().into();
            mirrors.insert(name, MirrorView::open(&snapshot, mirror, &options.declared)?);
        }
        let relations = mirrors.values().filter_map(MirrorView::info).collect();
        let projections = Projections::open(views.clone(), &snapshot, checkpoint, relations, &options)?;
        let newest = moment(&snapshot, NEWEST)?;
        let origins = match snapshot.state(ORIGINS)? {
            Some(bytes) => Origins::from_bytes(&bytes).map_err(ProjectorError::Origins)?,
            None => Origins::default(),
        };
        let transactions =
            Transactions::from_states(&snapshot.states(TRANSACTIONS)?).map_err(ProjectorError::Transactions)?;
        Ok(Self {
            writer: Writer::new(views.clone()),
            views,
            log: Box::new(log),
            options,
            schemas,
            origins,
            mirrors,
            projections: Arc::new(Mutex::new(projections)),
            followed: None,
            checkpoint,
            recorded_at: moment(&snapshot, RECORDED_AT)?,
            newest,
            transactions,
            consistent: consistent(&snapshot)?,
            control: progress::control(&snapshot)?,
            control_changed: false,
            bulk_until: None,
            loaded: Default::default(),
        })
    }

    /// Everything below it is folded.
    pub fn checkpoint(&self) -> Position {
        self.checkpoint
    }

    /// Takes in the ends of transactions that `$transaction` events tell of. Before a bulk load they are all those below
    /// where it ends: the load itself passes them over, for there may be too many of one source to be held.
    pub fn expect_transactions(&mut self, events: &[StoredEvent]) {
        for stored in events {
            // One that cannot be read leaves what it tells of in part, and stops nothing.
            if let Err(error) = self.transactions.end(stored) {
                tracing::error!(position = %stored.position, %error, "a $transaction event cannot be read");
            }
        }
    }

    /// Takes in what is ordered of projections. Before a bulk load it is all that the log has of that, as the load passes
    /// it over; what is ordered again is not done again.
    ///
    /// # Errors
    /// As [`Self::fold`].
    pub fn obey(&mut self, events: &[StoredEvent]) -> Result<(), ProjectorError> {
        let mut projections = self.projections()?;
        events.iter().for_each(|stored| projections.control(stored));
        Ok(())
    }

    /// The projections, once everything that was begun is committed.
    fn projections(&mut self) -> Result<MutexGuard<'_, Projections>, ProjectorError> {
        self.writer.settle()?;
        self.followed = None;
        Ok(lock(&self.projections))
    }

    /// What the projections need of what is about to be folded.
    fn followed(&mut self) -> Result<Followed, ProjectorError> {
        if let Some(followed) = &self.followed {
            return Ok(followed.clone());
        }
        let followed = self.projections()?.followed();
        self.followed = Some(followed.clone());
        Ok(followed)
    }

    /// Folds commits that follow one another; the changes of all views and the checkpoint become visible at once
    /// (those of a bulk load at its end).
    ///
    /// Where an origin begins a new epoch, or goes on in one, what that concerns is read from the log again and folded
    /// before the event that said so. It is written in pieces, with the checkpoint at that event until its end, and
    /// becomes visible with the rest.
    ///
    /// # Errors
    /// When an event cannot be folded or the index cannot be written. The folder is then of no more use: open
    /// another one on the index.
    pub fn fold(&mut self, batches: &[Arc<Batch>]) -> Result<(), ProjectorError> {
        self.fold_ahead(batches.to_vec(), |_| ())?;
        self.settle()?;
        Ok(())
    }

    /// Likewise, but may return before that: more can be folded meanwhile. `show` is called with what there is to read once
    /// it is visible (not in a bulk load), perhaps on another thread, perhaps twice.
    ///
    /// # Errors
    /// As [`Self::fold`], of what was folded before, too.
    pub fn fold_ahead(
        &mut self,
        batches: Vec<Arc<Batch>>,
        show: impl Fn(Catalog) + Send + Sync + 'static,
    ) -> Result<(), ProjectorError> {
        let show: Show = Arc::new(show);
        let Some(last) = batches.last() else { return Ok(()) };
        let mut is_hidden = self.replay()?;
        self.recorded_at = Some(last.committed_at);
        let end = last.end();
        let mut steps = Steps::new();
        let mut newest = None;
        batches.iter().for_each(|batch| self.expect_transactions(&batch.events));
        for stored in batches.iter().flat_map(|batch| &batch.events) {
            let observed = match stored.event.is_control() {
                true => {
                    learn(&mut self.schemas, stored);
                    self.origins.control(stored);
                    if CHANGING.contains(&&*stored.event.aggregate_type) {
                        (self.control, self.control_changed) = (self.control.max(stored.position), true);
                    }
                    if &*stored.event.aggregate_type == control::PROJECTION {
                        self.projections()?.control(stored);
                    }
                    None
                }
                false => Some(self.origins.observe(stored)),
            };
            if self.origins.replay().is_some() {
                let checkpoint = stored.position.max(self.checkpoint);
                let folded = self.fold_steps(std::mem::take(&mut steps), checkpoint, newest.take(), false)?;
                self.begin_write(folded, None)?;
                is_hidden |= self.replay()?;
            }
            let Some(Observed::Given { place, completed }) = observed else { continue };
            self.transactions.event(stored, place.epoch);
            completed.into_iter().for_each(|(name, completed)| push(&mut steps, &name, Step::Complete(completed)));
            if stored.event.source_position.is_some() {
                newest = newest.max(Some(stored.event.occurred_at));
            }
            let name = &stored.event.aggregate_type;
            if stored.position >= self.loaded.1 || !self.loaded.0.contains(name) {
                push(&mut steps, name, Step::Event(stored, place));
            }
        }
        let shown = (!is_hidden && !self.is_bulk()).then(|| Arc::clone(&show));
        let is_all = shown.is_some();
        let folded = self.fold_steps(steps, end, newest, false)?;
        // They take memory, and what follows may have to wait.
        drop(batches);
        self.begin_write(folded, shown)?;
        if is_all && self.followed()?.is_quiet {
            return Ok(());
        }
        self.writer.settle()?;
        if is_hidden {
            // Of what was folded again, at a position that is shown, all has to be there.
            lock(&self.projections).fold_all()?;
        }
        self.views.show()?;
        self.go_on_building()?;
        self.end_bulk_if_due()?;
        if !self.is_bulk() {
            show(self.catalog());
        }
        Ok(())
    }

    /// Waits until everything that was folded is visible; whether more of it came to be meanwhile.
    ///
    /// # Errors
    /// As [`Self::fold`].
    pub fn settle(&mut self) -> Result<bool, ProjectorError> {
        let is_quiet = self.is_bulk() || self.projections()?.followed().is_quiet;
        if !is_quiet {
            self.go_on_building()?;
        }
        Ok(!is_quiet)
    }

    /// Whether the last folder ended while it read the log again because of a reset: the index has pieces of that.
    pub fn is_half_way(&self) -> bool {
        self.is_replaying() || lock(&self.projections).has_part_of_replay()
    }

    fn is_replaying(&self) -> bool {
        self.origins.replay().is_some()
    }

    /// Folds what was left of it. To be done before anything is read, and before anything else is folded.
    ///
    /// # Errors
    /// As [`Self::fold`].
    pub fn go_on(&mut self) -> Result<(), ProjectorError> {
        self.replay()?;
        lock(&self.projections).fold_all()?;
        Ok(self.views.show()?)
    }

    /// Folds what has to be read again because of a reset, hidden from readers. Whether there was any.
    fn replay(&mut self) -> Result<bool, ProjectorError> {
        if self.origins.replay().is_none() {
            return Ok(false);
        }
        self.writer.settle()?;
        if !self.is_bulk() {
            self.views.hide();
        }
        while let Some((from, until)) = self.origins.replay() {
            let most = self.options.batch_events;
            let events = self.log.read(from, until, most)?;
            let mut steps = Steps::new();
            let mut newest = None;
            for (name, step) in self.origins.replayed(&events, end_of_page(&events, most, until)) {
                match &step {
                    Step::Event(stored, place) => {
                        self.transactions.event(stored, place.epoch);
                        if stored.event.source_position.is_some() {
                            newest = newest.max(Some(stored.event.occurred_at));
                        }
                    }
                    Step::TakeBack(stored, place) => self.transactions.take_back(stored, place.epoch),
                    // Rows of snapshots are of no transaction.
                    Step::Complete(..) | Step::TakeBackSnapshot(..) => {}
                }
                push(&mut steps, &name, step);
            }
            let folded = self.fold_steps(steps, self.checkpoint, newest, true)?;
            self.begin_write(folded, None)?;
            self.writer.settle()?;
        }
        Ok(true)
    }

    /// Has keepers fold what they are told, up to a checkpoint.
    fn fold_steps(
        &mut self,
        steps: Steps<'_>,
        checkpoint: Position,
        newest: Option<Timestamp>,
        is_replay: bool,
    ) -> Result<Folded, ProjectorError> {
        let is_bulk = self.is_bulk();
        let mut write = self.views.batch();
        let mut changes = Changes::default();
        let followed = self.followed()?;
        let (mut moved, wants_log) = (Vec::new(), !is_bulk && followed.want_log());
        let mut events: BTreeMap<Position, &StoredEvent> = BTreeMap::new();
        if wants_log {
            let steps = steps.values().flatten();
            events.extend(steps.filter_map(|step| match step {
                Step::Event(stored, _) => Some((stored.position, *stored)),
                _ => None,
            }));
        }
        // While the log is read again, events may come again that are there.
        let from = (!is_replay).then_some(self.checkpoint);
        for (name, steps) in steps {
            if !self.mirrors.contains_key(&name) {
                let mirror = self.views.mirror(&name)?;
                let snapshot = self.writer.written()?;
                self.mirrors.insert(name.clone(), MirrorView::open(&snapshot, mirror, &self.options.declared)?);
            }
            let mirror = self.mirrors.get_mut(&name).expect("inserted above");
            let log = wants_log.then_some((&mut moved, from));
            let rows = mirror.fold(steps, &self.schemas, &self.writer, &mut write, is_bulk, log)?;
            if !is_bulk && followed.want(&name) {
                changes.rows.insert(name, rows);
            }
        }
        if self.mirrors.values().map(MirrorView::held).sum::<usize>() > self.options.held_records {
            self.mirrors.values_mut().try_for_each(|mirror| mirror.release(&mut write))?;
        }
        changes.take_log(moved, &events, &mut *self.log)?;
        self.put_progress(&mut write, checkpoint, newest);
        Ok(Folded { write, changes, checkpoint, is_replay })
    }

    /// Begins to write what was folded, and what follows from it.
    fn begin_write(&mut self, folded: Folded, show: Option<Show>) -> Result<(), ProjectorError> {
        let Folded { write, changes, checkpoint, is_replay } = folded;
        if self.is_bulk() {
            return self.writer.begin_commit(write);
        }
        let (recorded_at, kept) = (self.recorded_at, self.options.kept_beliefs);
        // In the middle of what is read again nobody is to read.
        let is_end = !self.is_replaying();
        let relations = self.relations();
        self.writer.derived()?;
        let mut projections = lock(&self.projections);
        projections.prepare(relations);
        let followed = projections.followed();
        drop(projections);
        // Else there is more to come before it is shown.
        let show = show.filter(|_| followed.is_quiet);
        self.followed = Some(followed);
        let (projections, catalog) = (Arc::clone(&self.projections), show.as_ref().map(|_| self.mirrors_catalog()));
        let derive = move |mut write: deltafold_view::Batch, pending: &Pending| -> Result<Derived, ProjectorError> {
            let mut following = lock(&projections);
            following.fold(&changes, checkpoint, pending, &mut write)?;
            if let (true, false, Some(recorded_at)) = (is_end, following.is_empty(), recorded_at) {
                write.put_end(checkpoint, recorded_at);
            }
            let shown = show.zip(catalog.map(|catalog| following.in_catalog(catalog)));
            // Only builds are told of them, and none begins before this is written; the commit takes memory, too.
            let changes = following.is_building().then_some(changes);
            drop(following);
            let then = move || {
                if let Some((show, catalog)) = shown {
                    show(catalog);
                }
                // Waits while the next batch is derived, which nobody waits for longer because of that.
                let mut projections = lock(&projections);
                if let Some(changes) = changes {
                    projections.follow(&changes, checkpoint, is_replay);
                }
                let Some(recorded_at) = recorded_at else { return Ok(()) };
                projections.remove_due(recorded_at);
                projections.forget_if_due(recorded_at, kept)
            };
            Ok((write, Box::new(then)))
        };
        self.writer.begin(write, derive)
    }

    /// Calls something as soon as a view that is being built has come so far that [`Self::go_on_building`] is due. It may
    /// be called on another thread, which it must not hold up.
    pub fn on_built(&mut self, call: impl Fn() + Send + Sync + 'static) {
        lock(&self.projections).wake = Arc::new(call);
    }

    /// Shows the views that were built, and begins to build those that are wanted. After [`Self::fold`] it is done already.
    ///
    /// # Errors
    /// As [`Self::fold`].
    pub fn go_on_building(&mut self) -> Result<(), ProjectorError> {
        if self.is_bulk() || self.is_replaying() {
            return Ok(());
        }
        self.writer.settle()?;
        self.followed = None;
        lock(&self.projections).go_on(self.checkpoint, self.recorded_at, &mut *self.log)
    }

    /// Builds all views that are wanted, and shows them, with all that follows from what was folded.
    ///
    /// # Errors
    /// As [`Self::fold`].
    pub fn finish_building(&mut self) -> Result<(), ProjectorError> {
        self.go_on_building()?;
        while !lock(&self.projections).is_at_rest() {
            self.wait_for_builds();
            self.go_on_building()?;
        }
        Ok(())
    }

    /// Waits until what is being built has come as far as it can by itself.
    pub fn wait_for_builds(&self) {
        lock(&self.projections).wait_for_builds();
    }

    /// The mirrors.
    fn relations(&self) -> Vec<Arc<ViewInfo>> {
        self.mirrors.values().filter_map(MirrorView::info).collect()
    }
}

/// The projections, once the thread that folds them is done with them.
fn lock(projections: &Mutex<Projections>) -> MutexGuard<'_, Projections> {
    projections.lock().expect("a thread that panics with them stops folding")
}

fn push<'e>(steps: &mut Steps<'e>, name: &Arc<str>, step: Step<'e>) {
    match steps.get_mut(name) {
        Some(of_type) => of_type.push(step),
        None => {
            steps.insert(name.clone(), vec![step]);
        }
    }
}

/// Where the next page of the log begins after one of at most so many events.
fn end_of_page(events: &[StoredEvent], most: usize, until: Position) -> Position {
    if events.len() < most { until } else { events.last().map_or(until, |last| last.position.next()) }
}

/// Takes in a `$schema` event. One that cannot be read stops what refers to it, not the rest.
pub(crate) fn learn(schemas: &mut Schemas, stored: &StoredEvent) {
    if let Err(error) = schemas.observe(stored) {
        tracing::error!(position = %stored.position, %error, "a $schema event cannot be read");
    }
}
