//! The table of dead letters: set aside, listed, found, with what became of them.
//!
//! It is append-only, so that a letter's number, its rank by position, never changes; what becomes of one is an event in
//! the event store ([`Settlement`]).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use deltafold_event::{Position, StoredEvent, control};
use object_store::{ObjectStoreExt, path::Path};
use uuid::Uuid;

use crate::{
    AppendError, DeadLetter, EventStore, LetterId, LetterState, Offset, ReadError, Settlement, blocking,
    disk::disk_error,
    encode,
    read::{ParquetFile, letter},
    table::{
        commit::Proposal,
        entry::NewFile,
        file::{DataFile, Place, Tags},
    },
};

/// A dead letter on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedLetter {
    /// Its number, from 1 in the order of arrival. It never changes.
    pub number: u64,
    /// What was set aside.
    pub letter: DeadLetter,
    /// What became of it; none while it is open.
    pub settlement: Option<Settlement>,
}

impl RecordedLetter {
    /// Where it stands.
    pub fn state(&self) -> LetterState {
        self.settlement.as_ref().map_or(LetterState::Open, |settlement| settlement.outcome.state())
    }
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
    /// That stand so only.
    pub state: Option<LetterState>,
    /// Numbers greater than this one only.
    pub after: Option<u64>,
    /// Numbers up to this one only.
    pub to: Option<u64>,
    /// At most so many.
    pub limit: Option<usize>,
    /// No more once they have so many bytes. What was left out comes after the last that was given; none is given only
    /// if there are no more.
    pub bytes: Option<usize>,
}

/// The most bytes of dead letters that are written as one file; more become several commits.
const MOST_BYTES: usize = 256 << 20;

/// How many dead letters are decoded at once: each may have some megabytes.
const AT_ONCE: usize = 64;

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
        let raw_bytes: usize = letters.iter().map(DeadLetter::size_bytes).sum();
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

    /// How many dead letters there are, settled ones too: the greatest number.
    pub fn dead_letter_count(&self) -> u64 {
        self.letters().state().files.rows()
    }

    /// How many dead letters are settled.
    pub fn settled_letter_count(&self) -> u64 {
        self.events().state().files.control_count(control::DEAD_LETTER) as u64
    }

    /// Whether something became of a dead letter, from memory.
    pub fn is_settled(&self, id: LetterId) -> bool {
        self.has_control(control::DEAD_LETTER, &id.to_string())
    }

    /// The dead letters that satisfy a filter, by number.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn dead_letters(&self, filter: &DeadLetterFilter) -> Result<Vec<RecordedLetter>, ReadError> {
        let limit = filter.limit.unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut rest = filter.clone();
        while found.len() < limit {
            rest.limit = Some(limit - found.len());
            let candidates = match self.candidates(&rest).await {
                // Compaction in another process may have replaced a file.
                Err(ReadError::File { .. }) => {
                    self.letters().refresh().await?;
                    self.candidates(&rest).await?
                }
                candidates => candidates?,
            };
            let Some(last) = candidates.last() else { break };
            rest.after = Some(last.number);
            let settled = candidates.iter().filter(|candidate| candidate.is_settled).map(|candidate| candidate.id);
            let settlements = self.settlements(settled.collect()).await?;
            found.extend(candidates.into_iter().filter_map(|Candidate { number, id, letter, .. }| {
                let recorded = RecordedLetter { number, letter, settlement: settlements.get(&id).cloned() };
                filter.state.is_none_or(|state| recorded.state() == state).then_some(recorded)
            }));
            if filter.bytes.is_some() && !found.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// One dead letter.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn dead_letter(&self, number: u64) -> Result<Option<RecordedLetter>, ReadError> {
        let Some(after) = number.checked_sub(1) else { return Ok(None) };
        let filter = DeadLetterFilter { after: Some(after), limit: Some(1), ..DeadLetterFilter::default() };
        Ok(self.dead_letters(&filter).await?.pop())
    }

    /// What satisfies a filter as far as can be told without knowing what became of it.
    async fn candidates(&self, filter: &DeadLetterFilter) -> Result<Vec<Candidate>, ReadError> {
        let files: Vec<Arc<DataFile>> = self.letters().state().files.iter().cloned().collect();
        let mut found = Vec::new();
        let mut room = Room { letters: filter.limit.unwrap_or(usize::MAX), bytes: filter.bytes.unwrap_or(usize::MAX) };
        let mut before = 0;
        for file in files {
            let first = before + 1;
            before += file.rows;
            if filter.after.is_some_and(|after| before <= after) {
                continue;
            }
            if room.is_used_up() || filter.to.is_some_and(|to| to < first) {
                break;
            }
            let source = ParquetFile::source(self.letters().store.as_ref(), &file).await?;
            let (store, filter) = (self.clone(), filter.clone());
            let of_file;
            (of_file, room) = blocking(move || {
                let file = ParquetFile::letters(file, source)?;
                let found = read(&file, first, &filter, &store, &mut room)?;
                Ok::<_, ReadError>((found, room))
            })
            .await?;
            found.extend(of_file);
        }
        Ok(found)
    }

    /// What became of these dead letters.
    async fn settlements(&self, ids: BTreeSet<LetterId>) -> Result<HashMap<LetterId, Settlement>, ReadError> {
        match self.settlements_now(&ids).await {
            // Compaction in another process may have replaced a file.
            Err(ReadError::File { .. }) => {
                self.events().refresh().await?;
                self.settlements_now(&ids).await
            }
            settlements => settlements,
        }
    }

    async fn settlements_now(&self, ids: &BTreeSet<LetterId>) -> Result<HashMap<LetterId, Settlement>, ReadError> {
        let mut by_file: BTreeMap<Position, (Arc<DataFile>, BTreeSet<String>)> = BTreeMap::new();
        {
            let state = self.events().state();
            for id in ids.iter().map(LetterId::to_string) {
                let Some(file) = state.files.newest_control(control::DEAD_LETTER, &id) else { continue };
                by_file.entry(file.first).or_insert_with(|| (file.clone(), BTreeSet::new())).1.insert(id);
            }
        }
        let mut found = HashMap::with_capacity(ids.len());
        for (_, (file, ids)) in by_file {
            for stored in self.control_in(file, control::DEAD_LETTER, ids).await? {
                let (id, settlement) = settlement(&stored)?;
                // The first is the one that counts.
                found.entry(id).or_insert(settlement);
            }
        }
        Ok(found)
    }
}

fn settlement(stored: &StoredEvent) -> Result<(LetterId, Settlement), ReadError> {
    Settlement::of(stored).map_err(|what| ReadError::File { file: "the event store".to_owned(), what })
}

/// A dead letter of which it is not known yet what became of it.
struct Candidate {
    number: u64,
    id: LetterId,
    letter: DeadLetter,
    is_settled: bool,
}

/// What still fits.
struct Room {
    letters: usize,
    bytes: usize,
}

impl Room {
    fn is_used_up(&self) -> bool {
        self.letters == 0 || self.bytes == 0
    }
}

impl DeadLetterFilter {
    fn takes(&self, letter: &DeadLetter) -> bool {
        self.source.as_ref().is_none_or(|source| *source == letter.source)
            && self.topic.as_ref().is_none_or(|topic| *topic == letter.topic)
            && self.code.as_ref().is_none_or(|code| *code == letter.code)
    }
}

/// The letters of a file, whose first has the number `first`. They lie in it by position.
fn read(
    file: &ParquetFile,
    first: u64,
    filter: &DeadLetterFilter,
    store: &EventStore,
    room: &mut Room,
) -> Result<Vec<Candidate>, ReadError> {
    let skipped = filter.after.map_or(0, |after| (after + 1).saturating_sub(first));
    let mut numbers = first + skipped..;
    let mut found = Vec::new();
    for batch in file.rows_from(skipped as usize, AT_ONCE)? {
        let batch = batch.map_err(|error| file.broken(error))?;
        for row in 0..batch.num_rows() {
            let number = numbers.next().expect("numbers have no end");
            if room.is_used_up() || filter.to.is_some_and(|to| number > to) {
                return Ok(found);
            }
            let letter = letter(&batch, row).ok_or_else(|| file.broken("it lacks a column of dead letters"))?;
            if !filter.takes(&letter) {
                continue;
            }
            let id = letter.id();
            let is_settled = store.is_settled(id);
            if filter.state.is_some_and(|state| (state == LetterState::Open) == is_settled) {
                continue;
            }
            room.letters -= 1;
            room.bytes = room.bytes.saturating_sub(letter.size_bytes());
            found.push(Candidate { number, id, letter, is_settled });
        }
    }
    Ok(found)
}
