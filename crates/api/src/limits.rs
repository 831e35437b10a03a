//! What a request may ask for. Every limit has a default, a setting and an error that names it.
//!
//! The text is looked at before it is parsed (the parser is recursive), and the document before async-graphql walks
//! it: it expands fragments again wherever they are spread, so that a few lines can stand for billions of fields.

use std::{collections::HashMap, time::Duration};

use async_graphql::{
    Value, Variables,
    indexmap::IndexMap,
    parser::types::{ExecutableDocument, Field, OperationType, Selection, SelectionSet},
    registry::{MetaField, MetaType, MetaTypeName, Registry},
};

use serde::{Deserialize, Serialize};

use crate::errors::ApiError;

/// The limits of an [`crate::Api`]. As a configuration has them, by the names that errors tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Rows of a page if `first` and `last` do not say.
    pub page_default: usize,
    /// The most rows of a page.
    pub page_max: usize,
    /// The most groups of an aggregate.
    pub groups: usize,
    /// How deep fields may nest; those of introspection do not count.
    pub depth: usize,
    /// How many fields a request may have, fragments expanded and aliases counted.
    pub fields: usize,
    /// How many fields a response may have: those below a list count once for each row its page may have.
    pub cost: usize,
    /// How many fields a request may give names of its own.
    pub aliases: usize,
    /// How many directives a request may have.
    pub directives: usize,
    /// How many names, values and signs the query's text may have.
    pub tokens: usize,
    /// How deep filters may nest.
    pub filter_depth: usize,
    /// How many comparisons a filter may have, each member of an `_in` counted.
    pub filter_size: usize,
    /// The bytes of the id of an aggregate that events are appended to.
    pub aggregate_id_bytes: usize,
    /// How many requests a batch may have.
    pub batch: usize,
    /// The bytes of a request's body.
    pub body_bytes: usize,
    /// How long a request may take.
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
    /// How long `minPosition` is waited for.
    #[serde(rename = "min_position_wait_ms", with = "millis")]
    pub min_position_wait: Duration,
    /// How many subscriptions, and other operations, a WebSocket may have at once.
    pub subscriptions: usize,
    /// How many of them all WebSockets together may have.
    pub all_subscriptions: usize,
    /// How long a WebSocket may take to begin.
    #[serde(rename = "init_timeout_ms", with = "millis")]
    pub init_timeout: Duration,
    /// How long a WebSocket's other side may take to read one message.
    #[serde(rename = "send_timeout_ms", with = "millis")]
    pub send_timeout: Duration,
    /// How many lists, and the like, may be read as of the past at once: each looks through all versions of its view.
    pub past_scans: usize,
    /// The bytes that all lists may hold in memory at once, for sorting.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            page_default: 50,
            page_max: 1_000,
            groups: 1_000,
            depth: 16,
            fields: 2_000,
            cost: 500_000,
            aliases: 200,
            directives: 100,
            tokens: 20_000,
            filter_depth: 16,
            filter_size: 1_000,
            aggregate_id_bytes: 16 << 10,
            batch: 10,
            body_bytes: 1 << 20,
            timeout: Duration::from_secs(30),
            min_position_wait: Duration::from_secs(10),
            subscriptions: 100,
            all_subscriptions: 1_000,
            init_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(10),
            past_scans: 16,
            memory_bytes: 512 << 20,
        }
    }
}

/// Durations in whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.as_millis() as u64)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// How deep signs may nest in a text: more than this the parser refuses anyway, but by then its stack has grown.
const NESTING_MAX: usize = 60;

/// How often lists of fields may nest within introspection.
const INTROSPECTION_LISTS_MAX: usize = 3;

/// The error of a limit that is exceeded.
pub(crate) fn exceeded(limit: &'static str, max: usize, found: impl ToString) -> ApiError {
    ApiError::Limit { limit, max: max as u64, found: found.to_string() }
}

impl Limits {
    /// Looks at the text: its tokens and how deep its brackets nest.
    pub(crate) fn check_text(&self, query: &str) -> Result<(), ApiError> {
        let bytes = query.as_bytes();
        let (mut tokens, mut depth, mut at) = (0_usize, 0_usize, 0_usize);
        while at < bytes.len() {
            match bytes[at] {
                b' ' | b'\t' | b'\n' | b'\r' | b',' => {
                    at += 1;
                    continue;
                }
                b'#' => {
                    at += bytes[at..].iter().take_while(|&&byte| byte != b'\n' && byte != b'\r').count();
                    continue;
                }
                b'"' => at = string_end(bytes, at),
                byte if is_word(byte) => at += bytes[at..].iter().take_while(|&&byte| is_word(byte)).count(),
                byte => {
                    match byte {
                        b'{' | b'[' | b'(' => depth += 1,
                        b'}' | b']' | b')' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    at += 1;
                }
            }
            tokens += 1;
            if tokens > self.tokens {
                return Err(exceeded("tokens", self.tokens, "more"));
            }
            if depth > NESTING_MAX {
                return Err(exceeded("nesting", NESTING_MAX, "more"));
            }
        }
        Ok(())
    }

    /// Looks at every operation of a document: depth, number of fields, and what they may cost.
    pub(crate) fn check_document(
        &self,
        registry: &Registry,
        document: &ExecutableDocument,
        variables: &Variables,
    ) -> Result<(), ApiError> {
        let mut walk = Walk { limits: self, registry, document, variables, fragments: HashMap::new() };
        for (_, operation) in document.operations.iter() {
            let root = match operation.node.ty {
                OperationType::Query => Some(registry.query_type.as_str()),
                OperationType::Mutation => registry.mutation_type.as_deref(),
                OperationType::Subscription => registry.subscription_type.as_deref(),
            };
            let size = walk.selection(root.unwrap_or_default(), &operation.node.selection_set.node)?;
            for (limit, max, found) in [
                ("depth", self.depth, size.depth),
                ("aliases", self.aliases, size.aliases),
                ("directives", self.directives, size.directives.saturating_add(operation.node.directives.len())),
                ("fields", self.fields, size.fields),
                ("cost", self.cost, size.cost),
            ] {
                if found > max {
                    return Err(exceeded(limit, max, found));
                }
            }
        }
        Ok(())
    }

    /// The size of a page that `first` or `last` ask for.
    pub(crate) fn page(&self, asked: Option<i64>, path: &str) -> Result<usize, ApiError> {
        match asked {
            None => Ok(self.page_default),
            Some(asked) if asked < 0 => Err(ApiError::input(path, "a number that is not negative", asked.to_string())),
            Some(asked) if asked as u64 > self.page_max as u64 => Err(exceeded("page_max", self.page_max, asked)),
            Some(asked) => Ok(asked as usize),
        }
    }
}

/// Where a string that begins at `start` ends.
fn string_end(bytes: &[u8], start: usize) -> usize {
    if bytes[start..].starts_with(b"\"\"\"") {
        let mut at = start + 3;
        while at < bytes.len() && !bytes[at..].starts_with(b"\"\"\"") {
            at += if bytes[at..].starts_with(b"\\\"\"\"") { 4 } else { 1 };
        }
        return (at + 3).min(bytes.len());
    }
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'+') || byte >= 0x80
}

/// What a selection comes to. All of it saturates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    depth: usize,
    fields: usize,
    aliases: usize,
    directives: usize,
    cost: usize,
    /// How deep lists nest that introspection repeats itself by.
    lists: usize,
}

struct Walk<'a> {
    limits: &'a Limits,
    registry: &'a Registry,
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    /// Fragments by name; none while one is being walked: it spreads itself.
    fragments: HashMap<&'a str, Option<Size>>,
}

impl<'a> Walk<'a> {
    fn selection(&mut self, parent: &'a str, selection: &'a SelectionSet) -> Result<Size, ApiError> {
        let mut sum = Size::default();
        for item in &selection.items {
            let size = match &item.node {
                Selection::Field(field) => self.field(parent, &field.node)?,
                Selection::InlineFragment(fragment) => {
                    let on = fragment.node.type_condition.as_ref().map_or(parent, |on| on.node.on.node.as_str());
                    self.selection(on, &fragment.node.selection_set.node)?
                }
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node)?,
            };
            sum.depth = sum.depth.max(size.depth);
            sum.lists = sum.lists.max(size.lists);
            sum.fields = sum.fields.saturating_add(size.fields);
            sum.aliases = sum.aliases.saturating_add(size.aliases);
            sum.directives =
                sum.directives.saturating_add(size.directives).saturating_add(item.node.directives().len());
            sum.cost = sum.cost.saturating_add(size.cost);
        }
        Ok(sum)
    }

    fn fragment(&mut self, name: &'a str) -> Result<Size, ApiError> {
        match self.fragments.get(name) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => {
                return Err(ApiError::BadRequest(format!("fragment \"{name}\" spreads itself: remove the cycle")));
            }
            None => {}
        }
        // A fragment that there is not is the validation's to name.
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Size::default()) };
        self.fragments.insert(name, None);
        let on = fragment.node.type_condition.node.on.node.as_str();
        let size = self.selection(on, &fragment.node.selection_set.node)?;
        self.fragments.insert(name, Some(size));
        Ok(size)
    }

    fn field(&mut self, parent: &'a str, field: &'a Field) -> Result<Size, ApiError> {
        let name = field.name.node.as_str();
        let child = self.fields_of(parent).and_then(|fields| fields.get(name));
        let child = child.map_or("", |known| MetaTypeName::concrete_typename(&known.ty));
        let inner = self.selection(child, &field.selection_set.node)?;
        let mut size = Size {
            depth: inner.depth + 1,
            fields: inner.fields.saturating_add(1),
            aliases: inner.aliases.saturating_add(usize::from(field.alias.is_some())),
            directives: inner.directives,
            cost: inner.cost.saturating_mul(self.rows(child, field)).saturating_add(1),
            lists: inner.lists,
        };
        if matches!(name, "fields" | "interfaces" | "possibleTypes" | "inputFields") {
            size.lists += 1;
        }
        if matches!(name, "__schema" | "__type") {
            if size.lists > INTROSPECTION_LISTS_MAX {
                return Err(exceeded("introspection_lists", INTROSPECTION_LISTS_MAX, size.lists));
            }
            size = Size { depth: 1, cost: size.fields, lists: 0, ..size };
        }
        Ok(size)
    }

    fn fields_of(&self, type_name: &str) -> Option<&'a IndexMap<String, MetaField>> {
        match self.registry.types.get(type_name) {
            Some(MetaType::Object { fields, .. }) => Some(fields),
            _ => None,
        }
    }

    /// How many rows a field of this type may give: those of its page, if it has pages, or the groups it asks for.
    fn rows(&self, type_name: &str, field: &'a Field) -> usize {
        if field.get_argument("groupBy").is_some() {
            return self.limits.groups;
        }
        if !self.fields_of(type_name).is_some_and(|fields| fields.contains_key("pageInfo")) {
            return 1;
        }
        let asked = ["first", "last"].into_iter().filter_map(|name| {
            let value = field.get_argument(name)?.node.clone();
            let value =
                value.into_const_with(|name| Ok::<_, ()>(self.variables.get(&name).cloned().unwrap_or_default()));
            match value.ok()? {
                Value::Number(number) => Some(number.as_u64().map_or(1, |rows| rows as usize)),
                _ => None,
            }
        });
        asked.max().unwrap_or(self.limits.page_default)
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{
        dynamic::{Field, FieldFuture, Object, Schema, TypeRef},
        parser::parse_query,
    };

    use super::*;

    fn schema() -> Schema {
        let field = |name: &str, of: &str| Field::new(name, TypeRef::named(of), |_| FieldFuture::Value(None));
        let query = Object::new("Query").field(field("orders", "Page")).field(field("row", "Row"));
        let page = Object::new("Page").field(field("nodes", "Row")).field(field("pageInfo", "Int"));
        let row = ["a", "b", "c", "d", "e"].iter().fold(Object::new("Row"), |row, name| row.field(field(name, "Int")));
        let row = row.field(field("row", "Row")).field(field("page", "Page"));
        Schema::build("Query", None, None).register(query).register(page).register(row).finish().unwrap()
    }

    fn check(query: &str) -> Result<(), String> {
        let limits = Limits { depth: 4, fields: 20, aliases: 10, directives: 4, cost: 500, ..Limits::default() };
        limits
            .check_text(query)
            .and_then(|()| {
                limits.check_document(schema().registry(), &parse_query(query).unwrap(), &Variables::default())
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn rows_of_pages_are_charged() {
        assert_eq!(check("{ orders(first: 100) { nodes { a b } } }"), Ok(()));
        assert_eq!(
            check("{ orders(first: 100) { nodes { a b c d e } } }"),
            Err("limit \"cost\" is 500, and the request has 601".to_owned())
        );
        assert!(check("{ orders { ...page } } fragment page on Page { nodes { page { nodes } } }").is_err());
        assert_eq!(check("{ row { ...row } } fragment row on Row { row { a } }"), Ok(()));
    }

    #[test]
    fn depth_and_fields_are_limited() {
        assert_eq!(check("{row{row{row{a}}}}"), Ok(()));
        assert_eq!(check("{row{row{row{row{a}}}}}"), Err("limit \"depth\" is 4, and the request has 5".to_owned()));
        let aliases: String = (0..21).map(|n| format!("a{n}: a ")).collect();
        assert!(check(&format!("{{{aliases}}}")).unwrap_err().starts_with("limit \"aliases\""));
        let fields = "a ".repeat(21);
        assert!(check(&format!("{{{fields}}}")).unwrap_err().starts_with("limit \"fields\""));
    }

    #[test]
    fn directives_are_limited_wherever_they_are() {
        let flood = "@a ".repeat(3);
        for query in [
            format!("{{ row {flood} @a @a {{ a }} }}"),
            format!("query {flood} @a @a {{ row {{ a }} }}"),
            format!("{{ ... on Query {flood} {{ row @a @a {{ a }} }} }}"),
            format!("{{ ...f {flood} }} fragment f on Query {{ row {{ a @a @a }} }}"),
        ] {
            assert_eq!(check(&query), Err("limit \"directives\" is 4, and the request has 5".to_owned()), "{query}");
        }
    }

    /// Ten lines that stand for 2^32 fields.
    #[test]
    fn fragments_are_counted_without_being_expanded() {
        let mut query = String::from("{ ...f0 } ");
        for n in 0..32 {
            query.push_str(&format!("fragment f{n} on Query {{ ...f{next} ...f{next} }} ", next = n + 1));
        }
        query.push_str("fragment f32 on Query { a }");
        assert!(check(&query).unwrap_err().starts_with("limit \"fields\""));
        assert!(check("{ ...f } fragment f on Query { ...f }").unwrap_err().contains("spreads itself"));
    }

    #[test]
    fn text_is_limited_before_it_is_parsed() {
        let limits = Limits { tokens: 10, ..Limits::default() };
        assert!(limits.check_text("{ a b c # d e f g h i j k\n \"l m n o p q\" \"\"\"r \" s\"\"\" }").is_ok());
        assert!(limits.check_text("{ a b c d e f g h i }").is_err());
        assert!(Limits::default().check_text(&"{".repeat(61)).is_err());
        assert!(Limits::default().check_text("\"\\").is_ok());
    }

    #[test]
    fn introspection_is_deep_but_not_endless() {
        let typical = "{ __schema { types { fields { type { ofType { ofType { ofType { name } } } } } } } }";
        assert_eq!(check(typical), Ok(()));
        let endless =
            "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }";
        assert!(check(endless).unwrap_err().starts_with("limit \"introspection_lists\""));
    }
}
