//! Where a keeper's records are read.

use std::sync::Arc;

use deltafold_event::{EventId, OrderKey, Timestamp};

use crate::Record;

/// The newest record of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// The one with the greatest order.
    pub record: Arc<Record>,
    /// How many distinct events the aggregate has.
    pub revisions: u64,
}

/// The records of one aggregate type as they were before the batch that is being folded.
///
/// Every answer is of the same state, whatever was folded since: what a batch has changed so far is kept by the
/// fold itself. `hint` guesses the valid time of what is looked for, so that a store ordered by valid time can
/// start near it; any hint gives the same answer. Along an aggregate's records, by order, valid time never falls.
pub trait Memory {
    /// Why a read failed.
    type Error;

    /// The newest record of an aggregate; none when nothing is known of it.
    ///
    /// # Errors
    /// When the store fails; so do all others.
    fn last(&self, aggregate: &str) -> Result<Option<Last>, Self::Error>;

    /// The record with the greatest order below the given one.
    ///
    /// # Errors
    /// As [`Self::last`].
    fn before(&self, aggregate: &str, order: &OrderKey, hint: Timestamp) -> Result<Option<Record>, Self::Error>;

    /// The first records whose order is the given one or above, in order, at most `limit`.
    ///
    /// # Errors
    /// As [`Self::last`].
    fn from(
        &self,
        aggregate: &str,
        order: &OrderKey,
        hint: Timestamp,
        limit: usize,
    ) -> Result<Vec<Record>, Self::Error>;

    /// The record with the greatest order among those valid from before the given moment.
    ///
    /// # Errors
    /// As [`Self::last`].
    fn earlier(&self, aggregate: &str, valid_from: Timestamp) -> Result<Option<Record>, Self::Error>;

    /// Whether this event, which has no source position, has been folded.
    ///
    /// # Errors
    /// As [`Self::last`].
    fn seen(&self, id: EventId) -> Result<bool, Self::Error>;

    /// The ids of all aggregates that have records, in a fixed order.
    fn aggregates(&self) -> Box<dyn Iterator<Item = Result<String, Self::Error>> + '_>;
}
