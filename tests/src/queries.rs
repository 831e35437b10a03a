//! Random queries of the query API, to be held against the same questions in SQL over the rows of the moment.
//!
//! A [`World`] is a store with a view folded from it by a running projector, and an API over that. A [`Query`] is written
//! twice: in GraphQL, and in SQL for DataFusion over a table that the naive fold makes.

mod ask;
mod columns;
mod filter;
mod moment;
mod table;
mod world;

pub use ask::{Query, Walk};
pub use filter::Filter;
pub use moment::Moment;
pub use table::Rows;
pub use world::World;

use std::collections::BTreeMap;

/// How often each kind of thing was asked, and how often the answer was empty.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Kinds(BTreeMap<String, (u64, u64)>);

impl Kinds {
    /// Notes one that was asked.
    pub fn count(&mut self, kind: &str, is_empty: bool) {
        let (asked, empty) = self.0.entry(kind.to_owned()).or_default();
        *asked += 1;
        *empty += u64::from(is_empty);
    }

    /// Those that were asked less often than that, of all that there are.
    pub fn rarer_than(&self, least: u64) -> Vec<(String, u64)> {
        let all = filter::OPERATORS.iter().chain(&ask::KINDS).chain(&moment::KINDS);
        let asked = |kind: &str| self.0.get(kind).map_or(0, |(asked, _)| *asked);
        all.map(|kind| ((*kind).to_owned(), asked(kind))).filter(|(_, asked)| *asked < least).collect()
    }

    /// Those of which more than nine in ten answers were empty.
    pub fn mostly_empty(&self) -> Vec<(String, u64, u64)> {
        let too_many = |(asked, empty): &(u64, u64)| empty * 10 > asked * 9;
        self.0
            .iter()
            .filter(|(_, counts)| too_many(counts))
            .map(|(kind, (asked, empty))| (kind.clone(), *asked, *empty))
            .collect()
    }
}
