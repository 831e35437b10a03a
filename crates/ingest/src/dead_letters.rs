//! Settling dead letters: decoding them once more, or giving them up.
//!
//! A letter is settled by an event of its `$dead_letter` aggregate, which is claimed like `$table`: the events that a
//! letter becomes and the event that says so are one commit, so that neither two operators at once nor a crash between
//! can append a letter twice. The letters themselves stay where they are.

mod discard;
mod pages;
mod retry;
mod selection;
mod settle;
mod summary;

pub use discard::discard_dead_letters;
pub use retry::retry_dead_letters;
pub use selection::LetterSelection;
pub use settle::SettleError;
pub use summary::{LetterFailure, SettleSummary};
