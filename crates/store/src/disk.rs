//! The local file system as an object store whose writes are durable before they are visible.
//!
//! `object_store` 0.13 never syncs. Here every object is written beside its place, synced, then put there by a hard
//! link (put-if-absent) or a rename, and its directory is synced before the write returns. A crash leaves at most a
//! file named `…#digits`, which no reader looks at. Reads, lists and removals are `object_store`'s own.

mod error;
mod files;
mod upload;

use std::{fmt, ops::Range, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, local::LocalFileSystem, path::Path,
};

use serde::Deserialize;

pub(crate) use error::{disk_error, is_disk_failure};
pub(crate) use files::{remove, resolved, set_aside, sync_dir};

use error::failed;
use upload::SyncedUpload;

/// The object that only goes forward.
pub(crate) const LAST_CHECKPOINT: &str = "_last_checkpoint";

#[derive(Deserialize)]
struct Version {
    version: u64,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    inner: Arc<LocalFileSystem>,
}

impl Disk {
    /// The whole file system; paths are absolute.
    pub(crate) fn new() -> Self {
        Self { inner: Arc::new(LocalFileSystem::new()) }
    }

    fn place(&self, location: &Path) -> Result<PathBuf> {
        self.inner.path_to_filesystem(location)
    }

    /// Replaces `_last_checkpoint`, unless what is there is newer. Two checkpoint writers may finish in either order;
    /// were it ever to go back, a late writer could be told that a cleaned version is still read.
    async fn advance(&self, place: PathBuf, payload: PutPayload) -> Result<PutResult> {
        blocking(move || {
            let _lock = files::lock_parent(&place).map_err(|error| failed(&place, error))?;
            let version = |text: &[u8]| serde_json::from_slice::<Version>(text).ok().map(|hint| hint.version);
            let there = std::fs::read(&place).ok().and_then(|text| version(&text));
            let new: Vec<u8> = payload.iter().flatten().copied().collect();
            if there > version(&new) { Ok(()) } else { files::put(&place, &payload, false) }
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    /// Replaces an object only if it still is the version that was read. `object_store` has no such put for the
    /// local file system; a lock on the directory makes it one among all that come through here.
    async fn replace(&self, location: &Path, payload: PutPayload, expected: Option<String>) -> Result<PutResult> {
        let place = self.place(location)?;
        let lock = blocking({
            let place = place.clone();
            move || files::lock_parent(&place).map_err(|error| failed(&place, error))
        })
        .await?;
        let found = self.inner.head(location).await?.e_tag;
        if found != expected {
            return Err(object_store::Error::Precondition {
                path: location.to_string(),
                source: format!("it is at {found:?}, not at {expected:?}").into(),
            });
        }
        blocking(move || files::put(&place, &payload, false)).await?;
        let e_tag = self.inner.head(location).await?.e_tag;
        drop(lock);
        Ok(PutResult { e_tag, version: None })
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("synced local disk")
    }
}

#[async_trait]
impl ObjectStore for Disk {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let exclusive = match opts.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(expected) => return self.replace(location, payload, expected.e_tag).await,
        };
        let place = self.place(location)?;
        if !exclusive && location.filename() == Some(LAST_CHECKPOINT) {
            return self.advance(place, payload).await;
        }
        blocking(move || files::put(&place, &payload, exclusive)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let place = self.place(location)?;
        Ok(Box::new(blocking(move || SyncedUpload::begin(place)).await?))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        let place = self.place(to)?;
        blocking(move || files::sync_placed(&place)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        let place = self.place(to)?;
        blocking(move || files::sync_placed(&place)).await
    }
}

/// Runs file operations where they may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| object_store::Error::JoinError { source: error })?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two processes write checkpoints, and the slower one has the older.
    #[tokio::test]
    async fn the_last_checkpoint_never_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = Path::from_absolute_path(dir.path().join(LAST_CHECKPOINT)).unwrap();
        let disk = Disk::new();
        for (put, stays) in [(7, 7), (12, 12), (9, 12), (12, 12), (13, 13)] {
            disk.put(&path, format!("{{\"version\":{put},\"size\":1}}").into()).await.unwrap();
            let found = disk.get(&path).await.unwrap().bytes().await.unwrap();
            assert_eq!(found, format!("{{\"version\":{stays},\"size\":1}}"));
        }
        // One that cannot be read is nothing.
        std::fs::write(dir.path().join(LAST_CHECKPOINT), b"").unwrap();
        disk.put(&path, "{\"version\":3,\"size\":1}".into()).await.unwrap();
        assert_eq!(disk.get(&path).await.unwrap().bytes().await.unwrap(), "{\"version\":3,\"size\":1}");
    }
}
