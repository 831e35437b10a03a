//! What a decoder is told.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use crate::{Limits, TableName};

/// What a decoder is told about its source and the aggregate types.
#[derive(Debug, Clone)]
pub struct DecoderConfig {
    /// The source's name in the configuration; `file` for files.
    pub source: Arc<str>,
    /// How a table's aggregate type is named.
    pub name: NameTemplate,
    /// What is declared of single aggregate types, by name.
    pub aggregates: BTreeMap<String, AggregateConfig>,
    /// What is too much.
    pub limits: Limits,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self {
            source: "file".into(),
            name: NameTemplate::default(),
            aggregates: BTreeMap::new(),
            limits: Limits::default(),
        }
    }
}

/// What is declared of one aggregate type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AggregateConfig {
    /// The columns of its key, where records have none, or one that is not the row's.
    pub key: Option<Vec<String>>,
    /// Where its table is an outbox: each row that is inserted is a domain event.
    pub outbox: Option<OutboxColumns>,
}

/// Which columns of an outbox say what; as Debezium's outbox has them by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxColumns {
    /// The event's own id.
    pub id: String,
    /// The type of its aggregate.
    pub aggregate_type: String,
    /// The id of its aggregate.
    pub aggregate_id: String,
    /// The event's type.
    pub event_type: String,
    /// What it tells.
    pub payload: String,
}

impl Default for OutboxColumns {
    fn default() -> Self {
        let [id, aggregate_type, aggregate_id, event_type, payload] =
            ["id", "aggregatetype", "aggregateid", "type", "payload"].map(str::to_owned);
        Self { id, aggregate_type, aggregate_id, event_type, payload }
    }
}

/// How a table's aggregate type is named: text with `{server}`, `{database}`, `{schema}` and `{table}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Server,
    Database,
    Schema,
    Table,
}

/// Why a text is not a template of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameTemplateError {
    /// An unknown or unclosed placeholder.
    #[error("\"{0}\" is not a name template: {1} is none of {{server}}, {{database}}, {{schema}}, {{table}}")]
    Placeholder(String, String),
    /// Without the table every table would be one type.
    #[error("\"{0}\" is not a name template: it needs {{table}}")]
    NoTable(String),
}

impl NameTemplate {
    /// The aggregate type of this table.
    pub fn name(&self, table: &TableName) -> String {
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text,
                Part::Server => &table.server,
                Part::Database => &table.database,
                Part::Schema => &table.schema,
                Part::Table => &table.table,
            })
            .fold(String::new(), |name, part| name + part)
    }
}

impl Default for NameTemplate {
    fn default() -> Self {
        Self(vec![Part::Table])
    }
}

impl fmt::Display for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Server => f.write_str("{server}"),
            Part::Database => f.write_str("{database}"),
            Part::Schema => f.write_str("{schema}"),
            Part::Table => f.write_str("{table}"),
        })
    }
}

impl FromStr for NameTemplate {
    type Err = NameTemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| NameTemplateError::Placeholder(text.to_owned(), format!("{{{after}")))?;
            parts.push(match name {
                "server" => Part::Server,
                "database" => Part::Database,
                "schema" => Part::Schema,
                "table" => Part::Table,
                _ => return Err(NameTemplateError::Placeholder(text.to_owned(), format!("{{{name}}}"))),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if !parts.contains(&Part::Table) {
            return Err(NameTemplateError::NoTable(text.to_owned()));
        }
        Ok(Self(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_round_trip_and_name_tables() {
        let table =
            TableName { server: "shop".into(), database: "db".into(), schema: "public".into(), table: "orders".into() };
        for (text, name) in [
            ("{table}", "orders"),
            ("x_{schema}_{table}", "x_public_orders"),
            ("{server}{database}{table}", "shopdborders"),
        ] {
            let template: NameTemplate = text.parse().unwrap();
            assert_eq!((template.name(&table).as_str(), template.to_string().as_str()), (name, text));
        }
    }

    #[test]
    fn templates_without_a_table_are_refused() {
        assert!(matches!("{schema}".parse::<NameTemplate>(), Err(NameTemplateError::NoTable(_))));
        for text in ["{tabel}", "{table}{", "{table}{x"] {
            assert!(matches!(text.parse::<NameTemplate>(), Err(NameTemplateError::Placeholder(..))), "{text}");
        }
    }
}
