//! The schema half of `{"schema":…,"payload":…}`.

use std::sync::Arc;

use deltafold_event::RowSchema;
use foldhash::HashMap;
use xxhash_rust::xxh3::xxh3_128;

use crate::{DecodeError, Limits, json};

/// How many schemas are kept in memory; far more than a connector has tables.
const CAPACITY: usize = 4_096;

/// Schemas that were read before, by the hash of their text.
#[derive(Debug, Default)]
pub(crate) struct Wrappers {
    rows: HashMap<u128, Option<RowConnect>>,
    keys: HashMap<u128, Arc<RowSchema>>,
}

/// The schema of a row, cut out of its envelope's.
#[derive(Debug, Clone)]
pub(crate) struct RowConnect {
    /// The struct schema of the field `after`, as given.
    pub(crate) text: Arc<str>,
    /// Its hash.
    pub(crate) hash: u128,
}

impl Wrappers {
    /// The row's schema in an envelope's; none where it has none.
    pub(crate) fn row(&mut self, envelope: &str) -> Result<Option<RowConnect>, DecodeError> {
        let hash = xxh3_128(envelope.as_bytes());
        if let Some(known) = self.rows.get(&hash) {
            return Ok(known.clone());
        }
        let row =
            field(envelope, "after")?.map(|text| RowConnect { text: text.into(), hash: xxh3_128(text.as_bytes()) });
        if self.rows.len() >= CAPACITY {
            self.rows.clear();
        }
        self.rows.insert(hash, row.clone());
        Ok(row)
    }

    /// The schema of a key. One that is no struct types nothing.
    pub(crate) fn key(&mut self, schema: &str) -> Arc<RowSchema> {
        let hash = xxh3_128(schema.as_bytes());
        if let Some(known) = self.keys.get(&hash) {
            return known.clone();
        }
        let read = Arc::new(RowSchema::new(Vec::new(), Some(schema.to_owned()), None));
        if self.keys.len() >= CAPACITY {
            self.keys.clear();
        }
        self.keys.insert(hash, read.clone());
        read
    }
}

/// The schema of a field of a struct schema, as given.
fn field<'a>(schema: &'a str, wanted: &str) -> Result<Option<&'a str>, DecodeError> {
    let limits = Limits::default();
    let mut fields = None;
    json::members(schema, "schema", &limits, |name, value| {
        if name == "fields" {
            fields = Some(value.raw());
        }
    })?;
    for candidate in json::elements(fields.unwrap_or("[]"), "schema", &limits)? {
        let mut is_wanted = false;
        if candidate.starts_with('{') {
            json::members(candidate, "schema", &limits, |name, value| {
                is_wanted |= name == "field" && json::string(value.raw()).as_deref() == Some(wanted);
            })?;
        }
        if is_wanted {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_is_cut_out_as_it_is() {
        let after = r#"{"type":"struct","fields":[ {"type":"int32","field":"id"}],"field":"after"}"#;
        let envelope = format!(r#"{{"type":"struct","fields":[{{"type":"string","field":"op"}},{after}]}}"#);
        let mut wrappers = Wrappers::default();
        for _ in 0..2 {
            assert_eq!(wrappers.row(&envelope).unwrap().map(|row| row.text).as_deref(), Some(after));
        }
        assert!(wrappers.row(r#"{"type":"struct","fields":[]}"#).unwrap().is_none());
        assert!(wrappers.row(r#"{"type":"string"}"#).unwrap().is_none());
        assert!(wrappers.row(r#"{"fields":3}"#).is_err());
    }
}
