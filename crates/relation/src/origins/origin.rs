//! One origin: its epochs, and which of them an event belongs to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound::{Excluded, Included, Unbounded},
    sync::Arc,
};

use deltafold_event::{Event, Position, SourcePosition, StoredEvent, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    commit_order::CommitOrder,
    partition::{Partition, Switch},
    said::{RunId, Said},
    snapshots::Snapshots,
};
use crate::LastRow;

/// A stretch of an origin's life.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Epoch {
    /// Events of this connector run, and of later ones, belong to it, or to a later epoch.
    run: Option<RunId>,
    /// The binlog's server, once a change has told it.
    server_id: Option<u64>,
    /// Why it began.
    reset: Option<Reset>,
    /// Whether what belongs to it is given to nobody.
    pub(super) is_held: bool,
    /// No event before this position belongs to it.
    pub(super) from: Position,
    /// How many events are held.
    pub(super) held: u64,
}

/// The event that showed that a database had been restored or replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// Its position.
    pub position: Position,
    /// When the store took it in.
    pub recorded_at: Timestamp,
    /// The source that it was read from.
    pub source: String,
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// When it says that it happened.
    pub occurred_at: Timestamp,
    why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Why {
    /// It stands before another event of its partition, and happened later than all of them.
    Contradiction { order: CommitOrder, highest: CommitOrder, newest: Timestamp },
    /// Another server wrote it.
    OtherServer { server_id: u64, before: u64, newest: Option<Timestamp> },
}

/// That an event cannot be of the epoch that it seems to belong to.
#[derive(Debug)]
struct Showing {
    why: Why,
    /// Whether an operator has to look at it.
    is_held: bool,
    /// The first run that cannot be, either: its own, if all that it sent may belong to another epoch, else the one after.
    run: Option<RunId>,
}

/// A connector run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    /// Its first event.
    first: Position,
    /// The binlog's server, once a change has told it.
    server_id: Option<u64>,
}

/// A database, as a connector reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    pub(super) connector: String,
    pub(super) server: String,
    pub(super) epochs: Vec<Epoch>,
    runs: BTreeMap<RunId, Run>,
    /// Sorted.
    partitions: Vec<Partition>,
    pub(super) snapshots: Snapshots,
    /// The types of its tables, as far as keepers were given events of them.
    types: BTreeSet<Arc<str>>,
}

/// What an event has begun, or shown to have begun earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Begun {
    /// The epochs that have other events now, or another number.
    pub(super) epochs: Vec<u32>,
    /// The first of their events, which may have been read before they were noticed.
    pub(super) from: Position,
    /// What was known before.
    pub(super) before: Box<Origin>,
}

/// The epoch of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Belongs {
    pub(super) epoch: u32,
    /// Only its position tells: it may be one of an older epoch that comes again.
    pub(super) may_be_older: bool,
    /// It was written by another server than the epoch's.
    is_of_other_server: bool,
}

impl Origin {
    pub(super) fn new(said: &Said<'_>) -> Self {
        Self {
            connector: said.connector.to_string(),
            server: said.server.to_string(),
            epochs: vec![Epoch::default()],
            runs: BTreeMap::new(),
            partitions: Vec::new(),
            snapshots: Snapshots::default(),
            types: BTreeSet::new(),
        }
    }

    /// Takes in an event that comes after all those before; what it begins.
    pub(super) fn observe(&mut self, stored: &StoredEvent, said: &Said<'_>) -> Option<Begun> {
        if let Some(run) = said.run {
            let known = self.runs.entry(run).or_insert(Run { first: stored.position, server_id: None });
            known.server_id = known.server_id.or(server_id(stored));
        }
        let at = match self.find(stored) {
            Ok(at) => at,
            Err(at) => {
                self.partitions.insert(at, Partition::new(&stored.event.coordinates));
                at
            }
        };
        if stored.event.source_position.is_none() {
            let epoch = self.epoch_of(stored, said).epoch;
            self.snapshots.observe(stored, said, epoch);
            return None;
        }
        let belongs = self.epoch_of(stored, said);
        let (order, time) = (CommitOrder::of(&stored.event, said), stored.event.occurred_at);
        let epoch_of_run = |run| epoch_of_run(&self.epochs, run);
        let partition = &mut self.partitions[at];
        let newest = partition.newest;
        partition.newest = newest.max(Some(time));
        if belongs.may_be_older || partition.newest_epoch(epoch_of_run) > belongs.epoch {
            return None;
        }
        let highest = partition.highest(belongs.epoch, epoch_of_run);
        let mut epoch = belongs.epoch;
        let mut begun = None;
        if let Some(showing) = self.contradicts(stored, said, belongs, order, highest, newest) {
            (epoch, begun) = self.leave(at, epoch, stored, said, showing);
        }
        self.partitions[at].mark(order, said.run, epoch);
        let server = &mut self.epochs[epoch as usize].server_id;
        *server = server.or(server_id(stored));
        begun
    }

    /// What shows that a log event cannot be of the epoch that it seems to belong to, if it cannot. `highest` comes with
    /// the first run that sent it.
    fn contradicts(
        &self,
        stored: &StoredEvent,
        said: &Said<'_>,
        belongs: Belongs,
        order: Option<CommitOrder>,
        highest: Option<(CommitOrder, Option<RunId>)>,
        newest: Option<Timestamp>,
    ) -> Option<Showing> {
        let time = stored.event.occurred_at;
        let run = said.run.map(|run| match highest {
            // The database was restored behind its back.
            Some((_, sent_by)) if sent_by >= Some(run) => run.next(),
            _ => run,
        });
        if belongs.is_of_other_server {
            let before = self.epochs[belongs.epoch as usize].server_id.unwrap_or_default();
            let server_id = server_id(stored).unwrap_or_default();
            let is_held = newest.is_some_and(|newest| time < newest);
            return Some(Showing { why: Why::OtherServer { server_id, before, newest }, is_held, run });
        }
        let (order, (highest, _), newest) = (order?, highest?, newest?);
        let why = Why::Contradiction { order, highest, newest };
        (order < highest && time > newest).then_some(Showing { why, is_held: true, run })
    }

    /// A partition leaves an epoch with this event: for one that another partition has begun, or for a new one. What that
    /// begins, or brings to it.
    fn leave(
        &mut self,
        at: usize,
        epoch: u32,
        stored: &StoredEvent,
        said: &Said<'_>,
        showing: Showing,
    ) -> (u32, Option<Begun>) {
        let before = Box::new(self.clone());
        let newest = showing.why.newest().unwrap_or(stored.event.occurred_at);
        let server_id = server_id(stored);
        let next = self.epochs.len() as u32;
        let run = showing.run;
        let later = run.and_then(|run| (epoch + 1..next).find(|to| self.epochs[*to as usize].run > Some(run)));
        let fitting = (epoch + 1..next).find(|to| !is_other(self.epochs[*to as usize].server_id, server_id));
        let (to, begun) = match (run, later, fitting) {
            (Some(run), Some(to), _) if self.may_begin_with(to, run) => (to, Some(self.begin_earlier(to, run))),
            (_, None, Some(to)) => (to, None),
            (_, to, _) => {
                let to = to.unwrap_or(next);
                (to, Some(self.begin(to, stored, showing)))
            }
        };
        if epoch_of_run(&self.epochs, said.run) != to {
            self.partitions[at].switches.push(Switch { after: epoch, to, from: stored.position, newest });
        }
        (to, begun.map(|(epochs, from)| Begun { epochs, from, before }))
    }

    /// Whether an epoch that was noticed in a later run can have begun with this one: nothing that was sent between them
    /// is another server's.
    fn may_begin_with(&self, epoch: u32, run: RunId) -> bool {
        let epoch = &self.epochs[epoch as usize];
        let mut between = self.runs.range((Included(run), epoch.run.map_or(Unbounded, Excluded)));
        between.all(|(_, between)| !is_other(epoch.server_id, between.server_id))
    }

    /// It did. Its first event.
    fn begin_earlier(&mut self, epoch: u32, run: RunId) -> (Vec<u32>, Position) {
        let first = self.first_since(Some(run));
        let known = &mut self.epochs[epoch as usize];
        known.run = Some(run);
        known.from = first.map_or(known.from, |first| first.min(known.from));
        let from = known.from;
        self.snapshots.bring(run, epoch);
        (vec![epoch], from)
    }

    /// Begins an epoch, and those that must come directly after it. All epochs from it on, and their first event.
    fn begin(&mut self, epoch: u32, stored: &StoredEvent, showing: Showing) -> (Vec<u32>, Position) {
        let Showing { why, is_held, run } = showing;
        let first = self.first_since(run).map_or(stored.position, |first| first.min(stored.position));
        let at = &stored.event.coordinates;
        let reset = Reset {
            position: stored.position,
            recorded_at: stored.recorded_at,
            source: at.source.to_string(),
            topic: at.topic.to_string(),
            partition: at.partition,
            offset: at.offset,
            occurred_at: stored.event.occurred_at,
            why,
        };
        // While an earlier one is held, answers stay those from before it.
        let is_held = is_held || self.epochs[..epoch as usize].iter().any(|before| before.is_held);
        let server_id = server_id(stored);
        let reset = Some(reset);
        self.insert(epoch, Epoch { run, server_id, reset: reset.clone(), is_held, from: first, held: 0 });
        let mut newest = epoch;
        // Partitions are read side by side: where later runs had told of another server before, theirs is the next one.
        while let Some((run, server_id)) = self.replaced(newest) {
            newest += 1;
            let from = self.first_since(Some(run)).unwrap_or(stored.position);
            let (run, server_id) = (Some(run), Some(server_id));
            self.insert(newest, Epoch { run, server_id, reset: reset.clone(), is_held, from, held: 0 });
        }
        let epochs = &mut self.epochs[epoch as usize..];
        epochs.iter_mut().for_each(|later| later.is_held |= is_held);
        let from = epochs.iter().map(|later| later.from).fold(first, Position::min);
        ((epoch..self.epochs.len() as u32).collect(), from)
    }

    /// Puts an epoch before those with this number and later ones.
    fn insert(&mut self, number: u32, epoch: Epoch) {
        let run = epoch.run;
        self.snapshots.make_room(number);
        self.partitions.iter_mut().for_each(|partition| partition.make_room(number));
        self.epochs.insert(number as usize, epoch);
        if let Some(run) = run {
            self.snapshots.bring(run, number);
        }
    }

    /// The first event that was read of a run and of later ones.
    fn first_since(&self, run: Option<RunId>) -> Option<Position> {
        self.runs.range(run?..).map(|(_, run)| run.first).min()
    }

    /// The first run after the one that an epoch begins with, and before the next epoch's, of which a change has told
    /// another server.
    fn replaced(&self, epoch: u32) -> Option<(RunId, u64)> {
        let known = &self.epochs[epoch as usize];
        let next = self.epochs.get(epoch as usize + 1).and_then(|next| next.run);
        let mut later = self.runs.range(known.run?..).skip_while(|(run, _)| Some(**run) == known.run);
        later.find_map(|(run, Run { server_id, .. })| {
            let is_its = next.is_none_or(|next| *run < next);
            (is_its && is_other(known.server_id, *server_id)).then_some((*run, (*server_id)?))
        })
    }

    /// The epoch that an event belongs to, as far as is known now.
    pub(super) fn epoch_of(&self, stored: &StoredEvent, said: &Said<'_>) -> Belongs {
        if self.epochs.len() == 1 {
            let is_other = is_other(self.epochs[0].server_id, server_id(stored));
            return Belongs { epoch: 0, may_be_older: false, is_of_other_server: is_other };
        }
        let mut epoch = epoch_of_run(&self.epochs, said.run);
        let mut may_be_older = false;
        if let Ok(at) = self.find(stored) {
            for switch in &self.partitions[at].switches {
                if switch.after == epoch && switch.from <= stored.position {
                    epoch = switch.to;
                    // Whether a row was read before, only its id can tell.
                    let is_log = stored.event.source_position.is_some();
                    may_be_older = !is_log || stored.event.occurred_at <= switch.newest;
                }
            }
        }
        let server = server_id(stored);
        let known = &self.epochs[epoch as usize];
        if !is_other(known.server_id, server) {
            return Belongs { epoch, may_be_older, is_of_other_server: false };
        }
        // One run that tells of several servers, as of servers that replicate from each other.
        let of_server = |older: &Epoch| older.server_id == server && server.is_some();
        let same_run = known.run.is_some() && known.run == said.run;
        match self.epochs[..epoch as usize].iter().rposition(of_server).filter(|_| same_run) {
            Some(older) => Belongs { epoch: older as u32, may_be_older, is_of_other_server: false },
            None => Belongs { epoch, may_be_older, is_of_other_server: true },
        }
    }

    fn find(&self, stored: &StoredEvent) -> Result<usize, usize> {
        self.partitions.binary_search_by(|partition| partition.compare(&stored.event.coordinates))
    }

    /// The snapshots that replace what was known, all of whose rows have been sent: their numbers, by epoch and the
    /// arrival of their last row.
    pub(super) fn complete(&self) -> Vec<(usize, LastRow)> {
        self.snapshots.complete(|epoch| epoch > 0 && !self.epochs[epoch as usize].is_held)
    }

    /// What keepers are told of a snapshot: its epoch, and where the log stood at it.
    pub(super) fn snapshot(&self, number: usize) -> (u32, SourcePosition) {
        let epoch = self.snapshots.epoch(number);
        // Before a change has told of the server, there is nothing to compare with.
        (epoch, self.snapshots.place(number, self.epochs[epoch as usize].server_id))
    }

    /// The types of its tables.
    pub(super) fn types(&self) -> &BTreeSet<Arc<str>> {
        &self.types
    }

    /// Notes the type of an event that its keeper is given; whether it is a table's whose first one that is.
    pub(super) fn note_type(&mut self, event: &Event) -> bool {
        event.operation.is_some() && self.types.insert(Arc::clone(&event.aggregate_type))
    }

    /// The sources that its events were read from.
    pub(super) fn sources(&self) -> Vec<String> {
        let sources: BTreeSet<&str> = self.partitions.iter().map(Partition::source).collect();
        sources.into_iter().map(str::to_owned).collect()
    }

    /// An event of an epoch waits, if that is held.
    pub(super) fn wait(&mut self, epoch: u32) {
        let epoch = &mut self.epochs[epoch as usize];
        epoch.held += u64::from(epoch.is_held);
    }

    /// An event is of this epoch no more.
    pub(super) fn stop_waiting(&mut self, epoch: u32) {
        let epoch = &mut self.epochs[epoch as usize];
        epoch.held -= u64::from(epoch.is_held).min(epoch.held);
    }

    /// The epochs that are held.
    pub(super) fn held(&self) -> impl Iterator<Item = u32> {
        (0_u32..).zip(&self.epochs).filter(|(_, epoch)| epoch.is_held).map(|(number, _)| number)
    }

    /// The newest epoch that answers are of.
    pub(super) fn current(&self) -> u32 {
        self.epochs.iter().rposition(|epoch| !epoch.is_held).unwrap_or(0) as u32
    }

    /// Whether no complete snapshot says what an epoch began with.
    pub(super) fn is_unverified(&self, epoch: u32) -> bool {
        epoch > 0 && self.snapshots.complete(|of| of == epoch).is_empty()
    }
}

impl Why {
    /// The newest time of its partition before.
    fn newest(&self) -> Option<Timestamp> {
        match self {
            Self::Contradiction { newest, .. } => Some(*newest),
            Self::OtherServer { newest, .. } => *newest,
        }
    }
}

impl Epoch {
    pub(super) fn reset(&self) -> Option<&Reset> {
        self.reset.as_ref()
    }
}

/// The epoch of what a run sent, where no partition says otherwise.
fn epoch_of_run(epochs: &[Epoch], run: Option<RunId>) -> u32 {
    let began = |epoch: &Epoch| epoch.run.is_some() && epoch.run <= run;
    epochs.iter().rposition(began).unwrap_or(0) as u32
}

/// The binlog's server, where it is told.
fn server_id(stored: &StoredEvent) -> Option<u64> {
    let binlog = stored.event.source_position.as_ref()?.as_binlog()?;
    (binlog.server_id != 0).then_some(binlog.server_id)
}

fn is_other(known: Option<u64>, server_id: Option<u64>) -> bool {
    known.is_some() && server_id.is_some() && known != server_id
}

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, offset, occurred_at, .. } = self;
        write!(f, "the event at {topic}/{partition}, offset {offset}, of {occurred_at} ")?;
        match &self.why {
            Why::Contradiction { order, highest, newest } => write!(
                f,
                "stands at {order}, before {highest} of the same partition, where nothing had happened after {newest}: the \
                 database was restored or replaced"
            ),
            Why::OtherServer { server_id, before, newest: Some(newest) } if occurred_at < newest => write!(
                f,
                "was written by server {server_id} instead of {before}, and happened before {newest}: the database was \
                 restored or replaced"
            ),
            Why::OtherServer { server_id, before, .. } => {
                write!(f, "was written by server {server_id} instead of {before}")
            }
        }
    }
}
