//! Objects written in parts.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::Arc,
};

use async_trait::async_trait;
use futures::FutureExt;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};

use super::{blocking, error::failed, files};
use crate::fault;

/// Parts go into a file beside the place, at offsets that are known when they are handed in; completing it syncs
/// and renames.
#[derive(Debug)]
pub(super) struct SyncedUpload {
    file: Arc<File>,
    staged: PathBuf,
    place: PathBuf,
    end: u64,
    completed: bool,
}

impl SyncedUpload {
    pub(super) fn begin(place: PathBuf) -> Result<Self> {
        let (file, staged) = files::stage(&place)?;
        Ok(Self { file: Arc::new(file), staged, place, end: 0, completed: false })
    }
}

#[async_trait]
impl MultipartUpload for SyncedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let mut offset = self.end;
        self.end += data.content_length() as u64;
        let file = Arc::clone(&self.file);
        let place = self.place.clone();
        blocking(move || {
            fault::io("store::io::write").map_err(|error| failed(&place, error))?;
            for part in &data {
                file.write_all_at(part, offset).map_err(|error| failed(&place, error))?;
                offset += part.len() as u64;
            }
            Ok(())
        })
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (file, staged, place) = (Arc::clone(&self.file), self.staged.clone(), self.place.clone());
        blocking(move || {
            files::sync(&file)
                .and_then(|()| files::install(&staged, &place, false))
                .map_err(|error| failed(&place, error))
        })
        .await?;
        self.completed = true;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        let _ = fs::remove_file(&self.staged);
        Ok(())
    }
}

impl Drop for SyncedUpload {
    fn drop(&mut self) {
        if !self.completed {
            let _ = fs::remove_file(&self.staged);
        }
    }
}
