//! A change as a connector speaks of it, before it has coordinates.

use serde_json::{Map, Value, json};

use super::{
    case::Case,
    database::{Change, Kind},
    table::{Connector, Definition, Large, Row, TABLES, Table},
};

/// The part of a record that is the same each time it is sent.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) topic: String,
    pub(super) key: Option<String>,
    /// None is a tombstone.
    pub(super) value: Option<Map<String, Value>>,
    /// `__debezium.oldkey` or `__debezium.newkey`.
    pub(super) header: Option<(&'static str, String)>,
    pub(super) cases: Vec<Case>,
}

/// The envelopes of one change.
pub(super) fn drafts(change: &Change, source: Value, table: &mut Table) -> Vec<Draft> {
    let definition = &TABLES[change.table];
    if let Kind::Message(number) = change.kind {
        return vec![message(number, source, change.cases.clone())];
    }
    let whole = definition.connector == Connector::MariaDb || definition.keys.is_empty();
    let unchanged_too = !whole || (definition.connector == Connector::MariaDb && change.lsn.is_multiple_of(3));
    let key = |row: &Row| {
        let columns = change.key.iter().map(|column| ((*column).to_owned(), row[*column].clone()));
        (!definition.keys.is_empty()).then(|| Value::Object(columns.collect()).to_string())
    };
    let before = |row: &Row| if whole { Value::Object(row.clone()) } else { filled(row, change.key) };
    let mut cases = change.cases.clone();
    if definition.keys.is_empty() {
        cases.push(Case::DeclaredKey);
    }
    let draft = |op: &str, key: Option<String>, before: Value, after: Value| Draft {
        topic: topic(definition),
        key,
        value: Some(envelope(op, before, after, source.clone())),
        header: None,
        cases: cases.clone(),
    };
    match &change.kind {
        Kind::Created(row) => vec![draft("c", key(row), Value::Null, json!(row))],
        Kind::Updated(old, new) => {
            let mut forms = Vec::new();
            let after = if unchanged_too { placed(definition, old, new, &mut forms) } else { new.clone() };
            let mut update = draft("u", key(new), if whole { before(old) } else { Value::Null }, json!(after));
            update.cases.extend(forms.iter().copied());
            if whole {
                update.cases.push(Case::WholeBefore);
            }
            if whole && !forms.is_empty() {
                update.cases.push(Case::UnchangedFromWholeBefore);
            }
            if !table.shown.contains(&id(old)) {
                update.cases.push(Case::UpdateOfUnknownRow);
                if !whole && !forms.is_empty() {
                    update.cases.push(Case::UnchangedBeforeAnyImage);
                }
            }
            vec![update]
        }
        Kind::Deleted(row) => {
            let mut delete = draft("d", key(row), before(row), Value::Null);
            if !whole {
                delete.cases.push(Case::FilledBefore);
            }
            if !table.shown.contains(&id(row)) {
                delete.cases.push(Case::DeleteOfUnknownRow);
            }
            let tombstone = tombstone(&delete);
            std::iter::once(delete).chain(tombstone).collect()
        }
        Kind::Moved(old, new) if definition.keys.is_empty() => {
            let mut update = draft("u", None, before(old), json!(new));
            update.cases.push(Case::DeclaredKeyMoves);
            vec![update]
        }
        Kind::Moved(old, new) => {
            let mut forms = Vec::new();
            let after = if whole { new.clone() } else { placed(definition, old, new, &mut forms) };
            let mut delete = draft("d", key(old), before(old), Value::Null);
            delete.header = Some(("__debezium.newkey", key(new).unwrap_or_default()));
            let mut create = draft("c", key(new), Value::Null, json!(after));
            create.header = Some(("__debezium.oldkey", key(old).unwrap_or_default()));
            create.cases = forms;
            let tombstone = tombstone(&delete);
            std::iter::once(delete).chain(tombstone).chain([create]).collect()
        }
        Kind::Truncated => vec![draft("t", None, Value::Null, Value::Null)],
        Kind::Message(_) => Vec::new(),
    }
}

/// A row as a snapshot reads it.
pub(super) fn read(table: &Table, row: &Row, source: Value, case: Case) -> Draft {
    let key = table.key.iter().map(|column| ((*column).to_owned(), row[*column].clone()));
    Draft {
        topic: topic(table.definition),
        key: (!table.definition.keys.is_empty()).then(|| Value::Object(key.collect()).to_string()),
        value: Some(envelope("r", Value::Null, json!(row), source)),
        header: None,
        cases: vec![case],
    }
}

fn id(row: &Row) -> i64 {
    row["id"].as_i64().unwrap_or_default()
}

fn topic(definition: &Definition) -> String {
    match definition.connector {
        Connector::Postgres => format!("gen.public.{}", definition.name),
        Connector::MariaDb => format!("maria.shop.{}", definition.name),
    }
}

fn envelope(op: &str, before: Value, after: Value, source: Value) -> Map<String, Value> {
    let mut envelope = Map::new();
    envelope.insert("before".to_owned(), before);
    envelope.insert("after".to_owned(), after);
    envelope.insert("source".to_owned(), source);
    envelope.insert("transaction".to_owned(), Value::Null);
    envelope.insert("op".to_owned(), json!(op));
    envelope
}

fn message(number: u16, source: Value, cases: Vec<Case>) -> Draft {
    let prefix = format!("audit-{}", number % 3);
    let content = format!("aGVsbG8{}", ["w", "x", "y", "z"][usize::from(number) % 4]);
    let mut value = envelope("m", Value::Null, Value::Null, source);
    value.shift_remove("before");
    value.shift_remove("after");
    value.insert("message".to_owned(), json!({ "prefix": prefix, "content": content }));
    let key = Some(json!({ "prefix": prefix }).to_string());
    Draft { topic: "gen.message".to_owned(), key, value: Some(value), header: None, cases }
}

fn tombstone(delete: &Draft) -> Option<Draft> {
    delete.key.as_ref()?;
    Some(Draft { value: None, cases: vec![Case::Tombstone], ..delete.clone() })
}

/// `before` under REPLICA IDENTITY DEFAULT: the key, and defaults or nulls that say nothing of the old row.
fn filled(row: &Row, key: &[&str]) -> Value {
    let fill = |name: &str| if name == "name" || name == "lvl" { json!("") } else { Value::Null };
    let value = |name: &String, value: &Value| if key.contains(&name.as_str()) { value.clone() } else { fill(name) };
    Value::Object(row.iter().map(|(name, old)| (name.clone(), value(name, old))).collect())
}

/// The new row with placeholders where a large value did not change.
fn placed(definition: &Definition, old: &Row, new: &Row, forms: &mut Vec<Case>) -> Row {
    let mut row = new.clone();
    for (name, large) in definition.large {
        if !new[*name].is_null() && old[*name] == new[*name] {
            row.insert((*name).to_owned(), large.placeholder());
            forms.push(match large {
                Large::Text => Case::UnchangedText,
                Large::Bytes => Case::UnchangedBytes,
                Large::Texts => Case::UnchangedTexts,
                Large::Numbers => Case::UnchangedNumbers,
                Large::Uuids => Case::UnchangedUuids,
            });
        }
    }
    row
}
