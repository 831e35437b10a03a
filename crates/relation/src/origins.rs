//! Databases that were restored or replaced (`fold.md`, "Reset"): noticed, held, and let go on.
//!
//! Which epoch of its origin an event belongs to is a function of the log: of the events before it, in the order of
//! their positions, and of what operators said (`$source` events). A [`Place`] tells a keeper. Where an epoch is
//! noticed only after some of its events were folded, or goes on after it was held, a stretch of the log is read
//! again ([`Origins::replay`]) before anything else is folded.
//!
//! Events of files, and those whose metadata has no source block, have no origin: they are given as they come.

mod commit_order;
mod new_epoch;
mod origin;
mod partition;
mod replay;
mod said;
mod snapshots;

use std::{collections::VecDeque, sync::Arc};

use deltafold_event::{Operation, Position, StoredEvent, control};
use serde::{Deserialize, Serialize};

use self::{
    origin::Origin,
    replay::{Kind, Replay},
    said::Said,
};
use crate::{Completed, LastRow, Place, SnapshotId, SnapshotRow, StateError, Step};

pub use self::{new_epoch::NewEpoch, origin::Reset};

/// The first byte of [`Origins::to_bytes`].
const FORMAT: u8 = 4;

/// The source of events that files were read for.
const FILE: &str = "file";

/// What is known of all origins.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origins {
    origins: Vec<Origin>,
    /// Events below it were observed.
    observed: Position,
    replays: VecDeque<Replay>,
    #[serde(skip)]
    has_changed: bool,
}

/// What is to be done with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// Its keeper gets it.
    Given {
        /// Where it stands.
        place: Place,
        /// What keepers are told before, each by its type: that all rows of a snapshot have been sent. With the last row
        /// of one, all types of its origin; with the first event of a type, of all that came before.
        completed: Vec<(Arc<str>, Arc<Completed>)>,
    },
    /// It belongs to an epoch that is held: nobody gets it now.
    Held,
}

/// How an origin stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginInfo {
    /// Connector and server name, as `postgresql/shop`.
    pub id: String,
    /// The connector.
    pub connector: String,
    /// The server's name, which its topics begin with.
    pub server: String,
    /// The sources that its events were read from.
    pub sources: Vec<String>,
    /// The epoch that answers are of, from 0.
    pub epoch: u32,
    /// Whether no complete snapshot says what that epoch began with.
    pub is_unverified: bool,
    /// What is held, since when, and why.
    pub suspect: Option<Suspect>,
}

/// What is held of an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// The newest epoch that is held.
    pub epoch: u32,
    /// What showed the first of those that are.
    pub since: Reset,
    /// How many events wait.
    pub held: u64,
}

impl Origins {
    /// Takes in an event that is none of the store's own. Events come in the order of their positions; one that was
    /// observed before changes nothing.
    pub fn observe(&mut self, stored: &StoredEvent) -> Observed {
        let given = Observed::Given { place: Place::at(stored.position), completed: Vec::new() };
        let Some(said) = said(stored) else { return given };
        let index = match self.find(&said) {
            Some(index) => index,
            None => {
                self.origins.push(Origin::new(&said));
                self.origins.len() - 1
            }
        };
        let is_new = stored.position >= self.observed;
        if is_new {
            self.observed = stored.position.next();
            self.has_changed = true;
            if let Some(begun) = self.origins[index].observe(stored, &said) {
                let origin = index as u32;
                let (next, until) = (begun.from, stored.position);
                let replay = |kind| Replay { origin, kind, next, until };
                let is_held = |epoch: &u32| self.origins[index].epochs[*epoch as usize].is_held;
                let goes_on: Vec<u32> = begun.epochs.iter().copied().filter(|epoch| !is_held(epoch)).collect();
                if next < until {
                    begun.epochs.iter().for_each(|epoch| self.origins[index].epochs[*epoch as usize].held = 0);
                    self.replays.push_back(replay(Kind::TakeBack(begun.epochs, begun.before)));
                    if !goes_on.is_empty() {
                        self.replays.push_back(replay(Kind::Release(goes_on)));
                    }
                }
            }
        }
        match self.place(index, stored, &said) {
            Err(epoch) => {
                if is_new {
                    self.origins[index].wait(epoch);
                }
                Observed::Held
            }
            Ok(place) => {
                let completed = if is_new { self.completed(index, stored, &place, &[]) } else { Vec::new() };
                Observed::Given { place, completed }
            }
        }
    }

    /// Takes in an event of the store itself. `$source` events let origins go on.
    pub fn control(&mut self, stored: &StoredEvent) {
        let event = &stored.event;
        if &*event.aggregate_type != control::SOURCE || stored.position < self.observed {
            return;
        }
        self.observed = stored.position.next();
        self.has_changed = true;
        let said = event.after.as_deref().and_then(NewEpoch::from_json);
        let Some(said) = said.filter(|_| &*event.event_type == NewEpoch::EVENT_TYPE) else { return };
        let is_it = |origin: &Origin| event.aggregate_id.as_deref() == Some(&*id(origin));
        let Some(index) = self.origins.iter().position(is_it) else { return };
        let origin = &mut self.origins[index];
        let released: Vec<u32> = origin.held().filter(|epoch| *epoch <= said.epoch).collect();
        let Some(from) = released.iter().map(|epoch| origin.epochs[*epoch as usize].from).min() else { return };
        for epoch in &released {
            let epoch = &mut origin.epochs[*epoch as usize];
            (epoch.is_held, epoch.held) = (false, 0);
        }
        let kind = Kind::Release(released);
        self.replays.push_back(Replay { origin: index as u32, kind, next: from, until: stored.position });
    }

    /// What of the log is to be read again before the event that was observed last is folded: from a position until
    /// before another.
    pub fn replay(&self) -> Option<(Position, Position)> {
        self.replays.front().map(|replay| (replay.next, replay.until))
    }

    /// Takes in the events that were read again: all those below `next` that [`Self::replay`] asked for. What keepers
    /// are to do with them, each with its type.
    pub fn replayed<'e>(&mut self, events: &'e [StoredEvent], next: Position) -> Vec<(Arc<str>, Step<'e>)> {
        let Some(mut replay) = self.replays.pop_front() else { return Vec::new() };
        self.has_changed = true;
        let mut steps = Vec::new();
        for stored in events {
            let Some(said) = said(stored) else { continue };
            if stored.event.is_control() || self.find(&said) != Some(replay.origin as usize) {
                continue;
            }
            let origin = &mut self.origins[replay.origin as usize];
            let epoch = origin.epoch_of(stored, &said).epoch;
            let aggregate_type = Arc::clone(&stored.event.aggregate_type);
            match &replay.kind {
                Kind::TakeBack(of, before) if of.contains(&epoch) => {
                    let was = before.epoch_of(stored, &said).epoch;
                    if !of.contains(&was) {
                        origin.stop_waiting(was);
                    }
                    origin.wait(epoch);
                    if before.epochs[was as usize].is_held {
                        continue;
                    }
                    let place = Place { epoch: was, ..Place::at(replay.until) };
                    steps.push((aggregate_type, Step::TakeBack(stored, place)));
                    for number in origin.snapshots.ended_by(stored.position) {
                        let snapshot = SnapshotId::new(replay.origin as usize, number);
                        let undo = |name: &Arc<str>| (name.clone(), Step::TakeBackSnapshot(snapshot, replay.until));
                        steps.extend(origin.types().iter().map(undo));
                    }
                }
                Kind::Release(of) if of.contains(&epoch) => {
                    if let Ok(place) = self.place(replay.origin as usize, stored, &said) {
                        let place = Place { recorded_from: replay.until, ..place };
                        let completed = self.completed(replay.origin as usize, stored, &place, of);
                        steps.extend(completed.into_iter().map(|(name, completed)| (name, Step::Complete(completed))));
                        steps.push((aggregate_type, Step::Event(stored, place)));
                    }
                }
                Kind::TakeBack(..) | Kind::Release(_) => {}
            }
        }
        replay.next = next;
        if next < replay.until {
            self.replays.push_front(replay);
        }
        steps
    }

    /// The place of an event that is not held, else its epoch.
    fn place(&self, index: usize, stored: &StoredEvent, said: &Said<'_>) -> Result<Place, u32> {
        let origin = &self.origins[index];
        let belongs = origin.epoch_of(stored, said);
        let epoch = belongs.epoch;
        if origin.epochs[epoch as usize].is_held {
            return Err(epoch);
        }
        let snapshot = self.snapshot_of(index, stored, said).filter(|_| epoch > 0);
        let snapshot = snapshot.map(|(snapshot, last)| {
            let (_, log_from) = origin.snapshot(snapshot.number());
            Box::new(SnapshotRow { snapshot, is_complete: last.is_some(), log_from })
        });
        Ok(Place { epoch, recorded_from: stored.position, may_be_older: belongs.may_be_older, snapshot })
    }

    /// The snapshot that an event is a row of, and its last row, if all of it has been sent.
    fn snapshot_of(
        &self,
        index: usize,
        stored: &StoredEvent,
        said: &Said<'_>,
    ) -> Option<(SnapshotId, Option<LastRow>)> {
        if stored.event.operation != Some(Operation::Read) || stored.event.source_position.is_some() {
            return None;
        }
        let origin = &self.origins[index];
        let (number, last) = origin.snapshots.of(said, origin.epoch_of(stored, said).epoch)?;
        Some((SnapshotId::new(index, number), last))
    }

    /// What keepers are told before one is given an event: with the last row of a snapshot, all of them; with the first
    /// event of a type, its own of the snapshots before. Those of epochs that go on now count in the order of the log.
    fn completed(
        &mut self,
        index: usize,
        stored: &StoredEvent,
        place: &Place,
        goes_on: &[u32],
    ) -> Vec<(Arc<str>, Arc<Completed>)> {
        let name = &stored.event.aggregate_type;
        let is_new = self.origins[index].note_type(&stored.event);
        let origin = &self.origins[index];
        let own = place.snapshot.as_ref().map(|row| row.snapshot.number());
        let mut told = Vec::new();
        for (number, last) in origin.complete() {
            let (epoch, log_from) = origin.snapshot(number);
            let is_its_last = own == Some(number) && last.position == stored.position;
            let is_before = !goes_on.contains(&epoch) || last.position < stored.position;
            if !(is_its_last || is_new && is_before) {
                continue;
            }
            let (snapshot, recorded_from) = (SnapshotId::new(index, number), place.recorded_from);
            let completed = Arc::new(Completed { snapshot, epoch, log_from, last, recorded_from });
            let names = origin.types().iter().filter(|other| is_its_last || *other == name);
            told.extend(names.map(|name| (name.clone(), completed.clone())));
        }
        told
    }

    fn find(&self, said: &Said<'_>) -> Option<usize> {
        self.origins.iter().position(|origin| origin.server == said.server && origin.connector == said.connector)
    }

    /// How the origins stand, in the order in which they were first seen.
    pub fn infos(&self) -> Vec<OriginInfo> {
        let info = |origin: &Origin| {
            let held: Vec<u32> = origin.held().collect();
            let epochs = held.iter().map(|epoch| &origin.epochs[*epoch as usize]);
            let since = epochs.clone().find_map(|epoch| epoch.reset().cloned());
            let waiting = epochs.map(|epoch| epoch.held).sum();
            let epoch = origin.current();
            OriginInfo {
                id: id(origin),
                connector: origin.connector.clone(),
                server: origin.server.clone(),
                sources: origin.sources(),
                epoch,
                is_unverified: origin.is_unverified(epoch),
                suspect: held.last().zip(since).map(|(&epoch, since)| Suspect { epoch, since, held: waiting }),
            }
        };
        self.origins.iter().map(info).collect()
    }

    /// Whether anything is different since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// Whether an epoch after the first has begun anywhere.
    pub fn have_reset(&self) -> bool {
        self.origins.iter().any(|origin| origin.epochs.len() > 1)
    }

    /// A format byte and postcard.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORMAT]).expect("writing to memory does not fail")
    }

    /// From [`Self::to_bytes`].
    ///
    /// # Errors
    /// When the bytes are of another format, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|error| StateError::Damaged(error.to_string())),
            Some((&other, _)) => Err(StateError::Format(other)),
            None => Err(StateError::Damaged("no bytes".to_owned())),
        }
    }
}

/// Of an event that has an origin.
fn said(stored: &StoredEvent) -> Option<Said<'_>> {
    let event = &stored.event;
    let has_none = &*event.coordinates.source == FILE || (event.operation.is_none() && event.source_position.is_none());
    if has_none { None } else { Said::of(event) }
}

fn id(origin: &Origin) -> String {
    format!("{}/{}", origin.connector, origin.server)
}
