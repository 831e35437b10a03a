//! Why a fold cannot go on.

use datafusion::common::DataFusionError;
use deltafold_event::EventId;

/// Why changes could not be folded. Nothing of what was folded with them counts.
#[derive(Debug, thiserror::Error)]
pub enum FoldError<E> {
    /// The memory cannot be read.
    #[error("{0}")]
    Memory(E),
    /// The memory is not what this fold wrote.
    #[error("what it remembers is damaged")]
    Damaged,
    /// A change cannot be folded.
    #[error("{what}")]
    Change {
        /// The event that it stems from; none where it stems from none.
        event: Option<EventId>,
        /// What is wrong with it.
        what: String,
    },
}

impl<E> FoldError<E> {
    /// Of a fault; the events that changes stem from are told by their numbers.
    pub(crate) fn of(fault: Fault<E>, event: impl FnOnce(usize) -> Option<EventId>) -> Self {
        match fault {
            Fault::Memory(error) => Self::Memory(error),
            Fault::Damaged => Self::Damaged,
            Fault::Change { cause, what } => Self::Change { event: event(cause as usize), what },
        }
    }
}

/// The same, on its way out.
#[derive(Debug)]
pub(crate) enum Fault<E> {
    Memory(E),
    Damaged,
    Change { cause: u32, what: String },
}

impl<E> Fault<E> {
    /// What one change cannot be folded for.
    pub(crate) fn of(cause: u32, error: &DataFusionError) -> Self {
        Self::Change { cause, what: in_words(error) }
    }
}

/// Without the names of layers that it came through.
fn in_words(error: &DataFusionError) -> String {
    let root = error.find_root();
    match root {
        DataFusionError::ArrowError(error, _) => match &**error {
            arrow::error::ArrowError::DivideByZero => "division by zero".to_owned(),
            other => after_colon(&other.to_string()),
        },
        other => after_colon(&other.to_string()),
    }
}

fn after_colon(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    first.split_once("error: ").map_or(first, |(_, rest)| rest).to_owned()
}
