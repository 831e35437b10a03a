//! Rows as they were and as they are.

use std::borrow::Cow;

use super::{Change, by_row::ByRow, matches::Matches, rest::Part, side::Row};
use crate::fold::steps::{Steps, pairs};

/// What has to be added to what is remembered of a row for when it was there and when it is, and the change that it stems
/// from if these are not the same.
pub(super) struct Difference {
    pub(super) old: Steps,
    pub(super) new: Steps,
    pub(super) cause: Option<u32>,
}

/// A row with when it was there and when it is, and the change that it stems from if that is not the same.
pub(super) struct Seen<'s> {
    pub(super) row: &'s [u8],
    pub(super) old: Cow<'s, Steps>,
    pub(super) new: Cow<'s, Steps>,
    pub(super) cause: Option<u32>,
}

/// Rows on the left, of which the last so many have changed, and likewise on the right.
pub(super) fn meet(
    left: &[Seen<'_>],
    left_changed: usize,
    right: &[Seen<'_>],
    right_changed: usize,
    matches: &mut Matches,
) {
    let (left_stays, left_changes) = left.split_at(left.len() - left_changed);
    let (_, right_changes) = right.split_at(right.len() - right_changed);
    // Of two that stay as they are nothing changes.
    let stays = left_stays.iter().flat_map(|one| right_changes.iter().map(move |other| (one, other)));
    let changes = left_changes.iter().flat_map(|one| right.iter().map(move |other| (one, other)));
    for (one, other) in stays.chain(changes) {
        let cause = one.cause.or(other.cause).unwrap_or_default();
        matches.put_pair(one.row, other.row, &pairs((&one.old, &one.new), (&other.old, &other.new)), cause);
    }
}

/// What is different in rows that have waited, and are remembered, and in those that have arrived.
pub(super) fn differences(waited: &ByRow<Change>, arrived: &ByRow<Change>) -> ByRow<Difference> {
    let mut differences: ByRow<Difference> = ByRow::default();
    for (row, change) in waited.iter() {
        let old = Steps::default().plus_times(&change.steps, -1);
        differences.insert(row.clone(), Difference { old, new: Steps::default(), cause: Some(change.cause) });
    }
    for (row, change) in arrived.iter() {
        let nothing = || Difference { old: Steps::default(), new: Steps::default(), cause: Some(change.cause) };
        differences.of(row, nothing).new = change.steps.clone();
    }
    differences
}

/// What is different in rows that have changed, where both that and what has waited is remembered.
pub(super) fn before(
    changed: &ByRow<Change>,
    waited: &ByRow<Change>,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> ByRow<Difference> {
    let mut differences: ByRow<Difference> = ByRow::default();
    for (row, change) in changed.iter() {
        let old = Steps::default().plus_times(&change.steps, -1);
        differences.insert(row.clone(), Difference { old, new: Steps::default(), cause: Some(change.cause) });
    }
    for (row, change) in waited.iter().filter(|(row, _)| is_wanted(row)) {
        let nothing = || Difference { old: Steps::default(), new: Steps::default(), cause: None };
        let difference = differences.of(row, nothing);
        for steps in [&mut difference.old, &mut difference.new] {
            *steps = std::mem::take(steps).plus_times(&change.steps, -1);
        }
    }
    differences
}

/// Rows that are remembered, or would be but for differences, of a part: behind those that stay as they are those that
/// change.
pub(super) fn seen<'s>(held: &'s ByRow<Steps>, differences: &'s ByRow<Difference>, part: Part) -> Vec<Seen<'s>> {
    let stay = held.iter().filter(|(row, _)| !differences.contains(row));
    let stay = stay.map(|(row, steps)| Seen { row, old: Cow::Borrowed(steps), new: Cow::Borrowed(steps), cause: None });
    let of_part = || differences.iter().filter(|(row, _)| part.has_row(row));
    let none = Steps::default();
    let differs = |(row, difference): &'s (Row, Difference)| {
        let there = held.get(row).unwrap_or(&none);
        let with = |steps: &Steps| Cow::Owned(there.clone().plus_times(steps, 1));
        Seen { row, old: with(&difference.old), new: with(&difference.new), cause: difference.cause }
    };
    let (stays, changes): (Vec<_>, Vec<_>) = of_part().partition(|(_, difference)| difference.cause.is_none());
    stay.chain(stays.into_iter().map(differs)).chain(changes.into_iter().map(differs)).collect()
}
