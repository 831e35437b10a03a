//! A file that is read again when it changes.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;

use super::AuthError;
use crate::measures;

/// How often the file is looked at, at most, while it is asked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A file that changed less than this ago may change again without getting another time.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// What a file says.
///
/// It is looked at when it is asked for, which costs a `stat` once a second and a read when it has changed: both are
/// small and local, and wait on no network. Whoever replaces the file does so in one step (`mv`), or half of it may be
/// read; that is then most likely an error, and the next look reads the whole.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    path: PathBuf,
    read: fn(&Path, &[u8]) -> Result<T, AuthError>,
    current: ArcSwap<T>,
    began: Instant,
    /// When it was looked at last, in milliseconds since it began.
    looked_ms: AtomicU64,
    seen: Mutex<Seen>,
}

/// What was found when the file was looked at last.
#[derive(Debug)]
struct Seen {
    /// What it looked like; none while that is not settled.
    stamp: Option<Stamp>,
    /// Whether it could not be read, and the log says so.
    is_wrong: bool,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self { modified: metadata.modified().ok()?, bytes: metadata.len() })
    }

    fn is_settled(self) -> bool {
        self.modified.elapsed().is_ok_and(|age| age > SETTLED_AFTER)
    }
}

impl<T> Watched<T> {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// When it cannot be read, or says something else than `read` expects.
    pub(crate) fn open(path: PathBuf, read: fn(&Path, &[u8]) -> Result<T, AuthError>) -> Result<Self, AuthError> {
        let stamp = Stamp::of(&path).filter(|stamp| stamp.is_settled());
        let current = ArcSwap::from_pointee(load(&path, read)?);
        let seen = Mutex::new(Seen { stamp, is_wrong: false });
        Ok(Self { path, read, current, began: Instant::now(), looked_ms: AtomicU64::new(0), seen })
    }

    /// What it says now, or said when it could be read last.
    pub(crate) fn current(&self) -> Arc<T> {
        let now_ms = self.began.elapsed().as_millis() as u64;
        let looked_ms = self.looked_ms.load(Ordering::Relaxed);
        let is_due = now_ms - looked_ms.min(now_ms) >= LOOK_EVERY.as_millis() as u64;
        // One of those who ask looks; the others go on with what there is.
        if is_due && self.looked_ms.compare_exchange(looked_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.look();
        }
        self.current.load_full()
    }

    fn look(&self) {
        let mut seen = self.seen.lock().expect("no holder of this lock panics");
        // Taken before the file is read: a change meanwhile is seen with the next look.
        let found = Stamp::of(&self.path);
        if found.is_none() || seen.stamp != found {
            self.read_again(found, &mut seen);
        }
        measures::observe_credentials(&self.path, seen.is_wrong);
    }

    fn read_again(&self, found: Option<Stamp>, seen: &mut Seen) {
        seen.stamp = found.filter(|stamp| stamp.is_settled());
        match load(&self.path, self.read) {
            Ok(read) => {
                self.current.store(Arc::new(read));
                seen.is_wrong = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut seen.is_wrong, true) {
                    tracing::error!(%error, "what the file said before stays in force");
                }
            }
        }
    }
}

fn load<T>(path: &Path, read: fn(&Path, &[u8]) -> Result<T, AuthError>) -> Result<T, AuthError> {
    let text = fs::read(path).map_err(|error| AuthError::Read { path: path.to_owned(), error })?;
    read(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(path: &Path, text: &[u8]) -> Result<u64, AuthError> {
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| AuthError::Key { path: path.to_owned(), what: "expected a number".to_owned() })
    }

    #[test]
    fn what_cannot_be_read_leaves_in_force_what_could() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("number");
        assert!(Watched::open(path.clone(), number).is_err());
        fs::write(&path, "1").unwrap();
        let watched = Watched::open(path.clone(), number).unwrap();
        let found = |change: &dyn Fn()| {
            change();
            watched.look();
            *watched.current()
        };
        // The same size and, most likely, the same time.
        assert_eq!(found(&|| fs::write(&path, "2").unwrap()), 2);
        assert_eq!(found(&|| fs::write(&path, "two").unwrap()), 2);
        assert_eq!(found(&|| fs::remove_file(&path).unwrap()), 2);
        assert_eq!(found(&|| fs::write(&path, "3").unwrap()), 3);
    }
}
