//! The selected letters, some at a time.

use std::collections::VecDeque;

use deltafold_store::{DeadLetterFilter, EventStore, LetterState, RecordedLetter};

use super::{LetterSelection, SettleError};
use crate::IngestError;

/// How many letters become one commit.
const LETTERS: usize = 8_192;
/// After how many bytes of letters a commit is made before.
const BYTES: usize = 32 << 20;

/// The selected letters, by number.
pub(super) struct Pages {
    store: EventStore,
    filters: VecDeque<DeadLetterFilter>,
    /// How many more may be given.
    left: u64,
    /// The last that was given.
    last: Option<u64>,
}

impl Pages {
    /// Of a selection. At most `limit` letters are given.
    ///
    /// # Errors
    /// When a number that is named is none, or its letter is settled.
    pub(super) async fn new(store: &EventStore, selection: &LetterSelection, limit: u64) -> Result<Self, SettleError> {
        let count = store.dead_letter_count();
        for range in selection.numbers() {
            let known = 1..=count;
            if let Some(number) = [*range.start(), *range.end()].into_iter().find(|number| !known.contains(number)) {
                return Err(SettleError::NoSuchLetter { number, count });
            }
        }
        let pages = |left| {
            let filters = selection.filters().into();
            Self { store: store.clone(), filters, left, last: None }
        };
        // All of them before the first is settled.
        if selection.is_named() && store.settled_letter_count() > 0 {
            let mut looked = pages(limit);
            while let Some(letters) = looked.next().await? {
                letters.iter().try_for_each(check_open)?;
            }
        }
        Ok(pages(limit))
    }

    /// The next; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<RecordedLetter>>, SettleError> {
        while let Some(filter) = self.filters.front_mut().filter(|_| self.left > 0) {
            let limit = LETTERS.min(usize::try_from(self.left).unwrap_or(usize::MAX));
            (filter.limit, filter.bytes) = (Some(limit), Some(BYTES));
            let letters = self.store.dead_letters(filter).await.map_err(IngestError::Read)?;
            if let Some(last) = letters.last() {
                filter.after = Some(last.number);
                self.left -= letters.len() as u64;
                self.last = Some(last.number);
                return Ok(Some(letters));
            }
            self.filters.pop_front();
        }
        Ok(None)
    }

    /// The last number that was given, if the limit was reached.
    pub(super) fn stopped_at(&self) -> Option<u64> {
        self.last.filter(|_| self.left == 0)
    }
}

/// Refuses a letter that is settled.
pub(super) fn check_open(letter: &RecordedLetter) -> Result<(), SettleError> {
    match &letter.settlement {
        None => Ok(()),
        Some(settlement) => {
            let state = settlement.outcome.state();
            debug_assert_ne!(state, LetterState::Open);
            Err(SettleError::Settled { number: letter.number, state, by: settlement.by.clone() })
        }
    }
}
