//! Keys: of records, of headers, and in rows.

use std::{borrow::Cow, sync::Arc};

use deltafold_event::{RowSchema, aggregate_id};

use crate::{DecodeError, Limits, json, wrapper::Wrappers};

/// Columns with their raw values.
pub(crate) type Columns<'a> = Vec<(Cow<'a, str>, &'a str)>;

/// A record's key.
#[derive(Debug)]
pub(crate) enum RecordKey<'a> {
    /// None, or null.
    Absent,
    /// Columns with their values; `raw` is the key inside its schema wrapper.
    Columns { columns: Columns<'a>, raw: &'a str, schema: Option<Arc<RowSchema>> },
    /// Something else.
    Other(&'a [u8]),
}

impl<'a> RecordKey<'a> {
    /// Of the key's bytes.
    pub(crate) fn read(bytes: Option<&'a [u8]>, limits: &Limits, wrappers: &mut Wrappers) -> Result<Self, DecodeError> {
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else { return Ok(Self::Absent) };
        if bytes[0] == 0 {
            return Err(DecodeError::Framed { what: "key" });
        }
        let text = json::text(bytes, "key", limits)?.trim_ascii();
        if text == "null" {
            return Ok(Self::Absent);
        }
        if !text.starts_with('{') {
            return Ok(Self::Other(bytes));
        }
        let columns = columns_of(text, "key", limits)?;
        match unwrapped(&columns) {
            None => Ok(Self::Columns { columns, raw: text, schema: None }),
            Some((_, "null")) => Ok(Self::Absent),
            Some((_, payload)) if !payload.starts_with('{') => Ok(Self::Other(payload.as_bytes())),
            Some((schema, payload)) => Ok(Self::Columns {
                columns: columns_of(payload, "key", limits)?,
                raw: payload,
                schema: json::given(Some(schema)).map(|schema| wrappers.key(schema)),
            }),
        }
    }

    /// The same; where another key is declared, a broken one breaks nothing.
    pub(crate) fn read_beside(bytes: Option<&'a [u8]>, limits: &Limits, wrappers: &mut Wrappers) -> Self {
        Self::read(bytes, limits, wrappers).unwrap_or_else(|_| bytes.map_or(Self::Absent, Self::Other))
    }

    /// Its schema, if it came with one.
    pub(crate) fn schema(&self) -> Option<&RowSchema> {
        match self {
            Self::Columns { schema, .. } => schema.as_deref(),
            Self::Absent | Self::Other(_) => None,
        }
    }

    /// The key inside its schema wrapper as JSON, for the record.
    pub(crate) fn json(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Absent => None,
            Self::Columns { raw, .. } => Some(Cow::Borrowed(raw)),
            Self::Other(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                Some(Cow::Owned(serde_json::to_string(&text).expect("a text is always JSON")))
            }
        }
    }
}

/// The members of an object.
pub(crate) fn columns_of<'a>(json: &'a str, what: &'static str, limits: &Limits) -> Result<Columns<'a>, DecodeError> {
    let mut columns = Vec::with_capacity(4);
    json::members(json, what, limits, |name, value| columns.push((name, value.raw())))?;
    Ok(columns)
}

/// Schema and payload, if that is what the object has.
fn unwrapped<'a>(columns: &Columns<'a>) -> Option<(&'a str, &'a str)> {
    let [one, two] = columns.as_slice() else { return None };
    let (schema, payload) = match (&*one.0, &*two.0) {
        ("schema", "payload") => (one.1, two.1),
        ("payload", "schema") => (two.1, one.1),
        _ => return None,
    };
    (schema.starts_with('{') || schema == "null").then_some((schema, payload))
}

/// The schemas that say how the values of key columns are written: the row's, else the key's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyTypes<'a> {
    pub(crate) row: &'a RowSchema,
    pub(crate) key: Option<&'a RowSchema>,
}

impl KeyTypes<'_> {
    fn canonical<'v>(&self, column: &str, raw: &'v str) -> Cow<'v, str> {
        for schema in [Some(self.row), self.key].into_iter().flatten() {
            if let Ok(Some(columns)) = schema.columns()
                && let Some(found) = columns.iter().find(|found| found.name() == column)
            {
                return found.canonical(raw);
            }
        }
        Cow::Borrowed(raw)
    }

    /// The aggregate id of key columns with these raw values; none where one is null.
    pub(crate) fn aggregate_id<'v>(&self, mut columns: impl Iterator<Item = (&'v str, &'v str)>) -> Option<String> {
        let (name, raw) = columns.next()?;
        let first = self.canonical(name, raw);
        let Some((name, raw)) = columns.next() else {
            return match plain_text(&first) {
                Some(text) => Some(text.to_owned()),
                None => aggregate_id(&[&*first]),
            };
        };
        let mut values = vec![first, self.canonical(name, raw)];
        values.extend(columns.map(|(name, raw)| self.canonical(name, raw)));
        let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
        aggregate_id(&values)
    }
}

/// The text of a value that needs no work: a number, or a text without escapes.
fn plain_text(value: &str) -> Option<&str> {
    match value.as_bytes().first()? {
        b'"' => value[1..].strip_suffix('"').filter(|inner| !inner.contains('\\')),
        b'-' | b'0'..=b'9' | b't' | b'f' => Some(value),
        _ => None,
    }
}

/// The columns of a key, in key order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyNames<'a> {
    Declared(&'a [String]),
    OfRecord(&'a Columns<'a>),
}

impl<'a> KeyNames<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a str> + Clone {
        let (declared, of_record) = match self {
            Self::Declared(names) => (names, &[][..]),
            Self::OfRecord(columns) => (&[][..], columns.as_slice()),
        };
        declared.iter().map(String::as_str).chain(of_record.iter().map(|(name, _)| &**name))
    }

    /// Their names with their values in an object, in key order; none of a column that is not there.
    pub(crate) fn pick<'v>(self, columns: &'v Columns<'v>) -> impl Iterator<Item = (&'a str, Option<&'v str>)> + Clone {
        self.iter().map(|name| (name, columns.iter().find(|(found, _)| found == name).map(|(_, raw)| *raw)))
    }
}
