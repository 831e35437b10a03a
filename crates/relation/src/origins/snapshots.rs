//! The snapshots of tables as a whole that an origin's connector has sent.

use deltafold_event::{Position, SourcePosition, StoredEvent};
use serde::{Deserialize, Serialize};

use super::said::{Marker, RunId, Said};
use crate::LastRow;

/// All of them, each by its number: the rank in which its first row came.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Snapshots(Vec<Snapshot>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Snapshot {
    run: Option<RunId>,
    /// The log's place that all its rows say.
    place: [String; 3],
    epoch: u32,
    /// The row marked as the last, once it has come.
    last: Option<LastRow>,
    /// Its rows were found to be those of another one, which stands for both.
    is_part: bool,
}

impl Snapshots {
    /// Takes in a row that was read in an epoch.
    pub(super) fn observe(&mut self, stored: &StoredEvent, said: &Said<'_>, epoch: u32) {
        let Some(marker) = said.marker() else { return };
        let number = self.find(said, epoch).unwrap_or_else(|| {
            let place = said.snapshot_place().map(str::to_owned);
            self.0.push(Snapshot { run: said.run, place, epoch, last: None, is_part: false });
            self.0.len() - 1
        });
        let event = &stored.event;
        // One that is read again, after its partition went on to a later epoch, says nothing of that one.
        let is_known = |snapshot: &Snapshot| snapshot.last.is_some_and(|last| last.id == event.id);
        if marker == Marker::Last && self.0[number].last.is_none() && !self.0.iter().any(is_known) {
            let last = LastRow { id: event.id, position: stored.position, occurred_at: event.occurred_at };
            self.0[number].last = Some(last);
        }
    }

    fn find(&self, said: &Said<'_>, epoch: u32) -> Option<usize> {
        let is_it = |snapshot: &Snapshot| {
            let is_same = snapshot.run == said.run && snapshot.place == said.snapshot_place();
            is_same && snapshot.epoch == epoch && !snapshot.is_part
        };
        self.0.iter().rposition(is_it)
    }

    /// The snapshot that a row of an epoch is of: its number, and the row that all of it had been sent with.
    pub(super) fn of(&self, said: &Said<'_>, epoch: u32) -> Option<(usize, Option<LastRow>)> {
        said.marker()?;
        let number = self.find(said, epoch)?;
        Some((number, self.0[number].last))
    }

    /// Those of such epochs, all of whose rows have been sent: their numbers, by epoch and the arrival of their last row.
    pub(super) fn complete(&self, is_such: impl Fn(u32) -> bool) -> Vec<(usize, LastRow)> {
        let counts = |snapshot: &Snapshot| is_such(snapshot.epoch) && !snapshot.is_part;
        let snapshots = self.0.iter().enumerate().filter(|(_, snapshot)| counts(snapshot));
        let mut complete: Vec<_> = snapshots.filter_map(|(number, snapshot)| Some((number, snapshot.last?))).collect();
        complete.sort_by_key(|(number, last)| (self.0[*number].epoch, last.position));
        complete
    }

    /// Those of which an event was the last row.
    pub(super) fn ended_by(&self, position: Position) -> impl Iterator<Item = usize> {
        let is_last = move |snapshot: &Snapshot| snapshot.last.is_some_and(|last| last.position == position);
        self.0.iter().enumerate().filter(move |(_, snapshot)| is_last(snapshot)).map(|(number, _)| number)
    }

    /// The epoch of one.
    pub(super) fn epoch(&self, number: usize) -> u32 {
        self.0[number].epoch
    }

    /// Where the log stood at one, as its events' positions do. The binlog's server is told by changes only.
    pub(super) fn place(&self, number: usize, server_id: Option<u64>) -> SourcePosition {
        let [lsn, file, pos] = [0, 1, 2].map(|part| self.0[number].place[part].trim_matches('"'));
        if let Ok(lsn) = lsn.parse() {
            return SourcePosition::postgres(lsn);
        }
        match (server_id, pos.parse()) {
            (Some(server_id), Ok(pos)) if !file.is_empty() => SourcePosition::binlog(server_id, file, pos, 0),
            _ => SourcePosition::default(),
        }
    }

    /// An epoch is put before those with this number and later ones.
    pub(super) fn make_room(&mut self, epoch: u32) {
        self.0.iter_mut().for_each(|snapshot| snapshot.epoch += u32::from(snapshot.epoch >= epoch));
    }

    /// Those of a run, and of later ones, are of this epoch, unless they are of a later one.
    pub(super) fn bring(&mut self, run: RunId, epoch: u32) {
        for number in 0..self.0.len() {
            let snapshot = &self.0[number];
            if snapshot.run < Some(run) || snapshot.epoch >= epoch || snapshot.is_part {
                continue;
            }
            // A partition that had come to the epoch before its run did may have had rows of it there.
            let whole = self.0.iter().position(|other| {
                let is_same = other.run == snapshot.run && other.place == snapshot.place;
                is_same && other.epoch == epoch && !other.is_part
            });
            match whole {
                Some(whole) => {
                    self.0[whole].last = self.0[whole].last.or(self.0[number].last);
                    self.0[number].is_part = true;
                }
                None => self.0[number].epoch = epoch,
            }
        }
    }
}
