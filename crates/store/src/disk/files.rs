//! Synced writes of single files. All of these block.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use object_store::PutPayload;

use super::error::failed;
use crate::fault;

/// Writes a file whole and durable: beside its place, synced, then put there. `exclusive`: only if nothing is there.
pub(super) fn put(place: &Path, payload: &PutPayload, exclusive: bool) -> object_store::Result<()> {
    let (mut file, staged) = stage(place)?;
    let written = fault::io("store::io::write")
        .and_then(|()| payload.iter().try_for_each(|part| file.write_all(part)))
        .and_then(|()| sync(&file));
    drop(file);
    let placed = written.and_then(|()| install(&staged, place, exclusive));
    if placed.is_err() || exclusive {
        // What cannot be removed is a file that no reader looks at; vacuum removes it.
        let _ = fs::remove_file(&staged);
    }
    placed.map_err(|error| failed(place, error))
}

/// The place that a path names, from the root and without `..`, which the paths of object stores do not know. What is there
/// is looked up, what is not is as it is written.
pub(crate) fn resolved(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut missing = Vec::new();
    let mut there = path.as_path();
    loop {
        match (there.canonicalize(), there.parent(), there.file_name()) {
            (Ok(found), ..) => return Ok(missing.iter().rev().fold(found, |place, name| place.join(name))),
            (Err(error), Some(parent), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
                missing.push(name);
                there = parent;
            }
            (Err(error), ..) => return Err(error),
        }
    }
}

/// A new file beside its place, named as `object_store` names those that its lists leave out.
pub(super) fn stage(place: &Path) -> object_store::Result<(File, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut name = place.as_os_str().to_owned();
    let number = u64::from(std::process::id()) * 1_000_000_007 + NEXT.fetch_add(1, Ordering::Relaxed);
    name.push(format!("#{number}"));
    let staged = PathBuf::from(name);
    let open = || OpenOptions::new().write(true).create(true).truncate(true).open(&staged);
    let file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            place.parent().map_or(Ok(()), create_dir).and_then(|()| open())
        }
        opened => opened,
    };
    Ok((file.map_err(|error| failed(place, error))?, staged))
}

/// Syncs a file's content.
pub(super) fn sync(file: &File) -> io::Result<()> {
    fault::io("store::io::sync")?;
    file.sync_all()
}

/// Puts a synced file in its place and syncs the directory.
pub(super) fn install(staged: &Path, place: &Path, exclusive: bool) -> io::Result<()> {
    fault::io("store::io::link")?;
    if exclusive {
        fs::hard_link(staged, place)?;
    } else {
        fs::rename(staged, place)?;
    }
    place.parent().map_or(Ok(()), sync_dir)
}

/// Makes a directory's entries durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    fault::io("store::io::sync_dir")?;
    File::open(dir)?.sync_all()
}

/// Syncs a file that was copied or renamed into its place.
pub(super) fn sync_placed(place: &Path) -> object_store::Result<()> {
    File::open(place)
        .and_then(|file| sync(&file))
        .and_then(|()| place.parent().map_or(Ok(()), sync_dir))
        .map_err(|error| failed(place, error))
}

/// Creates a directory and the missing ones above it, durable.
fn create_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent() {
        create_dir(above)?;
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync_dir(above)?,
        }
    }
    Ok(())
}

/// Moves a file out of a directory that others read into one that they do not.
pub(crate) fn set_aside(from: &Path, to: &Path) -> io::Result<()> {
    to.parent().map_or(Ok(()), create_dir)?;
    fs::rename(from, to)?;
    to.parent().map_or(Ok(()), sync_dir)?;
    from.parent().map_or(Ok(()), sync_dir)
}

/// Removes a file; true if it was there.
pub(crate) fn remove(path: &Path) -> io::Result<bool> {
    fault::io("store::io::remove")?;
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits for the lock on a file's directory; it is held until the handle is dropped.
pub(super) fn lock_parent(place: &Path) -> io::Result<File> {
    let dir = place.parent().unwrap_or(Path::new("/"));
    create_dir(dir)?;
    let dir = File::open(dir)?;
    rustix::fs::flock(&dir, rustix::fs::FlockOperation::LockExclusive)?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_lead_upwards_where_there_is_something() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("here")).unwrap();
        assert_eq!(resolved(&root.join("here/../data/events")).unwrap(), root.join("data/events"));
        assert_eq!(resolved(&root.join("here")).unwrap(), root.join("here"));
        assert_eq!(resolved(&root.join("nowhere/../data")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
