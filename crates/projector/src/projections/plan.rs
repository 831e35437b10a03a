//! A definition over the relations that there are.

use std::sync::Arc;

use deltafold_projection::{Column, Definition, Fold, Relation, Relations, Statement};

use crate::ViewInfo;

/// How a definition is folded.
pub(crate) struct Plan {
    pub(crate) sql: String,
    pub(crate) fold: Fold,
    pub(crate) columns: Vec<Column>,
    pub(crate) key: Vec<String>,
    pub(crate) shape: String,
}

impl Plan {
    /// Types a definition.
    ///
    /// # Errors
    /// With what is wrong, and where.
    pub(crate) fn new(name: &str, sql: &str, relations: &Relations) -> Result<Self, String> {
        let checked = Statement::parse(&format!("{name}.sql"), sql)
            .and_then(|statement| Definition::check(&statement, relations))
            .map_err(|problem| problem.to_string())?;
        let fold = Fold::new(&checked).map_err(|error| error.to_string())?;
        Ok(Self {
            sql: sql.to_owned(),
            shape: fold.shape(),
            fold,
            columns: checked.columns().to_vec(),
            key: checked.key().to_vec(),
        })
    }

    /// The same, which folds so many pairs of joined rows at once ([`crate::Options`]).
    pub(crate) fn in_pieces_of(self, pairs: u64) -> Self {
        Self { fold: self.fold.in_pieces_of(pairs), ..self }
    }

    /// Whether it is over the rows of this type.
    pub(crate) fn is_over(&self, aggregate_type: &str) -> bool {
        self.fold.sources().any(|source| over(source) == Over::Rows(aggregate_type))
    }

    /// Whether it is over the log.
    pub(crate) fn is_over_log(&self) -> bool {
        self.fold.sources().any(|source| over(source) == Over::Log)
    }

    /// Whether what is folded by one can be folded by the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.sql == other.sql && self.shape == other.shape
    }
}

/// What a relation has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over<'r> {
    /// The events of the log.
    Log,
    /// The rows of an aggregate type.
    Rows(&'r str),
}

/// What the relation of a name has.
pub(crate) fn over(relation: &str) -> Over<'_> {
    match relation.strip_prefix("source.") {
        Some(name) => Over::Rows(name),
        None if relation == "events" => Over::Log,
        None => Over::Rows(relation),
    }
}

/// What definitions can be over.
pub(crate) fn relations(mirrors: &[Arc<ViewInfo>]) -> Relations {
    let relation = |mirror: &Arc<ViewInfo>| {
        (mirror.name.to_string(), Relation::new(mirror.columns.iter().cloned(), mirror.key.clone()))
    };
    mirrors.iter().map(relation).collect()
}
