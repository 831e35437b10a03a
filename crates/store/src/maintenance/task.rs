//! Care without anyone asking for it.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{checkpoint, lease};
use crate::{EventStore, MaintenanceError, MaintenanceReport};

/// How often there may be something to do.
const ROUND: Duration = Duration::from_secs(2);

/// How often files and log entries are looked through for what can go.
const VACUUM: Duration = Duration::from_secs(15 * 60);

/// Above this many bytes of events a second, compaction leaves the processor to the appends…
const BUSY_BYTES_PER_S: f64 = 16e6;

/// …until so many files wait for it.
const MANY_FILES: usize = 512;

/// A checkpoint may take this part of the time.
const CHECKPOINT_SHARE: u32 = 20;

/// What one carer remembers between rounds.
#[derive(Debug)]
struct Carer {
    id: Uuid,
    /// The versions of the last checkpoints, events and dead letters; none until they are looked up.
    checkpointed: [Option<u64>; 2],
    /// No checkpoint before this moment: the last one was expensive.
    next_checkpoint: Instant,
    vacuumed: Option<Instant>,
    /// How many bytes of events there were, and when.
    seen: (u64, Instant),
}

impl Default for Carer {
    fn default() -> Self {
        let now = Instant::now();
        Self { id: Uuid::new_v4(), checkpointed: [None; 2], next_checkpoint: now, vacuumed: None, seen: (0, now) }
    }
}

impl EventStore {
    /// One round of care, if this process holds or gets the lease: compaction, checkpoint and clean-up as they are
    /// due, whatever else the machine does.
    ///
    /// # Errors
    /// When one of them fails; the others are tried all the same the next time.
    pub async fn maintain_once(&self) -> Result<MaintenanceReport, MaintenanceError> {
        let mut carer = Carer::default();
        let report = self.round(&mut carer, false).await;
        lease::give_back(self.events().store.as_ref(), carer.id).await?;
        report
    }

    /// Cares for the store until cancelled, while this process holds the lease; failures are logged and tried again.
    pub async fn maintain(&self, cancel: CancellationToken) {
        let mut carer = Carer::default();
        carer.seen.0 = self.events().state().files.raw_bytes();
        let mut failures = 0;
        while cancel.run_until_cancelled(tokio::time::sleep(ROUND * (1 << failures))).await.is_some() {
            // A round is cut short where it waits: what is not committed is as if it had not begun.
            match cancel.run_until_cancelled(self.round(&mut carer, true)).await {
                None => break,
                Some(Ok(_)) => failures = 0,
                Some(Err(error)) => {
                    tracing::warn!(%error, "the store's care failed and is tried again");
                    failures = (failures + 1).min(5);
                }
            }
        }
        if let Err(error) = lease::give_back(self.events().store.as_ref(), carer.id).await {
            tracing::debug!(%error, "the lease is left to expire");
        }
    }

    async fn round(&self, carer: &mut Carer, polite: bool) -> Result<MaintenanceReport, MaintenanceError> {
        let held = lease::take(self.events().store.as_ref(), carer.id).await?;
        let mut report = MaintenanceReport { held, ..MaintenanceReport::default() };
        if !held {
            return Ok(report);
        }
        self.refresh().await?;
        let loose = || self.events().state().files.iter().rev().take_while(|file| !file.compacted).count();
        let busy = self.busy(carer);
        if !polite || !busy || loose() >= MANY_FILES {
            let started = Instant::now();
            let compacted = self.compact_while(self.options().compact_files, || started.elapsed() < lease::HOLDS / 2);
            report.compacted = Some(compacted.await?).filter(|compacted| compacted.written > 0);
        }
        if carer.next_checkpoint <= Instant::now() {
            self.checkpoint_if_due(carer, &mut report).await?;
        }
        if carer.vacuumed.is_none_or(|last| last.elapsed() >= VACUUM) {
            carer.vacuumed = Some(Instant::now());
            report.vacuum = Some(self.vacuum().await?);
        }
        Ok(report)
    }

    async fn checkpoint_if_due(
        &self,
        carer: &mut Carer,
        report: &mut MaintenanceReport,
    ) -> Result<(), MaintenanceError> {
        let mut written = [None; 2];
        for (index, table) in [self.events(), self.letters()].into_iter().enumerate() {
            let last = match carer.checkpointed[index] {
                Some(last) => last,
                None => table.last_checkpoint().await?.unwrap_or(0),
            };
            carer.checkpointed[index] = Some(last);
            if table.state().version < last + self.options().checkpoint_commits {
                continue;
            }
            let started = Instant::now();
            let version = checkpoint::write(table).await?;
            carer.next_checkpoint = Instant::now() + started.elapsed() * CHECKPOINT_SHARE;
            carer.checkpointed[index] = Some(version);
            written[index] = Some(version);
        }
        if written.iter().any(Option::is_some) {
            let [events, letters] = carer.checkpointed.map(Option::unwrap_or_default);
            report.checkpoint = Some(crate::CheckpointReport { events_version: events, dead_letters_version: letters });
        }
        Ok(())
    }

    /// Whether events come in so fast that the processor is theirs.
    fn busy(&self, carer: &mut Carer) -> bool {
        let bytes = self.events().state().files.raw_bytes();
        let (before, since) = std::mem::replace(&mut carer.seen, (bytes, Instant::now()));
        let seconds = since.elapsed().as_secs_f64().max(0.001);
        bytes.saturating_sub(before) as f64 / seconds > BUSY_BYTES_PER_S
    }
}
