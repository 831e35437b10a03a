//! What builds share, and how they go on so that those who read do not notice.

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

/// What all builds of an index share.
pub(crate) struct Means {
    /// Where the mirrors are.
    pub(super) views: ViewStore,
    /// How many changes are folded at once.
    pub(super) at_once: usize,
    turn: Mutex<()>,
    is_paced: bool,
}

impl Means {
    pub(crate) fn new(views: ViewStore, at_once: usize) -> Self {
        Self { views, at_once, turn: Mutex::new(()), is_paced: true }
    }

    /// Those of builds that somebody waits for.
    pub(crate) fn unpaced(views: ViewStore, at_once: usize) -> Self {
        Self { is_paced: false, ..Self::new(views, at_once) }
    }

    /// Does a small part of the work. While others read, one thread of all builds does so at a time, and rests afterwards.
    pub(super) fn work<T>(&self, part: impl FnOnce() -> T) -> T {
        if !self.is_paced || self.views.last_request().is_none_or(|ago| ago > EXPECTED) {
            return part();
        }
        let _turn = self.turn.lock().expect("no holder of this lock panics");
        let begun = Instant::now();
        let done = part();
        thread::sleep(begun.elapsed().mul_f64(REST));
        done
    }
}
