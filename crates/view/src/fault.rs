//! Places where tests make a process die or the disk fail (cargo feature `failpoints`).
//!
//! A point is set with `FAILPOINTS="name=return(WHAT)"` or [`fail::cfg`]. WHAT is `ENOSPC`, `EROFS`, `EIO` (the disk
//! says so there) or `abort` (the process ends at once, as by SIGKILL). Without the feature nothing is left of them.
//!
//! | point | where |
//! |---|---|
//! | `view::before_batch`, `view::after_batch` | around the writing of a batch; after it is not yet visible to readers |
//! | `view::io` | before each piece that is written: a batch, or each tree's run of a bulk load |

use std::io;

/// Passes a point, or fails there as it is set.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(point: &str) -> io::Result<()> {
    fail::fail_point!(point, |what| match what.as_deref() {
        Some("abort") => std::process::abort(),
        Some("ENOSPC") => Err(io::Error::from_raw_os_error(28)),
        Some("EROFS") => Err(io::Error::from_raw_os_error(30)),
        _ => Err(io::Error::from_raw_os_error(5)),
    });
    Ok(())
}

/// Passes a point.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) fn reach(_point: &str) -> io::Result<()> {
    Ok(())
}
