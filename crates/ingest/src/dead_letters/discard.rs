//! Giving dead letters up.

use std::collections::HashSet;

use deltafold_store::{EventStore, Outcome, RecordedLetter};

use super::{
    LetterSelection, SettleError, SettleSummary,
    settle::{Plan, Settler, settle},
};
use crate::{IngestError, clock::now};

/// Gives up the selected letters, at most `limit` of them: they are open no more, and stay on record with the reason
/// and who asked for it.
///
/// # Errors
/// See [`SettleError`].
pub async fn discard_dead_letters(
    store: &EventStore,
    selection: &LetterSelection,
    limit: u64,
    reason: &str,
    by: &str,
) -> Result<SettleSummary, SettleError> {
    settle(store, selection, limit, Discard { reason, by }).await
}

struct Discard<'a> {
    reason: &'a str,
    by: &'a str,
}

impl Settler for Discard<'_> {
    async fn plan(&mut self, letters: Vec<RecordedLetter>) -> Result<Plan, IngestError> {
        let outcome = Outcome::Discarded { reason: self.reason.to_owned() };
        let mut summary = SettleSummary::default();
        let mut ids = HashSet::with_capacity(letters.len());
        let mut events = Vec::with_capacity(letters.len());
        for recorded in &letters {
            summary.settled += 1;
            if ids.insert(recorded.letter.id()) {
                events.push(outcome.event(recorded.number, &recorded.letter, self.by, now()));
            }
        }
        Ok(Plan { letters, events, summary })
    }

    async fn renew(&mut self) -> Result<(), IngestError> {
        Ok(())
    }
}
