//! Joins in random definitions.

use rand::Rng;

use super::{Operator, TABLES, Writer};

/// A join in a definition, and the tables on its left and on its right.
#[derive(Debug, Clone)]
pub struct Joined {
    /// What it is.
    pub operator: Operator,
    /// What it is over.
    pub sides: [Vec<String>; 2],
}

/// What has to be equal of `a` and `b`.
const EQUAL: [&str; 7] = [
    "a.qty = b.qty",
    "a.lvl = b.lvl",
    "a.id = b.id",
    "a.name = b.name AND a.lvl = b.lvl",
    "a.id % 3 = b.qty % 3",
    "b.qty = a.id",
    "upper(a.lvl) = upper(b.lvl) AND a.qty = b.qty",
];

/// What else is said of one of them.
const CONDITIONS: [&str; 5] =
    ["$.qty > 2", "$.name <> 'name-3'", "$.lvl IN ('L0', 'L2')", "$.qty IS NOT NULL", "$.id % 2 = 0"];

/// Tables of which the key is relied on.
const WITH_KEY: [&str; 3] = ["items", "loose", "crates"];

impl Writer<'_> {
    /// Some join as what a query is over: with all the columns.
    pub(super) fn joined(&mut self) -> String {
        let (a, b) = (self.table(&TABLES), self.table(&TABLES));
        let on = self.one_of(&EQUAL);
        let query = match self.random.random_range(0..7) {
            0 | 1 => {
                let (left, is_left) = self.left();
                self.of_two(if is_left { Operator::LeftJoin } else { Operator::InnerJoin }, &a, &b);
                let (beyond, condition) = (self.one_side(" AND ", "ab"), self.one_side(" WHERE ", "a"));
                let shown = if is_left { "coalesce(b.name, a.name) AS name" } else { "b.name" };
                format!(
                    "SELECT a.id, a.lvl, {shown}, b.qty, a.body FROM {a} AS a {left} {b} AS b ON {on}{beyond}{condition}"
                )
            }
            2 => {
                self.of_two(Operator::InnerJoin, &a, &b);
                let condition = self.one_side(" AND ", "ab");
                format!("SELECT b.id, a.lvl, a.name, b.qty, a.body FROM {a} AS a, {b} AS b WHERE {on}{condition}")
            }
            3 => self.three(&a, &b, on),
            4 => self.with_query(&a, &b),
            _ => self.in_where(&a, &b, on, "id, lvl, name, qty, body"),
        };
        format!("({query}) AS joined")
    }

    /// Rows of a join, with the key that follows from what is joined.
    pub(super) fn joined_rows(&mut self) -> (String, String) {
        let (a, b) = (self.table(&WITH_KEY), self.table(&WITH_KEY));
        let (left, is_left) = self.left();
        let kind = if is_left { Operator::LeftJoin } else { Operator::InnerJoin };
        let (key, query) = match self.random.random_range(0..8) {
            0 => {
                self.of_two(kind, &a, &b);
                let (on, beyond) = (self.one_of(&EQUAL), self.one_side(" AND ", "ab"));
                let columns = "a.id AS a_id, b.id AS b_id, a.name, b.qty, a.qty + b.qty AS both";
                ("a_id, b_id", format!("SELECT {columns} FROM {a} AS a {left} {b} AS b ON {on}{beyond}"))
            }
            1 => {
                self.of_two(kind, &a, &b);
                let condition = self.one_side(" WHERE ", "ab");
                let columns = "a.id, a.qty, b.name, b.lvl";
                ("id", format!("SELECT {columns} FROM {a} AS a {left} {b} AS b ON a.qty = b.id{condition}"))
            }
            2 | 3 => {
                let of_groups = "SELECT lvl, count(*) AS n, max(qty) AS most, min(name) AS least";
                self.of_two(kind, &a, &b);
                self.join(Operator::OverGroup, &[&a], &[&b]);
                let query = format!(
                    "SELECT a.id, a.name, g.n, g.most FROM {a} AS a {left} ({of_groups} FROM {b} GROUP BY lvl) AS g ON \
                     a.lvl = g.lvl"
                );
                ("id", query)
            }
            4 => {
                let c = self.table(&WITH_KEY);
                self.of_two(kind, &a, &b);
                self.join(Operator::ThreeWay, &[&a, &b], &[&c]);
                self.join(Operator::LeftJoin, &[&a, &b], &[&c]);
                let query = format!(
                    "SELECT a.id, b.name, c.qty FROM {a} AS a {left} {b} AS b ON a.qty = b.id LEFT JOIN {c} AS c ON \
                     b.qty = c.id AND a.lvl = c.lvl"
                );
                ("id", query)
            }
            _ => {
                let on = self.one_of(&EQUAL);
                ("id", self.in_where(&a, &b, on, "id, name, qty"))
            }
        };
        (key.to_owned(), query)
    }

    /// Some of the rows of a table: those for which there is a row in another, or none.
    fn in_where(&mut self, a: &str, b: &str, on: &str, columns: &str) -> String {
        let columns: Vec<String> = columns.split(", ").map(|column| format!("a.{column}")).collect();
        let (condition, beyond) = (self.one_side(" AND ", "a"), self.one_side(" AND ", "b"));
        let (operator, exists) = match self.random.random_range(0..8) {
            0 | 1 => (Operator::Semi, format!("EXISTS (SELECT 1 FROM {b} AS b WHERE {on}{beyond})")),
            2 => (Operator::Semi, format!("a.qty IN (SELECT b.qty FROM {b} AS b WHERE b.id > 1{beyond})")),
            3 | 4 => (Operator::Anti, format!("NOT EXISTS (SELECT b.id FROM {b} AS b WHERE {on}{beyond})")),
            _ => {
                self.has(Operator::Uncorrelated);
                match self.chance(2) {
                    true => (Operator::Semi, format!("EXISTS (SELECT 1 FROM {b} AS b WHERE b.qty > 6{beyond})")),
                    false => (Operator::Anti, format!("NOT EXISTS (SELECT 1 FROM {b} AS b WHERE b.qty > 6{beyond})")),
                }
            }
        };
        self.of_two(operator, a, b);
        let exists = match self.chance(3) {
            true => {
                self.has(Operator::Mark);
                format!("({exists} OR a.qty < 3)")
            }
            false => exists,
        };
        format!("SELECT {} FROM {a} AS a WHERE {exists}{condition}", columns.join(", "))
    }

    fn three(&mut self, a: &str, b: &str, on: &str) -> String {
        let c = self.table(&TABLES);
        let (first, is_left) = self.left();
        let (second, is_second_left) = self.left();
        let kind = |is_left| if is_left { Operator::LeftJoin } else { Operator::InnerJoin };
        self.of_two(kind(is_left), a, b);
        self.join(kind(is_second_left), &[a, b], &[&c]);
        self.join(Operator::ThreeWay, &[a, b], &[&c]);
        let condition = self.one_side(" WHERE ", "abc");
        format!(
            "SELECT a.id, c.lvl, coalesce(b.name, '') AS name, b.qty, a.body FROM {a} AS a {first} {b} AS b ON {on} {second} \
             {c} AS c ON c.id = b.qty AND c.lvl = a.lvl{condition}"
        )
    }

    /// A join with what is no table.
    fn with_query(&mut self, a: &str, b: &str) -> String {
        let (left, is_left) = self.left();
        self.of_two(if is_left { Operator::LeftJoin } else { Operator::InnerJoin }, a, b);
        let other = match self.random.random_range(0..3) {
            0 => {
                self.join(Operator::OverGroup, &[a], &[b]);
                format!("SELECT qty, min(name) AS name FROM {b} GROUP BY qty")
            }
            1 => {
                self.join(Operator::OverGroup, &[a], &[b]);
                format!("SELECT DISTINCT qty, name FROM {b}")
            }
            _ => {
                self.has(Operator::Union);
                let c = self.table(&TABLES);
                self.of_two(Operator::InnerJoin, a, &c);
                format!("SELECT qty, name FROM {b} UNION ALL SELECT id AS qty, name FROM {c}")
            }
        };
        let condition = self.one_side(" WHERE ", "a");
        format!(
            "SELECT a.id, a.lvl, b.name, b.qty, a.body FROM {a} AS a {left} ({other}) AS b ON a.qty = b.qty{condition}"
        )
    }

    fn left(&mut self) -> (&'static str, bool) {
        if self.chance(2) { ("LEFT JOIN", true) } else { ("JOIN", false) }
    }

    /// Now and then, a condition on one of several.
    fn one_side(&mut self, before: &str, of: &str) -> String {
        if self.chance(2) {
            return String::new();
        }
        let at = self.random.random_range(0..of.len());
        format!("{before}{}", self.one_of(&CONDITIONS).replace('$', &of[at..=at]))
    }

    fn table(&mut self, of: &[&str]) -> String {
        self.one_of(of).to_owned()
    }

    fn of_two(&mut self, operator: Operator, a: &str, b: &str) {
        self.join(operator, &[a], &[b]);
        if a == b {
            self.join(Operator::SelfJoin, &[a], &[b]);
        }
    }

    fn join(&mut self, operator: Operator, left: &[&str], right: &[&str]) {
        self.has(operator);
        let tables = |side: &[&str]| side.iter().map(|table| (*table).to_owned()).collect();
        self.joins.push(Joined { operator, sides: [tables(left), tables(right)] });
    }
}
