//! The columns of a type's key, along the order of its events.

use deltafold_event::{OrderKey, Position, Row, aggregate_id};

use crate::{KeySpan, TypeEvent, image::value_of};

/// Among the events that stand at one source position and offset, those at an arrival from here on are the
/// effects of a change of the key. No commit ever has such a position.
const REKEY_ARRIVALS: i64 = i64::MAX - (1 << 52);
/// How many arrivals one change of the key takes up, for itself and the rows it brings.
const ARRIVALS_PER_REKEY: i64 = 1 << 41;

/// Where a change of the key stands that a log event with this order shows: just before it.
pub(crate) fn before_log(order: &OrderKey) -> OrderKey {
    OrderKey { offset: order.offset.saturating_sub(1), arrival: Some(arrival(REKEY_ARRIVALS)), ..order.clone() }
}

/// Where a change of the key stands that a snapshot row shows, when this is the greatest order known of its type:
/// directly after that.
pub(crate) fn after_all(order: &OrderKey) -> OrderKey {
    let last = order.arrival.map_or(0, Position::as_i64);
    OrderKey { arrival: Some(arrival((last + 1).max(REKEY_ARRIVALS))), ..order.clone() }
}

/// What an event without a position stands after, which arrives when this event of the type is known: the event,
/// with all the rows that it brings if it is a change of the key.
pub(crate) fn anchor_of(event: &OrderKey) -> OrderKey {
    let first = event.arrival.map_or(0, Position::as_i64);
    let taken = if first >= REKEY_ARRIVALS { ARRIVALS_PER_REKEY } else { 0 };
    OrderKey { arrival: Some(arrival(first.saturating_add(taken))), ..event.clone() }
}

/// Where a row stands that a change of the key brings from an old id: rows that are brought to one id stand in
/// the order of their old ones (as far as five bytes tell).
pub(crate) fn arrives_at(rekey: &OrderKey, old_id: &str) -> OrderKey {
    let first = rekey.arrival.map_or(REKEY_ARRIVALS, Position::as_i64);
    let prefix =
        (0..5).fold(0_i64, |prefix, at| (prefix << 8) | i64::from(old_id.as_bytes().get(at).copied().unwrap_or(0)));
    OrderKey { arrival: Some(arrival(first.saturating_add(1 + prefix))), ..rekey.clone() }
}

fn arrival(number: i64) -> Position {
    Position::from_i64(number).expect("arrivals are not negative")
}

/// The id of a row under other key columns; none where one of their values is null or not known.
pub(crate) fn id_under(row: &Row, columns: &[String]) -> Option<String> {
    let values: Vec<&str> = columns.iter().map(|column| value_of(&row.json, column)).collect::<Option<_>>()?;
    aggregate_id(&values)
}

/// What a log event's key columns change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Noted {
    /// Nothing: these columns were in force there.
    Nothing,
    /// Something that moves no row.
    Learnt,
    /// The columns in force between two places: rows from the first on are to be folded again, beyond the second.
    Changed(OrderKey, OrderKey),
}

/// Takes in the key columns that a log event's schema shows; `event` stands just before that event.
///
/// One limit: of the events in a span only the first is remembered. An event with other columns in the middle of
/// a span ends it there, and what follows it in the log with the span's columns is noticed only when it comes
/// after that. A source cannot log so, since changing a key locks the table.
pub(crate) fn note_log(spans: &mut Vec<KeySpan>, columns: &[String], event: &TypeEvent) -> Noted {
    let new = || KeySpan { columns: columns.to_vec(), from: event.clone(), first_log: Some(event.clone()) };
    let next = spans.partition_point(|span| span.from.order <= event.order);
    if next == 0 {
        return match spans.first_mut() {
            Some(first) if first.columns == columns => {
                *first = new();
                Noted::Learnt
            }
            Some(first) => {
                let change = first.from.order.clone();
                spans.insert(0, new());
                Noted::Changed(change.clone(), change)
            }
            None => {
                spans.push(new());
                Noted::Learnt
            }
        };
    }
    let span = &mut spans[next - 1];
    if span.columns == columns {
        let place = |event: &TypeEvent| (event.order.clone(), event.id);
        if span.first_log.as_ref().is_some_and(|first| place(first) <= place(event)) {
            return Noted::Nothing;
        }
        span.first_log = Some(event.clone());
        // Rows of one statement may stand at one offset of several partitions: the least id is the change's.
        if span.from.order != event.order {
            return Noted::Learnt;
        }
        span.from = event.clone();
        let order = event.order.clone();
        return if next == 1 { Noted::Learnt } else { Noted::Changed(order.clone(), order) };
    }
    let from = event.order.clone();
    let later = span.first_log.take_if(|first| first.order > event.order);
    let returning =
        later.map(|first| KeySpan { columns: span.columns.clone(), from: first.clone(), first_log: Some(first) });
    match spans.get_mut(next) {
        Some(following) if following.columns == columns && returning.is_none() => {
            let until = std::mem::replace(following, new()).from.order;
            Noted::Changed(from, until)
        }
        _ => {
            let until = returning.as_ref().map_or_else(|| from.clone(), |span| span.from.order.clone());
            spans.splice(next..next, [Some(new()), returning].into_iter().flatten());
            Noted::Changed(from, until)
        }
    }
}

#[cfg(test)]
mod tests {
    use deltafold_event::{EventId, SourcePosition, Timestamp};

    use super::*;

    fn event(lsn: u64) -> TypeEvent {
        TypeEvent {
            order: before_log(&OrderKey::log(SourcePosition::postgres(lsn), 1)),
            id: EventId::from_bytes([lsn as u8; 16]),
            position: Position::ZERO,
            occurred_at: Timestamp::from_micros(0),
            transaction: None,
        }
    }

    fn noted(lsns: &[(u64, &str)]) -> Vec<(u8, String)> {
        let mut spans = Vec::new();
        for (lsn, column) in lsns {
            note_log(&mut spans, &[(*column).to_owned()], &event(*lsn));
        }
        spans.iter().map(|span| (span.from.id.as_bytes()[0], span.columns[0].clone())).collect()
    }

    #[test]
    fn a_change_stands_at_the_first_event_that_shows_it_whatever_comes_first() {
        let expected = vec![(10, "a".to_owned()), (20, "b".to_owned())];
        assert_eq!(noted(&[(10, "a"), (12, "a"), (20, "b"), (22, "b")]), expected);
        assert_eq!(noted(&[(22, "b"), (12, "a"), (20, "b"), (10, "a")]), expected);
    }

    #[test]
    fn places_order() {
        let log = OrderKey::log(SourcePosition::postgres(5), 7);
        let rekey = before_log(&log);
        let (a, b) = (arrives_at(&rekey, "4"), arrives_at(&rekey, "5"));
        assert!(OrderKey::log(SourcePosition::postgres(5), 6) < rekey);
        assert!(rekey < a && a < b && b < anchor_of(&rekey) && anchor_of(&rekey) < log);
        let read = after_all(&log);
        assert!(log.then(Position::new(1 << 30, 0).unwrap()) < read && anchor_of(&read) < after_all(&anchor_of(&read)));
    }

    #[test]
    fn ids_come_from_images() {
        let row = Row::new(r#"{"id":4,"lvl":"L7","x":null}"#);
        let id = |columns: &[&str]| id_under(&row, &columns.iter().map(|&c| c.to_owned()).collect::<Vec<_>>());
        assert_eq!(id(&["id", "lvl"]).as_deref(), Some(r#"[4,"L7"]"#));
        assert_eq!(id(&["lvl"]).as_deref(), Some("L7"));
        assert_eq!((id(&["x"]), id(&["gone"])), (None, None));
    }
}
