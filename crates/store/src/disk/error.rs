//! File system errors, through the layers above it and back.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use crate::DiskError;

/// An error of the file system with the file it concerns, inside an [`object_store::Error`].
#[derive(Debug)]
struct Failure {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// Wraps an error of the file system; absence and presence keep their meaning for `object_store`.
pub(super) fn failed(path: &Path, error: io::Error) -> object_store::Error {
    let at = path.display().to_string();
    match error.kind() {
        io::ErrorKind::NotFound => object_store::Error::NotFound { path: at, source: Box::new(error) },
        io::ErrorKind::AlreadyExists => object_store::Error::AlreadyExists { path: at, source: Box::new(error) },
        _ => object_store::Error::Generic { store: "disk", source: Box::new(Failure { path: path.to_owned(), error }) },
    }
}

/// What the file system said, out of an error of any layer above it; `path` serves where none is known.
pub(crate) fn disk_error(error: &(dyn Error + 'static), path: &str) -> DiskError {
    let mut path = path.to_owned();
    if let Some(failure) = chain(error).find_map(|error| error.downcast_ref::<Failure>()) {
        path = failure.path.display().to_string();
    }
    match chain(error).find_map(system) {
        Some(error) => classify(error, path),
        None => DiskError::Failed { path, reason: io::Error::other(error.to_string()) },
    }
}

/// Whether an error stems from the file system refusing, other than by a file's absence or presence.
pub(crate) fn is_disk_failure(error: &(dyn Error + 'static)) -> bool {
    let code = chain(error).find_map(system).and_then(io::Error::raw_os_error);
    code.is_some_and(|code| code != 2 && code != 17)
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// An error of the system itself; not one that only carries another.
fn system<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    error.downcast_ref::<io::Error>().filter(|error| error.get_ref().is_none())
}

fn classify(error: &io::Error, path: String) -> DiskError {
    let reason = || match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::from(error.kind()),
    };
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full { path },
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            DiskError::ReadOnly { path, reason: reason() }
        }
        _ => DiskError::Failed { path, reason: reason() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_system_said_comes_through() {
        let said = |code| failed(Path::new("/data/x"), io::Error::from_raw_os_error(code));
        assert!(matches!(disk_error(&said(28), "?"), DiskError::Full { path } if path == "/data/x"));
        assert!(matches!(disk_error(&said(30), "?"), DiskError::ReadOnly { .. }));
        let failed = disk_error(&said(5), "?");
        assert_eq!(
            failed.to_string(),
            "the disk failed on /data/x (Input/output error (os error 5)): check it and try again"
        );
        assert!(matches!(said(2), object_store::Error::NotFound { .. }));
    }
}
