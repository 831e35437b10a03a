//! What is asked: in GraphQL of the API, and in SQL of a table.

use std::collections::BTreeSet;

use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::{Value, json};

use super::{
    Filter, Moment, World,
    columns::{COLUMNS, DERIVED, Kind, OF_DERIVED, VIEW},
    table::{Table, plain},
};

/// Every kind of question, and what there can be to it.
pub(super) const KINDS: [&str; 27] = [
    "list",
    "backward",
    "count",
    "aggregate",
    "group by",
    "by key",
    "diff",
    "ASC",
    "ASC_NULLS_FIRST",
    "ASC_NULLS_LAST",
    "DESC",
    "DESC_NULLS_FIRST",
    "DESC_NULLS_LAST",
    "nulls",
    "ties",
    "count of",
    "count distinct",
    "sum",
    "avg",
    "min",
    "max",
    "two groups",
    "derived",
    "to one",
    "children",
    "by an index",
    "in the order of an index",
];

const DIRECTIONS: [(&str, &str); 6] = [
    ("ASC", "ASC NULLS LAST"),
    ("ASC_NULLS_FIRST", "ASC NULLS FIRST"),
    ("ASC_NULLS_LAST", "ASC NULLS LAST"),
    ("DESC", "DESC NULLS FIRST"),
    ("DESC_NULLS_FIRST", "DESC NULLS FIRST"),
    ("DESC_NULLS_LAST", "DESC NULLS LAST"),
];

/// Not a number.
const NAN: &str = "CAST('NaN' AS DOUBLE)";

/// How a list is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// Rows of a page.
    size: usize,
    backward: bool,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// The rows that a filter leaves, in an order, page by page.
    List(Option<Filter>, Vec<(&'static str, usize)>, Walk),
    /// How many a filter leaves.
    Count(Option<Filter>),
    /// What they come to: groups, then what is computed of them as GraphQL and SQL write it.
    Aggregate(Option<Filter>, Vec<&'static str>, Vec<Computed>),
    /// One row.
    ByKey(i32),
    /// The rows of the view over the rows with so many or more of a name, in an order.
    Derived(i32, usize),
    /// The rows that a filter leaves, each with the one that it names.
    ToOne(Option<Filter>),
    /// The rows of the view over the rows, each with so many that name it and that a filter leaves, in an order.
    Children(Option<Filter>, (&'static str, usize), usize),
    /// What differs from another moment.
    Diff(Option<Filter>, Box<Moment>),
}

/// Something that is computed of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Computed {
    kind: &'static str,
    graphql: String,
    /// Where it stands in the answer.
    path: [String; 2],
    sql: String,
}

/// What is asked, what the API answers, and what SQL does.
#[derive(Debug)]
pub struct Answers {
    /// The questions as they were put.
    pub asked: Vec<String>,
    /// By the API, row by row.
    pub found: Vec<String>,
    /// By DataFusion.
    pub expected: Vec<String>,
    /// What was in it.
    pub kinds: BTreeSet<&'static str>,
}

impl Query {
    /// A random one.
    pub fn write(random: &mut SmallRng, world: &World) -> Self {
        let filter = random.random_ratio(4, 5).then(|| Filter::write(random));
        match random.random_range(0..13) {
            10 => Self::Derived(random.random_range(0..4), random.random_range(0..DIRECTIONS.len())),
            11 => Self::ToOne(filter),
            12 => {
                let ordered: Vec<&str> =
                    COLUMNS.iter().filter(|(_, kind)| kind.is_ordered()).map(|(name, _)| *name).collect();
                let column = ordered.choose(random).copied().expect("some are");
                Self::Children(filter, (column, random.random_range(0..DIRECTIONS.len())), random.random_range(1..9))
            }
            0..=4 => {
                let ordered: Vec<&str> =
                    COLUMNS.iter().filter(|(_, kind)| kind.is_ordered()).map(|(name, _)| *name).collect();
                let count = random.random_range(0..3);
                let columns: Vec<&str> = ordered.choose_multiple(random, count).copied().collect();
                let order =
                    columns.into_iter().map(|column| (column, random.random_range(0..DIRECTIONS.len()))).collect();
                let walk = Walk { size: random.random_range(1..40), backward: random.random_ratio(1, 3) };
                Self::List(filter, order, walk)
            }
            5 => Self::Count(filter),
            6 | 7 => {
                let grouped: Vec<&str> =
                    COLUMNS.iter().filter(|(_, kind)| kind.is_ordered()).map(|(name, _)| *name).collect();
                let count = random.random_range(0..3);
                let groups = grouped.choose_multiple(random, count).copied().collect();
                let count = random.random_range(1..5);
                let computed = (0..count).map(|_| Computed::write(random)).collect();
                Self::Aggregate(filter, groups, computed)
            }
            8 => Self::ByKey(random.random_range(1..70)),
            _ => Self::Diff(filter, Box::new(Moment::choose(random, world))),
        }
    }

    /// Asks both at a moment.
    pub async fn ask(&self, world: &World, moment: &Moment) -> Answers {
        let rows = world.rows(moment.time, moment.position);
        let table = Table::of(&rows);
        let mut answers =
            Answers { asked: Vec::new(), found: Vec::new(), expected: Vec::new(), kinds: BTreeSet::new() };
        match self {
            Self::List(filter, order, walk) => {
                list(world, moment, &table, filter.as_ref(), order, walk, &mut answers).await;
            }
            Self::Count(filter) => {
                answers.kinds.insert("count");
                let arguments = arguments([where_of(filter.as_ref()), moment.argument()]);
                let query = format!("{{ {VIEW}{arguments} {{ totalCount }} }}");
                let found = world.ask(&query, Value::Null, &mut answers.kinds).await;
                answers.found.push(plain(&found[VIEW]["totalCount"]));
                let sql = format!("SELECT count(*) FROM {VIEW} WHERE {}", sql_of(filter.as_ref()));
                answers.expected = joined(table.ask(&sql).await);
                answers.asked = vec![query, sql];
            }
            Self::Aggregate(filter, groups, computed) => {
                aggregate(world, moment, &table, filter.as_ref(), groups, computed, &mut answers).await;
            }
            Self::ByKey(id) => {
                answers.kinds.insert("by key");
                let arguments = arguments([Some(format!("id: {id}")), moment.argument()]);
                let query = format!("{{ {VIEW}ByKey{arguments} {{ id qty price name day at flag }} }}");
                let found = world.ask(&query, Value::Null, &mut answers.kinds).await;
                let row = &found[format!("{VIEW}ByKey")];
                if !row.is_null() {
                    let line = ["id", "qty", "price", "name", "day", "at", "flag"].map(|column| plain(&row[column]));
                    answers.found.push(line.join(" | "));
                }
                let sql = format!("SELECT id, qty, price, name, day, at, flag FROM {VIEW} WHERE id = {id}");
                answers.expected = joined(table.ask(&sql).await);
                answers.asked = vec![query, sql];
            }
            Self::Derived(least, direction) => {
                answers.kinds.insert("derived");
                let (graphql, sql) = DIRECTIONS[*direction];
                answers.kinds.insert(graphql);
                let filter = Some(format!("where: {{n: {{_gte: \"{least}\"}}}}, orderBy: {{total: {graphql}}}"));
                let query =
                    format!("{{ {DERIVED}{} {{ nodes {{ name n total }} }} }}", arguments([filter, moment.argument()]));
                let found = world.ask(&query, Value::Null, &mut answers.kinds).await;
                let line = |node: &Value| ["name", "n", "total"].map(|column| plain(&node[column])).join(" | ");
                answers.found = nodes(&found[DERIVED]).iter().map(line).collect();
                let sql = format!("SELECT * FROM ({OF_DERIVED}) AS t WHERE n >= {least} ORDER BY total {sql}, name");
                answers.expected = joined(table.ask(&sql).await);
                answers.asked = vec![query, sql];
            }
            Self::ToOne(filter) => {
                answers.kinds.insert("to one");
                let arguments =
                    arguments([where_of(filter.as_ref()), Some("first: 1000".to_owned()), moment.argument()]);
                let query = format!("{{ {VIEW}{arguments} {{ nodes {{ id named {{ name n total }} }} }} }}");
                let found = world.ask(&query, Value::Null, &mut answers.kinds).await;
                let line = |node: &Value| {
                    let named = ["name", "n", "total"].map(|column| plain(&node["named"][column]));
                    format!("{} | {}", plain(&node["id"]), named.join(" | "))
                };
                answers.found = nodes(&found[VIEW]).iter().map(line).collect();
                let sql = format!(
                    "SELECT i.id, t.name, t.n, t.total FROM (SELECT id, name FROM {VIEW} WHERE {}) AS i \
                     LEFT JOIN ({OF_DERIVED}) AS t ON i.name = t.name ORDER BY i.id",
                    sql_of(filter.as_ref())
                );
                answers.expected = joined(table.ask(&sql).await);
                answers.asked = vec![query, sql];
            }
            Self::Children(filter, order, most) => {
                children(world, moment, &table, filter.as_ref(), *order, *most, &mut answers).await;
            }
            Self::Diff(filter, other) => {
                answers.kinds.insert("diff");
                diff(world, [moment, other], filter.as_ref(), &mut answers).await;
            }
        }
        answers.kinds.extend(moment.kinds.iter().copied());
        let filter = match self {
            Self::List(filter, ..)
            | Self::Count(filter)
            | Self::Aggregate(filter, ..)
            | Self::ToOne(filter)
            | Self::Children(filter, ..)
            | Self::Diff(filter, _) => filter.as_ref(),
            Self::ByKey(_) | Self::Derived(..) => None,
        };
        answers.kinds.extend(filter.into_iter().flat_map(|filter| filter.operators.iter().copied()));
        answers
    }
}

async fn list(
    world: &World,
    moment: &Moment,
    table: &Table,
    filter: Option<&Filter>,
    order: &[(&'static str, usize)],
    walk: &Walk,
    answers: &mut Answers,
) {
    answers.kinds.insert(if walk.backward { "backward" } else { "list" });
    answers.kinds.extend(order.iter().map(|(_, direction)| DIRECTIONS[*direction].0));
    let (count, cursor, more, end) = match walk.backward {
        false => ("first", "after", "hasNextPage", "endCursor"),
        true => ("last", "before", "hasPreviousPage", "startCursor"),
    };
    let terms: Vec<String> =
        order.iter().map(|(column, direction)| format!("{{{column}: {}}}", DIRECTIONS[*direction].0)).collect();
    let by = (!order.is_empty()).then(|| format!("orderBy: [{}]", terms.join(", ")));
    let page = Some(format!("{count}: {}, {cursor}: $cursor", walk.size));
    let arguments = arguments([where_of(filter), by, page, moment.argument()]);
    let query = format!(
        "query ($cursor: String) {{ {VIEW}{arguments} {{ nodes {{ id price name }} pageInfo {{ {more} {end} }} }} }}"
    );
    let mut pages: Vec<Vec<String>> = Vec::new();
    let mut at = Value::Null;
    loop {
        let mut found = world.ask(&query, json!({ "cursor": at }), &mut answers.kinds).await[VIEW].take();
        let nodes = found["nodes"].as_array().expect("it is a list");
        let line = |node: &Value| ["id", "price", "name"].map(|column| plain(&node[column])).join(" | ");
        pages.push(nodes.iter().map(line).collect());
        at = found["pageInfo"][end].take();
        if found["pageInfo"][more] == false {
            break;
        }
    }
    if walk.backward {
        pages.reverse();
    }
    answers.found = pages.concat();
    let mut terms: Vec<String> =
        order.iter().map(|(column, direction)| format!("\"{column}\" {}", DIRECTIONS[*direction].1)).collect();
    terms.push("\"id\" ASC NULLS LAST, \"_key\" ASC".to_owned());
    let of_order: String = order.iter().enumerate().map(|(n, (column, _))| format!(", \"{column}\" AS o{n}")).collect();
    let sql = format!(
        "SELECT id, price, name{of_order} FROM (SELECT * FROM {VIEW} WHERE {}) AS t ORDER BY {}",
        sql_of(filter),
        terms.join(", ")
    );
    let rows = table.ask(&sql).await;
    let by: Vec<&[String]> = rows.iter().map(|row| &row[3..]).collect();
    if by.iter().any(|values| values.iter().any(|value| value == "null")) {
        answers.kinds.insert("nulls");
    }
    if !order.is_empty() && by.windows(2).any(|pair| pair[0] == pair[1]) {
        answers.kinds.insert("ties");
    }
    answers.expected = rows.into_iter().map(|row| row[..3].join(" | ")).collect();
    answers.asked = vec![query, sql];
}

fn nodes(list: &Value) -> &[Value] {
    list["nodes"].as_array().expect("it is a list")
}

/// A row of the view over the rows as a line, then each of those that name it.
async fn children(
    world: &World,
    moment: &Moment,
    table: &Table,
    filter: Option<&Filter>,
    (column, direction): (&'static str, usize),
    most: usize,
    answers: &mut Answers,
) {
    answers.kinds.insert("children");
    let (graphql, sql) = DIRECTIONS[direction];
    answers.kinds.insert(graphql);
    let of_each = [where_of(filter), Some(format!("orderBy: {{{column}: {graphql}}}, first: {most}"))];
    let of_each = arguments(of_each);
    let query = format!(
        "{{ {DERIVED}{} {{ nodes {{ name {VIEW}{of_each} {{ nodes {{ id }} totalCount }} }} }} }}",
        arguments([moment.argument()])
    );
    let found = world.ask(&query, Value::Null, &mut answers.kinds).await;
    for node in nodes(&found[DERIVED]) {
        answers.found.push(format!("{}: {}", plain(&node["name"]), plain(&node[VIEW]["totalCount"])));
        answers.found.extend(nodes(&node[VIEW]).iter().map(|child| plain(&child["id"])));
    }
    let of_names = format!("SELECT name FROM ({OF_DERIVED}) AS t ORDER BY name");
    let of_children = format!(
        "SELECT name, id FROM {VIEW} WHERE name IS NOT NULL AND ({}) ORDER BY name, \"{column}\" {sql}, id",
        sql_of(filter)
    );
    let children = table.ask(&of_children).await;
    for name in table.ask(&of_names).await {
        let those: Vec<&str> = children.iter().filter(|child| child[0] == name[0]).map(|child| &*child[1]).collect();
        answers.expected.push(format!("{}: {}", name[0], those.len()));
        answers.expected.extend(those.into_iter().take(most).map(str::to_owned));
    }
    answers.asked = vec![query, of_names, of_children];
}

async fn aggregate(
    world: &World,
    moment: &Moment,
    table: &Table,
    filter: Option<&Filter>,
    groups: &[&'static str],
    computed: &[Computed],
    answers: &mut Answers,
) {
    answers.kinds.insert("aggregate");
    answers.kinds.extend(computed.iter().map(|computed| computed.kind));
    answers.kinds.extend((!groups.is_empty()).then_some("group by"));
    answers.kinds.extend((groups.len() > 1).then_some("two groups"));
    let by = (!groups.is_empty()).then(|| format!("groupBy: [{}]", groups.join(", ")));
    let arguments = arguments([where_of(filter), by, moment.argument()]);
    let selected: Vec<String> =
        computed.iter().enumerate().map(|(n, computed)| computed.graphql.replace('#', &n.to_string())).collect();
    let group = if groups.is_empty() { String::new() } else { format!("group {{ {} }} ", groups.join(" ")) };
    let query = format!("{{ {VIEW}Aggregate{arguments} {{ {group}{} }} }}", selected.join(" "));
    let found = world.ask(&query, Value::Null, &mut answers.kinds).await;
    let line = |node: &Value| {
        let groups = groups.iter().map(|column| plain(&node["group"][column]));
        let computed = computed.iter().enumerate().map(|(n, computed)| {
            let [outer, inner] = &computed.path;
            let of = &node[outer.replace('#', &n.to_string())];
            plain(if inner.is_empty() { of } else { &of[inner] })
        });
        groups.chain(computed).collect::<Vec<_>>().join(" | ")
    };
    answers.found = found[format!("{VIEW}Aggregate")].as_array().expect("it is a list").iter().map(line).collect();

    let columns = groups.iter().map(|column| format!("\"{column}\""));
    let columns: Vec<String> =
        columns.chain(computed.iter().enumerate().map(|(n, computed)| format!("{} AS c{n}", computed.sql))).collect();
    let quoted: Vec<String> = groups.iter().map(|column| format!("\"{column}\"")).collect();
    let by = match groups {
        [] => String::new(),
        _ => {
            let order: Vec<String> = quoted.iter().map(|column| format!("{column} ASC NULLS LAST")).collect();
            format!(" GROUP BY {} ORDER BY {}", quoted.join(", "), order.join(", "))
        }
    };
    let sql = format!("SELECT {} FROM {VIEW} WHERE {}{by}", columns.join(", "), sql_of(filter));
    answers.expected = joined(table.ask(&sql).await);
    answers.asked = vec![query, sql];
}

async fn diff(world: &World, moments: [&Moment; 2], filter: Option<&Filter>, answers: &mut Answers) {
    let [from, to] = moments.map(|moment| moment.graphql.clone().unwrap_or_else(|| "{}".to_owned()));
    let arguments = arguments([
        where_of(filter),
        Some(format!("from: {from}")),
        Some(format!("to: {to}")),
        Some("first: 1000".to_owned()),
    ]);
    let query =
        format!("{{ {VIEW}Diff{arguments} {{ nodes {{ before {{ id }} after {{ id }} changes {{ field }} }} }} }}");
    let found = world.ask(&query, Value::Null, &mut answers.kinds).await;
    let line = |node: &Value| {
        let mut fields: Vec<&str> =
            node["changes"].as_array().expect("a list").iter().filter_map(|change| change["field"].as_str()).collect();
        fields.sort_unstable();
        format!("{} > {}: {}", plain(&node["before"]["id"]), plain(&node["after"]["id"]), fields.join(" "))
    };
    answers.found = found[format!("{VIEW}Diff")]["nodes"].as_array().expect("it is a list").iter().map(line).collect();

    let sql = format!("SELECT _key FROM {VIEW} WHERE {}", sql_of(filter));
    let mut counted = BTreeSet::new();
    let sides = moments.map(|moment| world.rows(moment.time, moment.position));
    for rows in &sides {
        counted.extend(joined(Table::of(rows).ask(&sql).await));
    }
    for key in counted {
        let [before, after] = [0, 1].map(|side| sides[side].get(&key));
        if before == after {
            continue;
        }
        let value = |row: Option<&serde_json::Map<String, Value>>, column: &str| {
            row.and_then(|row| row.get(column)).cloned().unwrap_or_default()
        };
        let mut fields: Vec<&str> =
            COLUMNS.iter().map(|(name, _)| *name).filter(|name| value(before, name) != value(after, name)).collect();
        fields.sort_unstable();
        let id = |row: Option<&serde_json::Map<String, Value>>| plain(&value(row, "id"));
        answers.expected.push(format!("{} > {}: {}", id(before), id(after), fields.join(" ")));
    }
    answers.asked = vec![query, sql];
}

impl Computed {
    fn write(random: &mut SmallRng) -> Self {
        let columns = |takes: fn(Kind) -> bool| {
            COLUMNS.iter().filter(|(_, kind)| takes(*kind)).copied().collect::<Vec<(&'static str, Kind)>>()
        };
        let kind = *["count", "count of", "count distinct", "sum", "avg", "min", "max"]
            .choose(random)
            .expect("there are some");
        let takes: fn(Kind) -> bool = match kind {
            "sum" | "avg" => Kind::is_number,
            "min" | "max" => Kind::is_comparable,
            _ => Kind::is_ordered,
        };
        let columns = columns(takes);
        let (column, of) = *columns.choose(random).expect("there are some");
        let counted =
            |graphql: String, sql: String| Self { kind, graphql, path: ["a#".to_owned(), String::new()], sql };
        match kind {
            "count" => counted("a#: count".to_owned(), "count(*)".to_owned()),
            "count of" => counted(format!("a#: count(of: {column})"), format!("count(\"{column}\")")),
            "count distinct" => {
                counted(format!("a#: count(of: {column}, distinct: true)"), format!("count(DISTINCT \"{column}\")"))
            }
            function => Self {
                kind,
                graphql: format!("a#: {function} {{ {column} }}"),
                path: ["a#".to_owned(), column.to_owned()],
                sql: match (function, of) {
                    // What DataFusion takes for the least and the greatest depends on where not a number comes.
                    ("min", Kind::Float) => {
                        format!("coalesce(min(\"{column}\") FILTER (WHERE \"{column}\" <> {NAN}), min(\"{column}\"))")
                    }
                    ("max", Kind::Float) => format!(
                        "CASE WHEN count(*) FILTER (WHERE \"{column}\" = {NAN}) > 0 THEN {NAN} ELSE max(\"{column}\") END"
                    ),
                    _ => format!("{function}(\"{column}\")"),
                },
            },
        }
    }
}

fn where_of(filter: Option<&Filter>) -> Option<String> {
    filter.map(|filter| format!("where: {}", filter.graphql))
}

fn sql_of(filter: Option<&Filter>) -> &str {
    filter.map_or("true", |filter| &filter.sql)
}

fn arguments(all: impl IntoIterator<Item = Option<String>>) -> String {
    let all: Vec<String> = all.into_iter().flatten().collect();
    if all.is_empty() { String::new() } else { format!("({})", all.join(", ")) }
}

fn joined(rows: Vec<Vec<String>>) -> Vec<String> {
    rows.into_iter().map(|row| row.join(" | ")).collect()
}
