//! The database that a stream speaks of.

use super::row::{Basket, Order};
use std::collections::BTreeMap;

/// What a correct fold of the stream gives.
#[derive(Debug, Default)]
pub struct Model {
    /// The rows of `orders` at the end, in no order.
    pub orders: Vec<Order>,
    /// The rows of `baskets` at the end, in no order.
    pub baskets: Vec<Basket>,
    /// Of some orders ([`Model::watched`]) all that happened to them, in the order of the log.
    pub history: BTreeMap<u64, Vec<Change>>,
}

/// One thing that happened to a watched order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When, in µs since 1970 (valid time).
    pub occurred_us: i64,
    /// The row afterwards; none after a delete.
    pub row: Option<Order>,
    /// The number, from 1, of the line that first delivered it.
    pub line: u64,
}

impl Model {
    /// The id of the row that is hot under [`super::Keys::Hot`].
    pub const HOT: u64 = 1;

    /// Whether the history of this order is kept.
    pub const fn watched(id: u64) -> bool {
        id == Self::HOT || id.is_multiple_of(199)
    }

    /// The row of a watched order as of a moment.
    pub fn as_of(&self, id: u64, time_us: i64) -> Option<&Order> {
        self.history.get(&id)?.iter().rfind(|change| change.occurred_us <= time_us)?.row.as_ref()
    }

    /// The row of a watched order as it was known when a consumer had read the first `lines` lines.
    pub fn known_at(&self, id: u64, lines: u64) -> Option<&Order> {
        self.history.get(&id)?.iter().rfind(|change| change.line <= lines)?.row.as_ref()
    }
}
