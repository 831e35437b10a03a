//! `where`, and the same in SQL.

use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};

use super::columns::{COLUMNS, Kind};

/// Everything that a filter can have in it.
pub(super) const OPERATORS: [&str; 21] = [
    "_eq",
    "_neq",
    "_gt",
    "_gte",
    "_lt",
    "_lte",
    "_in",
    "_nin",
    "_like",
    "_ilike",
    "_isNull",
    "_contains",
    "_at string",
    "_at number",
    "_at boolean",
    "_at isNull",
    "_and",
    "_or",
    "_not",
    "{}",
    "two columns",
];

/// A filter, written twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// In GraphQL.
    pub graphql: String,
    /// In SQL.
    pub sql: String,
    /// What is in it.
    pub operators: Vec<&'static str>,
}

impl Filter {
    /// A random one.
    pub fn write(random: &mut SmallRng) -> Self {
        Self::nested(random, 3)
    }

    fn nested(random: &mut SmallRng, depth: u32) -> Self {
        match random.random_range(0..10) {
            0 if depth > 0 => Self::many(random, depth, "_and", " AND ", "true"),
            1 if depth > 0 => Self::many(random, depth, "_or", " OR ", "false"),
            2 if depth > 0 => {
                let inner = Self::nested(random, depth - 1);
                let sql = format!("NOT ({})", inner.sql);
                Self { graphql: format!("{{_not: {}}}", inner.graphql), sql, operators: with("_not", inner.operators) }
            }
            3 if depth > 0 => {
                let (one, other) = (Self::comparison(random), Self::comparison(random));
                let inner = |filter: &Self| filter.graphql[1..filter.graphql.len() - 1].to_owned();
                let column = |filter: &Self| inner(filter).split(':').next().unwrap_or_default().to_owned();
                if column(&one) == column(&other) {
                    return one;
                }
                let graphql = format!("{{{}, {}}}", inner(&one), inner(&other));
                let operators = with("two columns", [one.operators, other.operators].concat());
                Self { graphql, sql: format!("(({}) AND ({}))", one.sql, other.sql), operators }
            }
            4 if random.random_ratio(1, 5) => {
                Self { graphql: "{}".to_owned(), sql: "true".to_owned(), operators: vec!["{}"] }
            }
            _ => Self::comparison(random),
        }
    }

    fn many(random: &mut SmallRng, depth: u32, name: &'static str, between: &str, of_none: &str) -> Self {
        let count = random.random_range(0..4);
        let all: Vec<Self> = (0..count).map(|_| Self::nested(random, depth - 1)).collect();
        let graphql: Vec<&str> = all.iter().map(|filter| filter.graphql.as_str()).collect();
        let sql: Vec<String> = all.iter().map(|filter| format!("({})", filter.sql)).collect();
        let sql = if sql.is_empty() { of_none.to_owned() } else { format!("({})", sql.join(between)) };
        let operators = with(name, all.iter().flat_map(|filter| filter.operators.clone()).collect());
        Self { graphql: format!("{{{name}: [{}]}}", graphql.join(", ")), sql, operators }
    }

    fn comparison(random: &mut SmallRng) -> Self {
        let (column, kind) = *COLUMNS.choose(random).expect("there are columns");
        let quoted = format!("\"{column}\"");
        let (operator, graphql, sql) = match kind {
            _ if random.random_ratio(1, 6) => is_null(random, &quoted),
            Kind::Json => return Self::place(random, column, &quoted),
            Kind::List => {
                let (graphql, sql) = Kind::Text.literal_of(random, &["x", "y", "z", "none"]);
                ("_contains", format!("_contains: {graphql}"), format!("array_has({quoted}, {sql})"))
            }
            kind => compared(random, kind, &quoted),
        };
        Self { graphql: format!("{{{column}: {{{graphql}}}}}"), sql, operators: vec![operator] }
    }

    /// What stands at a place in JSON.
    fn place(random: &mut SmallRng, column: &str, quoted: &str) -> Self {
        let (path, steps) = *[
            ("\"kind\"", "'kind'"),
            ("\"n\"", "'n'"),
            ("\"ok\"", "'ok'"),
            ("\"list\", \"0\"", "'list', 0"),
            ("\"list\", \"1\"", "'list', 1"),
            ("\"1\"", "1"),
            ("\"none\"", "'none'"),
        ]
        .choose(random)
        .expect("there are paths");
        let text = format!("json_get_str({quoted}, {steps})");
        let (operator, graphql, sql) = match random.random_range(0..4) {
            0 => {
                let literals = ["a", "b", "x", "2.5"];
                let (graphql, literal) = Kind::Text.literal_of(random, &literals);
                ("_at string", format!("string: {{_eq: {graphql}}}"), format!("{text} = {literal}"))
            }
            1 => {
                let literal = ["-1", "1", "2", "2.5", "7"].choose(random).expect("there are some");
                let (name, sign) = [("_gte", ">="), ("_lt", "<"), ("_eq", "=")].choose(random).expect("likewise");
                let number = format!(
                    "CASE WHEN {text} IS NULL THEN TRY_CAST(json_as_text({quoted}, {steps}) AS DECIMAL(38, 10)) END"
                );
                let sql = format!("({number}) {sign} CAST('{literal}' AS DECIMAL(38, 10))");
                ("_at number", format!("number: {{{name}: \"{literal}\"}}"), sql)
            }
            2 => {
                let wanted = random.random_bool(0.5);
                let sql = format!("json_get_bool({quoted}, {steps}) = {wanted}");
                ("_at boolean", format!("boolean: {{_eq: {wanted}}}"), sql)
            }
            _ => {
                let wanted = random.random_bool(0.5);
                let not = if wanted { "" } else { " NOT" };
                let sql = format!("json_as_text({quoted}, {steps}) IS{not} NULL");
                ("_at isNull", format!("isNull: {wanted}"), sql)
            }
        };
        let graphql = format!("{{{column}: {{_at: [{{path: [{path}], {graphql}}}]}}}}");
        Self { graphql, sql, operators: vec![operator] }
    }
}

impl Kind {
    fn literal_of(self, random: &mut SmallRng, texts: &[&str]) -> (String, String) {
        let text = texts.choose(random).expect("there are some");
        (format!("\"{text}\""), format!("'{text}'"))
    }
}

fn with(operator: &'static str, mut operators: Vec<&'static str>) -> Vec<&'static str> {
    operators.push(operator);
    operators
}

fn is_null(random: &mut SmallRng, column: &str) -> (&'static str, String, String) {
    let wanted = random.random_bool(0.5);
    let not = if wanted { "" } else { " NOT" };
    ("_isNull", format!("_isNull: {wanted}"), format!("{column} IS{not} NULL"))
}

fn compared(random: &mut SmallRng, kind: Kind, column: &str) -> (&'static str, String, String) {
    let simple = [("_eq", "="), ("_neq", "<>"), ("_gt", ">"), ("_gte", ">="), ("_lt", "<"), ("_lte", "<=")];
    let simple = if kind.is_comparable() { &simple[..] } else { &simple[..2] };
    match random.random_range(0..10) {
        0 | 1 => {
            let count = random.random_range(1..4);
            let (graphql, sql): (Vec<String>, Vec<String>) = (0..count).map(|_| kind.literal(random)).unzip();
            let (operator, not) = if random.random_bool(0.5) { ("_in", "") } else { ("_nin", "NOT ") };
            let sql = format!("{column} {not}IN ({})", sql.join(", "));
            (operator, format!("{operator}: [{}]", graphql.join(", ")), sql)
        }
        2..=4 if kind == Kind::Text => {
            let pattern = ["a%", "%d_", "_%b", "%", "Z%", "zo_", "A__"].choose(random).expect("there are some");
            let (operator, word) = if random.random_bool(0.5) { ("_like", "LIKE") } else { ("_ilike", "ILIKE") };
            (operator, format!("{operator}: \"{pattern}\""), format!("{column} {word} '{pattern}'"))
        }
        _ => {
            let (operator, sign) = *simple.choose(random).expect("there are some");
            let (graphql, sql) = kind.literal(random);
            (operator, format!("{operator}: {graphql}"), format!("{column} {sign} {sql}"))
        }
    }
}
