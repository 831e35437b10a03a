//! Folding a run of commits into all views at once.

use std::{collections::BTreeMap, sync::Arc};

use deltafold_event::{Position, StoredEvent, Timestamp, control};
use deltafold_relation::Schemas;
use deltafold_store::Batch;
use deltafold_view::{Snapshot, ViewStore};

use crate::{Catalog, Options, ProjectorError, mirror::MirrorView};

/// The name, in the view store, of the checkpoint that all mirrors share: one reader of the log feeds them all.
/// Everything below it is in a [`deltafold_view::Snapshot`] that has it.
pub const CHECKPOINT: &str = "mirrors";

/// The name of the state that keeps [`Catalog::newest`]: [`Timestamp::to_bytes`].
const NEWEST: &str = "mirrors/newest";

/// Every keeper with its mirror, and how far they have come.
pub(crate) struct Folder {
    views: ViewStore,
    options: Options,
    schemas: Schemas,
    mirrors: BTreeMap<Arc<str>, MirrorView>,
    checkpoint: Position,
    recorded_at: Option<Timestamp>,
    newest: Option<Timestamp>,
    bulk_until: Option<Position>,
}

impl Folder {
    /// Takes up what the index remembers.
    pub(crate) fn open(views: ViewStore, schemas: &[StoredEvent], options: Options) -> Result<Self, ProjectorError> {
        let snapshot = views.snapshot();
        let checkpoint = snapshot.checkpoint(CHECKPOINT)?.unwrap_or(Position::ZERO);
        let mut mirrors = BTreeMap::new();
        for mirror in views.mirrors() {
            let name: Arc<str> = mirror.name().into();
            mirrors.insert(name, MirrorView::open(&snapshot, mirror, &options.declared)?);
        }
        let mut folder = Self {
            views,
            options,
            schemas: Schemas::default(),
            mirrors,
            checkpoint,
            recorded_at: None,
            newest: newest(&snapshot)?,
            bulk_until: None,
        };
        for stored in schemas {
            folder.learn(stored);
        }
        Ok(folder)
    }

    /// Everything below it is folded.
    pub(crate) fn checkpoint(&self) -> Position {
        self.checkpoint
    }

    /// Writes sorted runs instead of single changes until a position is reached.
    pub(crate) fn begin_bulk(&mut self, until: Position) -> Result<(), ProjectorError> {
        self.views.begin_bulk()?;
        self.bulk_until = Some(until);
        Ok(())
    }

    /// Ends a bulk load, if there is one.
    pub(crate) fn end_bulk(&mut self) -> Result<(), ProjectorError> {
        if self.bulk_until.take().is_some() {
            self.views.end_bulk()?;
        }
        Ok(())
    }

    /// Folds commits that follow one another; the changes of all views and the checkpoint become visible at once.
    pub(crate) fn fold(&mut self, batches: &[Arc<Batch>]) -> Result<(), ProjectorError> {
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
            } else if &*stored.event.aggregate_type == control::SCHEMA {
                self.learn(stored);
            }
        }

        let snapshot = self.views.snapshot();
        let mut write = self.views.batch();
        for (name, events) in by_type {
            if !self.mirrors.contains_key(&name) {
                let mirror = self.views.mirror(&name)?;
                self.mirrors.insert(name.clone(), MirrorView::open(&snapshot, mirror, &self.options.declared)?);
            }
            let mirror = self.mirrors.get_mut(&name).expect("inserted above");
            mirror.fold(&events, &self.schemas, &snapshot, &mut write)?;
        }
        let events = batches.iter().flat_map(|batch| &batch.events).map(|stored| &stored.event);
        let times = events.filter(|event| event.source_position.is_some()).map(|event| event.occurred_at);
        let newest = times.max().max(self.newest);
        if let Some(newest) = newest {
            write.put_state(NEWEST, &newest.to_bytes());
        }
        write.put_checkpoint(CHECKPOINT, last.end());
        write.commit()?;
        self.newest = newest;

        self.checkpoint = last.end();
        self.recorded_at = Some(last.committed_at);
        if self.bulk_until.is_some_and(|until| self.checkpoint >= until) {
            self.end_bulk()?;
        }
        Ok(())
    }

    /// What there is to read.
    pub(crate) fn catalog(&self) -> Catalog {
        Catalog {
            views: self.mirrors.values().filter_map(MirrorView::info).collect(),
            checkpoint: self.checkpoint,
            recorded_at: self.recorded_at,
            newest: self.newest,
            failure: None,
        }
    }

    /// Takes in a `$schema` event. One that cannot be read stops what refers to it, not the rest.
    fn learn(&mut self, stored: &StoredEvent) {
        if let Err(error) = self.schemas.observe(stored) {
            tracing::error!(position = %stored.position, %error, "a $schema event cannot be read");
        }
    }
}

fn newest(snapshot: &Snapshot) -> Result<Option<Timestamp>, ProjectorError> {
    let bytes = snapshot.state(NEWEST)?;
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(Timestamp::from_bytes))
}
