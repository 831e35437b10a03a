//! The stages from what was read to what is committed, wired up.

use std::{collections::HashMap, sync::Arc};

use deltafold_source::LetterCopies;
use deltafold_store::EventStore;
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::{JoinError, JoinHandle},
};
use tokio_util::sync::CancellationToken;

use crate::{
    IngestError, Options, Summary,
    commit::{Committer, Counts, Preparer, ReadFile},
    commits::Commits,
    group::group,
    read::Ended,
    registry::Registry,
    work::Work,
};

/// What is read ahead of decoding: chunks or runs of about a megabyte.
const READ_AHEAD: usize = 4;
/// What is decoded and waits to be grouped.
const DECODED_AHEAD: usize = 4;

/// How a pipeline ended: what it committed, and why it stopped.
pub(crate) struct Outcome {
    pub(crate) summary: Summary,
    pub(crate) ended: Result<Ended, IngestError>,
}

/// What tells one kind of source from the other.
pub(crate) struct Stages<R, D> {
    /// Hands on what it reads until it ends or is told to. Blocks.
    pub(crate) read: R,
    /// Ends reading.
    pub(crate) cancel: CancellationToken,
    /// Decodes what was read.
    pub(crate) decode: D,
    /// The file that is read, if it is one.
    pub(crate) file: Option<ReadFile>,
    /// Who waits for commits.
    pub(crate) commits: Option<Arc<Commits>>,
    /// Where copies of dead letters go.
    pub(crate) copies: Option<Arc<LetterCopies>>,
}

/// Takes what is read into the store, until reading ends. What `read` returned is returned even when a later stage
/// failed.
pub(crate) async fn run<T, U, R, D>(store: &EventStore, options: &Options, stages: Stages<R, D>) -> (U, Outcome)
where
    T: Send + 'static,
    U: Send + 'static,
    R: FnOnce(mpsc::Sender<T>, CancellationToken) -> (U, Result<Ended, IngestError>) + Send + 'static,
    D: FnMut(&T) -> Work + Send + 'static,
{
    let Stages { read, cancel, mut decode, file, commits, copies } = stages;
    let preparer = Preparer { store: store.clone(), file };
    let committer = Committer {
        store: store.clone(),
        progress: Arc::clone(&options.progress),
        commits,
        copies,
        letters_at: HashMap::new(),
        counts: Counts::of(&options.decoder.source),
        summary: Summary::default(),
    };
    let (chunks, mut to_decode) = mpsc::channel::<T>(READ_AHEAD);
    let (decoded, to_group) = mpsc::channel(DECODED_AHEAD);
    let (groups, to_prepare) = mpsc::channel(1);
    let (ready, to_commit) = mpsc::channel(1);

    // A stage that fails closes its channels: the ones before it then find no taker, the ones after it no more input.
    // So the last one ends in any case. The first would find out with the next that there is to read, whenever that
    // comes: it is told.
    let over = cancel.child_token();
    let reading: JoinHandle<(U, Result<Ended, IngestError>)> = tokio::task::spawn_blocking({
        let over = over.clone();
        move || read(chunks, over)
    });
    let decoding = tokio::task::spawn_blocking(move || {
        while let Some(chunk) = to_decode.blocking_recv() {
            if decoded.blocking_send(decode(&chunk)).is_err() {
                return;
            }
        }
    });
    let grouping = tokio::spawn(group(options.group, to_group, groups));
    let preparing = tokio::spawn(preparer.run(to_prepare, ready));
    let (summary, committed) = committer.run(to_commit).await;
    over.cancel();

    // The last stage that failed says why; those before it only stopped.
    let prepared = joined(preparing.await);
    joined(grouping.await);
    joined(decoding.await);
    let (source, ended) = joined(reading.await);
    (source, Outcome { summary, ended: committed.and(prepared).and(ended) })
}

/// What the store knows of types. On a thread of its own: the compiler cannot see that what borrows across the store's
/// streams is `Send` for every lifetime (rust-lang/rust#102211).
pub(crate) async fn read_registry(store: EventStore) -> Result<Registry, IngestError> {
    joined(tokio::task::spawn_blocking(move || Handle::current().block_on(Registry::read(&store))).await)
}

/// A stage's result; a panic in it goes on here.
fn joined<T>(result: Result<T, JoinError>) -> T {
    result.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use deltafold_cdc::DecoderConfig;
    use deltafold_store::AppendError;

    use super::*;
    use crate::work::Reached;

    /// Another instance was first, and then nothing more comes in the topics.
    #[tokio::test]
    async fn a_commit_that_is_refused_ends_reading_though_nothing_more_comes() {
        let dir = tempfile::tempdir().unwrap();
        let store = EventStore::open(dir.path(), Default::default()).await.unwrap();
        let options = Options {
            decoder: DecoderConfig { source: "shop".into(), ..DecoderConfig::default() },
            ..Options::default()
        };
        let read = |records: mpsc::Sender<()>, over: CancellationToken| {
            records.blocking_send(()).unwrap();
            Handle::current().block_on(over.cancelled());
            ((), Ok(Ended::Stopped))
        };
        let decode = |(): &()| {
            let reached =
                Reached { from: Some(5), to: Some(6), mark: None, letters: 0, letters_from: None, letters_to: 0 };
            Work { reached: BTreeMap::from([("shop/orders/0".into(), reached)]), ..Work::default() }
        };
        let cancel = CancellationToken::new();
        let stages = Stages { read, cancel: cancel.clone(), decode, file: None, commits: None, copies: None };
        let ((), outcome) = run(&store, &options, stages).await;
        assert!(matches!(outcome.ended, Err(IngestError::Append(AppendError::Conflict(_)))));
        assert!(!cancel.is_cancelled());
    }
}
