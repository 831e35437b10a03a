//! Reading a file to its end, or as it grows.

use std::{sync::atomic::Ordering, time::Duration};

use deltafold_source::{Chunk, FileSource, Growth, SourceError};
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::Ended;
use crate::Progress;

/// How often a followed file is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Reads chunks and hands them on. Blocks; to be run on a thread for such tasks.
pub(crate) fn read_lines(
    mut file: FileSource,
    follow: bool,
    progress: &Progress,
    output: &mpsc::Sender<Chunk>,
    cancel: &CancellationToken,
) -> Result<Ended, SourceError> {
    let raw_read = file.raw_read();
    while !cancel.is_cancelled() {
        // Looked at first, so that what came before a replacement is still read.
        let growth = if follow { file.growth()? } else { Growth::Same };
        let chunk = file.next_chunk()?;
        progress.set_bytes(raw_read.load(Ordering::Relaxed), file.raw_size().unwrap_or(0));
        let ended = match chunk {
            Some(chunk) => {
                if output.blocking_send(chunk).is_err() {
                    return Ok(Ended::Stopped);
                }
                continue;
            }
            None if growth == Growth::Replaced => Ended::Replaced,
            None if !follow => Ended::Complete,
            None => {
                // An error here is the end of the interval.
                let _ = Handle::current().block_on(tokio::time::timeout(POLL_INTERVAL, cancel.cancelled()));
                continue;
            }
        };
        if let Some(last) = file.take_unended()
            && output.blocking_send(last).is_err()
        {
            return Ok(Ended::Stopped);
        }
        return Ok(ended);
    }
    Ok(Ended::Stopped)
}
