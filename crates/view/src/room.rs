//! How much may wait in memory to be written as tables.

use std::{
    thread,
    time::{Duration, Instant},
};

use fjall::Database;

use crate::Options;

/// How often it is looked whether there is room.
const POLL: Duration = Duration::from_millis(2);

/// A commit that has waited so long goes on: it tells what is wrong with the trees, if something is.
const LONGEST: Duration = Duration::from_secs(20);

/// What commits wait for.
pub(crate) struct Room {
    most_unwritten: u64,
}

impl Room {
    pub(crate) fn new(options: &Options) -> Self {
        Self { most_unwritten: options.unwritten_bytes }
    }

    /// Waits while too much is in memory. The thread that writes it also merges tables: as trees grow that takes longer, and
    /// ever more would come meanwhile.
    pub(crate) fn wait(&self, db: &Database) {
        let began = Instant::now();
        let is_written = || db.outstanding_flushes() > 0 || db.active_compactions() > 0;
        while db.write_buffer_size() > self.most_unwritten && is_written() && began.elapsed() < LONGEST {
            thread::sleep(POLL);
        }
    }
}
