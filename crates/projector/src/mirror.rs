//! One relation keeper with its mirror view.

use std::sync::Arc;

use deltafold_event::{Position, Timestamp};
use deltafold_relation::{Changes, FoldError, Keeper, KeeperState, Last, NewestMoved, RowChange, Schemas, Step};
use deltafold_view::{Batch, Mirror, Reader, Snapshot, Stored};

use crate::{
    Declared, ProjectorError, ViewInfo, ViewKind,
    mirror_memory::{MirrorMemory, Newest},
    projections::{Moved, there},
    record_entry::{last_to_stored, to_stored},
    writer::Writer,
};

/// A keeper, the mirror it writes, and what readers are told of it.
pub(crate) struct MirrorView {
    mirror: Mirror,
    keeper: Keeper,
    declared: Declared,
    info: Option<Arc<ViewInfo>>,
    /// During a bulk load: the newest records, each of which would else be written again with every batch.
    newest: Newest,
    /// Whether some that were held are on disk by now.
    released: bool,
}

impl MirrorView {
    /// Takes up the keeper's state from the index.
    pub(crate) fn open(snapshot: &Snapshot, mirror: Mirror, declared: &Declared) -> Result<Self, ProjectorError> {
        let state = match snapshot.state(&state_name(&mirror))? {
            Some(bytes) => KeeperState::from_bytes(&bytes)
                .map_err(|error| ProjectorError::Memory { view: mirror.name().to_owned(), what: error.to_string() })?,
            None => KeeperState::default(),
        };
        let mut view = Self {
            mirror,
            keeper: Keeper::new(state),
            declared: declared.clone(),
            info: None,
            newest: Newest::default(),
            released: false,
        };
        view.describe();
        Ok(view)
    }

    /// Takes up what was loaded: its newest records are on disk.
    pub(crate) fn loaded(snapshot: &Snapshot, mirror: Mirror, declared: &Declared) -> Result<Self, ProjectorError> {
        Ok(Self { released: true, ..Self::open(snapshot, mirror, declared)? })
    }

    /// What readers are told of it; none before it has had a row.
    pub(crate) fn info(&self) -> Option<Arc<ViewInfo>> {
        self.info.clone()
    }

    /// How many newest records wait to be written.
    pub(crate) fn held(&self) -> usize {
        self.newest.len()
    }

    /// Writes the newest records that were held back.
    pub(crate) fn release(&mut self, write: &mut Batch) -> Result<(), ProjectorError> {
        self.released = true;
        put_newest(&self.mirror, std::mem::take(&mut self.newest), write).map(drop)
    }

    /// Folds what its keeper is told into changes of the mirror, and says what changes in its relation. `log` takes which
    /// events of the log moved; none of those from a position on was folded before. `holds_newest`: what
    /// is the newest of each aggregate is not among them, but held until [`Self::release`].
    pub(crate) fn fold(
        &mut self,
        steps: Vec<Step<'_>>,
        schemas: &Schemas,
        writer: &Writer,
        write: &mut Batch,
        holds_newest: bool,
        log: Option<(&mut Vec<Moved>, Option<Position>)>,
    ) -> Result<Vec<RowChange>, ProjectorError> {
        let memory = MirrorMemory::new(&self.mirror, writer, &self.newest, !holds_newest || self.released);
        let mut changes = self.keeper.fold(steps, schemas, &memory).map_err(|error| match error {
            FoldError::Memory(error) => error,
            other => ProjectorError::Fold { view: self.mirror.name().to_owned(), what: other.to_string() },
        })?;
        drop(memory);
        if let Some((log, from)) = log {
            self.moved(&changes, from, &writer.written()?.reader(&self.mirror), log)?;
        }
        if holds_newest {
            self.newest.extend(std::mem::take(&mut changes.last));
        }
        let is_described = changes.state.is_none();
        let rows = std::mem::take(&mut changes.rows);
        put(&self.mirror, changes, write)?;
        if !is_described {
            self.describe();
        }
        Ok(rows)
    }

    /// Which events of the log came, went, or became valid from another moment on. What counts as recorded from a position
    /// on that is not below `from` was not there before.
    fn moved(
        &self,
        changes: &Changes,
        from: Option<Position>,
        before: &Reader,
        log: &mut Vec<Moved>,
    ) -> Result<(), ProjectorError> {
        for (aggregate, record) in &changes.puts {
            if record.revision == 0 {
                continue;
            }
            let is_new = from.is_some_and(|from| record.position >= from);
            if !is_new && there(before, aggregate, record.valid_from, &record.order.to_bytes())?.is_some() {
                continue;
            }
            log.push((record.position, record.valid_from, 1));
        }
        for (aggregate, valid_from, order) in &changes.removals {
            if let Some((position, valid_from)) = there(before, aggregate, *valid_from, &order.to_bytes())? {
                log.push((position, valid_from, -1));
            }
        }
        if let Some(state) = &changes.state {
            let were = truncates(before.snapshot(), &self.mirror)?;
            let are = state.truncates().iter().map(|truncate| (truncate.position, truncate.occurred_at, 1));
            log.extend(were.into_iter().map(|(position, occurred_at)| (position, occurred_at, -1)).chain(are));
        }
        Ok(())
    }

    fn describe(&mut self) {
        let state = self.keeper.state();
        let none = Default::default();
        let declared = self.declared.get(self.mirror.name()).unwrap_or(&none);
        let columns = state.columns().resolve(declared);
        let info = (!columns.is_empty()).then(|| ViewInfo {
            name: self.mirror.name().into(),
            kind: ViewKind::Mirror,
            key: state.columns().key.clone(),
            columns,
            history_start: state.history_start(),
            generation: 1,
            kept_from: None,
            removed: None,
            leaving: Vec::new(),
        });
        // The same, as long as it is: so others know without looking that nothing has changed.
        if self.info.as_deref() != info.as_ref() {
            self.info = info.map(Arc::new);
        }
    }
}

/// Writes what a keeper made of some events.
pub(crate) fn put(mirror: &Mirror, changes: Changes, write: &mut Batch) -> Result<(), ProjectorError> {
    for (aggregate, valid_from, order) in changes.removals {
        write.remove_entry(mirror, &aggregate, valid_from, &order.to_bytes())?;
    }
    // By aggregate, as the entries: of those that are among them the bytes are laid out once.
    let mut newest = put_newest(mirror, changes.last, write)?.into_iter().peekable();
    for (aggregate, record) in changes.puts {
        while newest.next_if(|(earlier, ..)| *earlier < aggregate).is_some() {}
        let laid_out = newest.next_if(|(_, last, _)| Arc::ptr_eq(&last.record, &record));
        let stored = laid_out.map_or_else(|| to_stored(&record), |(_, _, stored)| stored);
        write.put_entry(mirror, &aggregate, &stored)?;
    }
    for (aggregate, record, recorded_to) in changes.superseded {
        write.put_superseded(mirror, &aggregate, &to_stored(&record), recorded_to)?;
    }
    for NewestMoved { aggregate, position, valid_from, order, is_back } in changes.moves {
        write.put_head(mirror, &aggregate, position, (valid_from, &order.to_bytes()), is_back)?;
    }
    for id in changes.unseen {
        write.remove_seen(mirror, id);
    }
    for id in changes.seen {
        write.put_seen(mirror, id);
    }
    if let Some(state) = changes.state {
        write.put_state(&state_name(mirror), &state.to_bytes());
    }
    Ok(())
}

/// Writes newest records; the entries on record of those that there are, in the same order.
fn put_newest(
    mirror: &Mirror,
    newest: impl IntoIterator<Item = (Arc<str>, Option<Last>)>,
    write: &mut Batch,
) -> Result<Vec<(Arc<str>, Last, Stored)>, ProjectorError> {
    let mut entries = Vec::new();
    for (aggregate, last) in newest {
        match last {
            Some(last) => {
                let (stored, current) = last_to_stored(&last);
                write.put_current(mirror, &aggregate, &current)?;
                entries.push((aggregate, last, stored));
            }
            None => write.remove_current(mirror, &aggregate)?,
        }
    }
    Ok(entries)
}

/// The truncates on record of a type, by the positions of their first deliveries, and when they happened.
pub(crate) fn truncates(snapshot: &Snapshot, mirror: &Mirror) -> Result<Vec<(Position, Timestamp)>, ProjectorError> {
    let Some(bytes) = snapshot.state(&state_name(mirror))? else { return Ok(Vec::new()) };
    let state = KeeperState::from_bytes(&bytes)
        .map_err(|error| ProjectorError::Memory { view: mirror.name().to_owned(), what: error.to_string() })?;
    Ok(state.truncates().iter().map(|truncate| (truncate.position, truncate.occurred_at)).collect())
}

fn state_name(mirror: &Mirror) -> String {
    format!("keeper/{}", mirror.name())
}
