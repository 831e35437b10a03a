//! What a `$transaction` event says.

use deltafold_event::{Coordinates, Event, Identity, TransactionEnd, control};
use deltafold_source::AppId;

use crate::clock::now;

/// The control event that says which transactions ended; it goes into the commit that takes the offsets past the records
/// which said so. One for all of them: a source may end a thousand in a second. `read_at`: where the last was read.
pub(crate) fn transactions_event(ends: &[TransactionEnd], read_at: Coordinates, file: Option<&AppId>) -> Event {
    let source = file.map_or(&*read_at.source, AppId::as_str).to_owned();
    let after = TransactionEnd::to_json(ends);
    let identity = Identity::domain().text(Some(control::TRANSACTION)).text(Some(&source));
    let identity = identity.text(Some(&read_at.topic)).number(read_at.partition).number(read_at.offset);
    Event {
        id: identity.digest(Some(after.as_bytes())).id(),
        aggregate_type: control::TRANSACTION.into(),
        aggregate_id: Some(source),
        event_type: "ended".into(),
        operation: None,
        before: None,
        after: Some(after),
        metadata: "{}".to_owned(),
        source_position: None,
        transaction_id: None,
        occurred_at: now(),
        coordinates: read_at,
        schema_id: None,
    }
}
