//! Definitions of projections: from the files of a folder into the store, where every replica reads them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use deltafold_event::Timestamp;
use deltafold_projector::{Catalog, Ordered, Said};
use deltafold_store::{Append, AppendError, EventStore};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    exit::{Exit, Failure},
};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The texts of definitions, by the name of their view.
pub(crate) type Definitions = BTreeMap<String, String>;

/// The definitions in a folder; none where it does not exist.
///
/// # Errors
/// When it cannot be read, with what could not.
pub(crate) fn read(folder: &Path) -> Result<Option<Definitions>, (PathBuf, io::Error)> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err((folder.to_owned(), error)),
    };
    let mut found = Definitions::new();
    for entry in entries {
        let path = entry.map_err(|error| (folder.to_owned(), error))?.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()).filter(|_| is_definition(&path)) else {
            continue;
        };
        found.insert(name.to_owned(), fs::read_to_string(&path).map_err(|error| (path.clone(), error))?);
    }
    Ok(Some(found))
}

/// The definitions of a configuration; none where its folder does not exist.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn of(config: &Config) -> Result<Option<Definitions>, Failure> {
    read(&config.projections.dir).map_err(|(path, error)| unreadable(&path, &error))
}

/// What to do about a definition, or a folder of them, that cannot be read.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
    Failure::new(exit, format!("cannot read {}: {error}", path.display()))
}

/// Whether a file is a definition.
pub(crate) fn is_definition(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sql")
}

/// Says in the store which definitions there are, where that is not what it says already.
///
/// # Errors
/// When it cannot be appended.
pub(crate) async fn define(store: &EventStore, catalog: &Catalog, wanted: &Definitions) -> Result<(), AppendError> {
    let known: BTreeMap<&str, &str> =
        catalog.projections.iter().map(|projection| (&*projection.name, &*projection.sql)).collect();
    let is_removed = |name: &str| {
        catalog.projections.iter().any(|projection| &*projection.name == name && projection.removed.is_some())
    };
    let defined =
        wanted.iter().filter(|(name, sql)| known.get(name.as_str()) != Some(&sql.as_str()) || is_removed(name));
    let defined = defined.map(|(name, sql)| (name.as_str(), Ordered::Defined { sql: sql.clone() }));
    let removed = known
        .keys()
        .filter(|name| !wanted.contains_key(**name) && !is_removed(name))
        .map(|name| (*name, Ordered::Removed));
    let now = Timestamp::from(chrono::Utc::now());
    let said = |(name, ordered)| Said { ordered, by: "configuration".to_owned(), reason: None }.event(name, now);
    let events: Vec<_> = defined.chain(removed).map(said).collect();
    if !events.is_empty() {
        store.append(Append { events, ..Append::default() }).await?;
    }
    Ok(())
}

/// Follows the files of a folder, and says in the store what has changed in them, until it is cancelled. Only what changes
/// here: what another process, with other files, has said stays.
pub(crate) async fn follow(
    store: EventStore,
    folder: PathBuf,
    mut last: Option<Definitions>,
    cancel: CancellationToken,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = cancel.cancelled() => return,
        }
        let looked = folder.clone();
        let found = match tokio::task::spawn_blocking(move || read(&looked)).await {
            Ok(Ok(Some(found))) => found,
            // Not there for a moment, or for good: what was defined stays.
            Ok(Ok(None)) | Err(_) => continue,
            Ok(Err((path, error))) => {
                tracing::warn!(path = %path.display(), %error, "a definition cannot be read");
                continue;
            }
        };
        let before = last.get_or_insert_default();
        let now = Timestamp::from(chrono::Utc::now());
        let said =
            |name: &str, ordered| Said { ordered, by: "configuration".to_owned(), reason: None }.event(name, now);
        let changed = found.iter().filter(|(name, sql)| before.get(*name) != Some(sql));
        let changed = changed.map(|(name, sql)| said(name, Ordered::Defined { sql: sql.clone() }));
        let gone = before.keys().filter(|name| !found.contains_key(*name)).map(|name| said(name, Ordered::Removed));
        let events: Vec<_> = changed.chain(gone).collect();
        if !events.is_empty() {
            match store.append(Append { events, ..Append::default() }).await {
                Ok(_) => *before = found,
                Err(error) => tracing::error!(%error, "changed definitions cannot be put on record"),
            }
        }
    }
}
