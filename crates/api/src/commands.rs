//! What mutations do.
//!
//! This crate changes nothing itself: whoever makes an [`crate::Api`] hands in its [`Commands`].

use deltafold_event::Position;
use deltafold_projector::Ordered;
use futures::future::BoxFuture;

use crate::Principal;

/// What mutations do. An operation that was begun runs to its end, even if nobody waits for it any more: what it has
/// changed by then stays, and the store says how far it came. Each says in the event store who has asked for it.
pub trait Commands: Send + Sync + 'static {
    /// Decodes dead letters once more and appends what they become.
    fn retry_dead_letters(&self, which: LetterChoice, by: Principal) -> BoxFuture<'static, CommandResult<Settled>>;

    /// Gives dead letters up, for a reason.
    fn discard_dead_letters(
        &self,
        which: LetterChoice,
        reason: String,
        by: Principal,
    ) -> BoxFuture<'static, CommandResult<Settled>>;

    /// Lets a database that was restored go on in this epoch, for a reason: where that stands in the store.
    fn new_epoch(
        &self,
        origin: String,
        epoch: u32,
        reason: String,
        by: Principal,
    ) -> BoxFuture<'static, CommandResult<Position>>;

    /// Orders something of a projection: where that stands in the store.
    fn order(
        &self,
        projection: String,
        ordered: Ordered,
        reason: Option<String>,
        by: Principal,
    ) -> BoxFuture<'static, CommandResult<Position>>;
}

/// What a command comes to.
pub type CommandResult<T> = Result<T, CommandError>;

/// Why a command was not done, or not to its end. The messages are for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// What it names is not there.
    #[error("{0}")]
    NotFound(String),
    /// Another was first.
    #[error("{0}")]
    Conflict(String),
    /// Something that it needs is not available now: try again.
    #[error("{0}")]
    Unavailable(String),
    /// Anything else. The message goes to the log, not to whoever asked.
    #[error("{0}")]
    Failed(String),
}

/// Which dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterChoice {
    /// These, each of which must be there and open; without, all that are open.
    pub numbers: Option<Vec<u64>>,
    /// Of this source only.
    pub source: Option<String>,
    /// Of this topic only.
    pub topic: Option<String>,
    /// With this code only.
    pub code: Option<String>,
    /// Numbers greater than this one only.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: u64,
}

/// What became of the dead letters that were chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Letters that are settled now.
    pub settled: u64,
    /// Events that they became.
    pub events: u64,
    /// Letters that still cannot be decoded.
    pub failed: u64,
    /// Why, of the first of them.
    pub failures: Vec<LetterFailure>,
    /// Where the last of what was appended stands.
    pub position: Option<Position>,
    /// The last number that was looked at, where the limit was reached.
    pub stopped_at: Option<u64>,
}

/// A dead letter that still cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterFailure {
    /// Which.
    pub number: u64,
    /// A stable name of the reason that there is now.
    pub code: String,
    /// The reason, for a person, with what to do.
    pub reason: String,
}
