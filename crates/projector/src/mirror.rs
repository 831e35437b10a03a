//! One relation keeper with its mirror view.

use std::sync::Arc;

use deltafold_event::StoredEvent;
use deltafold_relation::{FoldError, Keeper, KeeperState, Schemas};
use deltafold_view::{Batch, Mirror, Snapshot};

use crate::{
    Declared, ProjectorError, ViewInfo,
    mirror_memory::MirrorMemory,
    record_entry::{last_to_stored, to_stored},
};

/// A keeper, the mirror it writes, and what readers are told of it.
pub(crate) struct MirrorView {
    mirror: Mirror,
    keeper: Keeper,
    declared: Declared,
    info: Option<Arc<ViewInfo>>,
}

impl MirrorView {
    /// Takes up the keeper's state from the index.
    pub(crate) fn open(snapshot: &Snapshot, mirror: Mirror, declared: &Declared) -> Result<Self, ProjectorError> {
        let state = match snapshot.state(&state_name(&mirror))? {
            Some(bytes) => KeeperState::from_bytes(&bytes)
                .map_err(|error| ProjectorError::Memory { view: mirror.name().to_owned(), what: error.to_string() })?,
            None => KeeperState::default(),
        };
        let mut view = Self { mirror, keeper: Keeper::new(state), declared: declared.clone(), info: None };
        view.describe();
        Ok(view)
    }

    /// What readers are told of it; none before it has had a row.
    pub(crate) fn info(&self) -> Option<Arc<ViewInfo>> {
        self.info.clone()
    }

    /// Folds events of this type, in the order of their positions, into changes of the mirror.
    pub(crate) fn fold(
        &mut self,
        events: &[&StoredEvent],
        schemas: &Schemas,
        snapshot: &Snapshot,
        write: &mut Batch,
    ) -> Result<(), ProjectorError> {
        let memory = MirrorMemory { reader: snapshot.reader(&self.mirror) };
        let changes = self.keeper.fold(events.iter().copied(), schemas, &memory).map_err(|error| match error {
            FoldError::Memory(error) => error,
            other => ProjectorError::Fold { view: self.mirror.name().to_owned(), what: other.to_string() },
        })?;
        let mirror = &self.mirror;
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
        for (aggregate, last) in changes.last {
            match last {
                Some(last) => write.put_current(mirror, &aggregate, &last_to_stored(&last))?,
                None => write.remove_current(mirror, &aggregate)?,
            }
        }
        for id in changes.seen {
            write.put_seen(mirror, id);
        }
        if let Some(state) = changes.state {
            write.put_state(&state_name(mirror), &state.to_bytes());
            self.describe();
        }
        Ok(())
    }

    fn describe(&mut self) {
        let state = self.keeper.state();
        let none = Default::default();
        let declared = self.declared.get(self.mirror.name()).unwrap_or(&none);
        let columns = state.columns().resolve(declared);
        self.info = (!columns.is_empty()).then(|| {
            Arc::new(ViewInfo {
                name: self.mirror.name().into(),
                key: state.columns().key.clone(),
                columns,
                history_start: state.history_start(),
                generation: 1,
            })
        });
    }
}

fn state_name(mirror: &Mirror) -> String {
    format!("keeper/{}", mirror.name())
}
