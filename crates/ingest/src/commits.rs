//! What is committed of topics, for the thread that reads them.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard},
    time::Duration,
};

/// The offsets that the store has, by app id, as far as one pipeline brought it there.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: BTreeMap<String, i64>,
    /// Those of them that nobody has asked for yet.
    fresh: BTreeMap<String, i64>,
    /// Nothing more will be committed.
    is_over: bool,
}

impl Commits {
    pub(crate) fn made<'a>(&self, offsets: impl IntoIterator<Item = (&'a str, i64)>) {
        let mut state = self.lock();
        for (app_id, next) in offsets {
            state.next.insert(app_id.to_owned(), next);
            state.fresh.insert(app_id.to_owned(), next);
        }
        self.changed.notify_all();
    }

    pub(crate) fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    /// What was committed since it was asked for last.
    pub(crate) fn take(&self) -> BTreeMap<String, i64> {
        std::mem::take(&mut self.lock().fresh)
    }

    /// Waits until all of these are committed, or nothing more will be; not longer than `limit`.
    pub(crate) fn wait_for(&self, offsets: &BTreeMap<String, i64>, limit: Duration) {
        let is_missing = |state: &mut State| {
            !state.is_over
                && offsets.iter().any(|(app_id, wanted)| state.next.get(app_id).is_none_or(|next| next < wanted))
        };
        let _ = self
            .changed
            .wait_timeout_while(self.lock(), limit, is_missing)
            .expect("nothing panics while it holds the commits");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the commits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told() {
        let commits = Commits::default();
        let wanted = BTreeMap::from([("a".to_owned(), 5)]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| commits.wait_for(&wanted, Duration::from_secs(60)));
            commits.made([("a", 4), ("b", 9)]);
            commits.made([("a", 5)]);
            waiting.join().unwrap();
        });
        assert_eq!(commits.take(), BTreeMap::from([("a".to_owned(), 5), ("b".to_owned(), 9)]));
        assert!(commits.take().is_empty());
        // It is still known, and the end is told, too.
        commits.wait_for(&wanted, Duration::from_secs(60));
        commits.end();
        commits.wait_for(&BTreeMap::from([("c".to_owned(), 1)]), Duration::from_secs(60));
    }
}
