//! Random definitions, of everything that can be kept true.

mod joins;

use std::collections::{BTreeMap, BTreeSet};

use deltafold_event::{Column, ColumnType};
use deltafold_projection::{Relation, Relations};
use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};

pub use joins::Joined;

/// The tables of generated histories.
pub(super) const TABLES: [&str; 4] = ["items", "docs", "loose", "crates"];

/// Columns that all of them have.
pub(super) const COLUMNS: [(&str, ColumnType); 5] = [
    ("id", ColumnType::BigInt),
    ("lvl", ColumnType::Text),
    ("name", ColumnType::Text),
    ("qty", ColumnType::BigInt),
    ("body", ColumnType::Text),
];

/// The relations that definitions are over. (The key of `docs` changes: it is not relied on.)
pub fn relations() -> Relations {
    let columns = || {
        COLUMNS.iter().map(|(name, column_type)| Column { name: (*name).to_owned(), column_type: column_type.clone() })
    };
    let key = |table: &str| if table == "docs" { vec![] } else { vec!["id".to_owned()] };
    TABLES.iter().map(|table| ((*table).to_owned(), Relation::new(columns(), key(table)))).collect()
}

/// The same types, as a configuration declares them.
pub fn declared() -> BTreeMap<String, BTreeMap<String, ColumnType>> {
    let columns = || COLUMNS.iter().map(|(name, column_type)| ((*name).to_owned(), column_type.clone())).collect();
    TABLES.iter().map(|table| ((*table).to_owned(), columns())).collect()
}

/// What a definition has in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// FROM events.
    Log,
    /// WHERE.
    Filter,
    /// Expressions.
    Map,
    /// GROUP BY.
    Group,
    /// All rows are one group.
    OneGroup,
    /// HAVING.
    Having,
    /// SELECT DISTINCT.
    Distinct,
    /// UNION ALL.
    Union,
    /// A query in FROM.
    Subquery,
    /// An aggregate, by its place among all of them.
    Aggregate(usize),
    /// An aggregate with FILTER.
    AggregateFilter,
    /// JOIN.
    InnerJoin,
    /// LEFT JOIN.
    LeftJoin,
    /// EXISTS, or IN (SELECT …).
    Semi,
    /// NOT EXISTS.
    Anti,
    /// One of them, or something else.
    Mark,
    /// One that is the same for all rows.
    Uncorrelated,
    /// A table with itself.
    SelfJoin,
    /// What was joined with another.
    ThreeWay,
    /// GROUP BY or DISTINCT over what was joined.
    UnderGroup,
    /// What was grouped with another.
    OverGroup,
}

/// Those that bring rows of two sides together.
pub const JOINS: [Operator; 8] = [
    Operator::InnerJoin,
    Operator::LeftJoin,
    Operator::Semi,
    Operator::Anti,
    Operator::SelfJoin,
    Operator::ThreeWay,
    Operator::UnderGroup,
    Operator::OverGroup,
];

/// Everything that a definition can have in it.
pub fn operators() -> Vec<Operator> {
    use Operator::{AggregateFilter, Distinct, Filter, Group, Having, Log, Map, OneGroup, Subquery, Union};
    let aggregates = (0..AGGREGATES.len()).map(Operator::Aggregate);
    let others = [Log, Filter, Map, Group, OneGroup, Having, Distinct, Union, Subquery, AggregateFilter];
    let joins = JOINS.into_iter().chain([Operator::Mark, Operator::Uncorrelated]);
    others.into_iter().chain(aggregates).chain(joins).collect()
}

/// A definition.
#[derive(Debug, Clone)]
pub struct Written {
    /// The columns of its key.
    pub key: String,
    /// What it selects.
    pub query: String,
    /// What is in it.
    pub operators: BTreeSet<Operator>,
    /// What is joined in it.
    pub joins: Vec<Joined>,
}

impl Written {
    /// The text of its file.
    pub fn file(&self) -> String {
        self.file_of("v")
    }

    /// That of a view of this name.
    pub fn file_of(&self, name: &str) -> String {
        format!("CREATE MATERIALIZED VIEW {name} WITH (key = '{}') AS {};", self.key, self.query)
    }
}

/// Every aggregate, over rows with an `id`, a `name` and a `qty`, exactly of one answer: ordered by all that is shown.
/// (Of texts in two orders DataFusion itself gives the distinct ones in the wrong one.)
const AGGREGATES: [&str; 22] = [
    "count(*)",
    "count(qty)",
    "count(DISTINCT name)",
    "count(DISTINCT qty)",
    "sum(qty)",
    "sum(CAST(qty AS DECIMAL(10, 2)) * 0.5)",
    "sum(qty * 0.1e0)",
    "avg(qty)",
    "avg(CAST(qty AS DECIMAL(10, 2)) * 1.5)",
    "min(qty)",
    "max(qty)",
    "min(name)",
    "max(name)",
    "bool_and(qty > 3)",
    "bool_or(qty > 7)",
    "string_agg(name, ', ' ORDER BY name)",
    "string_agg(DISTINCT name, '' ORDER BY name)",
    "array_agg(qty ORDER BY id, qty)",
    "array_agg(name ORDER BY qty DESC NULLS LAST, name)",
    "first_value(name ORDER BY qty, name)",
    "last_value(qty ORDER BY name, qty)",
    "last_value(name ORDER BY id DESC, name) IGNORE NULLS",
];

/// Aggregates over events, exactly of one answer.
const LOG_AGGREGATES: [&str; 7] = [
    "count(*)",
    "count(DISTINCT aggregate_id)",
    "max(occurred_at)",
    "min(transaction_id)",
    "last_value(payload->>'name' ORDER BY position)",
    "last_value(event_type ORDER BY position) FILTER (WHERE event_type IN ('created', 'updated'))",
    "first_value(event_id ORDER BY position)",
];

const CONDITIONS: [&str; 7] = [
    "qty > 2",
    "qty IS NOT NULL",
    "name <> 'name-3'",
    "id % 2 = 0",
    "lvl IN ('L0', 'L2') OR qty < 4",
    "length(coalesce(body, '')) > 7",
    "NOT (qty = 5)",
];

const EXPRESSIONS: [&str; 8] = [
    "upper(name)",
    "qty + 1",
    "coalesce(qty, -1)",
    "CASE WHEN qty > 4 THEN 'many' ELSE 'few' END",
    "qty * 0.25",
    "substr(name, 6) || lvl",
    "qty IS NULL",
    "id / 2",
];

const GROUPS: [&str; 5] = ["lvl", "name", "qty", "id % 3", "CASE WHEN qty > 4 THEN 'many' END"];

/// One of them at random; also over the log, or not.
pub fn write(random: &mut SmallRng, has_log: bool) -> Written {
    let mut writer = Writer { random, has_log, operators: BTreeSet::new(), joins: Vec::new() };
    let (key, query) = writer.query();
    Written { key, query, operators: writer.operators, joins: writer.joins }
}

struct Writer<'r> {
    random: &'r mut SmallRng,
    has_log: bool,
    operators: BTreeSet<Operator>,
    joins: Vec<Joined>,
}

impl Writer<'_> {
    fn query(&mut self) -> (String, String) {
        match self.random.random_range(0..if self.has_log { 15 } else { 11 }) {
            11.. => self.log(),
            8..11 => self.joined_rows(),
            0 => self.rows(),
            1 => self.distinct(),
            2 => self.one_group(),
            3 => self.groups_of_groups(),
            _ => {
                let (columns, query) = self.groups();
                (columns.join(", "), query)
            }
        }
    }

    fn has(&mut self, operator: Operator) {
        self.operators.insert(operator);
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.choose(self.random).expect("there are some")
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.random.random_ratio(1, one_in)
    }

    /// What the log tells.
    fn log(&mut self) -> (String, String) {
        self.has(Operator::Log);
        self.has(Operator::Group);
        let (key, group) = match self.random.random_range(0..3) {
            0 => ("g0", "event_type AS g0"),
            1 => ("g0, g1", "aggregate_type AS g0, event_type AS g1"),
            _ => ("g0, g1", "aggregate_type AS g0, aggregate_id AS g1"),
        };
        let groups = group.replace(" AS g0", "").replace(" AS g1", "");
        let condition = self.one_of(&["", " WHERE operation IN ('c', 'u')", " WHERE payload IS NOT NULL"]);
        let aggregates = self.one_of(&LOG_AGGREGATES);
        let others = self.one_of(&LOG_AGGREGATES);
        let query =
            format!("SELECT {group}, {aggregates} AS a0, {others} AS a1 FROM events{condition} GROUP BY {groups}");
        (String::from(key), if aggregates == others { query.replace(&format!(", {others} AS a1"), "") } else { query })
    }

    /// Rows as they are, some of them, with something made of them.
    fn rows(&mut self) -> (String, String) {
        let table = self.one_of(&["items", "loose", "crates"]).to_owned();
        let expression = self.expression();
        let condition = self.condition();
        (String::from("id"), format!("SELECT id, {expression} AS made, name FROM {table}{condition}"))
    }

    fn distinct(&mut self) -> (String, String) {
        self.has(Operator::Distinct);
        let (expression, source, condition) = (self.expression(), self.source(), self.condition());
        (String::from("lvl, made"), format!("SELECT DISTINCT lvl, {expression} AS made FROM {source}{condition}"))
    }

    fn one_group(&mut self) -> (String, String) {
        self.has(Operator::OneGroup);
        let (aggregates, source, condition) = (self.aggregates(), self.source(), self.condition());
        (String::from("one"), format!("SELECT 'all' AS one, {aggregates} FROM {source}{condition}"))
    }

    fn groups(&mut self) -> (Vec<String>, String) {
        self.has(Operator::Group);
        let first = self.one_of(&GROUPS);
        let mut groups = vec![first];
        if self.chance(3) {
            groups.extend(GROUPS.iter().filter(|other| **other != first).take(1));
        }
        let named: Vec<String> = groups.iter().enumerate().map(|(at, group)| format!("{group} AS g{at}")).collect();
        let names = (0..groups.len()).map(|at| format!("g{at}")).collect();
        let (aggregates, source, condition) = (self.aggregates(), self.source(), self.condition());
        let mut query = format!(
            "SELECT {}, {aggregates} FROM {source}{condition} GROUP BY {}",
            named.join(", "),
            groups.join(", ")
        );
        if self.chance(4) {
            self.has(Operator::Having);
            query += self.one_of(&[" HAVING count(*) > 1", " HAVING max(qty) > 5", " HAVING sum(qty) IS NOT NULL"]);
        }
        (names, query)
    }

    /// A group by over what a group by shows.
    fn groups_of_groups(&mut self) -> (String, String) {
        self.has(Operator::Subquery);
        self.has(Operator::Group);
        let (source, condition) = (self.source(), self.condition());
        let inner = format!(
            "SELECT name, min(id) AS id, count(*) AS qty, max(lvl) AS lvl FROM {source}{condition} GROUP BY name"
        );
        let aggregates = self.aggregates();
        let group = self.one_of(&["lvl", "qty"]);
        (String::from("g0"), format!("SELECT {group} AS g0, {aggregates} FROM ({inner}) AS inner_ GROUP BY {group}"))
    }

    fn aggregates(&mut self) -> String {
        let count = self.random.random_range(2..=6);
        let mut chosen = Vec::new();
        for at in 0..count {
            let place = self.random.random_range(0..AGGREGATES.len());
            self.has(Operator::Aggregate(place));
            let mut aggregate = AGGREGATES[place].to_owned();
            if self.chance(4) && !aggregate.ends_with("NULLS") {
                self.has(Operator::AggregateFilter);
                aggregate += &format!(" FILTER (WHERE {})", self.one_of(&["qty > 2", "name <> 'name-1'"]));
            }
            chosen.push(format!("{aggregate} AS a{at}"));
        }
        chosen.join(", ")
    }

    fn expression(&mut self) -> &'static str {
        self.has(Operator::Map);
        self.one_of(&EXPRESSIONS)
    }

    fn condition(&mut self) -> String {
        if self.chance(2) {
            return String::new();
        }
        self.has(Operator::Filter);
        format!(" WHERE {}", self.one_of(&CONDITIONS))
    }

    /// What a query is over: rows with all the columns.
    fn source(&mut self) -> String {
        let all = "id, lvl, name, qty, body";
        match self.random.random_range(0..9) {
            6.. => {
                let before = self.joins.len();
                let joined = self.joined();
                let under: Vec<Joined> = self.joins[before..].to_vec();
                self.has(Operator::UnderGroup);
                self.joins.extend(under.into_iter().map(|join| Joined { operator: Operator::UnderGroup, ..join }));
                joined
            }
            0 => {
                self.has(Operator::Subquery);
                let (table, condition) = (self.one_of(&TABLES), self.condition());
                format!("(SELECT id, lvl, name, qty + 1 AS qty, body FROM {table}{condition}) AS some")
            }
            1 | 2 => {
                self.has(Operator::Union);
                let (one, other) = (self.one_of(&TABLES), self.one_of(&TABLES));
                let condition = self.condition();
                format!("(SELECT {all} FROM {one} UNION ALL SELECT {all} FROM {other}{condition}) AS both")
            }
            _ => self.one_of(&TABLES).to_owned(),
        }
    }
}
