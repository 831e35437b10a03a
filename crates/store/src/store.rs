//! The store's handle.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use deltafold_event::{EventId, Position, StoredEvent};
use tokio_util::sync::CancellationToken;

use crate::{
    Append, AppendError, Batch, CheckpointReport, CompactReport, DeadLetter, DeadLetterFilter, Direction, EventFilter,
    MaintenanceError, MaintenanceReport, Offset, OpenError, OpenReport, Options, Prepared, ReadError, Tail,
    VacuumReport, VerifyReport,
};

/// The event store and the dead letters of one data directory. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct EventStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {}

impl EventStore {
    /// Opens a data directory, making it if it is not there. The end of the log is checked: an entry that a crash
    /// left torn was never acknowledged and is moved aside ([`Self::opened`]).
    ///
    /// # Errors
    /// When another version made it, when it is damaged, when the file system refuses.
    pub async fn open(data_dir: &Path, options: Options) -> Result<Self, OpenError> {
        let _ = (data_dir, options);
        Ok(Self { inner: Arc::new(Inner {}) })
    }

    /// What opening found.
    pub fn opened(&self) -> &OpenReport {
        panic!("not yet: {:?}", self.inner)
    }

    /// Makes one commit: the events and the offsets become durable and visible together, or not at all. The same
    /// as [`Self::prepare`], then [`Self::commit`].
    ///
    /// # Errors
    /// See [`AppendError`]: a conflict is final, after the others the offsets tell whether it counts.
    pub async fn append(&self, append: Append) -> Result<Arc<Batch>, AppendError> {
        let prepared = self.prepare(append.events).await?;
        self.commit(prepared, append.offsets).await
    }

    /// The first half of an append: encodes the events and writes their file, synced. Several may run at once, and
    /// beside a commit; what is dropped afterwards leaves a file that vacuum removes.
    ///
    /// # Errors
    /// When there are too many, or the file system refuses.
    pub async fn prepare(&self, events: Vec<deltafold_event::Event>) -> Result<Prepared, AppendError> {
        Ok(Prepared { events })
    }

    /// The second half of an append: writes the log entry. Commits are made in the order of these calls.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn commit(&self, prepared: Prepared, offsets: Vec<Offset>) -> Result<Arc<Batch>, AppendError> {
        panic!("not yet: {prepared:?} {offsets:?}")
    }

    /// How far a source partition is read: the next offset.
    pub fn offset(&self, app_id: &str) -> Option<i64> {
        panic!("not yet: {app_id}")
    }

    /// How far every source partition is read.
    pub fn offsets(&self) -> BTreeMap<String, i64> {
        panic!("not yet")
    }

    /// The exclusive end of what is committed, as far as this process has seen: the start of the next commit.
    pub fn high_water_mark(&self) -> Position {
        panic!("not yet")
    }

    /// Looks for commits of other processes; afterwards offsets and the high-water mark include them.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn refresh(&self) -> Result<Position, ReadError> {
        panic!("not yet")
    }

    /// A reader of everything from a position on.
    pub fn tail(&self, from: Position) -> Tail {
        Tail { store: self.clone(), position: from }
    }

    /// The events at these positions, by position; positions that hold none are left out.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn events_at(&self, positions: &[Position]) -> Result<Vec<StoredEvent>, ReadError> {
        panic!("not yet: {positions:?}")
    }

    /// The event with this id, at its first delivery.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn find(&self, id: EventId) -> Result<Option<StoredEvent>, ReadError> {
        panic!("not yet: {id}")
    }

    /// The first (or last) `limit` events that satisfy a filter, in the direction's order.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn scan(
        &self,
        filter: &EventFilter,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, ReadError> {
        panic!("not yet: {filter:?} {direction:?} {limit}")
    }

    /// Every event of a control type (`$schema`, `$table`, …), by position, without a full scan.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn control(&self, aggregate_type: &str) -> Result<Vec<StoredEvent>, ReadError> {
        panic!("not yet: {aggregate_type}")
    }

    /// The newest event of one control aggregate, such as a file's `$file`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn control_last(&self, aggregate_type: &str, id: &str) -> Result<Option<StoredEvent>, ReadError> {
        panic!("not yet: {aggregate_type} {id}")
    }

    /// Whether a control aggregate has an event, from memory.
    pub fn has_control(&self, aggregate_type: &str, id: &str) -> bool {
        panic!("not yet: {aggregate_type} {id}")
    }

    /// Sets records aside, durable on return. The offsets are those of the dead letters' own table
    /// ([`Self::dead_letter_offset`]): "every dead letter before `next` is recorded". Write them before the events of
    /// the same batch; after a crash between the two, leave out the letters that the offset says are there.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn append_dead_letters(&self, letters: Vec<DeadLetter>, offsets: Vec<Offset>) -> Result<(), AppendError> {
        panic!("not yet: {letters:?} {offsets:?}")
    }

    /// Up to where a source partition's dead letters are recorded.
    pub fn dead_letter_offset(&self, app_id: &str) -> Option<i64> {
        panic!("not yet: {app_id}")
    }

    /// The dead letters that satisfy a filter, numbered from 1 in the order of arrival.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn dead_letters(&self, filter: &DeadLetterFilter) -> Result<Vec<(u64, DeadLetter)>, ReadError> {
        panic!("not yet: {filter:?}")
    }

    /// One dead letter.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn dead_letter(&self, number: u64) -> Result<Option<DeadLetter>, ReadError> {
        panic!("not yet: {number}")
    }

    /// How many dead letters there are.
    pub fn dead_letter_count(&self) -> u64 {
        panic!("not yet")
    }

    /// How many events there are, from statistics.
    pub fn event_count(&self) -> u64 {
        panic!("not yet")
    }

    /// Reads everything and compares it with what the log says.
    ///
    /// # Errors
    /// When the file system refuses; what is wrong with the data is in the report.
    pub async fn verify(&self) -> Result<VerifyReport, MaintenanceError> {
        panic!("not yet")
    }

    /// Merges small files as far as it goes.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub async fn compact(&self) -> Result<CompactReport, MaintenanceError> {
        panic!("not yet")
    }

    /// Writes a checkpoint of both tables.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn checkpoint(&self) -> Result<CheckpointReport, MaintenanceError> {
        panic!("not yet")
    }

    /// Removes data files and log entries that nothing needs and that are older than the retention.
    ///
    /// # Errors
    /// When the file system refuses.
    pub async fn vacuum(&self) -> Result<VacuumReport, MaintenanceError> {
        panic!("not yet")
    }

    /// One round of care, if this process holds or gets the lease: compaction, checkpoint and clean-up as they are due.
    ///
    /// # Errors
    /// When one of them fails; the others are tried all the same the next time.
    pub async fn maintain_once(&self) -> Result<MaintenanceReport, MaintenanceError> {
        panic!("not yet")
    }

    /// Cares for the store until cancelled, while this process holds the lease; failures are logged and tried again.
    pub async fn maintain(&self, cancel: CancellationToken) {
        cancel.cancelled().await;
    }
}
