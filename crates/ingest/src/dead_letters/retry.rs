//! Decoding dead letters once more.

use std::{collections::HashSet, sync::Arc};

use deltafold_cdc::DecoderConfig;
use deltafold_store::{EventStore, Outcome, RecordedLetter};

use super::{
    LetterFailure, LetterSelection, SettleError, SettleSummary,
    settle::{Plan, Settler, settle},
};
use crate::{IngestError, clock::now, decode::LetterDecoder, pipeline, work::Work};

/// Decodes the selected letters once more, at most `limit` of them, and appends what they become; `config` says how
/// records of a source are decoded today. What still cannot be decoded stays a dead letter.
///
/// An event has the id and the coordinates that it would have had at first. In the order of its aggregate it stands by
/// its source position, or, without one, by its arrival now.
///
/// # Errors
/// See [`SettleError`].
pub async fn retry_dead_letters(
    store: &EventStore,
    selection: &LetterSelection,
    limit: u64,
    config: impl Fn(&str) -> DecoderConfig + Send + Sync + 'static,
    by: &str,
) -> Result<SettleSummary, SettleError> {
    let decoder = LetterDecoder::new(pipeline::read_registry(store.clone()).await?);
    let retry = Retry { store: store.clone(), config: Arc::new(config), by: by.into(), decoder: Some(decoder) };
    settle(store, selection, limit, retry).await
}

struct Retry<F> {
    store: EventStore,
    config: Arc<F>,
    by: Arc<str>,
    /// None only while it is at work.
    decoder: Option<LetterDecoder>,
}

impl<F: Fn(&str) -> DecoderConfig + Send + Sync + 'static> Settler for Retry<F> {
    async fn plan(&mut self, letters: Vec<RecordedLetter>) -> Result<Plan, IngestError> {
        let mut decoder = self.decoder.take().expect("it came back from its last work");
        let (config, by) = (Arc::clone(&self.config), Arc::clone(&self.by));
        let planned = tokio::task::spawn_blocking(move || {
            let plan = plan(letters, &mut decoder, &*config, &by);
            (decoder, plan)
        });
        let (decoder, plan) = planned.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        self.decoder = Some(decoder);
        Ok(plan)
    }

    async fn renew(&mut self) -> Result<(), IngestError> {
        self.decoder = Some(LetterDecoder::new(pipeline::read_registry(self.store.clone()).await?));
        Ok(())
    }
}

fn plan(
    letters: Vec<RecordedLetter>,
    decoder: &mut LetterDecoder,
    config: &impl Fn(&str) -> DecoderConfig,
    by: &str,
) -> Plan {
    let mut work = Work::default();
    let mut summary = SettleSummary::default();
    let mut ids = HashSet::with_capacity(letters.len());
    for RecordedLetter { number, letter, .. } in &letters {
        if ids.contains(&letter.id()) {
            // The same record set aside twice: what became of the one became of both.
            summary.settled += 1;
            continue;
        }
        let first = work.events.len();
        match decoder.decode(letter, config, &mut work) {
            Ok(ignored) => {
                let became = work.events[first..].iter().filter(|event| !event.is_control());
                let events = became.map(|event| event.id).collect();
                let ignored = ignored.map(|kind| kind.name().to_owned());
                let outcome = Outcome::Retried { events, ignored };
                work.events.push(outcome.event(*number, letter, by, now()));
                ids.insert(letter.id());
                summary.settled += 1;
            }
            Err(reason) => {
                summary.fail(LetterFailure { number: *number, code: reason.code.to_owned(), reason: reason.text });
            }
        }
    }
    summary.events = work.from_records;
    Plan { letters, events: work.events, summary }
}
