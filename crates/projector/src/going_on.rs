//! Letting origins go on by themselves (`on_reset = "continue"`).

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use deltafold_event::Timestamp;
use deltafold_relation::{NewEpoch, OriginInfo};
use deltafold_store::{Append, EventStore};
use tokio::runtime::Handle;

/// Appends the event that lets an origin go on as soon as it is held: so it is on record, and every replica follows it.
pub(crate) struct GoingOn {
    pub(crate) store: EventStore,
    pub(crate) runtime: Handle,
    /// The sources for whose origins it does so.
    pub(crate) sources: BTreeSet<String>,
    /// What was appended.
    pub(crate) done: BTreeSet<(String, u32)>,
}

impl GoingOn {
    /// Appends what is missing. Blocks. Several processes may do so: the event is the same.
    pub(crate) fn let_go(&mut self, origins: &[OriginInfo]) {
        for origin in origins {
            let Some(suspect) = origin.suspect.as_ref().filter(|held| self.sources.contains(&held.since.source)) else {
                continue;
            };
            if self.done.contains(&(origin.id.clone(), suspect.epoch)) {
                continue;
            }
            let said = NewEpoch {
                epoch: suspect.epoch,
                reason: format!("on_reset = \"continue\": {}", suspect.since),
                by: "configuration".to_owned(),
            };
            let append = Append { events: vec![said.event(&origin.id, now())], ..Append::default() };
            match self.runtime.block_on(self.store.append(append)) {
                Ok(_) => {
                    tracing::warn!(origin = origin.id, epoch = suspect.epoch, reset = %suspect.since, "a new epoch begins");
                    self.done.insert((origin.id.clone(), suspect.epoch));
                }
                // With the next batch it is tried again.
                Err(error) => tracing::error!(origin = origin.id, %error, "a new epoch cannot be put on record"),
            }
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(since.as_micros() as i64)
}
