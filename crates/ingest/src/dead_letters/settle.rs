//! Committing what becomes of dead letters.

use deltafold_event::{Event, control};
use deltafold_store::{Append, AppendError, Conflict, EventStore, LetterState, RecordedLetter};

use super::{
    LetterSelection, SettleSummary,
    pages::{Pages, check_open},
};
use crate::IngestError;

/// How often a commit is tried that other writers make impossible.
const ATTEMPTS: u32 = 20;

/// Why letters cannot be settled. What was committed before stays.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// A number that there is not.
    #[error("there is no dead letter {number}: their numbers go up to {count}")]
    NoSuchLetter {
        /// The number.
        number: u64,
        /// The greatest there is.
        count: u64,
    },
    /// A letter that was named is settled already, or was settled by another process first.
    #[error("dead letter {number} was {} already, by {by}", .state.name())]
    Settled {
        /// Its number.
        number: u64,
        /// What became of it.
        state: LetterState,
        /// Who asked for it.
        by: String,
    },
    /// The store cannot be read or appended to.
    #[error(transparent)]
    Ingest(#[from] IngestError),
}

/// What becomes of letters.
pub(super) trait Settler {
    /// What to append for these letters, which are open, and how it will be told.
    async fn plan(&mut self, letters: Vec<RecordedLetter>) -> Result<Plan, IngestError>;

    /// Others have appended something that plans depend on: what comes is planned on what the store says now.
    async fn renew(&mut self) -> Result<(), IngestError>;
}

/// What to append for some letters.
pub(super) struct Plan {
    /// The letters, as they were given.
    pub(super) letters: Vec<RecordedLetter>,
    /// Events, and the `$dead_letter` event of each letter that is settled.
    pub(super) events: Vec<Event>,
    /// What was done once they are committed.
    pub(super) summary: SettleSummary,
}

/// Settles the selected letters, at most `limit` of them, some in each commit.
pub(super) async fn settle(
    store: &EventStore,
    selection: &LetterSelection,
    limit: u64,
    mut settler: impl Settler,
) -> Result<SettleSummary, SettleError> {
    store.refresh().await.map_err(IngestError::Read)?;
    let mut pages = Pages::new(store, selection, limit).await?;
    let mut total = SettleSummary::default();
    while let Some(letters) = pages.next().await? {
        total += settle_page(store, letters, selection.is_named(), &mut settler).await?;
    }
    total.stopped_at = pages.stopped_at();
    Ok(total)
}

async fn settle_page(
    store: &EventStore,
    mut letters: Vec<RecordedLetter>,
    is_named: bool,
    settler: &mut impl Settler,
) -> Result<SettleSummary, SettleError> {
    let mut attempts = 0;
    loop {
        let Plan { letters: planned, events, mut summary } = settler.plan(letters).await?;
        if events.is_empty() {
            return Ok(summary);
        }
        // Of an append that failed half way it tells whether it was made.
        let last = events.iter().rfind(|event| &*event.aggregate_type == control::DEAD_LETTER).cloned();
        match store.append(Append { events, offsets: Vec::new() }).await {
            Ok(batch) => {
                summary.position = batch.events.last().map(|stored| stored.position);
                return Ok(summary);
            }
            Err(AppendError::Conflict(conflict)) => {
                attempts += 1;
                if attempts == ATTEMPTS {
                    return Err(IngestError::Contended { attempts, last: conflict }.into());
                }
                tracing::info!(%conflict, "another writer was first: looking again at what the store holds");
                letters = still_open(store, planned, is_named, &conflict).await?;
                settler.renew().await?;
            }
            Err(error @ (AppendError::Disk(_) | AppendError::Read(_))) => {
                let made = made_all_the_same(store, last.as_ref()).await;
                let Some(position) = made else { return Err(IngestError::Append(error).into()) };
                tracing::warn!(%error, "the commit was made all the same");
                summary.position = Some(position);
                return Ok(summary);
            }
            Err(error) => return Err(IngestError::Append(error).into()),
        }
    }
}

/// The letters that nobody has settled meanwhile.
async fn still_open(
    store: &EventStore,
    letters: Vec<RecordedLetter>,
    is_named: bool,
    conflict: &Conflict,
) -> Result<Vec<RecordedLetter>, SettleError> {
    store.refresh().await.map_err(IngestError::Read)?;
    let is_ours =
        matches!(conflict, Conflict::Claimed { aggregate_type, .. } if aggregate_type == control::DEAD_LETTER);
    let mut open = Vec::with_capacity(letters.len());
    for letter in letters {
        if !is_ours || !store.is_settled(letter.letter.id()) {
            open.push(letter);
        } else if is_named {
            let now = store.dead_letter(letter.number).await.map_err(IngestError::Read)?;
            now.iter().try_for_each(check_open)?;
        }
    }
    Ok(open)
}

/// Where an event stands that an append was to make durable and that failed.
async fn made_all_the_same(store: &EventStore, event: Option<&Event>) -> Option<deltafold_event::Position> {
    let event = event?;
    store.refresh().await.ok()?;
    let found = store.control_last(control::DEAD_LETTER, event.aggregate_id.as_deref()?).await.ok()??;
    (found.event == *event).then_some(found.position)
}
