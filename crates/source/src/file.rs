//! A file as a source.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    AppId, Chunk, Compression, Mark, SourceError,
    compression::Content,
    digest::RollingDigest,
    identify::{first_line, identify},
    reader::LineReader,
};

/// A file, opened where it was left.
pub struct FileSource {
    path: PathBuf,
    app_id: AppId,
    compression: Compression,
    resumed_at: Mark,
    reader: LineReader<Box<dyn io::Read + Send>>,
    raw_read: Arc<AtomicU64>,
    opened: Inode,
}

/// What became of a file that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// It is the same file; it may have grown.
    Same,
    /// Another file has its name now: this one is complete.
    Replaced,
}

impl FileSource {
    /// Opens a file and finds out which one it is. `known` gives the marks that the store has for an app id, in any order; none for an id that no file has. None of
    /// an empty file, which has no first line to be known by.
    ///
    /// # Errors
    /// When the file cannot be opened or read.
    pub fn open(path: &Path, known: impl Fn(&AppId) -> Vec<Mark>) -> Result<Option<Self>, SourceError> {
        Self::open_if(path, known, |_whole| true)
    }

    /// As [`Self::open`], but None as long as the first line has no end: for a file that is about to be followed, whose first line
    /// may be being written.
    ///
    /// # Errors
    /// When the file cannot be opened or read, or is compressed.
    pub fn open_to_follow(path: &Path, known: impl Fn(&AppId) -> Vec<Mark>) -> Result<Option<Self>, SourceError> {
        let file = Self::open_if(path, known, |whole| whole)?;
        match file {
            Some(file) if file.compression != Compression::Plain => {
                Err(SourceError::NotFollowable { path: path.to_owned(), compression: file.compression })
            }
            file => Ok(file),
        }
    }

    fn open_if(
        path: &Path,
        known: impl Fn(&AppId) -> Vec<Mark>,
        is_enough: impl Fn(bool) -> bool,
    ) -> Result<Option<Self>, SourceError> {
        let open = |error| SourceError::Open { path: path.to_owned(), error };
        let read = |error| SourceError::Read { path: path.to_owned(), byte: 0, error };
        let opened = Inode::of(path).map_err(open)?;
        let content = Content::open(path).map_err(open)?;
        let compression = content.compression;
        let first_line = match first_line(content.reader) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(SourceError::Cut { path: path.to_owned(), compression, byte: 0 });
            }
            other => other.map_err(read)?,
        };
        let Some((digest, _)) = first_line.filter(|(_, whole)| is_enough(*whole)) else {
            return Ok(None);
        };
        let mut content = Content::open(path).map_err(open)?;
        let identified = identify(digest, known, &mut content.reader).map_err(read)?;
        let (mark, digest) = identified.resume.unwrap_or_else(|| (Mark::start(), RollingDigest::new()));
        if identified.read != mark.bytes {
            content = Content::open(path).map_err(open)?;
            let skipped =
                io::copy(&mut io::Read::take(&mut content.reader, mark.bytes), &mut io::sink()).map_err(read)?;
            if skipped < mark.bytes {
                return Err(SourceError::Shrunk { path: path.to_owned(), byte: mark.bytes });
            }
        }
        Ok(Some(Self {
            path: path.to_owned(),
            app_id: identified.app_id,
            compression,
            resumed_at: mark,
            reader: LineReader::new(content.reader, mark, digest),
            raw_read: content.raw_read,
            opened,
        }))
    }

    /// Its id in the store.
    pub fn app_id(&self) -> &AppId {
        &self.app_id
    }

    /// How it is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Where it was left before.
    pub fn resumed_at(&self) -> Mark {
        self.resumed_at
    }

    /// Bytes of the file, as it lies on disk, read so far: a counter to watch while chunks are read.
    pub fn raw_read(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.raw_read)
    }

    /// Its size on disk now; None of what is no file.
    pub fn raw_size(&self) -> Option<u64> {
        fs::metadata(&self.path).ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len())
    }

    /// The next lines, or None at the end of what there is now. A last line without an end is kept back (see
    /// [`Self::take_unended`]); after None more lines may come if the file has grown.
    ///
    /// # Errors
    /// When it cannot be read on. Everything before that place was handed on.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, SourceError> {
        self.reader.next_chunk().map_err(|error| {
            let (path, byte) = (self.path.clone(), self.reader.at().bytes);
            match error.kind() {
                io::ErrorKind::UnexpectedEof => SourceError::Cut { path, compression: self.compression, byte },
                _ => SourceError::Read { path, byte, error },
            }
        })
    }

    /// The last line, if it has no end: it may be all of it, or not yet. Nothing is read after it.
    pub fn take_unended(&mut self) -> Option<Chunk> {
        self.reader.take_unended()
    }

    /// Looks whether a file that is followed is still the one that is open.
    ///
    /// # Errors
    /// When it was truncated in place.
    pub fn growth(&self) -> Result<Growth, SourceError> {
        let raw_read = self.raw_read.load(Ordering::Relaxed);
        match Inode::of(&self.path) {
            // Renamed away, and nothing new in its place yet.
            Err(_) => Ok(Growth::Same),
            Ok(inode) if inode != self.opened => Ok(Growth::Replaced),
            Ok(_) if self.raw_size().is_some_and(|size| size < raw_read) => {
                Err(SourceError::Shrunk { path: self.path.clone(), byte: raw_read })
            }
            Ok(_) => Ok(Growth::Same),
        }
    }
}

/// What tells files of one name apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Inode(u64, u64);

impl Inode {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).map(|metadata| Self(metadata.dev(), metadata.ino()))
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|_| Self(0, 0))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &str = "{\"id\":1}\n{\"id\":2}\n{\"id\":3}";

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn texts(file: &mut FileSource) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(chunk) = file.next_chunk().unwrap().or_else(|| file.take_unended()) {
            lines.extend(chunk.lines().map(|line| match line.content {
                crate::LineContent::Whole(text) => String::from_utf8(text.to_vec()).unwrap(),
                crate::LineContent::Overlong { .. } => panic!("no line is overlong"),
            }));
        }
        lines
    }

    #[test]
    fn a_file_is_the_same_however_it_is_compressed() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = TEXT.split_at(12);
        let members = [gzip(first), gzip(second)].concat();
        let frames =
            [zstd::encode_all(first.as_bytes(), 1).unwrap(), zstd::encode_all(second.as_bytes(), 1).unwrap()].concat();
        let mut seen = Vec::new();
        for (name, bytes) in [("plain", TEXT.as_bytes().to_vec()), ("gzip", members), ("zstd", frames)] {
            let path = directory.path().join("orders");
            fs::write(&path, bytes).unwrap();
            let mut file = FileSource::open(&path, |_| Vec::new()).unwrap().unwrap();
            assert_eq!(file.compression().to_string(), name);
            assert_eq!(texts(&mut file), TEXT.lines().collect::<Vec<_>>());
            seen.push((file.app_id().clone(), file.reader.at()));
        }
        seen.dedup();
        assert_eq!(seen.len(), 1);
    }

    #[test]
    fn a_grown_file_goes_on_where_it_was_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("orders.jsonl");
        fs::write(&path, TEXT).unwrap();
        let mut file = FileSource::open(&path, |_| Vec::new()).unwrap().unwrap();
        assert_eq!(texts(&mut file).len(), 3);
        let (id, mark) = (file.app_id().clone(), file.reader.at());
        let known = |app_id: &AppId| if *app_id == id { vec![mark] } else { Vec::new() };

        let mut again = FileSource::open(&path, known).unwrap().unwrap();
        assert_eq!((again.app_id(), again.resumed_at()), (&id, mark));
        assert!(texts(&mut again).is_empty());

        fs::write(&path, format!("{TEXT}\n{{\"id\":4}}\n")).unwrap();
        let mut grown = FileSource::open(&path, known).unwrap().unwrap();
        let chunk = grown.next_chunk().unwrap().unwrap();
        let lines: Vec<_> = chunk.lines().map(|line| (line.number, line.content)).collect();
        let whole = |text: &'static str| crate::LineContent::Whole(text.as_bytes());
        assert_eq!(lines, [(3, whole("")), (4, whole("{\"id\":4}"))]);
    }

    #[test]
    fn a_cut_compressed_file_gives_what_it_has_and_says_where_it_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("orders.gz");
        let long: String = (0..20_000).map(|id| format!("{{\"id\":{id}}}\n")).collect();
        let bytes = gzip(&long);
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let mut file = FileSource::open(&path, |_| Vec::new()).unwrap().unwrap();
        let mut lines = 0;
        let error = loop {
            match file.next_chunk() {
                Ok(Some(chunk)) => lines += chunk.lines().count(),
                Ok(None) => panic!("the end is missing"),
                Err(error) => break error,
            }
        };
        assert!(lines > 100);
        assert!(error.to_string().contains("ends in the middle of its gzip stream"), "{error}");
    }

    #[test]
    fn a_first_line_that_is_being_written_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("orders.jsonl");
        fs::write(&path, "{\"id\"").unwrap();
        assert!(FileSource::open_to_follow(&path, |_| Vec::new()).unwrap().is_none());
        fs::write(&path, "{\"id\":1}\n").unwrap();
        let mut file = FileSource::open_to_follow(&path, |_| Vec::new()).unwrap().unwrap();
        assert_eq!(texts(&mut file), ["{\"id\":1}"]);
        assert_eq!(file.growth().unwrap(), Growth::Same);
        fs::write(&path, "").unwrap();
        assert!(matches!(file.growth(), Err(SourceError::Shrunk { .. })));
    }
}
