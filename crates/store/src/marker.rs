//! The mark of a data directory: `deltafold.json`, written before anything else in it.

use std::{fs, io, path::Path};

use object_store::{ObjectStore, PutMode, path::Path as ObjectPath};
use serde_json::{Value, json};

use crate::{DiskError, OpenError, blocking, disk};

/// The format that this version reads and writes.
const FORMAT: u32 = 1;

/// Finds our mark, or leaves it in a directory that has no event store yet.
pub(crate) async fn check(data_dir: &Path) -> Result<(), OpenError> {
    let at = data_dir.join("deltafold.json");
    for _ in 0..2 {
        match read(&at).await? {
            Some(text) => return compare(data_dir, &text),
            None if data_dir.join("events").join("_delta_log").is_dir() => {
                return Err(OpenError::Version {
                    path: data_dir.to_owned(),
                    found: "unknown (there is no deltafold.json)".to_owned(),
                    expected: FORMAT,
                });
            }
            None => write(&at).await?,
        }
    }
    Ok(())
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
    let at = std::path::absolute(at).map_err(failed)?;
    let place = ObjectPath::from_absolute_path(&at).map_err(|error| failed(io::Error::other(error)))?;
    let text = json!({"format": FORMAT, "created_by": concat!("deltafold ", env!("CARGO_PKG_VERSION"))});
    match disk::Disk::new().put_opts(&place, format!("{text}\n").into(), PutMode::Create.into()).await {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(disk::disk_error(&error, &shown).into()),
    }
}

fn compare(data_dir: &Path, text: &str) -> Result<(), OpenError> {
    let format = serde_json::from_str::<Value>(text).ok().and_then(|mark| mark.get("format").cloned());
    if format.as_ref().and_then(Value::as_u64) == Some(u64::from(FORMAT)) {
        return Ok(());
    }
    let found =
        format.map_or_else(|| "unknown (deltafold.json cannot be read)".to_owned(), |format| format.to_string());
    Err(OpenError::Version { path: data_dir.to_owned(), found, expected: FORMAT })
}
