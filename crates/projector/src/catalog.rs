//! What there is to read, as of the last folded batch.

use std::{fmt, sync::Arc};

use deltafold_event::{Column, ColumnType, Position, Timestamp};
use deltafold_relation::{Consistent, OriginInfo};

/// What a view is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViewKind {
    /// The rows of an aggregate type.
    Mirror,
    /// What a definition makes of them.
    Derived,
}

/// One view.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewInfo {
    /// Its name: of a mirror, the aggregate type.
    pub name: Arc<str>,
    /// What it is of.
    pub kind: ViewKind,
    /// The columns of its key now, in key order; empty while the stream has not said.
    pub key: Vec<String>,
    /// Its columns with their types, in the order in which they were first seen.
    pub columns: Vec<Column>,
    /// The smallest valid time known of it: before it absence means unknown.
    pub history_start: Option<Timestamp>,
    /// Which build of the view is being served.
    pub generation: u32,
    /// Of a derived view: from where on what was believed is kept, at the ends of batches; the first is the end before
    /// this position.
    pub kept_from: Option<Position>,
    /// When its definition was removed: it is shown for some time more.
    pub removed: Option<Timestamp>,
    /// Columns that are not in its next build, or are of another type there.
    pub leaving: Vec<String>,
}

impl ViewInfo {
    /// The columns, as indices, in whose order rows stand that are alike in what they are ordered by; after those it is
    /// the aggregate id.
    pub fn tie_break(&self) -> Vec<usize> {
        let place = |name: &String| self.columns.iter().position(|column| column.name == *name);
        match self.key.iter().map(place).collect::<Option<Vec<_>>>() {
            // A key of one text is the aggregate id.
            Some(key) if key.len() == 1 && self.columns[key[0]].column_type == ColumnType::Text => Vec::new(),
            Some(key) => key.into_iter().filter(|&column| self.columns[column].column_type.has_order()).collect(),
            // No row has shown it yet.
            None => Vec::new(),
        }
    }
}

/// How far a build has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// How many aggregates were folded.
    pub aggregates: u64,
    /// How many there were when it began.
    pub of_aggregates: u64,
}

/// A build that is under way: it goes on whether or not anything else is folded.
#[derive(Clone)]
pub struct Building(Arc<dyn Fn() -> Progress + Send + Sync>);

impl Building {
    pub(crate) fn new(progress: impl Fn() -> Progress + Send + Sync + 'static) -> Self {
        Self(Arc::new(progress))
    }

    /// How far it has come by now.
    pub fn progress(&self) -> Progress {
        (self.0)()
    }
}

impl PartialEq for Building {
    fn eq(&self, other: &Self) -> bool {
        self.progress() == other.progress()
    }
}

impl fmt::Debug for Building {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.progress().fmt(f)
    }
}

/// A definition, and what has come of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectionInfo {
    /// Its name, and its view's.
    pub name: Arc<str>,
    /// The text of its file.
    pub sql: Arc<str>,
    /// Which build of its view is shown.
    pub generation: Option<u32>,
    /// Which one is built and folded on, and waits to be shown.
    pub ready: Option<u32>,
    /// Which one was shown before, and is kept.
    pub previous: Option<u32>,
    /// The build of the next one, while there is one.
    pub building: Option<Building>,
    /// When its definition was removed.
    pub removed: Option<Timestamp>,
    /// Whether somebody has paused it.
    pub is_paused: bool,
    /// Whether what is shown is folded with its relations.
    pub is_live: bool,
    /// Why it cannot be folded, or has stopped.
    pub problem: Option<String>,
}

/// All views, and how far they have been folded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Catalog {
    /// The views, by name.
    pub views: Vec<Arc<ViewInfo>>,
    /// The definitions, by name.
    pub projections: Vec<Arc<ProjectionInfo>>,
    /// Everything below this position has been folded into every view.
    pub checkpoint: Position,
    /// When what was folded last had been recorded.
    pub recorded_at: Option<Timestamp>,
    /// The newest moment of which the sources' logs have told.
    pub newest: Option<Timestamp>,
    /// The databases that events come from, in the order in which they were first seen.
    pub origins: Vec<OriginInfo>,
    /// The newest moment at which every transaction that was folded is whole.
    pub consistent: Option<Consistent>,
    /// The newest event of those that change what is believed other than by happening: what is said of origins and
    /// ordered of projections, and what schemas are. Kept since there are such.
    pub control: Position,
    /// Why folding has stopped, if it has.
    pub failure: Option<Failure>,
}

/// Why folding has stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    /// What went wrong, and what to do.
    pub what: Arc<str>,
    /// Whether the file system refused, rather than what is to be folded: it may work again.
    pub is_disk: bool,
}

impl Catalog {
    /// The view of this name.
    pub fn view(&self, name: &str) -> Option<&Arc<ViewInfo>> {
        self.views.binary_search_by(|view| view.name.as_ref().cmp(name)).ok().map(|found| &self.views[found])
    }
}
