//! The lease: which process cares for the store.

use std::time::Duration;

use chrono::Utc;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, UpdateVersion, path::Path};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{MaintenanceError, ReadError, disk::disk_error};

/// Where the lease is, in the event table's directory.
const PLACE: &str = "_deltafold/lease.json";

/// How long it holds unless renewed. Whoever overstays does no harm: what care does is checked by the log.
pub(super) const HOLDS: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize, Deserialize)]
struct Lease {
    holder: Uuid,
    /// Milliseconds since 1970.
    expires_ms: i64,
}

/// Takes or renews the lease; false while another holder's has not expired.
pub(super) async fn take(store: &dyn ObjectStore, holder: Uuid) -> Result<bool, MaintenanceError> {
    put(store, holder, HOLDS).await
}

/// Gives the lease back, if it is held.
pub(super) async fn give_back(store: &dyn ObjectStore, holder: Uuid) -> Result<(), MaintenanceError> {
    put(store, holder, Duration::ZERO).await.map(|_| ())
}

async fn put(store: &dyn ObjectStore, holder: Uuid, holds: Duration) -> Result<bool, MaintenanceError> {
    let path = Path::from(PLACE);
    let now = Utc::now().timestamp_millis();
    let mode = match store.get(&path).await {
        Ok(found) => {
            let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
            let bytes = found.bytes().await.map_err(|error| ReadError::of_object(&path, &error))?;
            // One that cannot be read is nobody's.
            let lease = serde_json::from_slice::<Lease>(&bytes).ok();
            if lease.is_some_and(|lease| lease.holder != holder && lease.expires_ms > now) {
                return Ok(false);
            }
            PutMode::Update(version)
        }
        Err(object_store::Error::NotFound { .. }) => PutMode::Create,
        Err(error) => return Err(ReadError::of_object(&path, &error).into()),
    };
    let lease = Lease { holder, expires_ms: now + holds.as_millis() as i64 };
    let bytes = serde_json::to_vec(&lease).expect("an id and a number are JSON");
    match store.put_opts(&path, bytes.into(), mode.into()).await {
        Ok(_) => Ok(true),
        Err(
            object_store::Error::AlreadyExists { .. }
            | object_store::Error::Precondition { .. }
            | object_store::Error::NotFound { .. },
        ) => Ok(false),
        Err(error) => Err(disk_error(&error, PLACE).into()),
    }
}
