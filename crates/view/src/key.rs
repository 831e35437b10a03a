//! The keys on disk.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | versions | view, aggregate, `valid_from`, order | entry |
//! | current | view, aggregate | the newest entry |
//! | heads | view, aggregate, position, and `valid_from` and order, each bit flipped, of what was the newest entry until then | – |
//! | superseded | view, aggregate, `valid_from`, order, `recorded_from`, `recorded_to` | entry |
//! | seen | view, event id | – |
//! | folds | view, whatever a fold calls it | whatever it remembers |
//! | folds | 0, position | – |
//! | indexes | view, index, `now` or `ever`, values of its columns, aggregate, of `ever` `valid_from`, how long each of the values is | – |
//! | meta | `checkpoint/` name, `state/` name, `view/` name, `generation/` number and name, `index/` view and number, … | – |
//!
//! The view is one byte up to 251, else `FD` and a u16, or `FF` and a u32 ([CompactSize], but big-endian): trees compare the
//! first bytes of keys before all else, and keep short ones without an allocation. The aggregate is its UTF-8 with `00`
//! escaped as `00 FF`, ended by `00 00`; times have their sign flipped. All numbers are big-endian, so that bytes order as
//! what they say.
//!
//! [CompactSize]: https://developer.bitcoin.org/reference/transactions.html#compactsize-unsigned-integers

use deltafold_event::{EventId, Position, Timestamp};
use smallvec::SmallVec;

use crate::ReadError;

/// The longest key of the LSM tree.
pub(crate) const LIMIT_BYTES: usize = u16::MAX as usize;
/// What is kept free for times, orders and positions behind an aggregate.
pub(crate) const SUFFIX_BYTES: usize = 1_024;

/// A key, or the beginning of some; mostly short enough for no allocation.
pub(crate) type Key = SmallVec<[u8; 104]>;

/// The number of a registered view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ViewId(pub(crate) u32);

impl ViewId {
    /// The beginning of all keys of the view.
    pub(crate) fn prefix(self) -> Key {
        match (u8::try_from(self.0), u16::try_from(self.0)) {
            (Ok(number @ ..=MOST_IN_ONE_BYTE), _) => Key::from_slice(&[number]),
            (_, Ok(number)) => [IN_TWO_BYTES].into_iter().chain(number.to_be_bytes()).collect(),
            _ => [IN_FOUR_BYTES].into_iter().chain(self.0.to_be_bytes()).collect(),
        }
    }

    /// Above all keys of the view.
    pub(crate) fn end(self) -> Key {
        Self(self.0.checked_add(1).expect("view ids are few")).prefix()
    }
}

const MOST_IN_ONE_BYTE: u8 = 251;
const IN_TWO_BYTES: u8 = 0xFD;
const IN_FOUR_BYTES: u8 = 0xFF;

/// Where the view's part of a key ends.
pub(crate) fn view_len(key: &[u8]) -> Option<usize> {
    match *key.first()? {
        ..=MOST_IN_ONE_BYTE => Some(1),
        IN_TWO_BYTES => Some(3),
        IN_FOUR_BYTES => Some(5),
        _ => None,
    }
}

/// The beginning of all keys of an aggregate; in `current`, the key.
pub(crate) fn aggregate(view: ViewId, id: &str) -> Key {
    let mut key = view.prefix();
    push_id(&mut key, id);
    key
}

/// Adds an aggregate's id, escaped and ended.
pub(crate) fn push_id(key: &mut Key, id: &str) {
    key.reserve(id.len() + 2);
    if id.as_bytes().contains(&0) {
        for &byte in id.as_bytes() {
            key.push(byte);
            if byte == 0 {
                key.push(0xFF);
            }
        }
    } else {
        key.extend_from_slice(id.as_bytes());
    }
    key.extend_from_slice(&[0, 0]);
}

/// Above all keys of the aggregate with this beginning, and below those of the next.
pub(crate) fn end_of(aggregate: &[u8]) -> Key {
    let mut end = Key::from_slice(aggregate);
    *end.last_mut().expect("an aggregate's key ends in two zero bytes") = 1;
    end
}

/// Where the aggregate's part of a key ends.
pub(crate) fn aggregate_len(key: &[u8]) -> Option<usize> {
    let mut at = view_len(key)?;
    loop {
        at += key.get(at..)?.iter().position(|&byte| byte == 0)?;
        match key.get(at + 1)? {
            0 => return Some(at + 2),
            _ => at += 2,
        }
    }
}

/// The aggregate id of a key.
pub(crate) fn aggregate_id(key: &[u8]) -> Result<Box<str>, ReadError> {
    let damaged = || ReadError::Corrupt(format!("a key of {} bytes names no aggregate", key.len()));
    let (start, end) = view_len(key).zip(aggregate_len(key)).ok_or_else(damaged)?;
    unescaped(&key[start..end - 2]).ok_or_else(damaged)
}

/// The id that [`push_id`] escaped, without its end.
pub(crate) fn unescaped(raw: &[u8]) -> Option<Box<str>> {
    let bytes = if raw.contains(&0) {
        let mut bytes = Vec::with_capacity(raw.len());
        let mut rest = raw.iter();
        while let Some(&byte) = rest.next() {
            bytes.push(byte);
            if byte == 0 {
                rest.next();
            }
        }
        bytes
    } else {
        raw.to_vec()
    };
    String::from_utf8(bytes).map(String::into_boxed_str).ok()
}

/// `aggregate` followed by a place in it.
pub(crate) fn coordinate(aggregate: &[u8], valid_from: Timestamp, order: &[u8]) -> Key {
    let mut key = Key::from_slice(aggregate);
    key.extend_from_slice(&valid_from.to_bytes());
    key.extend_from_slice(order);
    key
}

/// Above all places of the aggregate up to and including the moment.
pub(crate) fn after_time(aggregate: &[u8], time: Timestamp) -> Key {
    match time.as_micros().checked_add(1) {
        Some(next) => coordinate(aggregate, Timestamp::from_micros(next), &[]),
        None => end_of(aggregate),
    }
}

/// A key of `heads`. Of several at a position the one with the last place comes first: no order is the beginning of
/// another.
pub(crate) fn head(aggregate: &[u8], position: Position, valid_from: Timestamp, order: &[u8]) -> Key {
    let mut key = heads_from(aggregate, position);
    key.extend(coordinate(&[], valid_from, order).into_iter().map(|byte| !byte));
    key
}

/// The beginning of the keys in `heads` of an aggregate and a position.
pub(crate) fn heads_from(aggregate: &[u8], position: Position) -> Key {
    let mut key = Key::from_slice(aggregate);
    key.extend_from_slice(&position.to_bytes());
    key
}

/// Of a key of `heads`: the position, and the coordinate of what was the newest until then.
pub(crate) fn split_head(key: &[u8]) -> Option<(Position, Key)> {
    let (aggregate, rest) = key.split_at_checked(aggregate_len(key)?)?;
    let (position, place) = rest.split_first_chunk()?;
    let coordinate = aggregate.iter().copied().chain(place.iter().map(|byte| !byte));
    Some((Position::from_bytes(*position), coordinate.collect()))
}

/// A key of `superseded`.
pub(crate) fn superseded(coordinate: &[u8], recorded_from: Position, recorded_to: Position) -> Key {
    let mut key = Key::from_slice(coordinate);
    key.extend_from_slice(&recorded_from.to_bytes());
    key.extend_from_slice(&recorded_to.to_bytes());
    key
}

/// A key of `superseded` in its parts: the coordinate, believed from, believed until.
pub(crate) fn split_superseded(key: &[u8]) -> Result<(&[u8], Position, Position), ReadError> {
    key.split_last_chunk::<8>()
        .and_then(|(rest, to)| {
            let (coordinate, from) = rest.split_last_chunk::<8>()?;
            Some((coordinate, Position::from_bytes(*from), Position::from_bytes(*to)))
        })
        .ok_or_else(|| ReadError::Corrupt(format!("a key of {} bytes is too short", key.len())))
}

/// A key of `seen`.
pub(crate) fn seen(view: ViewId, event: EventId) -> Key {
    under(view, event.as_bytes())
}

/// A key of `folds`.
pub(crate) fn fold(view: ViewId, key: &[u8]) -> Key {
    under(view, key)
}

/// A key of `folds`, under no view, that marks where a batch has ended.
pub(crate) fn end(position: Position) -> Key {
    under(ViewId(0), &position.to_bytes())
}

fn under(view: ViewId, rest: &[u8]) -> Key {
    let mut key = view.prefix();
    key.extend_from_slice(rest);
    key
}

/// The key in `meta` of a checkpoint.
pub(crate) fn checkpoint(name: &str) -> Vec<u8> {
    named(b"checkpoint/", name)
}

/// The key in `meta` of a keeper's state.
pub(crate) fn state(name: &str) -> Vec<u8> {
    named(b"state/", name)
}

/// The key in `meta` of a registered view.
pub(crate) fn view(name: &str) -> Vec<u8> {
    named(VIEWS, name)
}

/// The key in `meta` of a generation of a derived view.
pub(crate) fn generation(name: &str, generation: u32) -> Vec<u8> {
    [GENERATIONS, &generation.to_be_bytes(), name.as_bytes()].concat()
}

/// The key in `meta` of an index of a view.
pub(crate) fn index(view: ViewId, number: u16) -> Vec<u8> {
    [INDEXES, &view.0.to_be_bytes(), &number.to_be_bytes()].concat()
}

/// The beginning of the keys in `meta` of indexes.
pub(crate) const INDEXES: &[u8] = b"index/";
/// The beginning of the keys in `meta` of generations of derived views.
pub(crate) const GENERATIONS: &[u8] = b"generation/";
/// The beginning of the keys in `meta` of registered views.
pub(crate) const VIEWS: &[u8] = b"view/";
/// The key in `meta` of the last number that was given to a view.
pub(crate) const LAST_VIEW: &[u8] = b"last view";
/// The key in `meta` of the format of the whole index.
pub(crate) const FORMAT: &[u8] = b"format";
/// The key in `meta` that marks a bulk load that has not ended.
pub(crate) const BULK: &[u8] = b"bulk";

fn named(kind: &[u8], name: &str) -> Vec<u8> {
    [kind, name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: ViewId = ViewId(7);

    #[test]
    fn views_order_as_their_numbers_and_enclose_their_keys() {
        let numbers = [0, 1, 250, 251, 252, 255, 256, 65_534, 65_535, 65_536, u32::MAX - 1];
        for pair in numbers.windows(2) {
            let [low, high] = [pair[0], pair[1]].map(ViewId);
            let key = aggregate(low, "\u{10FFFF}");
            assert!(low.prefix()[..] < key[..] && key[..] < low.end()[..] && low.end() <= high.prefix(), "{pair:?}");
            assert_eq!(view_len(&key), Some(low.prefix().len()));
            assert_eq!(&*aggregate_id(&key).unwrap(), "\u{10FFFF}");
        }
    }

    #[test]
    fn aggregates_order_as_their_ids_and_enclose_their_keys() {
        let ids = ["", "\0", "\0\u{1}", "a", "a\0", "a\0b", "a\u{1}", "ab", "b", "é"];
        for pair in ids.windows(2) {
            let [low, high] = [pair[0], pair[1]].map(|id| aggregate(VIEW, id));
            assert!(low < high, "{pair:?}");
            assert!(end_of(&low) <= high, "{pair:?}");
            let within = coordinate(&low, Timestamp::MAX, &[0xFF; 30]);
            assert!(low < within && within < end_of(&low), "{pair:?}");
            assert_eq!(&*aggregate_id(&within).unwrap(), pair[0]);
            assert_eq!(aggregate_len(&within), Some(low.len()));
        }
    }

    #[test]
    fn a_key_without_an_aggregate_is_damage() {
        assert!(aggregate_id(&[1, b'a']).is_err());
        assert!(aggregate_id(&[1, b'a', 0]).is_err());
        assert!(aggregate_id(&[0xFD, 0, b'a', 0]).is_err());
        assert!(aggregate_id(&[0xFE, b'a', 0, 0]).is_err());
        assert!(aggregate_id(&[]).is_err());
        assert!(split_superseded(&[0; 15]).is_err());
    }

    #[test]
    fn a_moment_encloses_what_is_valid_from_it() {
        let aggregate = aggregate(VIEW, "a");
        for micros in [i64::MIN, -1, 0, i64::MAX] {
            let time = Timestamp::from_micros(micros);
            let end = after_time(&aggregate, time);
            assert!(coordinate(&aggregate, time, &[0xFF; 40]) < end);
            if let Some(next) = micros.checked_add(1) {
                assert!(coordinate(&aggregate, Timestamp::from_micros(next), &[]) >= end);
            }
        }
    }
}
