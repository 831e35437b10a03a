//! Why a definition is refused.

use std::{fmt, sync::Arc};

use datafusion::sql::sqlparser::tokenizer::{Location, Span};

/// A place in a file; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The character in it.
    pub column: u64,
}

impl Place {
    /// The beginning of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl From<datafusion::common::Span> for Place {
    fn from(span: datafusion::common::Span) -> Self {
        Self { line: span.start.line, column: span.start.column }
    }
}

impl From<Location> for Place {
    fn from(Location { line, column }: Location) -> Self {
        Self { line, column }
    }
}

/// What is wrong with a definition: where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{place}: {what}")]
pub struct Problem {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Where in it.
    pub place: Place,
    /// What is wrong, and what is expected instead.
    pub what: String,
}

/// A problem whose file is not said yet.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) place: Option<Place>,
    pub(crate) what: String,
}

impl Flaw {
    /// At what a part of the syntax spans. Parts that the parser put there itself have no place.
    pub(crate) fn at(span: Span, what: impl Into<String>) -> Self {
        let place = (span.start.line > 0).then(|| span.start.into());
        Self { place, what: what.into() }
    }

    pub(crate) fn in_file(self, file: &Arc<str>, otherwise: Place) -> Problem {
        Problem { file: Arc::clone(file), place: self.place.unwrap_or(otherwise), what: self.what }
    }
}
