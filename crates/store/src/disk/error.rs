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
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            path = failure.path.display().to_string();
        }
        if let Some(io) = error.downcast_ref::<io::Error>()
            && (io.raw_os_error().is_some() || io.get_ref().is_none())
        {
            return classify(io, path);
        }
        next = error.source();
    }
    DiskError::Failed { path, reason: io::Error::other(error.to_string()) }
}

/// Whether an error stems from the file system refusing, other than by a file's absence or presence.
pub(crate) fn is_disk_failure(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return io.raw_os_error().is_some_and(|code| code != 2 && code != 17);
        }
        next = error.source();
    }
    false
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
