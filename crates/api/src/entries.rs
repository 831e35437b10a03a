//! The entries of one aggregate as they were believed, page by page.
//!
//! What is on record is believed now, each entry from its own position on; what was believed before is kept beside it
//! with the position where that ended. Both together, in one order, are what was believed at a position.

use std::cmp::Ordering;

use deltafold_event::{Position, Timestamp};
use deltafold_view::{At, ReadError, Reader, Stored};

use crate::page::PageArgs;

/// An entry, and where belief in it ended.
pub(crate) type Believed = (Stored, Option<Position>);

/// A place among the entries of an aggregate.
pub(crate) type Coordinate = (Timestamp, Vec<u8>);

/// The entries of a page, in the direction of the page, each with the image before it.
pub(crate) struct Entries {
    /// Each with the image before it.
    pub(crate) found: Vec<(Option<Box<str>>, Believed)>,
    /// Whether there are older ones.
    pub(crate) more_before: bool,
    /// Whether there are newer ones.
    pub(crate) more_after: bool,
}

/// The entries of a page, believed at a moment, after one place and before another.
///
/// # Errors
/// When the index cannot be read.
pub(crate) fn page(
    reader: &Reader,
    key: &str,
    at: At,
    page: &PageArgs,
    after: Option<Coordinate>,
    before: Option<Coordinate>,
) -> Result<Entries, ReadError> {
    let image = |(stored, _): &Believed| stored.row().map(Box::from);
    let inside = |stored: &Stored| {
        let entry = stored.entry();
        let place = (entry.valid_from, entry.order);
        after.as_ref().is_none_or(|(time, order)| place > (*time, order))
            && before.as_ref().is_none_or(|(time, order)| place < (*time, order))
    };
    let mut found = Vec::new();
    if page.backward {
        let mut newest_first = newest_first(reader, key, at, before.as_ref())?.peekable();
        let mut more = false;
        while let Some(entry) = newest_first.next().transpose()? {
            if found.len() == page.size || !inside(&entry.0) {
                more = true;
                break;
            }
            let previous = match newest_first.peek() {
                Some(Ok(previous)) => image(previous),
                _ => None,
            };
            found.push((previous, entry));
        }
        return Ok(Entries { found, more_before: more, more_after: before.is_some() });
    }
    let mut previous = None;
    let mut more = false;
    for entry in oldest_first(reader, key, at, after.as_ref())? {
        let entry = entry?;
        // The entry of the cursor itself comes first, for its image.
        if after
            .as_ref()
            .is_some_and(|(time, order)| (entry.0.entry().valid_from, entry.0.entry().order) <= (*time, order))
        {
            previous = image(&entry);
            continue;
        }
        if found.len() == page.size || !inside(&entry.0) {
            more = true;
            break;
        }
        let shown = image(&entry);
        found.push((std::mem::replace(&mut previous, shown), entry));
    }
    Ok(Entries { found, more_before: after.is_some(), more_after: more })
}

/// The entries as they were believed, from a place on, that place included.
fn oldest_first(
    reader: &Reader,
    key: &str,
    at: At,
    from: Option<&Coordinate>,
) -> Result<impl Iterator<Item = Result<Believed, ReadError>>, ReadError> {
    let on_record = match from {
        Some((time, order)) => reader.entries_from(key, *time, order),
        None => reader.entries(key),
    };
    let mut superseded = superseded(reader, key, at)?;
    if let Some(from) = from {
        superseded.retain(|entry| place_of(entry) >= (from.0, from.1.as_slice()));
    }
    let believed = merge(on_record, superseded, at, false);
    Ok(believed
        .take_while(move |entry| entry.as_ref().map_or(true, |(stored, _)| stored.entry().valid_from <= at.time)))
}

/// The entries as they were believed, newest first, before a place.
///
/// # Errors
/// When the index cannot be read.
pub(crate) fn newest_first(
    reader: &Reader,
    key: &str,
    at: At,
    before: Option<&Coordinate>,
) -> Result<impl Iterator<Item = Result<Believed, ReadError>>, ReadError> {
    let end = match before {
        Some((time, order)) => Some((*time, order.clone())),
        None if at.time == Timestamp::MAX => None,
        // Every order has bytes: nothing stands at the next microsecond before them.
        None => Some((Timestamp::from_micros(at.time.as_micros() + 1), Vec::new())),
    };
    let mut superseded = superseded(reader, key, at)?;
    let on_record = match &end {
        Some((time, order)) => {
            superseded.retain(|entry| place_of(entry) < (*time, order.as_slice()));
            reader.entries_before(key, *time, order)
        }
        None => reader.entries_newest_first(key),
    };
    superseded.reverse();
    Ok(merge(on_record, superseded, at, true))
}

fn place_of((stored, _): &Believed) -> (Timestamp, &[u8]) {
    let entry = stored.entry();
    (entry.valid_from, entry.order)
}

/// What was believed at a position and is no longer, in order.
fn superseded(reader: &Reader, key: &str, at: At) -> Result<Vec<Believed>, ReadError> {
    if at.position == Position::MAX {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in reader.superseded(key) {
        let (recorded_to, stored) = entry?;
        let recorded_from = stored.entry().recorded_from;
        if recorded_from <= at.position && at.position < recorded_to {
            found.push((stored, Some(recorded_to)));
        }
    }
    found.sort_by(|one, two| place_of(one).cmp(&place_of(two)));
    Ok(found)
}

/// What is on record and was believed at a position, and what is no longer, in one order.
fn merge(
    on_record: impl Iterator<Item = Result<Stored, ReadError>>,
    superseded: Vec<Believed>,
    at: At,
    descending: bool,
) -> impl Iterator<Item = Result<Believed, ReadError>> {
    let believed = on_record
        .filter(move |entry| entry.as_ref().map_or(true, |entry| entry.entry().recorded_from <= at.position))
        .map(|entry| entry.map(|entry| (entry, None)));
    let (mut one, mut two) = (believed.peekable(), superseded.into_iter().peekable());
    std::iter::from_fn(move || {
        let order = match (one.peek(), two.peek()) {
            (Some(Ok(one)), Some(two)) if descending => place_of(two).cmp(&place_of(one)),
            (Some(Ok(one)), Some(two)) => place_of(one).cmp(&place_of(two)),
            (None, Some(_)) => Ordering::Greater,
            _ => Ordering::Less,
        };
        if order == Ordering::Greater { two.next().map(Ok) } else { one.next() }
    })
}
