//! One relation keeper with its mirror view.

use std::sync::Arc;

use deltafold_relation::{Changes, FoldError, Keeper, KeeperState, Last, RowChange, Schemas, Step};
use deltafold_view::{Batch, Mirror, Snapshot};

use crate::{
    Declared, ProjectorError, ViewInfo, ViewKind,
    mirror_memory::{MirrorMemory, Newest},
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
        put_newest(&self.mirror, std::mem::take(&mut self.newest), write)
    }

    /// Folds what its keeper is told into changes of the mirror, and says what changes in its relation. `holds_newest`: what
    /// is the newest of each aggregate is not among them, but held until [`Self::release`].
    pub(crate) fn fold(
        &mut self,
        steps: Vec<Step<'_>>,
        schemas: &Schemas,
        writer: &Writer,
        write: &mut Batch,
        holds_newest: bool,
    ) -> Result<Vec<RowChange>, ProjectorError> {
        let memory = MirrorMemory::new(&self.mirror, writer, &self.newest, !holds_newest || self.released);
        let mut changes = self.keeper.fold(steps, schemas, &memory).map_err(|error| match error {
            FoldError::Memory(error) => error,
            other => ProjectorError::Fold { view: self.mirror.name().to_owned(), what: other.to_string() },
        })?;
        drop(memory);
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
    for (aggregate, record) in changes.puts {
        write.put_entry(mirror, &aggregate, &to_stored(&record))?;
    }
    for (aggregate, record, recorded_to) in changes.superseded {
        write.put_superseded(mirror, &aggregate, &to_stored(&record), recorded_to)?;
    }
    for (aggregate, position, valid_from, order) in changes.heads {
        write.put_head(mirror, &aggregate, position, valid_from, &order.to_bytes())?;
    }
    put_newest(mirror, changes.last, write)?;
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

fn put_newest(
    mirror: &Mirror,
    newest: impl IntoIterator<Item = (Arc<str>, Option<Last>)>,
    write: &mut Batch,
) -> Result<(), ProjectorError> {
    for (aggregate, last) in newest {
        match last {
            Some(last) => write.put_current(mirror, &aggregate, &last_to_stored(&last))?,
            None => write.remove_current(mirror, &aggregate)?,
        }
    }
    Ok(())
}

fn state_name(mirror: &Mirror) -> String {
    format!("keeper/{}", mirror.name())
}
