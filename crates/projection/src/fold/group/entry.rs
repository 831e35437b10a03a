//! What a group remembers of a moment.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Given, Values, ordered::Element, partial::Partial};

/// What everything in a group adds up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    /// How many rows there are.
    pub(super) rows: i64,
    /// By call; a count of nothing where a call keeps values.
    pub(super) partials: Vec<Partial>,
    /// By call: what is shown of the values it keeps. Nothing where no call keeps any.
    pub(super) cells: Vec<Option<Element>>,
}

impl Content {
    /// Of no rows.
    pub(super) fn zero(given: &[Given]) -> Self {
        let zero = |given: &Given| match &given.values {
            Values::Summands(summands) => summands.zero(),
            Values::Elements(_) => Partial::Count(0),
        };
        let keeps_values = given.iter().any(|given| matches!(given.values, Values::Elements(_)));
        let cells = if keeps_values { vec![None; given.len()] } else { Vec::new() };
        Self { rows: 0, partials: given.iter().map(zero).collect(), cells }
    }

    /// What it adds up to with something more; shows these cells.
    pub(super) fn plus(&self, more: &Self, cells: Vec<Option<Element>>) -> Self {
        let mut partials = self.partials.clone();
        partials.iter_mut().zip(&more.partials).for_each(|(sum, more)| sum.add(more));
        Self { rows: self.rows + more.rows, partials, cells }
    }

    /// Whether it is of as many calls, of which as many keep values.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.partials.len(), self.cells.len()) == (other.partials.len(), other.cells.len())
    }

    pub(super) fn is_zero(&self) -> bool {
        self.rows == 0
            && self.partials.iter().all(|partial| match partial {
                Partial::Count(count) => *count == 0,
                Partial::Whole { count, sum } => (*count, *sum) == (0, 0),
                Partial::Decimal { count, sum } => *count == 0 && *sum == arrow::datatypes::i256::ZERO,
                Partial::Float { count, sum } => *count == 0 && *sum == Default::default(),
                Partial::Truth { trues, falses } => (*trues, *falses) == (0, 0),
            })
    }

    /// Whether what is seen is the same, though it may be of other rows.
    pub(super) fn shows_the_same(&self, other: &Self) -> bool {
        self.partials == other.partials && self.cells == other.cells
    }

    pub(super) fn partial(&mut self, call: usize) -> &mut Partial {
        &mut self.partials[call]
    }

    pub(super) fn partial_of(&self, call: usize) -> &Partial {
        &self.partials[call]
    }

    pub(super) fn cell(&mut self, call: usize) -> &mut Option<Element> {
        &mut self.cells[call]
    }

    pub(super) fn cell_of(&self, call: usize) -> Option<&[u8]> {
        self.cells[call].as_deref()
    }
}

/// A moment of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// What everything until then adds up to.
    pub(super) content: Arc<Content>,
    /// Which values came and went then, by call.
    pub(super) elements: Vec<((u8, Element), i64)>,
}

impl Entry {
    /// How many rows there are then.
    pub(crate) fn rows(&self) -> i64 {
        self.content.rows
    }
}
