//! Relation keepers: from the events of one aggregate type to the rows it had, at every moment, as believed at
//! every position (`fold.md`).
//!
//! Identity, order, valid time, unchanged placeholders, moves, truncates, changed keys and epochs are settled here
//! and nowhere else. This crate is pure: no clock, no randomness, no I/O; what it remembers it reads through
//! [`Memory`] and writes as [`Changes`]. It knows nothing of how records are kept (`deltafold-view`) or of where
//! events come from (`deltafold-store`).
//!
//! A keeper's memory is, per aggregate, the list of its distinct events in their order ([`Record`]), each with
//! the rows that stand after it. An event that arrives in order appends one record; one that arrives late folds
//! the list again from itself on, until nothing changes any more. Which epoch of its origin an event belongs to, and
//! whether keepers get it at all, [`Origins`] say; at which moment the events of every transaction are all there,
//! [`Transactions`]. What `fold.md` leaves open is settled in `CORNERS.md`.

mod by_aggregate;
mod changes;
mod error;
mod fold;
mod image;
mod incoming;
mod keeper;
mod keys;
mod memory;
mod origins;
mod place;
mod record;
mod schemas;
mod stand;
mod state;
#[cfg(any(test, feature = "test-support"))]
mod test_support;
#[cfg(test)]
mod tests;
mod transactions;
mod work;

pub use by_aggregate::ByAggregate;
pub use changes::{Changes, NewestMoved, RowChange};
pub use error::FoldError;
pub use keeper::Keeper;
pub use memory::{Last, Memory};
pub use origins::{NewEpoch, Observed, OriginInfo, Origins, Reset, Suspect};
pub use place::{Completed, LastRow, Place, SnapshotId, SnapshotRow, Step};
pub use record::{Beside, Given, Record, RecordError, RecordKind, Since, Stack};
pub use schemas::Schemas;
pub use state::{KeeperState, KeySpan, StateError, Sweep, TypeEvent};
#[cfg(any(test, feature = "test-support"))]
pub use test_support::InMemory;
pub use transactions::{Consistent, Transactions};
