//! Appending: events and offsets, together and durable.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use deltafold_event::{Event, Position, StoredEvent, control};
use object_store::{ObjectStoreExt, path::Path};
use uuid::Uuid;

use crate::{
    AppendError, Batch, EventStore, blocking,
    disk::disk_error,
    encode, fault,
    table::{
        commit::{Check, CommitError, Proposal},
        entry::NewFile,
        file::{Control, Place, Tags},
    },
};

/// The most bytes of one commit's events in memory: a column of theirs must stay below 2 GiB.
const MOST_BYTES: usize = 1 << 30;

/// A file that waited longer for its commit is written again: vacuum removes files that no entry names, by age.
const FRESH: Duration = Duration::from_secs(15 * 60);

/// The control types whose aggregates have one event: an append of a second one is refused.
const CLAIMED: [&str; 2] = [control::TABLE, control::DEAD_LETTER];

/// One commit to be made: events, and the source offsets they take the store to.
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// In the order of arrival; at most [`deltafold_event::Position::COMMIT_CAPACITY`].
    pub events: Vec<Event>,
    /// At most one for each app id. They may move without events (everything read was ignored).
    pub offsets: Vec<Offset>,
}

/// How far a source partition is read: a `txn` action of the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offset {
    /// Source, topic and partition; or the digest of a file.
    pub app_id: String,
    /// What the store must say now ([`crate::EventStore::offset`]), else the append is a
    /// [`crate::Conflict::Moved`].
    pub expected: Option<i64>,
    /// What it says afterwards: the next offset to read.
    pub next: i64,
}

/// Events that are encoded and durable in a file that no log entry names yet: they become visible with
/// [`crate::EventStore::commit`], or never.
#[derive(Debug)]
pub struct Prepared {
    events: Vec<Event>,
    file: Option<PreparedFile>,
}

#[derive(Debug)]
struct PreparedFile {
    file: NewFile,
    bytes: Bytes,
    written: Instant,
    /// How long that took.
    writing: Duration,
    raw_bytes: u64,
    control: Vec<Control>,
    claims: Vec<Control>,
}

impl Prepared {
    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl EventStore {
    /// Makes one commit: the events and the offsets become durable and visible together, or not at all. The same
    /// as [`Self::prepare`], then [`Self::commit`].
    ///
    /// # Errors
    /// See [`AppendError`]: a conflict is final; after the others [`Self::refresh`], and the offsets tell whether it
    /// counts.
    pub async fn append(&self, append: Append) -> Result<Arc<Batch>, AppendError> {
        let prepared = self.prepare(append.events).await?;
        self.commit(prepared, append.offsets).await
    }

    /// The first half of an append: encodes the events and writes their file, synced. Several may run at once, and
    /// beside a commit; what is dropped afterwards leaves a file that vacuum removes.
    ///
    /// # Errors
    /// When there are too many, or the file system refuses.
    pub async fn prepare(&self, events: Vec<Event>) -> Result<Prepared, AppendError> {
        if events.is_empty() {
            return Ok(Prepared { events, file: None });
        }
        let raw_bytes = encode::raw_bytes(&events);
        if events.len() > Position::COMMIT_CAPACITY as usize || raw_bytes > MOST_BYTES {
            return Err(AppendError::TooLarge { events: events.len(), bytes: raw_bytes });
        }
        let (events, encoded) = blocking(move || {
            let encoded = encode::events(&events).expect("events always fit the table");
            (events, encoded)
        })
        .await;
        let (control, claims) = control_aggregates(&events);
        let file = NewFile {
            path: format!("part-{}.zstd.parquet", Uuid::new_v4()),
            size: encoded.bytes.len() as u64,
            statistics: encoded.statistics,
        };
        let mut prepared = PreparedFile {
            file,
            bytes: encoded.bytes.into(),
            written: Instant::now(),
            writing: Duration::ZERO,
            raw_bytes: raw_bytes as u64,
            control,
            claims,
        };
        self.write_data(&prepared).await?;
        prepared.writing = prepared.written.elapsed();
        Ok(Prepared { events, file: Some(prepared) })
    }

    async fn write_data(&self, prepared: &PreparedFile) -> Result<(), AppendError> {
        let path = Path::from(prepared.file.path.as_str());
        let failed = |error: &(dyn std::error::Error + 'static)| disk_error(error, path.as_ref());
        fault::reach("store::before_file_sync").map_err(|error| failed(&error))?;
        self.events().store.put(&path, prepared.bytes.clone().into()).await.map_err(|error| failed(&error))?;
        fault::reach("store::after_file_sync").map_err(|error| failed(&error))?;
        Ok(())
    }

    /// The second half of an append: writes the log entry. Commits are made in the order of these calls.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn commit(&self, mut prepared: Prepared, offsets: Vec<Offset>) -> Result<Arc<Batch>, AppendError> {
        if prepared.events.is_empty() && offsets.is_empty() {
            let (version, committed_at) = (self.events().state().version, self.events().state().committed_at);
            return Ok(Arc::new(Batch { version, committed_at, events: Vec::new() }));
        }
        Ok(self.commit_if(&mut prepared, &offsets, None).await?)
    }

    /// Likewise, if a check still holds of what its version follows. Without its events nothing is left to commit.
    pub(crate) async fn commit_if(
        &self,
        prepared: &mut Prepared,
        offsets: &[Offset],
        check: Option<Check<'_>>,
    ) -> Result<Arc<Batch>, CommitError> {
        if let Some(file) = prepared.file.as_mut().filter(|file| file.written.elapsed() > FRESH) {
            file.file.path = format!("part-{}.zstd.parquet", Uuid::new_v4());
            file.written = Instant::now();
            self.write_data(file).await?;
            file.writing = file.written.elapsed();
        }
        let began = Instant::now();
        let Prepared { events, file } = prepared;
        let file = file.as_ref();
        let proposal = Proposal {
            file: file.map(|file| {
                let control = file.control.clone();
                (&file.file, Tags { place: Place::Version(0), raw_bytes: file.raw_bytes, control, ..Tags::default() })
            }),
            offsets,
            claims: file.map_or(&[], |file| &file.claims),
            check,
            points: ["store::before_log_entry", "store::after_log_entry"],
            ..Proposal::default()
        };
        let (raw_bytes, writing) = file.map_or((0, Duration::ZERO), |file| (file.raw_bytes as usize, file.writing));
        let done = |version, recorded_at| {
            let stored = std::mem::take(events).into_iter().enumerate().map(|(ordinal, event)| {
                let position = Position::new(version, ordinal as u32).expect("the capacity was checked");
                StoredEvent { position, recorded_at, event }
            });
            let batch = Arc::new(Batch { version, committed_at: recorded_at, events: stored.collect() });
            self.recent().push(batch.clone(), raw_bytes);
            batch
        };
        let batch = self.events().commit(&proposal, done).await?;
        metrics::histogram!("deltafold_commit_duration_seconds").record(writing + began.elapsed());
        Ok(batch)
    }
}

/// The control aggregates that events are about, and those among them that must be the first of theirs.
fn control_aggregates(events: &[Event]) -> (Vec<Control>, Vec<Control>) {
    let mut found: Vec<Control> = events
        .iter()
        .filter(|event| event.is_control())
        .filter_map(|event| Some((event.aggregate_type.clone(), Arc::from(event.aggregate_id.as_deref()?))))
        .collect();
    found.sort();
    found.dedup();
    let claims = found.iter().filter(|(aggregate_type, _)| CLAIMED.contains(&&**aggregate_type)).cloned().collect();
    (found, claims)
}
