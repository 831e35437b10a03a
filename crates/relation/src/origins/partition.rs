//! What was read of one partition of a topic.

use deltafold_event::{Coordinates, Position, Timestamp};
use serde::{Deserialize, Serialize};

use super::{commit_order::CommitOrder, said::RunId};

/// One partition of a topic that an origin's events come through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Partition {
    source: String,
    topic: String,
    partition: i32,
    /// Of the newest epoch that has come here.
    pub(super) marks: Option<Marks>,
    /// Where epochs begin here that no connector run began.
    pub(super) switches: Vec<Switch>,
}

/// How far log events of one epoch have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks {
    pub(super) epoch: u32,
    /// The highest commit order of those that are judged, and the run that sent it.
    pub(super) highest: Option<(CommitOrder, Option<RunId>)>,
    /// The newest time, also of those that are not judged: what comes again has no newer one.
    pub(super) newest: Timestamp,
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
            marks: None,
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

    /// Takes in a log event of an epoch.
    pub(super) fn mark(&mut self, epoch: u32, order: Option<CommitOrder>, run: Option<RunId>, time: Timestamp) {
        let highest = order.map(|order| (order, run));
        match &mut self.marks {
            Some(marks) if marks.epoch == epoch => {
                marks.newest = marks.newest.max(time);
                if highest.map(|(order, _)| order) > marks.highest.map(|(order, _)| order) {
                    marks.highest = highest;
                }
            }
            _ => self.marks = Some(Marks { epoch, highest, newest: time }),
        }
    }
}
