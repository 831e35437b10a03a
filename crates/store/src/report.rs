//! What the store's care found and did.

use deltafold_event::Position;

/// What opening found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Log entries that a crash left torn or empty at the end; they were never acknowledged and are moved aside.
    pub torn: Vec<TornEntry>,
}

/// A log entry that was moved aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornEntry {
    /// `events` or `dead_letters`.
    pub table: String,
    /// The version it would have been.
    pub version: u64,
    /// What was wrong with it.
    pub what: String,
    /// Where it is kept, in the table's directory.
    pub kept: String,
}

/// What [`crate::EventStore::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many commits were looked at.
    pub commits: u64,
    /// How many data files.
    pub files: u64,
    /// How many events.
    pub events: u64,
    /// How many dead letters.
    pub dead_letters: u64,
    /// What is wrong. Empty: all is well.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `events` or `dead_letters`.
    pub table: String,
    /// The file, entry or position.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
}

/// What [`crate::EventStore::compact`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// How many files were merged.
    pub merged: usize,
    /// Into how many.
    pub written: usize,
    /// How many events they hold.
    pub events: u64,
    /// Bytes before.
    pub bytes_before: u64,
    /// Bytes after.
    pub bytes_after: u64,
}

/// What [`crate::EventStore::checkpoint`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckpointReport {
    /// The events' checkpoint is of this version.
    pub events_version: u64,
    /// The dead letters' checkpoint is of this version.
    pub dead_letters_version: u64,
}

/// What the log clean-up did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanReport {
    /// How many log entries were removed.
    pub entries: usize,
    /// How many old checkpoints.
    pub checkpoints: usize,
    /// Everything before this position is read from data files now.
    pub frontier: Position,
}

/// What [`crate::EventStore::vacuum`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VacuumReport {
    /// How many data files were removed.
    pub files: usize,
    /// How many bytes they had.
    pub bytes: u64,
    /// The log clean-up that goes with it.
    pub log: CleanReport,
}

/// What one round of [`crate::EventStore::maintain`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaintenanceReport {
    /// None while another process holds the lease.
    pub held: bool,
    /// Compaction, when there was enough to do.
    pub compacted: Option<CompactReport>,
    /// The versions of the checkpoints, when they were due.
    pub checkpoint: Option<CheckpointReport>,
    /// Clean-up, when it was due.
    pub vacuum: Option<VacuumReport>,
}
