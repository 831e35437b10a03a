//! What stands after an event, given what stood before it.

use deltafold_event::{Operation, Row};

use crate::{Record, RecordKind, image::compose};

/// Works out the rows that stand after `record`: its `rows`, `took` and `transaction`.
///
/// Going in, `rows` ends with what the event said of its row (unless `given` says it), `transaction` is the
/// event's own, and `took` of an event that brings a row from another id is that row. A record that was worked
/// out before, after another predecessor, meets this too: so it can be worked out again.
pub(crate) fn stand(before: Option<&Record>, record: &mut Record) {
    use Operation::{Create, Delete, Read, Truncate, Update};
    use RecordKind::{Domain, Log, RekeyedIn, RekeyedOut, Swept, Truncated};

    match (record.kind, record.operation) {
        (Truncated | Swept, _) | (_, Some(Truncate)) => record.rows.clear(),
        (RekeyedOut, _) => {
            record.took = rows_of(before).last().cloned();
            record.rows.clear();
        }
        (RekeyedIn, _) => {
            record.rows = stack_for(before, record).into();
            record.rows.extend(record.took.clone());
        }
        (Domain, _) | (_, None) => {
            record.transaction = before.and_then(|before| before.transaction.clone());
            record.rows = rows_of(before).into();
        }
        (RecordKind::Read, Some(Read)) => {
            // A snapshot reads what is committed: though it may stand between two halves of a transaction by
            // arrival, it belongs to none and ends none.
            record.transaction = before.and_then(|before| before.transaction.clone());
            let (last, below) = split(rows_of(before));
            push(record, below, last);
        }
        (_, Some(Create)) => {
            let rows = stack_for(before, record);
            push(record, rows, rows.last());
        }
        (_, Some(Update)) | (Log, Some(Read)) => {
            let (last, below) = split(stack_for(before, record));
            push(record, below, last);
        }
        (_, Some(Delete)) => {
            let rows = stack_for(before, record);
            record.took = rows.first().filter(|_| record.moved_to.is_some()).cloned();
            record.rows = rows.get(1..).unwrap_or_default().into();
        }
    }
}

/// Puts the event's image on `below`; its unchanged values come from the row that moved here, else from `source`.
fn push(record: &mut Record, below: &[Row], source: Option<&Row>) {
    let image = match &record.given {
        Some(given) if record.moved_from.is_some() => compose(given, record.took.as_ref()),
        Some(given) => compose(given, source),
        None => record.rows.pop().expect("an event whose row is not given otherwise ends its rows with it"),
    };
    record.rows.clear();
    record.rows.extend(below.iter().cloned());
    record.rows.push(image);
}

/// The rows that the event finds: those there are, within their transaction; at the first event of another one
/// only the newest.
fn stack_for<'a>(before: Option<&'a Record>, record: &Record) -> &'a [Row] {
    let rows = rows_of(before);
    let goes_on = record.transaction.is_some() && before.is_some_and(|before| before.transaction == record.transaction);
    if goes_on { rows } else { &rows[rows.len().saturating_sub(1)..] }
}

fn rows_of(before: Option<&Record>) -> &[Row] {
    before.map_or(&[], |before| &before.rows)
}

fn split(rows: &[Row]) -> (Option<&Row>, &[Row]) {
    rows.split_last().map_or((None, rows), |(last, below)| (Some(last), below))
}
