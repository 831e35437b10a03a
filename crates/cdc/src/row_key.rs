//! The aggregate ids in a change: of its row, and of where the row came from or went to.

use deltafold_event::Operation;

use crate::{
    DecodeError, Limits,
    headers::struct_text,
    key::{Columns, KeyNames, KeyTypes, RecordKey, columns_of},
    row_event::Shared,
};

/// Where the ids of a change stand, and how their values are written.
pub(crate) struct RowKey<'a> {
    pub(crate) shared: &'a Shared<'a>,
    pub(crate) names: KeyNames<'a>,
    pub(crate) types: KeyTypes<'a>,
    pub(crate) record: &'a RecordKey<'a>,
    pub(crate) limits: Limits,
}

impl RowKey<'_> {
    /// The id in the record's key.
    pub(crate) fn of_record(&self) -> Result<String, DecodeError> {
        let RecordKey::Columns { columns, .. } = self.record else { return Err(self.shared.no_key()) };
        if let Some((name, _)) = columns.iter().find(|(_, raw)| *raw == "null") {
            return Err(self.null(name, "null", "the record's key", "declare key columns that are never null"));
        }
        self.types.aggregate_id(columns.iter().map(|(name, raw)| (&**name, *raw))).ok_or_else(|| self.shared.no_key())
    }

    /// The id of a declared key: in `after`, of a delete in `before`.
    pub(crate) fn of_declared(
        &self,
        operation: Operation,
        before: Option<&str>,
        after: Option<&str>,
    ) -> Result<String, DecodeError> {
        let (row, member, remedy) = if operation == Operation::Delete {
            let remedy = "ALTER TABLE … REPLICA IDENTITY FULL makes PostgreSQL's deletes carry the whole row";
            (before, "before", remedy)
        } else {
            let remedy =
                "declare columns that are never null (on PostgreSQL the table needs REPLICA IDENTITY FULL as well)";
            (after, "after", remedy)
        };
        let columns = columns_of(row.unwrap_or("{}"), member, &self.limits)?;
        let picked = self.names.pick(&columns);
        for (name, value) in picked.clone() {
            match value {
                None => return Err(self.null(name, "missing", member, remedy)),
                Some("null") => return Err(self.null(name, "null", member, remedy)),
                Some(_) => {}
            }
        }
        if operation == Operation::Delete
            && &*self.shared.change.envelope.source.connector == "postgresql"
            && let Some(name) = self.filled_in(&columns)
        {
            return Err(self.null(name, "as empty as all that the delete does not carry", member, remedy));
        }
        let pairs = picked.filter_map(|(name, value)| Some((name, value?)));
        self.types.aggregate_id(pairs).ok_or_else(|| self.shared.no_key())
    }

    /// The declared column that PostgreSQL's default identity seems to have filled in. Its deletes carry the record's
    /// key only, and every other column as null, a default or a zero: a declared key of those is not the row's.
    fn filled_in(&self, before: &Columns<'_>) -> Option<&str> {
        let RecordKey::Columns { columns: key, .. } = self.record else { return None };
        let in_key = |name: &str| key.iter().any(|(found, _)| found == name);
        let is_empty = |raw: &str| matches!(raw, "null" | "\"\"" | "0" | "0.0" | "false" | "[]");
        let others_are_empty = before.iter().filter(|(name, _)| !in_key(name)).all(|(_, raw)| is_empty(raw));
        self.names.iter().find(|name| others_are_empty && !in_key(name))
    }

    /// The id in a row, if all of it is there.
    pub(crate) fn in_row(&self, row: &str) -> Option<String> {
        self.in_columns(&columns_of(row, "before", &self.limits).ok()?)
    }

    /// The id in a key header; none where there is no such header or it does not parse.
    pub(crate) fn in_header(&self, name: &str) -> Option<String> {
        let header = self.shared.change.record.headers.get(name)?;
        let text = struct_text(&header);
        self.in_columns(&columns_of(&text, "header", &self.limits).ok()?)
    }

    fn in_columns(&self, columns: &Columns<'_>) -> Option<String> {
        let picked = self.names.pick(columns);
        if picked.clone().any(|(_, value)| value.is_none_or(|value| value == "null")) {
            return None;
        }
        self.types.aggregate_id(picked.filter_map(|(name, value)| Some((name, value?))))
    }

    fn null(&self, column: &str, state: &'static str, member: &'static str, remedy: &'static str) -> DecodeError {
        DecodeError::NullKey {
            column: column.to_owned(),
            aggregate_type: self.shared.aggregate_type.to_string(),
            state,
            member,
            remedy,
        }
    }
}
