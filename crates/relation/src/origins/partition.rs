//! What was read of one partition of a topic.

use std::cmp::Reverse;

use deltafold_event::{Coordinates, Position, Timestamp};
use serde::{Deserialize, Serialize};

use super::{commit_order::CommitOrder, said::RunId};

/// One partition of a topic that an origin's events come through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Partition {
    source: String,
    topic: String,
    partition: i32,
    /// The newest time of its log events, of whatever epoch: what comes again has no newer one.
    pub(super) newest: Option<Timestamp>,
    /// The newest epoch that has come here.
    pub(super) epoch: u32,
    /// The highest commit orders of that epoch, each with the run that sent it: those that no later run has passed.
    highest: Vec<(CommitOrder, Option<RunId>)>,
    /// Where epochs begin here that no connector run began.
    pub(super) switches: Vec<Switch>,
}

/// From a position on, what would belong to one epoch belongs to a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Switch {
    pub(super) after: u32,
    pub(super) to: u32,
    pub(super) from: Position,
    /// The newest time before.
    pub(super) newest: Timestamp,
}

impl Partition {
    pub(super) fn new(at: &Coordinates) -> Self {
        Self {
            source: at.source.to_string(),
            topic: at.topic.to_string(),
            partition: at.partition,
            newest: None,
            epoch: 0,
            highest: Vec::new(),
            switches: Vec::new(),
        }
    }

    /// The source that it was read from.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// How it orders among others.
    pub(super) fn compare(&self, at: &Coordinates) -> std::cmp::Ordering {
        (&*self.topic, self.partition, &*self.source).cmp(&(&*at.topic, at.partition, &*at.source))
    }

    /// Comes to an epoch. What was highest before says nothing there, except of runs that were read before it was
    /// noticed that they belong to it.
    pub(super) fn enter(&mut self, epoch: u32, epoch_of_run: impl Fn(Option<RunId>) -> u32) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.highest.retain(|(_, run)| epoch_of_run(*run) == epoch);
        }
    }

    /// The highest commit order of its epoch, with the first run that sent it.
    pub(super) fn highest(&self) -> Option<(CommitOrder, Option<RunId>)> {
        self.highest.iter().copied().max_by_key(|(order, run)| (*order, Reverse(*run)))
    }

    /// Takes in the commit order of a log event of its epoch.
    pub(super) fn mark(&mut self, order: CommitOrder, run: Option<RunId>) {
        if !self.highest.iter().any(|(known, by)| *known >= order && *by >= run) {
            self.highest.retain(|(known, by)| *known >= order || *by > run);
            self.highest.push((order, run));
        }
    }
}
