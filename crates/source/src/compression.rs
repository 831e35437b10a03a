//! How a file is compressed.

use std::{
    fmt,
    fs::File,
    io::{self, Chain, Cursor, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::read::MultiGzDecoder;

/// How a file is compressed, as its first bytes say; its name says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// gzip, also of several members.
    Gzip,
    /// zstd, also of several frames.
    Zstd,
}

impl Compression {
    /// By the first bytes of a file.
    pub fn detect(first_bytes: &[u8]) -> Self {
        match first_bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// A file's content, decompressed.
pub(crate) struct Content {
    pub(crate) compression: Compression,
    pub(crate) reader: Box<dyn Read + Send>,
    /// Bytes of the file as it lies on disk that were read so far, for progress.
    pub(crate) raw_read: Arc<AtomicU64>,
}

impl Content {
    /// From the file's first byte on.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut first_bytes = Vec::with_capacity(4);
        (&mut file).take(4).read_to_end(&mut first_bytes)?;
        let compression = Compression::detect(&first_bytes);
        let raw_read = Arc::new(AtomicU64::new(0));
        let raw = Counted { inner: Cursor::new(first_bytes).chain(file), count: Arc::clone(&raw_read) };
        let reader: Box<dyn Read + Send> = match compression {
            Compression::Plain => Box::new(raw),
            Compression::Gzip => Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(128 * 1024, raw))),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(raw)?),
        };
        Ok(Self { compression, reader, raw_read })
    }
}

struct Counted {
    inner: Chain<Cursor<Vec<u8>>, File>,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
