//! Places where tests make a process die or the disk fail (cargo feature `failpoints`).
//!
//! A point is set with `FAILPOINTS="name=return(WHAT)"` or [`fail::cfg`]. WHAT is `ENOSPC`, `EROFS`, `EIO` (the disk
//! says so there) or `abort` (the process ends at once, as by SIGKILL). Without the feature nothing is left of them.
//!
//! | point | where |
//! |---|---|
//! | `store::before_file_sync`, `store::after_file_sync` | around the sync of an event data file |
//! | `store::before_log_entry`, `store::after_log_entry` | around the log entry of an event commit |
//! | `store::before_dead_letters`, `store::after_dead_letters` | around the log entry of a dead-letter commit |
//! | `store::maintenance::before_compaction`, `…::after_compaction` | around the log entry of a compaction |
//! | `store::maintenance::before_checkpoint`, `…::after_checkpoint` | around a checkpoint |
//! | `store::maintenance::clean` | between two removals of log entries |
//! | `store::maintenance::vacuum` | between two removals of data files |
//! | `store::io` | every operation of the file system that writes |
//! | `store::io::write`, `…::sync`, `…::link`, `…::sync_dir`, `…::remove` | one kind of them |

use std::io;

/// Passes a point, or fails there as it is set.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(point: &str) -> io::Result<()> {
    fail::fail_point!(point, |what| act(what.as_deref()));
    Ok(())
}

/// Passes a point.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) fn reach(_point: &str) -> io::Result<()> {
    Ok(())
}

/// Passes the points of one kind of file operation.
pub(crate) fn io(kind: &str) -> io::Result<()> {
    reach("store::io")?;
    reach(kind)
}

#[cfg(feature = "failpoints")]
fn act(what: Option<&str>) -> io::Result<()> {
    let code = match what {
        Some("abort") => std::process::abort(),
        Some("ENOSPC") => 28,
        Some("EROFS") => 30,
        _ => 5,
    };
    Err(io::Error::from_raw_os_error(code))
}
