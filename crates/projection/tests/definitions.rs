//! Definitions that are right, and what is said of those that are not.

use std::{fs, path::Path};

use deltafold_event::Column;
use deltafold_projection::{Definition, Problem, Relation, Relations, Statement};

/// A shop's.
fn relations() -> Relations {
    let relation = |columns: &[(&str, &str)]| {
        let column =
            |(name, of): &(&str, &str)| Column { name: (*name).to_owned(), column_type: of.parse().expect("a type") };
        Relation::new(columns.iter().map(column), vec!["id".to_owned()])
    };
    let orders = [
        ("id", "bigint"),
        ("customer_id", "bigint"),
        ("status", "text"),
        ("total", "decimal(12,2)"),
        ("placed_at", "timestamptz"),
    ];
    let customers = [("id", "bigint"), ("name", "text")];
    [("orders".to_owned(), relation(&orders)), ("customers".to_owned(), relation(&customers))].into_iter().collect()
}

fn check(file: &str, text: &str) -> Result<Definition, Problem> {
    Definition::check(&Statement::parse(file, text)?, &relations())
}

/// Checks a query as a view of this key; its columns with their types.
fn columns(key: &str, query: &str) -> Vec<String> {
    let text = format!("CREATE MATERIALIZED VIEW v WITH (key = '{key}') AS {query}");
    let definition = check("v.sql", &text).unwrap_or_else(|problem| panic!("{text}\n{problem}"));
    definition.columns().iter().map(|column| format!("{} {}", column.name, column.column_type)).collect()
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong");
    let files = fs::read_dir(&folder).expect("the folder is there").map(|entry| entry.expect("it can be read").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "sql")).collect();
    files.sort();
    assert!(files.len() >= 20, "{} wrong definitions", files.len());
    for path in files {
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("names are UTF-8");
        let text = fs::read_to_string(&path).expect("it can be read");
        let problem = check(&format!("projections/{name}.sql"), &text).expect_err(name);
        insta::with_settings!({ snapshot_path => "wrong", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, problem.to_string());
        });
    }
}

#[test]
fn a_question_stands_in_the_first_line() {
    let question = |text: &str| {
        let statement = Statement::parse("v.sql", text).expect("it is right");
        statement.question().map(str::to_owned)
    };
    let form = "CREATE MATERIALIZED VIEW v WITH (key = 'id') AS SELECT id FROM orders";
    assert_eq!(
        question(&format!("-- projections/v.sql: which orders are there\n{form}")),
        Some("which orders are there".into())
    );
    assert_eq!(question(&format!("-- which orders are there\n{form};\n")), Some("which orders are there".into()));
    assert_eq!(question(form), None);
}

#[test]
fn columns_have_the_types_that_datafusion_gives_them() {
    let query = "SELECT customer_id, count(*) AS orders, sum(total) AS value, max(placed_at) AS newest \
                 FROM orders WHERE status <> 'cancelled' GROUP BY customer_id";
    assert_eq!(
        columns("customer_id", query),
        ["customer_id bigint", "orders bigint", "value decimal(38,2)", "newest timestamptz"]
    );
}

#[test]
fn keys_are_unique_where_something_shows_it() {
    for (key, query) in [
        ("id", "SELECT * FROM orders"),
        ("number", "SELECT id AS number, upper(status) AS status FROM orders WHERE total > 10"),
        ("id, status", "SELECT id, status FROM orders"),
        ("status", "SELECT DISTINCT status FROM orders"),
        ("day", "SELECT date_trunc('day', placed_at) AS day, count(*) AS n FROM orders GROUP BY 1 HAVING count(*) > 2"),
        (
            "status",
            "SELECT status, avg(n) AS n FROM (SELECT status, customer_id, count(*) AS n FROM orders GROUP BY 1, 2) AS per \
                    GROUP BY status",
        ),
        ("id", "WITH big AS (SELECT * FROM orders WHERE total > 100) SELECT id, total FROM big"),
        (
            "id, kind",
            "SELECT id, kind, count(*) AS n FROM (SELECT id, 'o' AS kind FROM orders UNION ALL SELECT id, 'c' FROM customers) AS all_of \
                      GROUP BY id, kind",
        ),
        ("id", "SELECT id FROM source.orders"),
        ("event_id", "SELECT event_id, payload->>'status' AS status FROM events WHERE event_type = 'shipped'"),
        (
            "aggregate_id",
            "SELECT aggregate_id, last_value(payload->>'status' ORDER BY position) FILTER (WHERE event_type <> 'noted') AS status, \
             sum((payload->'parcel'->>'kg')::double) AS kg FROM events WHERE aggregate_type = 'shipments' GROUP BY aggregate_id",
        ),
        ("\"Id\"", "SELECT id AS \"Id\" FROM orders"),
        (
            "c",
            "SELECT customer_id AS c, count(DISTINCT status) FILTER (WHERE total > 1) AS n, string_agg(status, ',' ORDER BY id) AS s, \
               last_value(status ORDER BY placed_at) AS last, bool_or(total > 5) AS any_big FROM orders GROUP BY customer_id",
        ),
        ("id", "SELECT o.id, c.name FROM orders AS o JOIN customers AS c ON c.id = o.customer_id"),
        (
            "id",
            "SELECT o.id, c.name FROM orders AS o LEFT JOIN customers AS c ON c.id = o.customer_id AND c.name > 'B'",
        ),
        (
            "order_id, customer_id",
            "SELECT o.id AS order_id, c.id AS customer_id FROM orders AS o, customers AS c WHERE upper(o.status) = c.name",
        ),
        // What is equal stands for it.
        ("id, c", "SELECT o.id, p.id AS c FROM orders AS o JOIN orders AS p ON o.customer_id = p.customer_id"),
        (
            "c",
            "SELECT c.id AS c, g.n FROM customers AS c JOIN (SELECT customer_id, count(*) AS n FROM orders GROUP BY 1) AS g ON g.customer_id = c.id",
        ),
        (
            "c",
            "SELECT g.customer_id AS c, g.n FROM customers AS c JOIN (SELECT customer_id, count(*) AS n FROM orders GROUP BY 1) AS g ON g.customer_id = c.id",
        ),
        ("id", "SELECT id FROM orders JOIN (SELECT id AS customer_id, name FROM customers) AS c USING (customer_id)"),
        (
            "id",
            "SELECT o.id, c.name, d.status FROM orders AS o JOIN customers AS c ON c.id = o.customer_id LEFT JOIN orders AS d ON d.id = c.id",
        ),
        ("id", "SELECT id FROM customers WHERE NOT EXISTS (SELECT 1 FROM orders WHERE customer_id = customers.id)"),
        ("id", "SELECT id FROM customers WHERE id IN (SELECT customer_id FROM orders) OR name = 'x'"),
        ("id", "SELECT o.id, e.event_type FROM orders AS o JOIN events AS e ON e.event_id = o.status"),
    ] {
        assert!(!columns(key, query).is_empty());
    }
    let refused = |key: &str, query: &str| {
        let text = format!("CREATE MATERIALIZED VIEW v WITH (key = '{key}') AS {query}");
        check("v.sql", &text).expect_err(query).to_string()
    };
    for (key, query) in [
        // Of an outer join the row of nulls is there more than once.
        ("c", "SELECT c.id AS c FROM orders AS o LEFT JOIN customers AS c ON c.id = o.id"),
        ("c", "SELECT o.customer_id AS c FROM orders AS o JOIN customers AS c ON c.id = o.customer_id"),
        ("id", "SELECT o.id FROM orders AS o JOIN orders AS p ON o.customer_id = p.customer_id"),
    ] {
        assert!(refused(key, query).contains("nothing shows that"), "{query}");
    }
}
