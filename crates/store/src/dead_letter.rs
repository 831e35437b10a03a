//! Records that could not become events.

use std::sync::Arc;

use deltafold_event::{Position, Timestamp};
use object_store::{ObjectStoreExt, path::Path};
use uuid::Uuid;

use crate::{
    AppendError, EventStore, Offset, ReadError, blocking,
    disk::disk_error,
    encode,
    read::{ParquetFile, letter},
    table::{
        commit::Proposal,
        entry::NewFile,
        file::{DataFile, Place, Tags},
    },
};

/// A record that could not be decoded, whole, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The source's name in the configuration; `file` for files.
    pub source: String,
    /// The topic; for a line of a file, the file's app id.
    pub topic: String,
    /// The partition; 0 for a line of a file.
    pub partition: i32,
    /// The offset; for a line of a file its number, from 1.
    pub offset: i64,
    /// The file's name, when it was one.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<u64>,
    /// The record's key, as it came.
    pub key: Option<Vec<u8>>,
    /// The record's value, as it came.
    pub value: Option<Vec<u8>>,
    /// A JSON array of name, value, name, value; empty text when there were none.
    pub headers: String,
    /// A stable name of the reason.
    pub code: String,
    /// The reason, for a person, with what to do.
    pub reason: String,
    /// When it was set aside.
    pub recorded_at: Timestamp,
}

/// Which dead letters to list; an empty filter takes all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// Of this source only.
    pub source: Option<String>,
    /// Of this topic only.
    pub topic: Option<String>,
    /// With this code only.
    pub code: Option<String>,
    /// Numbers greater than this one only.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// The most bytes of dead letters that are written as one file; more become several commits.
const MOST_BYTES: usize = 256 << 20;

impl EventStore {
    /// Sets records aside, durable on return. The offsets are those of the dead letters' own table
    /// ([`Self::dead_letter_offset`]): "every dead letter before `next` is recorded". Write them before the events of
    /// the same batch; after a crash between the two, leave out the letters that the offset says are there.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn append_dead_letters(&self, letters: Vec<DeadLetter>, offsets: Vec<Offset>) -> Result<(), AppendError> {
        if letters.is_empty() && offsets.is_empty() {
            return Ok(());
        }
        let raw_bytes: usize = letters.iter().map(DeadLetter::raw_bytes).sum();
        if letters.len() > Position::COMMIT_CAPACITY as usize || raw_bytes > MOST_BYTES {
            return Err(AppendError::TooLarge { events: letters.len(), bytes: raw_bytes });
        }
        let file = if letters.is_empty() { None } else { Some(self.write_letters(letters).await?) };
        let proposal = Proposal {
            file: file
                .as_ref()
                .map(|file| (file, Tags { place: Place::Version(0), raw_bytes: raw_bytes as u64, ..Tags::default() })),
            offsets: &offsets,
            points: ["store::before_dead_letters", "store::after_dead_letters"],
            ..Proposal::default()
        };
        Ok(self.letters().commit(&proposal, |_, _| ()).await?)
    }

    async fn write_letters(&self, letters: Vec<DeadLetter>) -> Result<NewFile, AppendError> {
        let encoded =
            blocking(move || encode::dead_letters(&letters).expect("dead letters always fit the table")).await;
        let file = NewFile {
            path: format!("part-{}.zstd.parquet", Uuid::new_v4()),
            size: encoded.bytes.len() as u64,
            statistics: encoded.statistics,
        };
        let put = self.letters().store.put(&Path::from(file.path.as_str()), encoded.bytes.into()).await;
        put.map_err(|error| disk_error(&error, &file.path))?;
        Ok(file)
    }

    /// Up to where a source partition's dead letters are recorded.
    pub fn dead_letter_offset(&self, app_id: &str) -> Option<i64> {
        self.letters().state().txns.get(app_id).copied()
    }

    /// How many dead letters there are.
    pub fn dead_letter_count(&self) -> u64 {
        self.letters().state().files.rows()
    }

    /// The dead letters that satisfy a filter, numbered from 1 in the order of arrival.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn dead_letters(&self, filter: &DeadLetterFilter) -> Result<Vec<(u64, DeadLetter)>, ReadError> {
        match self.list_letters(filter).await {
            // Compaction in another process may have replaced a file.
            Err(ReadError::File { .. }) => {
                self.letters().refresh().await?;
                self.list_letters(filter).await
            }
            result => result,
        }
    }

    async fn list_letters(&self, filter: &DeadLetterFilter) -> Result<Vec<(u64, DeadLetter)>, ReadError> {
        let files: Vec<Arc<DataFile>> = self.letters().state().files.iter().cloned().collect();
        let limit = filter.limit.unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut before = 0;
        for file in files {
            let first = before + 1;
            before += file.rows;
            if filter.after.is_some_and(|after| before <= after) {
                continue;
            }
            let source = ParquetFile::source(self.letters().store.as_ref(), &file).await?;
            let letters = blocking(move || read(&ParquetFile::letters(file, source)?)).await?;
            let numbered = (first..).zip(letters).filter(|(number, letter)| filter.takes(*number, letter));
            found.extend(numbered);
            if found.len() >= limit {
                found.truncate(limit);
                break;
            }
        }
        Ok(found)
    }

    /// One dead letter.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn dead_letter(&self, number: u64) -> Result<Option<DeadLetter>, ReadError> {
        let Some(after) = number.checked_sub(1) else { return Ok(None) };
        let filter = DeadLetterFilter { after: Some(after), limit: Some(1), ..DeadLetterFilter::default() };
        Ok(self.dead_letters(&filter).await?.pop().map(|(_, letter)| letter))
    }
}

impl DeadLetterFilter {
    fn takes(&self, number: u64, letter: &DeadLetter) -> bool {
        self.after.is_none_or(|after| number > after)
            && self.source.as_ref().is_none_or(|source| *source == letter.source)
            && self.topic.as_ref().is_none_or(|topic| *topic == letter.topic)
            && self.code.as_ref().is_none_or(|code| *code == letter.code)
    }
}

impl DeadLetter {
    fn raw_bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        size_of::<Self>() + length(&self.key) + length(&self.value) + self.headers.len() + self.reason.len()
    }
}

/// The letters of a file, by position.
fn read(file: &ParquetFile) -> Result<Vec<DeadLetter>, ReadError> {
    let mut letters = Vec::with_capacity(file.file.rows as usize);
    for batch in file.batches(&[], None)? {
        let positions = file.positions(&batch)?;
        for (row, position) in positions.into_iter().enumerate() {
            let letter = letter(&batch, row).ok_or_else(|| file.broken("it lacks a column of dead letters"))?;
            letters.push((position, letter));
        }
    }
    letters.sort_by_key(|(position, _)| *position);
    Ok(letters.into_iter().map(|(_, letter)| letter).collect())
}
