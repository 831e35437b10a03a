//! Going on so that those who read do not notice.

use std::{
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use deltafold_view::ViewStore;

/// For how long after a read others are expected.
const EXPECTED: Duration = Duration::from_secs(1);
/// How long to rest for a unit of work that took one second, in seconds.
const REST: f64 = 1.0;

/// Lets one thread of a build work at a time, and rest afterwards, while others read.
pub(super) struct Pace {
    views: ViewStore,
    turn: Mutex<()>,
}

impl Pace {
    pub(super) fn new(views: ViewStore) -> Self {
        Self { views, turn: Mutex::new(()) }
    }

    /// Does a small part of the work.
    pub(super) fn work<T>(&self, part: impl FnOnce() -> T) -> T {
        if self.views.last_read() > EXPECTED {
            return part();
        }
        let _turn = self.turn.lock().expect("no holder of this lock panics");
        let begun = Instant::now();
        let done = part();
        thread::sleep(begun.elapsed().mul_f64(REST));
        done
    }
}
