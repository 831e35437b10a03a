//! A stored object for a Parquet reader that blocks.

use std::{fs::File, io, sync::Arc};

use bytes::Buf;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt, path::Path};
use parquet::file::reader::{ChunkReader, Length};

use crate::ReadError;

/// An object: the open file where the store has one, else all its bytes.
#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    File(Arc<File>),
    Memory(bytes::Bytes),
}

impl Bytes {
    pub(crate) async fn open(store: &dyn ObjectStore, path: &Path) -> Result<Self, ReadError> {
        let found = store.get(path).await.map_err(|error| ReadError::of_object(path, &error))?;
        match found.payload {
            GetResultPayload::File(file, _) => Ok(Self::File(Arc::new(file))),
            GetResultPayload::Stream(_) => {
                let bytes = found.bytes().await.map_err(|error| ReadError::of_object(path, &error))?;
                Ok(Self::Memory(bytes))
            }
        }
    }
}

impl Length for Bytes {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.len(),
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }
}

impl ChunkReader for Bytes {
    type T = Box<dyn io::Read + Send>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(match self {
            Self::File(file) => Box::new(file.get_read(start)?),
            Self::Memory(bytes) => Box::new(bytes.slice(start as usize..).reader()),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<bytes::Bytes> {
        match self {
            Self::File(file) => file.get_bytes(start, length),
            Self::Memory(bytes) => bytes.get_bytes(start, length),
        }
    }
}
