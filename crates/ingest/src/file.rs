//! Taking a file into the store.

use std::{
    cell::Cell,
    path::Path,
    time::{Duration, Instant},
};

use deltafold_event::{StoredEvent, control};
use deltafold_source::{AppId, FileSource, Mark};
use deltafold_store::{AppendError, Direction, EventFilter, EventStore};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{
    FileMark, IngestError, Options, Summary,
    commit::ReadFile,
    decode::LineDecoder,
    pipeline::{self, Outcome, Stages},
    read::{Ended, read_lines},
};

/// How often a file is begun anew because another writer was first.
const ATTEMPTS: u32 = 20;
/// How often a file that has no first line yet is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Appends what a file holds beyond what the store has of it, to its end; with [`Options::follow`] also what comes to
/// it, until cancelled. Cancelling stops at a commit; what was read but not committed is read again next time.
///
/// # Errors
/// When the file cannot be read or the store not be appended to. What was committed stays.
pub async fn ingest_file(
    store: &EventStore,
    path: &Path,
    options: &Options,
    cancel: CancellationToken,
) -> Result<Summary, IngestError> {
    let began = Instant::now();
    let mut total = Summary::default();
    let mut attempts = 0;
    // Of the file that is being read now, by whoever.
    let mut current: Option<AppId> = None;
    loop {
        let Some((file, events)) = open(store, path, options.follow).await? else {
            if !options.follow || cancelled_within(&cancel, POLL_INTERVAL).await {
                break;
            }
            continue;
        };
        if current.as_ref() != Some(file.app_id()) {
            total.already_there += events;
            current = Some(file.app_id().clone());
        }
        let Outcome { summary, ended } = take_in(store, path, file, events, options, &cancel).await;
        total += summary;
        match ended {
            Ok(Ended::Replaced) => attempts = 0,
            Ok(Ended::Complete | Ended::Stopped) => break,
            Err(IngestError::Append(AppendError::Conflict(conflict))) => {
                attempts += 1;
                if attempts == ATTEMPTS {
                    return Err(IngestError::Contended { attempts, last: conflict });
                }
                tracing::info!(path = %path.display(), %conflict, "another writer was first: reading again what the store holds");
                store.refresh().await?;
            }
            Err(error) => return Err(error),
        }
    }
    total.elapsed = began.elapsed();
    Ok(total)
}

/// Takes a file from where it was opened into the store. `events` were appended from it before.
async fn take_in(
    store: &EventStore,
    path: &Path,
    file: FileSource,
    events: u64,
    options: &Options,
    cancel: &CancellationToken,
) -> Outcome {
    let registry = match pipeline::read_registry(store.clone()).await {
        Ok(registry) => registry,
        Err(error) => return Outcome { summary: Summary::default(), ended: Err(error) },
    };
    let app_id = file.app_id().clone();
    let recorded_to = store.dead_letter_offset(app_id.as_str());
    let mut decoder = LineDecoder::new(path, app_id.clone(), options.decoder.clone(), registry, recorded_to);
    let (follow, progress) = (options.follow, options.progress.clone());
    let stages = Stages {
        read: move |chunks, cancel| {
            ((), read_lines(file, follow, &progress, &chunks, &cancel).map_err(IngestError::from))
        },
        cancel: cancel.clone(),
        decode: move |chunk: &_| decoder.decode(chunk),
        file: Some(ReadFile { app_id, name: path.display().to_string(), events }),
        commits: None,
        copies: None,
    };
    let ((), outcome) = pipeline::run(store, options, stages).await;
    outcome
}

async fn cancelled_within(cancel: &CancellationToken, limit: Duration) -> bool {
    tokio::time::timeout(limit, cancel.cancelled()).await.is_ok()
}

/// Opens the file where the store says it stands, with the number of events that the store has of it.
async fn open(store: &EventStore, path: &Path, follow: bool) -> Result<Option<(FileSource, u64)>, IngestError> {
    let (store, path) = (store.clone(), path.to_owned());
    let opening = tokio::task::spawn_blocking(move || {
        let last = Lookup { store: &store, all: false, failed: Cell::new(None), met_any: Cell::new(false) };
        let file = last.open(&path, follow)?;
        // A file that no last mark confirms may still be an older copy of one that has grown, which only its
        // earlier marks tell.
        let is_new = file.as_ref().is_some_and(|(file, _)| file.resumed_at().bytes == 0);
        if is_new && last.met_any.get() {
            return Lookup { store: &store, all: true, failed: Cell::new(None), met_any: Cell::new(false) }
                .open(&path, follow);
        }
        Ok(file)
    });
    opening.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// Asks the store for the marks of files. Blocks.
struct Lookup<'a> {
    store: &'a EventStore,
    /// All marks, or only the last.
    all: bool,
    failed: Cell<Option<IngestError>>,
    met_any: Cell<bool>,
}

impl Lookup<'_> {
    fn open(&self, path: &Path, follow: bool) -> Result<Option<(FileSource, u64)>, IngestError> {
        let known = |app_id: &AppId| {
            self.marks(app_id).map(|marks| marks.into_iter().map(|mark| mark.mark).collect()).unwrap_or_else(|error| {
                self.failed.set(Some(error));
                Vec::new()
            })
        };
        let opened = if follow { FileSource::open_to_follow(path, known) } else { FileSource::open(path, known) };
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Some(file) = opened? else { return Ok(None) };
        let resumed_at = file.resumed_at();
        let events = match resumed_at.bytes {
            0 => 0,
            _ => self.events_at(file.app_id(), &resumed_at)?,
        };
        Ok(Some((file, events)))
    }

    fn events_at(&self, app_id: &AppId, at: &Mark) -> Result<u64, IngestError> {
        Ok(self.marks(app_id)?.into_iter().find(|mark| mark.mark == *at).map_or(0, |mark| mark.events))
    }

    fn marks(&self, app_id: &AppId) -> Result<Vec<FileMark>, IngestError> {
        if !self.store.has_control(control::FILE, app_id.as_str()) {
            return Ok(Vec::new());
        }
        self.met_any.set(true);
        let runtime = Handle::current();
        let events: Vec<StoredEvent> = if self.all {
            let filter = EventFilter {
                aggregate_type: Some(control::FILE.to_owned()),
                aggregate_id: Some(app_id.as_str().to_owned()),
                ..EventFilter::default()
            };
            runtime.block_on(self.store.scan(&filter, Direction::Forward, usize::MAX))?
        } else {
            runtime.block_on(self.store.control_last(control::FILE, app_id.as_str()))?.into_iter().collect()
        };
        let mark = |stored: &StoredEvent| {
            FileMark::of(&stored.event)
                .map_err(|error| IngestError::Mark { app_id: app_id.to_string(), what: error.to_string() })
        };
        events.iter().map(mark).collect()
    }
}
