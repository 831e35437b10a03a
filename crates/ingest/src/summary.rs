//! What an ingestion did.

use std::{collections::BTreeMap, ops::AddAssign, time::Duration};

use deltafold_cdc::Ignored;

/// What an ingestion did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events appended now.
    pub appended: u64,
    /// Events of the same file that an earlier ingestion had appended.
    pub already_there: u64,
    /// Dead letters written now.
    pub dead_letters: u64,
    /// Records that are understood and hold no event, by kind.
    pub ignored: BTreeMap<Ignored, u64>,
    /// Commits made.
    pub commits: u64,
    /// Bytes of lines read, decompressed.
    pub bytes: u64,
    /// From the opening of the file to the last commit.
    pub elapsed: Duration,
}

impl Summary {
    /// Events appended in a second.
    pub fn events_per_second(&self) -> f64 {
        self.appended as f64 / self.elapsed.as_secs_f64().max(1e-6)
    }
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.appended += other.appended;
        self.already_there += other.already_there;
        self.dead_letters += other.dead_letters;
        for (kind, count) in other.ignored {
            *self.ignored.entry(kind).or_default() += count;
        }
        self.commits += other.commits;
        self.bytes += other.bytes;
        self.elapsed += other.elapsed;
    }
}
