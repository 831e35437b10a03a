//! The stages of one file, wired up.

use std::{path::Path, sync::Arc};

use deltafold_source::FileSource;
use deltafold_store::EventStore;
use tokio::{runtime::Handle, sync::mpsc, task::JoinError};
use tokio_util::sync::CancellationToken;

use crate::{
    IngestError, Options, Summary,
    commit::{Committer, Preparer},
    decode::FileDecoder,
    group::group,
    read::{Ended, read},
    registry::Registry,
};

/// Chunks between reading and decoding; each is about a megabyte.
const READ_AHEAD: usize = 4;
/// Decoded chunks that wait to be grouped.
const DECODED_AHEAD: usize = 4;

/// How a pipeline ended: what it committed, and why it stopped.
pub(crate) struct Outcome {
    pub(crate) summary: Summary,
    pub(crate) ended: Result<Ended, IngestError>,
}

/// Takes a file from where it was opened into the store. `events` were appended from it before.
pub(crate) async fn run(
    store: &EventStore,
    path: &Path,
    file: FileSource,
    events: u64,
    options: &Options,
    cancel: &CancellationToken,
) -> Outcome {
    let registry = match read_registry(store.clone()).await {
        Ok(registry) => registry,
        Err(error) => return Outcome { summary: Summary::default(), ended: Err(error) },
    };
    let app_id = file.app_id().clone();
    let letters_at = store.dead_letter_offset(app_id.as_str());
    let recorded_to = letters_at.map_or(0, i64::unsigned_abs);
    let preparer = Preparer {
        store: store.clone(),
        app_id: app_id.clone(),
        name: path.display().to_string(),
        at: Some(file.resumed_at()).filter(|mark| mark.bytes > 0),
        events,
    };
    let committer = Committer {
        store: store.clone(),
        app_id: app_id.clone(),
        progress: Arc::clone(&options.progress),
        letters_at,
        summary: Summary::default(),
    };
    let mut decoder = FileDecoder::new(path, app_id, options.decoder.clone(), registry, recorded_to);

    let (chunks, mut to_decode) = mpsc::channel(READ_AHEAD);
    let (decoded, to_group) = mpsc::channel(DECODED_AHEAD);
    let (groups, to_prepare) = mpsc::channel(1);
    let (ready, to_commit) = mpsc::channel(1);

    // A stage that fails closes its channels: the ones before it then find no taker, the ones after it no more input.
    let (follow, progress, cancel) = (options.follow, Arc::clone(&options.progress), cancel.clone());
    let reading = tokio::task::spawn_blocking(move || read(file, follow, &progress, &chunks, &cancel));
    let decoding = tokio::task::spawn_blocking(move || {
        while let Some(chunk) = to_decode.blocking_recv() {
            if decoded.blocking_send(decoder.decode(&chunk)).is_err() {
                return;
            }
        }
    });
    let grouping = tokio::spawn(group(options.group, to_group, groups));
    let preparing = tokio::spawn(preparer.run(to_prepare, ready));
    let (summary, committed) = committer.run(to_commit).await;

    // The last stage that failed says why; those before it only stopped.
    let prepared = joined(preparing.await);
    joined(grouping.await);
    joined(decoding.await);
    let ended = joined(reading.await).map_err(IngestError::from);
    Outcome { summary, ended: committed.and(prepared).and(ended) }
}

/// On a thread of its own: the compiler cannot see that what borrows across the store's streams is `Send` for every
/// lifetime (rust-lang/rust#102211).
async fn read_registry(store: EventStore) -> Result<Registry, IngestError> {
    joined(tokio::task::spawn_blocking(move || Handle::current().block_on(Registry::read(&store))).await)
}

/// A stage's result; a panic in it goes on here.
fn joined<T>(result: Result<T, JoinError>) -> T {
    result.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
