//! Keeping the indexes of views that the configuration wants, beside the folding.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use deltafold_event::{Column, Position};
use deltafold_view::{Mirror, ViewStore, WriteError};
use tokio::{sync::watch, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::{Catalog, ViewInfo, ViewKind, options::WantedIndexes};

/// Declares what is wanted of each view as it comes or changes, and fills it.
pub(crate) struct Indexing {
    views: ViewStore,
    wanted: WantedIndexes,
    cancel: CancellationToken,
    /// What was declared, by view.
    declared: BTreeMap<Arc<str>, (u32, Vec<Vec<Column>>)>,
    /// What was told of that cannot be indexed: view, column.
    told: BTreeSet<(Arc<str>, String)>,
    /// Everything that was shown with this checkpoint is in the indexes.
    kept: watch::Sender<Position>,
}

impl Indexing {
    pub(crate) fn new(views: ViewStore, wanted: WantedIndexes, cancel: CancellationToken) -> Self {
        let kept = watch::Sender::new(Position::ZERO);
        Self { views, wanted, cancel, declared: BTreeMap::new(), told: BTreeSet::new(), kept }
    }

    /// Up to which checkpoint the views that there were have their indexes.
    pub(crate) fn kept(&self) -> watch::Receiver<Position> {
        self.kept.subscribe()
    }

    /// Goes on until it is cancelled, or nobody folds any more.
    pub(crate) async fn run(mut self, mut catalog: watch::Receiver<Arc<Catalog>>) {
        loop {
            let shown = catalog.borrow_and_update().clone();
            let mut are_kept = true;
            for info in &shown.views {
                match self.keep(info).await {
                    Ok(is_kept) => are_kept &= is_kept,
                    // Whatever it is, folding ends for it, too.
                    Err(error) => {
                        tracing::error!(view = &*info.name, %error, "its indexes cannot be kept");
                        return;
                    }
                }
            }
            if are_kept {
                self.kept.send_replace(shown.checkpoint);
            }
            tokio::select! {
                changed = catalog.changed() => if changed.is_err() { return },
                () = self.cancel.cancelled() => return,
            }
        }
    }

    /// Whether it has its indexes; false: not yet.
    async fn keep(&mut self, info: &ViewInfo) -> Result<bool, WriteError> {
        let snapshot = self.views.snapshot();
        let view = match info.kind {
            ViewKind::Mirror => snapshot.mirror(&info.name),
            ViewKind::Derived => snapshot.generation(&info.name, info.generation),
        };
        // One that is gone is not in the next catalog either.
        let Some(view) = view else { return Ok(true) };
        let declared = (info.generation, self.columns(info));
        let is_declared = self.declared.get(&info.name) == Some(&declared);
        if is_declared && !self.views.has_unfilled(&view) {
            return Ok(true);
        }
        let (views, cancel, wanted) = (self.views.clone(), self.cancel.clone(), declared.1.clone());
        let kept = spawn_blocking(move || keep(&views, &view, &wanted, &cancel)).await;
        let is_kept = kept.unwrap_or_else(|panic| Err(WriteError::Io(panic.into())))?;
        if is_kept {
            self.declared.insert(info.name.clone(), declared);
        }
        Ok(is_kept)
    }

    fn columns(&mut self, info: &ViewInfo) -> Vec<Vec<Column>> {
        let told = &mut self.told;
        columns(&self.wanted, info, |column, why| {
            if told.insert((info.name.clone(), column.to_owned())) {
                tracing::warn!(view = &*info.name, column, why, "an index has to wait");
            }
        })
    }
}

/// The columns of each index of a view: those that are wanted, and after them what tells its rows apart. `missing` is told
/// which columns an index cannot have as things are, and why; it waits.
pub(crate) fn columns(
    wanted: &WantedIndexes,
    info: &ViewInfo,
    mut missing: impl FnMut(&str, String),
) -> Vec<Vec<Column>> {
    let wanted = wanted.get(&*info.name).map_or(&[][..], Vec::as_slice);
    let mut found: Vec<Vec<Column>> = Vec::new();
    for names in wanted {
        let columns = names.iter().map(|name| match info.columns.iter().find(|column| column.name == *name) {
            Some(column) if column.column_type.has_order() => Some(column.clone()),
            Some(column) => {
                missing(name, format!("a column of type {} has no order", column.column_type));
                None
            }
            None => {
                missing(name, "there is no such column yet".to_owned());
                None
            }
        });
        let Some(mut columns) = columns.collect::<Option<Vec<_>>>() else { continue };
        for column in info.tie_break().into_iter().map(|column| &info.columns[column]) {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        if !found.contains(&columns) {
            found.push(columns);
        }
    }
    found
}

fn keep(
    views: &ViewStore,
    view: &Mirror,
    wanted: &[Vec<Column>],
    cancel: &CancellationToken,
) -> Result<bool, WriteError> {
    let is_declared = views.declare_indexes(view, wanted)?;
    if is_declared {
        views.fill_indexes(view, &|| cancel.is_cancelled())?;
    }
    Ok(is_declared)
}
