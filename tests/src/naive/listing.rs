//! Events in the order of their arrival, for people.

use std::fmt::Write;

use deltafold_event::StoredEvent;

use super::Schemas;

/// One line for each event: what a reader of a failed law needs to fold them by hand.
pub fn listing(events: &[StoredEvent], schemas: &Schemas) -> String {
    let mut said = String::new();
    for StoredEvent { position, event, .. } in events {
        let place = event.source_position.as_ref().map(|place| {
            let tail: Vec<String> = place.as_bytes().iter().rev().take(5).rev().map(|b| format!("{b:02x}")).collect();
            format!("{}/{}", tail.concat(), event.coordinates.offset)
        });
        let key = event.schema_id.as_ref().and_then(|id| schemas.get(id)).map(|schema| schema.key().join(","));
        writeln!(
            said,
            "{}.{} {} {} {} at {} tx {} key({}) {} {} {}",
            position.version(),
            position.ordinal(),
            event.event_type,
            event.aggregate_id.as_deref().unwrap_or("-"),
            place.as_deref().unwrap_or("no position"),
            event.occurred_at,
            event.transaction_id.as_deref().unwrap_or("-"),
            key.unwrap_or_default(),
            event.id,
            event.after.as_deref().unwrap_or("-"),
            if event.metadata.starts_with("{\"source") { "" } else { &event.metadata },
        )
        .expect("writing to memory does not fail");
    }
    said
}
