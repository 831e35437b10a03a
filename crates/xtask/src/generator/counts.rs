//! How often each case was made.

/// One number per case; a run in which one is 0 proves nothing about that case ([`Counts::complete`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines written, of every kind.
    pub lines: u64,
    /// Lines that are events (created, updated, deleted, read, truncated; re-delivered ones too).
    pub events: u64,
    /// Different events among them.
    pub distinct: u64,
    /// Op `c`, each delivery counted.
    pub created: u64,
    /// Op `u`, each delivery counted.
    pub updated: u64,
    /// Op `d`, each delivery counted.
    pub deleted: u64,
    /// Op `r`: initial snapshot rows, and incremental ones beside the log.
    pub read: u64,
    /// Op `r` of incremental snapshots.
    pub read_beside_log: u64,
    /// Op `t`.
    pub truncates: u64,
    /// Second deliveries of an event.
    pub redelivered: u64,
    /// Events written after a later one of their key.
    pub late: u64,
    /// Lines that are no event and must become dead letters.
    pub poison: u64,
    /// Records without a value.
    pub tombstones: u64,
    /// Key updates: a delete and a create at one position.
    pub moves: u64,
    /// Updates with an unchanged TOAST value.
    pub unchanged: u64,
    /// Creates of a key that had been deleted.
    pub recreated: u64,
    /// Columns that were added while the stream ran.
    pub added_columns: u64,
}

/// A stream lacks a case that it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incomplete(&'static str);

impl std::fmt::Display for Incomplete {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the stream has no case of «{}»; generate more events", self.0)
    }
}

impl std::error::Error for Incomplete {}

impl Counts {
    /// Whether every case occurred; the error names one that did not.
    pub fn complete(&self) -> Result<(), Incomplete> {
        for (name, count) in self.cases() {
            if count == 0 {
                return Err(Incomplete(name));
            }
        }
        if self.added_columns < 3 {
            return Err(Incomplete("a third added column"));
        }
        Ok(())
    }

    /// Every case with its number.
    pub fn cases(&self) -> [(&'static str, u64); 14] {
        [
            ("created", self.created),
            ("updated", self.updated),
            ("deleted", self.deleted),
            ("read", self.read),
            ("read beside the log", self.read_beside_log),
            ("truncates", self.truncates),
            ("re-delivered", self.redelivered),
            ("late", self.late),
            ("poison", self.poison),
            ("tombstones", self.tombstones),
            ("moves", self.moves),
            ("unchanged values", self.unchanged),
            ("created again", self.recreated),
            ("added columns", self.added_columns),
        ]
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} lines, {} events ({} distinct):", self.lines, self.events, self.distinct)?;
        for (name, count) in self.cases() {
            write!(f, " {count} {name},")?;
        }
        Ok(())
    }
}
