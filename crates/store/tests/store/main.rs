//! What the store promises, through its public interface.
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on has failed its test")]

mod appending;
mod care;
mod dead_letters;
mod expecting;
mod finding;
mod opening;
mod racing;
mod support;
mod tailing;
