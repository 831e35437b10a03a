//! Making what was decoded durable.

use std::{collections::HashMap, sync::Arc};

use deltafold_source::{AppId, LetterCopies, LetterCopy};
use deltafold_store::{AppendError, DeadLetter, EventStore, Offset, Prepared};
use metrics::Counter;
use tokio::sync::mpsc;

use crate::{FileMark, IngestError, Progress, Summary, commits::Commits, transactions::transactions_event, work::Work};

/// A group whose events are encoded, but not visible.
pub(crate) struct Ready {
    prepared: Prepared,
    /// The rest of the group.
    work: Work,
    /// The offsets that this commit moves.
    offsets: Vec<Offset>,
}

/// Encodes groups while the ones before them are committed.
pub(crate) struct Preparer {
    pub(crate) store: EventStore,
    /// The file that is read, if it is one.
    pub(crate) file: Option<ReadFile>,
}

/// A file while it is read.
pub(crate) struct ReadFile {
    pub(crate) app_id: AppId,
    /// The name it was opened by.
    pub(crate) name: String,
    /// Events appended from it so far.
    pub(crate) events: u64,
}

impl Preparer {
    /// Prepares every group and hands it on; ends with its input or when nobody takes what it prepares.
    pub(crate) async fn run(
        mut self,
        mut input: mpsc::Receiver<Work>,
        output: mpsc::Sender<Ready>,
    ) -> Result<(), IngestError> {
        while let Some(work) = input.recv().await {
            let ready = self.prepare(work).await?;
            if output.send(ready).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn prepare(&mut self, mut work: Work) -> Result<Ready, IngestError> {
        let mut events = std::mem::take(&mut work.events);
        let mut offsets = Vec::with_capacity(work.reached.len());
        for (app_id, reached) in &work.reached {
            let Some(to) = reached.to else { continue };
            if let (Some(mark), Some(file)) = (reached.mark, &mut self.file) {
                file.events += work.from_records;
                events.push(FileMark { mark, events: file.events, name: file.name.clone() }.event(&file.app_id));
            }
            offsets.push(Offset { app_id: app_id.to_string(), expected: reached.from, next: to });
        }
        if let Some(read_at) = work.ended_at.take() {
            let file = self.file.as_ref().map(|file| &file.app_id);
            events.push(transactions_event(&std::mem::take(&mut work.ended), read_at, file));
        }
        let prepared = self.store.prepare(events).await.map_err(IngestError::Append)?;
        Ok(Ready { prepared, work, offsets })
    }
}

fn copy(letter: &DeadLetter) -> LetterCopy<'_> {
    LetterCopy {
        topic: &letter.topic,
        partition: letter.partition,
        offset: letter.offset,
        key: letter.key.as_deref(),
        value: letter.value.as_deref(),
        headers: &letter.headers,
        code: &letter.code,
        reason: &letter.reason,
    }
}

/// Commits what is prepared, dead letters first.
pub(crate) struct Committer {
    pub(crate) store: EventStore,
    pub(crate) progress: Arc<Progress>,
    /// Who waits for commits of topics.
    pub(crate) commits: Option<Arc<Commits>>,
    /// Where copies of dead letters go.
    pub(crate) copies: Option<Arc<LetterCopies>>,
    /// By app id: up to where dead letters are recorded, where this has recorded any.
    pub(crate) letters_at: HashMap<Arc<str>, i64>,
    /// What is told to whoever measures.
    pub(crate) counts: Counts,
    /// What was done so far.
    pub(crate) summary: Summary,
}

/// The counters of a source.
pub(crate) struct Counts {
    appended: Counter,
    dead_letters: Counter,
}

impl Counts {
    pub(crate) fn of(source: &str) -> Self {
        let source = source.to_owned();
        Self {
            appended: metrics::counter!("deltafold_events_appended_total", "source" => source.clone()),
            dead_letters: metrics::counter!("deltafold_dead_letters_total", "source" => source),
        }
    }
}

impl Committer {
    /// Commits every group, to the end of its input; the first that cannot be committed is the last.
    pub(crate) async fn run(mut self, mut input: mpsc::Receiver<Ready>) -> (Summary, Result<(), IngestError>) {
        let mut ended = Ok(());
        while let Some(ready) = input.recv().await {
            ended = self.commit(ready).await;
            if ended.is_err() {
                break;
            }
        }
        if let Some(commits) = &self.commits {
            commits.end();
        }
        (self.summary, ended)
    }

    async fn commit(&mut self, ready: Ready) -> Result<(), IngestError> {
        let Ready { prepared, mut work, offsets } = ready;
        let letters = std::mem::take(&mut work.letters);
        let set_aside = letters.len() as u64;
        if !letters.is_empty() {
            let of_letters: Vec<Offset> = work
                .reached
                .iter()
                .filter(|(_, reached)| reached.letters > 0)
                .map(|(app_id, reached)| {
                    let expected = self.letters_at.get(app_id).copied().or(reached.letters_from);
                    Offset { app_id: app_id.to_string(), expected, next: reached.letters_to }
                })
                .collect();
            let to_copy = self.copies.as_ref().map(|copies| (Arc::clone(copies), letters.clone()));
            let made = self.store.append_dead_letters(letters, of_letters.clone()).await;
            self.settle(made, EventStore::dead_letter_offset, &of_letters).await?;
            if let Some((copies, letters)) = to_copy {
                letters.iter().for_each(|letter| copies.send(&copy(letter)));
            }
            self.letters_at.extend(of_letters.into_iter().map(|offset| (offset.app_id.into(), offset.next)));
            self.summary.dead_letters += set_aside;
        }
        self.counts.dead_letters.increment(set_aside);
        if !offsets.is_empty() {
            let made = self.store.commit(prepared, offsets.clone()).await.map(|_| ());
            self.settle(made, EventStore::offset, &offsets).await?;
            self.summary.appended += work.from_records;
            self.summary.commits += 1;
            if let Some(commits) = &self.commits {
                commits.made(offsets.iter().map(|offset| (offset.app_id.as_str(), offset.next)));
            }
        }
        self.counts.appended.increment(work.from_records);
        self.progress.committed(work.from_records, set_aside);
        self.summary.bytes += work.bytes;
        for (kind, count) in work.ignored {
            *self.summary.ignored.entry(kind).or_default() += count;
        }
        Ok(())
    }

    /// After an error that leaves open whether the commit was made, the offsets decide: all of them moved, or none.
    async fn settle(
        &self,
        made: Result<(), AppendError>,
        offset: fn(&EventStore, &str) -> Option<i64>,
        offsets: &[Offset],
    ) -> Result<(), IngestError> {
        match made {
            Err(error @ (AppendError::Disk(_) | AppendError::Read(_))) => {
                let is_made = |moved: &Offset| offset(&self.store, &moved.app_id) == Some(moved.next);
                if self.store.refresh().await.is_ok() && offsets.iter().all(is_made) {
                    tracing::warn!(%error, "the commit was made all the same");
                    return Ok(());
                }
                Err(IngestError::Append(error))
            }
            other => other.map_err(IngestError::Append),
        }
    }
}
