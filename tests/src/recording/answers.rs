//! What GraphQL says, in a form that can be compared with what `row_to_json` says.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use xtask::{http::Connection, server::Server};

/// Rows in one canonical text each, sorted.
pub(crate) type Rows = Vec<String>;

/// Reads views over GraphQL, whose types say how each column compares.
#[derive(Debug)]
pub(crate) struct Answers {
    connection: Connection,
    /// By type name: the fields, with the name of their scalar.
    types: BTreeMap<String, Vec<(String, String)>>,
}

const SCHEMA: &str = "{ __schema { types { name fields { name type {
    name ofType { name ofType { name ofType { name ofType { name } } } } } } } } }";

impl Answers {
    pub(crate) fn of(server: &Server) -> Self {
        let mut connection = server.connect().expect("a connection");
        let schema = connection.graphql(SCHEMA, &Value::Null).expect("the schema is told");
        let named = |field: &Value| (text(&field["name"]), scalar(&field["type"]));
        let types = schema["__schema"]["types"].as_array().expect("types");
        let types = types
            .iter()
            .filter_map(|one| Some((text(&one["name"]), one["fields"].as_array()?.iter().map(named).collect())))
            .collect();
        Self { connection, types }
    }

    /// All rows of a table as of a moment; none of a table that nothing is known of.
    pub(crate) fn table(&mut self, table: &str, at: &str) -> Rows {
        let Some(columns) = self.columns(table) else { return Vec::new() };
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        self.pages(table, at, &names.join(" "), |row| comparable(row, &columns))
    }

    /// The same with the interval over which each row is so, and the event that began it.
    pub(crate) fn versions(&mut self, table: &str, at: &str) -> Rows {
        let Some(columns) = self.columns(table) else { return Vec::new() };
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let fields = format!("{} _version {{ validFrom validTo incomplete event {{ id }} }}", names.join(" "));
        self.pages(table, at, &fields, |row| format!("{} {}", comparable(row, &columns), row["_version"]))
    }

    /// The names of all views.
    pub(crate) fn views(&mut self) -> Vec<String> {
        let answer = self.connection.graphql("{ projections { name } }", &Value::Null).expect("the projections");
        answer["projections"].as_array().expect("projections").iter().map(|one| text(&one["name"])).collect()
    }

    fn pages(&mut self, table: &str, at: &str, fields: &str, shown: impl Fn(&Map<String, Value>) -> String) -> Rows {
        let query = format!(
            "query($at: DateTime, $after: String) {{ page: {}(first: 1000, after: $after, asOf: {{time: $at}}) {{
                nodes {{ {fields} }} pageInfo {{ hasNextPage endCursor }} }} }}",
            camel(table),
        );
        let mut rows = Vec::new();
        let mut after = Value::Null;
        loop {
            let answer = self.connection.graphql(&query, &json!({"at": at, "after": after})).expect("a page of rows");
            let page = &answer["page"];
            let nodes = page["nodes"].as_array().expect("nodes").iter();
            rows.extend(nodes.map(|row| shown(row.as_object().expect("a row"))));
            if page["pageInfo"]["hasNextPage"] != json!(true) {
                rows.sort();
                return rows;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
    }

    /// What the database said, in the same form. A column that did not exist yet is null.
    pub(crate) fn expected(&self, table: &str, rows: &[Map<String, Value>]) -> Rows {
        let Some(columns) = self.columns(table) else {
            assert!(rows.is_empty(), "there is no view of {table}");
            return Vec::new();
        };
        let mut rows: Rows = rows
            .iter()
            .map(|row| {
                let row: Map<_, _> = row.iter().map(|(name, value)| (camel(name), value.clone())).collect();
                let unknown = row.keys().find(|name| !columns.iter().any(|(column, _)| column == *name));
                assert_eq!(unknown, None, "{table} has no such column");
                comparable(&row, &columns)
            })
            .collect();
        rows.sort();
        rows
    }

    /// The ids of all events but the store's own.
    pub(crate) fn event_ids(&mut self) -> Vec<String> {
        let query = "query($after: String) { events(first: 1000, after: $after) {
            nodes { id aggregateType } pageInfo { hasNextPage endCursor } } }";
        let mut ids = Vec::new();
        let mut after = Value::Null;
        loop {
            let answer = self.connection.graphql(query, &json!({"after": after})).expect("a page of events");
            let page = &answer["events"];
            let nodes = page["nodes"].as_array().expect("nodes").iter();
            ids.extend(nodes.filter(|one| !text(&one["aggregateType"]).starts_with('$')).map(|one| text(&one["id"])));
            if page["pageInfo"]["hasNextPage"] != json!(true) {
                return ids;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
    }

    /// Whether there is a view of a table.
    pub(crate) fn knows(&self, table: &str) -> bool {
        self.columns(table).is_some()
    }

    /// The ids of the events of one aggregate.
    pub(crate) fn history(&mut self, aggregate_type: &str, aggregate_id: &str) -> Vec<String> {
        let query = "query($type: String!, $id: ID!, $after: String) { aggregate(type: $type, id: $id) {
            history(first: 1000, after: $after) { nodes { event { id } } pageInfo { hasNextPage endCursor } } } }";
        let mut ids = Vec::new();
        let mut after = Value::Null;
        loop {
            let variables = json!({"type": aggregate_type, "id": aggregate_id, "after": after});
            let answer = self.connection.graphql(query, &variables).expect("a page of history");
            let page = &answer["aggregate"]["history"];
            let nodes = page["nodes"].as_array().into_iter().flatten();
            ids.extend(nodes.map(|entry| text(&entry["event"]["id"])));
            if page["pageInfo"]["hasNextPage"] != json!(true) {
                return ids;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
    }

    fn columns(&self, table: &str) -> Option<Vec<(String, String)>> {
        let fields = self.types.get(&pascal(table))?;
        Some(fields.iter().filter(|(name, _)| !name.starts_with('_')).cloned().collect())
    }
}

/// The row's columns as one text.
fn comparable(row: &Map<String, Value>, columns: &[(String, String)]) -> String {
    let value = |(name, scalar): &(String, String)| {
        format!("{name}: {}", canonical(row.get(name).unwrap_or(&Value::Null), scalar))
    };
    columns.iter().map(value).collect::<Vec<_>>().join(", ")
}

/// One text for each value, whichever of the two prints it.
fn canonical(value: &Value, scalar: &str) -> String {
    match (value, scalar) {
        (Value::Null, _) => "null".to_owned(),
        (Value::Array(items), scalar) if scalar != "JSON" => {
            format!("[{}]", items.iter().map(|item| canonical(item, scalar)).collect::<Vec<_>>().join(", "))
        }
        (value, "Decimal") => {
            let digits = plain(value);
            if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.').to_owned() } else { digits }
        }
        (value, "BigInt" | "ID" | "Int") => plain(value),
        (value, "Float") => plain(value).parse::<f64>().map_or_else(|_| plain(value), |number| format!("{number:e}")),
        (value, "DateTime") => {
            let moment = plain(value).replace("+00:00", "Z");
            let (seconds, fraction) = moment.trim_end_matches('Z').split_once('.').unwrap_or((&moment, ""));
            format!("{}.{fraction:0<6}", seconds.trim_end_matches('Z'))
        }
        (value, "Bytes") => bytes(&plain(value)),
        (value, _) => sorted(value).to_string(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// PostgreSQL prints bytes as `\x…`, GraphQL as base64.
fn bytes(printed: &str) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let Some(digits) = printed.strip_prefix("\\x") else { return printed.to_owned() };
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("hex digits"));
    let bytes: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex digits")).collect();
    BASE64_STANDARD.encode(bytes)
}

/// JSON with its members in one order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<_, _> = members.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

fn scalar(of: &Value) -> String {
    match of["name"].as_str() {
        Some(name) => name.to_owned(),
        None => scalar(&of["ofType"]),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn pascal(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

fn camel(name: &str) -> String {
    let pascal = pascal(name);
    pascal[..1].to_lowercase() + &pascal[1..]
}
