//! What the store promises, through its public interface.

mod appending;
mod care;
mod dead_letters;
mod finding;
mod opening;
mod racing;
mod support;
mod tailing;
