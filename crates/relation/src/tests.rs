//! Each case that `fold.md` names, told as events.

mod batches;
mod duplicates;
mod keys;
mod late;
mod moves;
mod reset_batches;
mod reset_runs;
mod resets;
mod story;
mod truncates;
mod unchanged;
mod valid_time;
mod versions;
