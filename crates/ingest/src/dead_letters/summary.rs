//! What settling did.

use std::ops::AddAssign;

use deltafold_event::Position;

/// What settling dead letters did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettleSummary {
    /// Letters that are settled now.
    pub settled: u64,
    /// Events that they became.
    pub events: u64,
    /// Letters that still cannot be decoded; they stay open.
    pub failed: u64,
    /// Why, of the first of them.
    pub failures: Vec<LetterFailure>,
    /// Where the last of what was appended stands: what has to be folded for views to show it.
    pub position: Option<Position>,
    /// The last number that was looked at, where more may be selected than the limit allowed.
    pub stopped_at: Option<u64>,
}

/// A letter that still cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterFailure {
    /// Which.
    pub number: u64,
    /// A stable name of the reason that there is now.
    pub code: String,
    /// The reason, for a person, with what to do.
    pub reason: String,
}

/// How many failures are told one by one.
const FAILURES: usize = 1_000;

impl SettleSummary {
    pub(super) fn fail(&mut self, failure: LetterFailure) {
        self.failed += 1;
        if self.failures.len() < FAILURES {
            self.failures.push(failure);
        }
    }
}

impl AddAssign for SettleSummary {
    fn add_assign(&mut self, other: Self) {
        self.settled += other.settled;
        self.events += other.events;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.failures.truncate(FAILURES);
        self.position = other.position.or(self.position);
        self.stopped_at = other.stopped_at;
    }
}
