//! What is different in aggregates from what was folded of them.

use deltafold_event::{EventId, Timestamp};
use deltafold_projection::Change;
use deltafold_view::{Stored, Timeline};

/// Rows of some aggregates that came or went.
#[derive(Default)]
pub(super) struct Differences {
    rows: Vec<(Stored, EventId)>,
    /// By the number of the row.
    changes: Vec<(usize, Timestamp, i8)>,
    bytes: usize,
}

impl Differences {
    /// What is different in one of them.
    pub(super) fn add(&mut self, before: Option<Timeline>, now: Option<Timeline>) {
        if before.as_ref().zip(now.as_ref()).is_some_and(|(before, now)| is_same(before, now)) {
            return;
        }
        for (timeline, sign) in [(before, -1), (now, 1)] {
            let mut standing = None;
            for (from, entry) in timeline.into_iter().flat_map(|timeline| timeline.versions) {
                if let Some(row) = standing.take() {
                    self.changes.push((row, from, -sign));
                }
                let Some(bytes) = entry.row().map(str::len) else { continue };
                let event = entry.entry().event.unwrap_or_else(|| EventId::from_bytes([0; 16]));
                self.bytes += bytes;
                self.changes.push((self.rows.len(), from, sign));
                standing = Some(self.rows.len());
                self.rows.push((entry, event));
            }
        }
    }

    /// The changes of a row stand next to each other.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        self.changes.iter().filter_map(|(row, valid_from, weight)| {
            let (entry, event) = &self.rows[*row];
            Some(Change { row: entry.row()?, valid_from: *valid_from, weight: *weight, event: *event })
        })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// How long their rows are, all together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn is_same(one: &Timeline, other: &Timeline) -> bool {
    one.versions.len() == other.versions.len()
        && one
            .versions
            .iter()
            .zip(&other.versions)
            .all(|((from, entry), (other_from, other))| from == other_from && entry.row() == other.row())
}
