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
    /// The newest epoch that had come here, as far as was known then, and the newest run.
    epoch: u32,
    run: Option<RunId>,
    /// The highest commit orders: those that neither a later run nor a later epoch has passed.
    highest: Vec<Mark>,
    /// Where epochs begin here that no connector run began.
    pub(super) switches: Vec<Switch>,
}

/// The commit order of a log event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    order: CommitOrder,
    /// What sent it.
    run: Option<RunId>,
    /// The epoch that it belonged to when it came. Its run may have been found to be of a later one since.
    epoch: u32,
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
            run: None,
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

    /// The newest epoch that has come here, as is known now.
    pub(super) fn newest_epoch(&self, epoch_of_run: impl Fn(Option<RunId>) -> u32) -> u32 {
        self.epoch.max(epoch_of_run(self.run))
    }

    /// The highest commit order of an epoch, with the first run that sent it.
    pub(super) fn highest(
        &self,
        epoch: u32,
        epoch_of_run: impl Fn(Option<RunId>) -> u32,
    ) -> Option<(CommitOrder, Option<RunId>)> {
        let of_it = self.highest.iter().filter(|mark| mark.epoch.max(epoch_of_run(mark.run)) == epoch);
        of_it.map(|mark| (mark.order, mark.run)).max_by_key(|(order, run)| (*order, Reverse(*run)))
    }

    /// An epoch is put before those with this number and later ones.
    pub(super) fn make_room(&mut self, number: u32) {
        let own = [&mut self.epoch].into_iter().chain(self.highest.iter_mut().map(|mark| &mut mark.epoch));
        let others = self.switches.iter_mut().flat_map(|Switch { after, to, .. }| [after, to]);
        own.chain(others).for_each(|epoch| *epoch += u32::from(*epoch >= number));
    }

    /// Takes in a log event of its newest epoch, with its commit order if it is judged.
    pub(super) fn mark(&mut self, order: Option<CommitOrder>, run: Option<RunId>, epoch: u32) {
        self.epoch = epoch;
        self.run = self.run.max(run);
        let Some(order) = order else { return };
        let new = Mark { order, run, epoch };
        if !self.highest.iter().any(|known| known.passes(&new)) {
            self.highest.retain(|known| !new.passes(known));
            self.highest.push(new);
        }
    }
}

impl Mark {
    /// Whether another one says nothing any more beside this one. The first run that sent an order stays.
    fn passes(&self, other: &Self) -> bool {
        let is_higher = self.order > other.order || (self.order, self.run) == (other.order, other.run);
        is_higher && self.run >= other.run && self.epoch >= other.epoch
    }
}
