//! Folding a run of commits into all views at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use deltafold_event::{Position, StoredEvent, Timestamp};
use deltafold_relation::Schemas;
use deltafold_store::Batch;
use deltafold_view::{Snapshot, ViewStore};

use crate::{Catalog, Options, ProjectorError, load::load, mirror::MirrorView, writer::Writer};

/// The name, in the view store, of the checkpoint that all mirrors share: one reader of the log feeds them all.
/// Everything below it is in a [`deltafold_view::Snapshot`] that has it.
pub const CHECKPOINT: &str = "mirrors";

/// The name of the state that keeps [`Catalog::newest`]: [`Timestamp::to_bytes`].
const NEWEST: &str = "mirrors/newest";

/// Every keeper with its mirror, and how far they have come: what a [`crate::Projector`] runs, without its tasks.
pub struct Folder {
    views: ViewStore,
    writer: Writer,
    options: Options,
    schemas: Schemas,
    mirrors: BTreeMap<Arc<str>, MirrorView>,
    checkpoint: Position,
    recorded_at: Option<Timestamp>,
    newest: Option<Timestamp>,
    bulk_until: Option<Position>,
    /// Types whose events below a position were loaded.
    loaded: (BTreeSet<Arc<str>>, Position),
}

impl Folder {
    /// Takes up what the index remembers. `schemas` are those that events below the checkpoint have told.
    ///
    /// # Errors
    /// When the index cannot be read, or what it remembers is damaged.
    pub fn open(views: ViewStore, schemas: Schemas, options: Options) -> Result<Self, ProjectorError> {
        let snapshot = views.snapshot();
        let checkpoint = snapshot.checkpoint(CHECKPOINT)?.unwrap_or(Position::ZERO);
        let mut mirrors = BTreeMap::new();
        for mirror in views.mirrors() {
            let name: Arc<str> = mirror.name().into();
            mirrors.insert(name, MirrorView::open(&snapshot, mirror, &options.declared)?);
        }
        let newest = newest(&snapshot)?;
        Ok(Self {
            writer: Writer::new(views.clone()),
            views,
            options,
            schemas,
            mirrors,
            checkpoint,
            recorded_at: None,
            newest,
            bulk_until: None,
            loaded: Default::default(),
        })
    }

    /// Everything below it is folded.
    pub fn checkpoint(&self) -> Position {
        self.checkpoint
    }

    /// Writes sorted runs instead of single changes until a position is reached; only then readers see them.
    ///
    /// # Errors
    /// When the index holds something already, or cannot be written.
    pub fn begin_bulk(&mut self, until: Position) -> Result<(), ProjectorError> {
        self.views.begin_bulk()?;
        self.bulk_until = Some(until);
        Ok(())
    }

    /// Folds everything below `until`, in a bulk load that was just begun: aggregate by aggregate, as `next` gives
    /// them ([`deltafold_store::ByAggregate`]). `recorded_at`: when the last of it was.
    ///
    /// The checkpoint stays where it is if some types need the order of positions: the log is to be folded from there
    /// on, and the others are passed over.
    ///
    /// # Errors
    /// As [`Self::fold`], and when `next` fails.
    pub fn load(
        &mut self,
        next: impl FnMut(usize, &mut Vec<StoredEvent>, &mut Vec<StoredEvent>) -> Result<bool, ProjectorError> + Send,
        until: Position,
        recorded_at: Timestamp,
    ) -> Result<(), ProjectorError> {
        let loaded = load(&self.views, &mut self.schemas, self.options.held_events, next)?;
        let written = self.writer.written()?;
        for (name, mirror) in loaded.mirrors {
            let mirror = MirrorView::loaded(&written, mirror, &self.options.declared)?;
            self.mirrors.insert(name.clone(), mirror);
            self.loaded.0.insert(name);
        }
        self.loaded.1 = until;
        if loaded.is_partial {
            return Ok(());
        }
        self.commit(self.views.batch(), until, loaded.newest)?;
        self.recorded_at = Some(recorded_at);
        self.end_bulk_if_due()
    }

    /// Ends a bulk load, if there is one. One that loaded some types beyond the checkpoint goes on: no position is
    /// theirs and the others', so that it has to begin again from nothing if it is left like that.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn end_bulk(&mut self) -> Result<(), ProjectorError> {
        if self.is_bulk() && self.checkpoint >= self.loaded.1 {
            let mut write = self.views.batch();
            self.mirrors.values_mut().try_for_each(|mirror| mirror.release(&mut write))?;
            self.writer.commit(write)?;
            self.views.end_bulk()?;
            self.bulk_until = None;
        }
        Ok(())
    }

    /// Whether readers do not see yet what was folded.
    pub fn is_bulk(&self) -> bool {
        self.bulk_until.is_some()
    }

    /// Folds commits that follow one another; the changes of all views and the checkpoint become visible at once
    /// (those of a bulk load at its end).
    ///
    /// # Errors
    /// When an event cannot be folded or the index cannot be written. The folder is then of no more use: open
    /// another one on the index.
    pub fn fold(&mut self, batches: &[Arc<Batch>]) -> Result<(), ProjectorError> {
        let Some(last) = batches.last() else { return Ok(()) };
        let mut by_type: BTreeMap<Arc<str>, Vec<&StoredEvent>> = BTreeMap::new();
        for stored in batches.iter().flat_map(|batch| &batch.events) {
            if !stored.event.is_control() {
                match by_type.get_mut(&stored.event.aggregate_type) {
                    Some(events) => events.push(stored),
                    None => {
                        by_type.insert(stored.event.aggregate_type.clone(), vec![stored]);
                    }
                }
            } else {
                learn(&mut self.schemas, stored);
            }
        }

        let is_bulk = self.is_bulk();
        let mut write = self.views.batch();
        for (name, mut events) in by_type {
            if self.loaded.0.contains(&name) {
                events.retain(|stored| stored.position >= self.loaded.1);
            }
            if !self.mirrors.contains_key(&name) {
                let mirror = self.views.mirror(&name)?;
                let snapshot = self.writer.written()?;
                self.mirrors.insert(name.clone(), MirrorView::open(&snapshot, mirror, &self.options.declared)?);
            }
            let mirror = self.mirrors.get_mut(&name).expect("inserted above");
            mirror.fold(&events, &self.schemas, &self.writer, &mut write, is_bulk)?;
        }
        if self.mirrors.values().map(MirrorView::held).sum::<usize>() > self.options.held_records {
            self.mirrors.values_mut().try_for_each(|mirror| mirror.release(&mut write))?;
        }
        let events = batches.iter().flat_map(|batch| &batch.events).map(|stored| &stored.event);
        let times = events.filter(|event| event.source_position.is_some()).map(|event| event.occurred_at);
        self.commit(write, last.end(), times.max())?;
        self.recorded_at = Some(last.committed_at);
        self.end_bulk_if_due()
    }

    /// Writes what was folded up to a checkpoint.
    fn commit(
        &mut self,
        mut write: deltafold_view::Batch,
        checkpoint: Position,
        newest: Option<Timestamp>,
    ) -> Result<(), ProjectorError> {
        let newest = newest.max(self.newest);
        if let Some(newest) = newest {
            write.put_state(NEWEST, &newest.to_bytes());
        }
        write.put_checkpoint(CHECKPOINT, checkpoint);
        if self.is_bulk() {
            self.writer.begin_commit(write)?;
        } else {
            self.writer.commit(write)?;
        }
        self.newest = newest;
        self.checkpoint = checkpoint;
        Ok(())
    }

    fn end_bulk_if_due(&mut self) -> Result<(), ProjectorError> {
        if self.bulk_until.is_some_and(|until| self.checkpoint >= until) {
            self.end_bulk()?;
        }
        Ok(())
    }

    /// What there is to read.
    pub fn catalog(&self) -> Catalog {
        Catalog {
            views: self.mirrors.values().filter_map(MirrorView::info).collect(),
            checkpoint: self.checkpoint,
            recorded_at: self.recorded_at,
            newest: self.newest,
            failure: None,
        }
    }
}

/// Takes in a `$schema` event. One that cannot be read stops what refers to it, not the rest.
pub(crate) fn learn(schemas: &mut Schemas, stored: &StoredEvent) {
    if let Err(error) = schemas.observe(stored) {
        tracing::error!(position = %stored.position, %error, "a $schema event cannot be read");
    }
}

fn newest(snapshot: &Snapshot) -> Result<Option<Timestamp>, ProjectorError> {
    let bytes = snapshot.state(NEWEST)?;
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(Timestamp::from_bytes))
}
