//! The ids of events (`fold.md`, "Identity").

use deltafold_event::{EventId, Identity};

use crate::{decoder::Incoming, position::RawPosition};

/// The id of a change with a position in its source's log. `before` and `after` are the exact bytes inside the schema
/// wrapper; of a logical message `after` is its message block.
pub(crate) fn of_log(
    change: &Incoming<'_>,
    position: &RawPosition<'_>,
    transaction: Option<&str>,
    letter: &str,
    before: Option<&str>,
    after: Option<&str>,
) -> EventId {
    let source = &change.envelope.source;
    let identity = Identity::log()
        .text(Some(&source.connector))
        .text(source.name.as_deref())
        .text(source.database.as_deref())
        .text(source.schema.as_deref())
        .text(source.table.as_deref());
    position
        .identify(identity)
        .text(transaction)
        .text(Some(letter))
        .digest(before.map(str::as_bytes))
        .digest(after.map(str::as_bytes))
        .id()
}

/// The id of what has no position: where it was read, and what.
pub(crate) fn of_read(change: &Incoming<'_>) -> EventId {
    let at = &change.coordinates;
    Identity::read()
        .text(Some(&at.source))
        .text(Some(&at.topic))
        .number(at.partition)
        .number(at.offset)
        .digest(change.record.value)
        .id()
}
