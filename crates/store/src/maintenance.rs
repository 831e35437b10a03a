//! The store's care (D12): compaction, checkpoints, clean-up, verification; by hand, or by the process that holds
//! the lease. Each is safe beside appends, readers and another process that does the same.

mod checkpoint;
mod clean;
mod compact;
mod lease;
mod merge;
mod plan;
mod task;
mod vacuum;
mod verify;
