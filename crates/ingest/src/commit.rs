//! Making what was decoded durable.

use std::sync::Arc;

use deltafold_source::{AppId, Mark};
use deltafold_store::{AppendError, EventStore, Offset, Prepared};
use tokio::sync::mpsc;

use crate::{FileMark, IngestError, Progress, Summary, decode::Work};

/// A group whose events are encoded, but not visible.
pub(crate) struct Ready {
    prepared: Prepared,
    /// The rest of the group.
    work: Work,
    /// The file's offset that this commit makes, and the one that it expects; None where nothing moves.
    offset: Option<Offset>,
}

/// Encodes groups while the ones before them are committed.
pub(crate) struct Preparer {
    pub(crate) store: EventStore,
    pub(crate) app_id: AppId,
    /// The name the file was opened by.
    pub(crate) name: String,
    /// Where the file stands once everything prepared so far is committed; None of a new file.
    pub(crate) at: Option<Mark>,
    /// Events appended from the file so far.
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
        let offset = work.to.map(|to| {
            self.events += work.from_lines;
            events.push(FileMark { mark: to, events: self.events, name: self.name.clone() }.event(&self.app_id));
            let expected = self.at.replace(to).map(|before| offset_of(before.bytes));
            Offset { app_id: self.app_id.as_str().to_owned(), expected, next: offset_of(to.bytes) }
        });
        let prepared = self.store.prepare(events).await.map_err(IngestError::Append)?;
        Ok(Ready { prepared, work, offset })
    }
}

/// Commits what is prepared, dead letters first.
pub(crate) struct Committer {
    pub(crate) store: EventStore,
    pub(crate) app_id: AppId,
    pub(crate) progress: Arc<Progress>,
    /// The file's offset among the dead letters when it was opened, and after each commit since.
    pub(crate) letters_at: Option<i64>,
    /// What was done so far.
    pub(crate) summary: Summary,
}

impl Committer {
    /// Commits every group, to the end of its input; the first that cannot be committed is the last.
    pub(crate) async fn run(mut self, mut input: mpsc::Receiver<Ready>) -> (Summary, Result<(), IngestError>) {
        while let Some(ready) = input.recv().await {
            if let Err(error) = self.commit(ready).await {
                return (self.summary, Err(error));
            }
        }
        (self.summary, Ok(()))
    }

    async fn commit(&mut self, ready: Ready) -> Result<(), IngestError> {
        let Ready { prepared, mut work, offset } = ready;
        let letters = std::mem::take(&mut work.letters);
        let set_aside = letters.len() as u64;
        if !letters.is_empty() {
            let app_id = self.app_id.as_str().to_owned();
            let next = offset_of(work.letters_to);
            let letters_offset = Offset { app_id, expected: self.letters_at, next };
            let made = self.store.append_dead_letters(letters, vec![letters_offset]).await;
            self.settle(made, EventStore::dead_letter_offset, next).await?;
            self.letters_at = Some(next);
            self.summary.dead_letters += set_aside;
        }
        metrics::counter!("deltafold_dead_letters_total", "source" => "file").increment(set_aside);
        if let Some(offset) = offset {
            let next = offset.next;
            let made = self.store.commit(prepared, vec![offset]).await.map(|_| ());
            self.settle(made, EventStore::offset, next).await?;
            self.summary.appended += work.from_lines;
            self.summary.commits += 1;
        }
        metrics::counter!("deltafold_events_appended_total", "source" => "file").increment(work.from_lines);
        self.progress.committed(work.from_lines, set_aside);
        self.summary.bytes += work.bytes;
        for (kind, count) in work.ignored {
            *self.summary.ignored.entry(kind).or_default() += count;
        }
        Ok(())
    }

    /// After an error that leaves open whether the commit was made, the file's offset decides.
    async fn settle(
        &self,
        made: Result<(), AppendError>,
        offset: fn(&EventStore, &str) -> Option<i64>,
        next: i64,
    ) -> Result<(), IngestError> {
        match made {
            Err(error @ (AppendError::Disk(_) | AppendError::Read(_))) => {
                if self.store.refresh().await.is_ok() && offset(&self.store, self.app_id.as_str()) == Some(next) {
                    tracing::warn!(%error, app_id = %self.app_id, "the commit was made all the same");
                    return Ok(());
                }
                Err(IngestError::Append(error))
            }
            other => other.map_err(IngestError::Append),
        }
    }
}

fn offset_of(bytes: u64) -> i64 {
    i64::try_from(bytes).expect("no file has 2^63 bytes")
}
