//! Taking topics into the store.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use deltafold_source::{KafkaOptions, KafkaSource, KafkaStatus, LetterCopies, TopicPartition};
use deltafold_store::{AppendError, EventStore};
use tokio_util::sync::CancellationToken;

use crate::{
    IngestError, Options, Summary,
    commits::Commits,
    decode::RecordDecoder,
    pace::Pace,
    pipeline::{self, Outcome, Stages},
    read::{TopicReader, read_topics},
};

/// How often in a row another writer may be first, without any commit of ours.
const ATTEMPTS: u32 = 20;
/// Between two attempts to find out from the brokers where to go on.
const REWIND_INTERVAL: Duration = Duration::from_secs(1);

/// Appends what comes in topics to the store, as one member of the source's group, until cancelled. Cancelling stops
/// at a commit. A broker that is away is waited for; `status` tells.
///
/// # Errors
/// When the client cannot be set up or cannot go on, or the store not be appended to. What was committed stays.
pub async fn ingest_topics(
    store: &EventStore,
    topics: KafkaOptions,
    options: &Options,
    status: Arc<KafkaStatus>,
    cancel: CancellationToken,
) -> Result<Summary, IngestError> {
    let began = Instant::now();
    let mut total = Summary::default();
    let mut attempts = 0;
    let copies = LetterCopies::connect(&topics, Arc::clone(&status))?.map(Arc::new);
    let mut source = KafkaSource::connect(topics, Arc::clone(&status))?;
    loop {
        let outcome;
        (source, outcome) = take_in(store, source, copies.clone(), options, &status, &cancel).await?;
        let Outcome { summary, ended } = outcome;
        attempts = if summary.commits > 0 { 0 } else { attempts + 1 };
        total += summary;
        match ended {
            Ok(_) => break,
            Err(IngestError::Append(AppendError::Conflict(conflict))) => {
                if attempts == ATTEMPTS {
                    return Err(IngestError::Contended { attempts, last: conflict });
                }
                tracing::info!(source = status.source(), %conflict, "another writer was first: going on where the store stands");
                store.refresh().await?;
                source = rewind(store, source, &status, &cancel).await;
            }
            Err(error) => return Err(error),
        }
    }
    // Leaving the group talks to the brokers, and so do copies under way.
    tokio::task::spawn_blocking(move || drop((source, copies))).await.ok();
    total.elapsed = began.elapsed();
    Ok(total)
}

/// One pipeline, to its end; the consumer outlives it.
async fn take_in(
    store: &EventStore,
    mut source: KafkaSource,
    copies: Option<Arc<LetterCopies>>,
    options: &Options,
    status: &Arc<KafkaStatus>,
    cancel: &CancellationToken,
) -> Result<(KafkaSource, Outcome), IngestError> {
    let registry = pipeline::read_registry(store.clone()).await?;
    let (pace, commits) = (Arc::<Pace>::default(), Arc::<Commits>::default());
    let mut decoder = RecordDecoder::new(store, options.decoder.clone(), registry, Arc::clone(&pace));
    let reader = TopicReader { store: store.clone(), status: status.clone(), pace, commits: commits.clone() };
    let stages = Stages {
        read: move |records, cancel| {
            let ended = read_topics(&mut source, &reader, &records, &cancel).map_err(IngestError::from);
            (source, ended)
        },
        cancel: cancel.clone(),
        decode: move |records: &_| decoder.decode(records),
        file: None,
        commits: Some(commits),
        copies,
    };
    Ok(pipeline::run(store, options, stages).await)
}

/// Takes every partition back to where the store stands, however long the brokers take to say where that is.
async fn rewind(
    store: &EventStore,
    source: KafkaSource,
    status: &Arc<KafkaStatus>,
    cancel: &CancellationToken,
) -> KafkaSource {
    let mut source = source;
    while !cancel.is_cancelled() {
        let (known, name) = (store.clone(), status.clone());
        let rewound = tokio::task::spawn_blocking(move || {
            let is_done = source.rewind(&|partition: &TopicPartition| known.offset(&partition.app_id(name.source())));
            (source, is_done)
        });
        let is_done;
        (source, is_done) = rewound.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        if is_done || tokio::time::timeout(REWIND_INTERVAL, cancel.cancelled()).await.is_ok() {
            break;
        }
    }
    source
}
