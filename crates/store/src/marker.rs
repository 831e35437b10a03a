//! The mark of a data directory: `deltafold.json`, written before anything else in it: the format, and an id that no
//! other data directory has.

use std::{fs, io, path::Path};

use object_store::{ObjectStore, PutMode, path::Path as ObjectPath};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{DiskError, OpenError, blocking, disk};

/// The format that this version reads and writes.
const FORMAT: u32 = 1;

/// Finds our mark, or leaves it in a directory that has no event store yet; returns the directory's id.
pub(crate) async fn check(data_dir: &Path) -> Result<Uuid, OpenError> {
    let at = data_dir.join("deltafold.json");
    for _ in 0..2 {
        // Looked for before the mark is read: whoever makes it has left the mark.
        let has_events = data_dir.join("events").join("_delta_log").is_dir();
        match read(&at).await? {
            Some(text) => return compare(data_dir, &text),
            None if has_events => break,
            None => write(&at).await?,
        }
    }
    let found = "unknown (there is no deltafold.json)".to_owned();
    Err(OpenError::Version { path: data_dir.to_owned(), found, expected: FORMAT })
}

async fn read(at: &Path) -> Result<Option<String>, OpenError> {
    let path = at.to_owned();
    match blocking(move || fs::read_to_string(path)).await {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk::disk_error(&error, &at.display().to_string()).into()),
    }
}

async fn write(at: &Path) -> Result<(), OpenError> {
    let shown = at.display().to_string();
    let failed = |reason| DiskError::Failed { path: shown.clone(), reason };
    let at = disk::resolved(at).map_err(failed)?;
    let place = ObjectPath::from_absolute_path(&at).map_err(|error| failed(io::Error::other(error)))?;
    let text =
        json!({"format": FORMAT, "id": Uuid::new_v4(), "created_by": concat!("deltafold ", env!("CARGO_PKG_VERSION"))});
    match disk::Disk::new().put_opts(&place, format!("{text}\n").into(), PutMode::Create.into()).await {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(disk::disk_error(&error, &shown).into()),
    }
}

/// The id of a directory in our format; the nil one where it was made before they had any.
fn compare(data_dir: &Path, text: &str) -> Result<Uuid, OpenError> {
    let mark = serde_json::from_str::<Value>(text).ok();
    let member = |name| mark.as_ref().and_then(|mark| mark.get(name));
    if member("format").and_then(Value::as_u64) == Some(u64::from(FORMAT)) {
        let id = member("id").and_then(Value::as_str).and_then(|id| id.parse().ok());
        return Ok(id.unwrap_or_default());
    }
    let found = member("format")
        .map_or_else(|| "unknown (deltafold.json cannot be read)".to_owned(), |format| format.to_string());
    Err(OpenError::Version { path: data_dir.to_owned(), found, expected: FORMAT })
}
