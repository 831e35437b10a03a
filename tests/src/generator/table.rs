//! The tables of the generated database, and their rows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::database::Kind;

/// A row as the database has it.
pub type Row = Map<String, Value>;

/// What a table is and how its connector speaks of it.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) connector: Connector,
    /// The primary key, and what each ALTER makes of it; none means that the key must be declared (`id`). No
    /// key comes back: a table's events do not say how often its key has changed.
    pub(super) keys: &'static [&'static [&'static str]],
    /// Columns that hold large values, with the form in which Debezium says "unchanged".
    pub(super) large: &'static [(&'static str, Large)],
}

/// Which database it lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connector {
    Postgres,
    MariaDb,
}

/// The type of a column with large values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Large {
    Text,
    Bytes,
    Texts,
    Numbers,
    Uuids,
}

/// Rows have the columns `id`, `lvl`, `name`, `qty`, the large ones and, at times, `extra`.
pub(super) const TABLES: [Definition; 4] = [
    Definition {
        name: "items",
        connector: Connector::Postgres,
        keys: &[&["id"]],
        large: &[
            ("body", Large::Text),
            ("blob", Large::Bytes),
            ("tags", Large::Texts),
            ("codes", Large::Numbers),
            ("refs", Large::Uuids),
        ],
    },
    Definition {
        name: "docs",
        connector: Connector::Postgres,
        keys: &[&["id"], &["id", "lvl"], &["lvl", "id"]],
        large: &[("body", Large::Text)],
    },
    Definition { name: "loose", connector: Connector::Postgres, keys: &[], large: &[("body", Large::Text)] },
    Definition { name: "crates", connector: Connector::MariaDb, keys: &[&["id"]], large: &[("body", Large::Text)] },
];

impl Large {
    /// A value; a large one is kept apart from its row, so that an update may leave it out.
    fn value(self, seed: u16) -> Value {
        match self {
            Self::Text => json!(format!("large-{seed}")),
            Self::Bytes => json!(format!("bGFyZ2U{}", ["A", "Q", "g", "w"][usize::from(seed) % 4])),
            Self::Texts => json!([format!("large-{seed}"), null]),
            Self::Numbers => json!([seed, 95, 95]),
            Self::Uuids => json!([format!("00000000-0000-4000-8000-{seed:012}")]),
        }
    }

    /// How Debezium says that the value is unchanged.
    pub(super) fn placeholder(self) -> Value {
        const TEXT: &str = "__debezium_unavailable_value";
        match self {
            Self::Text => json!(TEXT),
            Self::Bytes => json!("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="),
            Self::Texts => json!([TEXT]),
            Self::Numbers => json!(TEXT.bytes().collect::<Vec<_>>()),
            Self::Uuids => json!(["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]),
        }
    }
}

/// A table and what is in it, uncommitted changes among it.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) definition: &'static Definition,
    /// The columns of the record key now.
    pub(super) key: &'static [&'static str],
    pub(super) rows: BTreeMap<i64, Row>,
    /// Whether the column `extra` exists.
    pub(super) extra: bool,
    /// Rows by which transaction they are locked, until it ends.
    pub(super) locks: BTreeMap<i64, usize>,
    pub(super) locked: Option<usize>,
    /// Rows of which an event has shown `extra`.
    pub(super) shown_extra: BTreeSet<i64>,
    /// Rows of which an event has shown all columns.
    pub(super) shown: BTreeSet<i64>,
}

impl Table {
    pub(super) fn new(definition: &'static Definition) -> Self {
        Self {
            definition,
            key: definition.keys.first().copied().unwrap_or(&["id"]),
            rows: BTreeMap::new(),
            extra: false,
            locks: BTreeMap::new(),
            locked: None,
            shown_extra: BTreeSet::new(),
            shown: BTreeSet::new(),
        }
    }

    /// A new row.
    pub(super) fn row(&self, id: i64, seed: u16) -> Row {
        let mut row = Row::new();
        row.insert("id".to_owned(), json!(id));
        row.insert("lvl".to_owned(), json!(format!("L{}", seed % 3)));
        row.insert("name".to_owned(), json!(format!("name-{}", seed % 7)));
        row.insert("qty".to_owned(), if seed.is_multiple_of(5) { Value::Null } else { json!(seed % 11) });
        for (at, (name, large)) in self.definition.large.iter().enumerate() {
            let empty = (seed >> at).is_multiple_of(4);
            row.insert((*name).to_owned(), if empty { Value::Null } else { large.value(seed % 13) });
        }
        if self.extra {
            row.insert("extra".to_owned(), Value::Null);
        }
        row
    }

    /// The row after an update that `seed` describes; never of a column of the key.
    pub(super) fn changed(&self, row: &Row, seed: u16) -> Row {
        let mut row = row.clone();
        if seed.is_multiple_of(2) {
            row.insert("name".to_owned(), json!(format!("name-{}", seed % 7)));
        }
        if seed % 3 == 1 {
            row.insert("qty".to_owned(), json!(seed % 11));
        }
        if seed.is_multiple_of(7) && !self.key.contains(&"lvl") {
            row.insert("lvl".to_owned(), json!(format!("L{}", seed % 4)));
        }
        if self.extra && seed.is_multiple_of(4) {
            row.insert(
                "extra".to_owned(),
                if seed.is_multiple_of(8) { Value::Null } else { json!(seed.is_multiple_of(3)) },
            );
        }
        for (at, (name, large)) in self.definition.large.iter().enumerate() {
            match (seed >> (at + 4)) % 8 {
                0 => row.insert((*name).to_owned(), Value::Null),
                1 => row.insert((*name).to_owned(), large.value(seed % 13)),
                _ => None,
            };
        }
        row
    }

    /// An event has shown all columns of a row.
    pub(super) fn show(&mut self, row: &Row) {
        let Some(id) = row["id"].as_i64() else { return };
        self.shown.insert(id);
        if row.contains_key("extra") {
            self.shown_extra.insert(id);
        }
    }

    /// What an event shows of a row.
    pub(super) fn shown_by(&mut self, kind: &Kind) {
        if let Kind::Created(row) | Kind::Updated(_, row) | Kind::Moved(_, row) = kind {
            self.show(row);
        }
    }

    /// Whether this transaction may write the row now.
    pub(super) fn is_free(&self, id: i64, slot: usize) -> bool {
        self.locked.is_none_or(|by| by == slot) && self.locks.get(&id).is_none_or(|by| *by == slot)
    }

    /// Whether this transaction may lock the whole table now.
    pub(super) fn is_free_for(&self, slot: usize) -> bool {
        self.locked.is_none_or(|by| by == slot) && self.locks.values().all(|by| *by == slot)
    }

    /// Releases what a transaction had locked.
    pub(super) fn release(&mut self, slot: usize) {
        self.locks.retain(|_, by| *by != slot);
        self.locked = self.locked.filter(|by| *by != slot);
    }
}
