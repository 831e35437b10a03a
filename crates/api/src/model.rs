//! The catalog with its GraphQL names: what a schema is built from.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use async_graphql::dynamic::Field;
use deltafold_event::{Column, ColumnType};
use deltafold_projector::{Catalog, ViewInfo, ViewKind};
use deltafold_view::{Mirror, ViewStore};

use crate::{
    errors::{ApiError, nearest},
    names::{self, ViewNames},
    relations::{DeclaredRelation, Relation},
};

/// All views, in the order of the catalog.
#[derive(Debug)]
pub(crate) struct Model {
    /// The views.
    pub(crate) views: Vec<Arc<ViewModel>>,
    /// The relations between them.
    pub(crate) relations: Vec<Arc<Relation>>,
}

/// One view.
#[derive(Debug)]
pub(crate) struct ViewModel {
    /// What the catalog says of it.
    pub(crate) info: Arc<ViewInfo>,
    /// Its names.
    pub(crate) names: ViewNames,
    /// Its rows.
    pub(crate) rows: Mirror,
    /// The key's columns, as indices.
    pub(crate) key: Vec<usize>,
    by_name: HashMap<String, usize>,
}

impl Model {
    /// Whether a document may read a view: all its root fields have the name of its list in them, and fields of other rows
    /// lead to it.
    pub(crate) fn may_be_read(&self, view: &str, document: &str) -> bool {
        let Some(model) = self.views.iter().find(|known| *known.info.name == *view) else { return true };
        let list = model.names.list.to_lowercase();
        document.to_lowercase().contains(&list) || self.fields_to(view).any(|(_, field)| document.contains(field))
    }

    /// Whether rows of a view lead to another, maybe over others.
    pub(crate) fn leads_to(&self, from: &str, to: &str) -> bool {
        let mut before = BTreeSet::from([to]);
        let mut next = vec![to];
        while let Some(view) = next.pop() {
            next.extend(self.fields_to(view).map(|(of, _)| of).filter(|of| before.insert(of)));
        }
        before.contains(from)
    }

    /// The fields of rows that lead to a view, with the views that have them.
    fn fields_to<'m>(&'m self, view: &str) -> impl Iterator<Item = (&'m str, &'m str)> {
        let fields = move |relation: &'m Arc<Relation>| {
            let (from, to) = (&*relation.from.info.name, &*relation.to.info.name);
            let forth = (*to == *view).then_some((from, relation.name.as_str()));
            let back = relation.inverse.as_deref().filter(|_| *from == *view).map(|inverse| (to, inverse));
            forth.into_iter().chain(back)
        };
        self.relations.iter().flat_map(fields)
    }

    /// The model of a catalog.
    pub(crate) fn new(catalog: &Catalog, views: &ViewStore, relations: &[DeclaredRelation]) -> Self {
        let names = names::of_views(catalog.views.iter().map(AsRef::as_ref));
        let snapshot = views.snapshot();
        let views = catalog.views.iter().zip(names).filter_map(|(info, names)| {
            let rows = match info.kind {
                ViewKind::Mirror => snapshot.mirror(&info.name),
                ViewKind::Derived => snapshot.generation(&info.name, info.generation),
            };
            // One that is not there any more is not in the next catalog either.
            Some(Arc::new(ViewModel::new(info.clone(), names, rows?)))
        });
        let views: Vec<Arc<ViewModel>> = views.collect();
        Self { relations: Relation::of(relations, &views), views }
    }

    /// Whether a schema built from this model is still right for a catalog.
    pub(crate) fn fits(&self, catalog: &Catalog) -> bool {
        self.views.len() == catalog.views.len()
            && self.views.iter().zip(&catalog.views).all(|(ours, theirs)| {
                Arc::ptr_eq(&ours.info, theirs)
                    || (ours.info.name == theirs.name
                        && ours.info.key == theirs.key
                        && ours.info.columns == theirs.columns
                        && ours.info.generation == theirs.generation
                        && ours.info.removed == theirs.removed
                        && ours.info.leaving == theirs.leaving)
            })
    }

    /// The mirror of this aggregate type.
    pub(crate) fn mirror(&self, name: &str, path: &str) -> Result<&Arc<ViewModel>, ApiError> {
        let mirrors = || self.views.iter().filter(|view| view.is_mirror());
        mirrors().find(|view| &*view.info.name == name).ok_or_else(|| ApiError::UnknownName {
            path: path.to_owned(),
            kind: "aggregate type",
            name: name.to_owned(),
            nearest: nearest(name, mirrors().map(|view| &*view.info.name)),
        })
    }
}

impl ViewModel {
    fn new(info: Arc<ViewInfo>, names: ViewNames, rows: Mirror) -> Self {
        let by_name: HashMap<String, usize> =
            info.columns.iter().enumerate().map(|(index, column)| (column.name.clone(), index)).collect();
        // A key that names a column no row has shown yet cannot be asked for by its columns.
        let key: Option<Vec<usize>> = info.key.iter().map(|name| by_name.get(name).copied()).collect();
        Self { key: key.unwrap_or_default(), info, names, rows, by_name }
    }

    /// One of an aggregate type that has events and no rows.
    pub(crate) fn without_rows(mirror: Mirror) -> Self {
        let info = ViewInfo {
            name: mirror.name().into(),
            kind: ViewKind::Mirror,
            key: Vec::new(),
            columns: Vec::new(),
            history_start: None,
            generation: 1,
            kept_from: None,
            removed: None,
            leaving: Vec::new(),
        };
        let names = names::of_views([&info]).remove(0);
        Self::new(Arc::new(info), names, mirror)
    }

    /// Whether it is of the rows of an aggregate type.
    pub(crate) fn is_mirror(&self) -> bool {
        self.info.kind == ViewKind::Mirror
    }

    /// Its columns.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.info.columns
    }

    /// The column of this name at its source.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// A field by which it is read; of a view that goes, deprecated.
    pub(crate) fn root(&self, field: Field) -> Field {
        match self.info.removed {
            Some(removed) => {
                field.deprecation(Some(&format!("The definition of the view was removed at {removed}: it goes.")))
            }
            None => field,
        }
    }

    /// Why a column is deprecated, if it goes.
    pub(crate) fn leaving(&self, column: &str) -> Option<&'static str> {
        let is_leaving = self.info.leaving.iter().any(|leaving| leaving == column);
        is_leaving.then_some("The next build of the view does not have the column as it is.")
    }

    /// The type of a column.
    pub(crate) fn type_of(&self, column: usize) -> &ColumnType {
        &self.info.columns[column].column_type
    }
}
