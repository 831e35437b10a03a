//! The warehouse at work on MariaDB.

use std::{fmt::Write as _, time::Duration};

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};
use xtask::stack::Stack;

use super::{Workload, truth};
use crate::recording::Moment;

const TRANSACTIONS: u32 = 12;

/// What is known of the tables without asking.
#[derive(Debug, Clone, Default)]
pub(super) struct Warehouse {
    suppliers: i64,
    skus: Vec<String>,
    deliveries: i64,
}

impl Workload for Warehouse {
    fn save(&self, stack: &Stack) {
        stack.mariadb().expect("MariaDB").save("backup").expect("a backup is made");
    }

    fn restore(&self, stack: &Stack) -> Value {
        stack.mariadb().expect("MariaDB").restore("backup").expect("the backup is there");
        json!({"schema.history.internal.kafka.topic": "restored.schema-history"})
    }

    fn copy(&self) -> Box<dyn Workload> {
        Box::new(self.clone())
    }

    fn name(&self) -> &'static str {
        "warehouse"
    }

    fn step(&mut self, stack: &Stack, random: &mut StdRng) {
        let mut sql = String::new();
        if self.suppliers == 0 {
            self.supplier(&mut sql);
            self.item(&mut sql);
        }
        for _ in 0..TRANSACTIONS {
            self.transaction(&mut sql, random);
        }
        stack.mariadb().expect("MariaDB").sql(&sql).expect("the transactions are made");
    }

    fn pass(&self, stack: &Stack) {
        let clock = stack.mariadb().expect("MariaDB").clock().expect("its clock moves");
        clock.advance(Duration::from_secs(5 * 3600)).expect("time passes");
    }

    fn moment(&self, stack: &Stack) -> Moment {
        let mariadb = stack.mariadb().expect("MariaDB");
        let clock = mariadb.clock().expect("its clock moves");
        // Its log has whole seconds, of when a statement began: nothing changes within two of the moment.
        clock.advance(Duration::from_secs(3)).expect("time passes");
        let time = |column: &str| format!("'{column}', DATE_FORMAT({column}, '%Y-%m-%dT%H:%i:%s.%fZ')");
        let rows = |table: &str, columns: &str| {
            format!("'{table}', (SELECT coalesce(JSON_ARRAYAGG(JSON_OBJECT({columns})), JSON_ARRAY()) FROM {table})")
        };
        let said = mariadb
            .sql(&format!(
                "SET time_zone = '+00:00'; SET group_concat_max_len = 100000000;
                 SELECT JSON_OBJECT('at', DATE_FORMAT(SYSDATE(6), '%Y-%m-%dT%H:%i:%s.%fZ'), 'tables', JSON_OBJECT({}, {}, {}));",
                rows("suppliers", &format!("'id', id, 'name', name, 'email', email, 'city', city, {}", time("created_at"))),
                rows("stock", "'sku', sku, 'bin', bin, 'quantity', quantity, 'cost', cost"),
                rows(
                    "deliveries",
                    &format!(
                        "'id', id, 'supplier_id', supplier_id, 'sku', sku, 'quantity', quantity, 'cost', cost, 'status', status, {}",
                        time("ordered_at")
                    )
                ),
            ))
            .expect("the tables are read");
        clock.advance(Duration::from_secs(3)).expect("time passes");
        truth::moment(&said)
    }
}

impl Warehouse {
    fn supplier(&mut self, sql: &mut String) {
        self.suppliers += 1;
        let id = self.suppliers;
        writeln!(
            sql,
            "INSERT INTO suppliers (id, name, email, city) VALUES ({id}, 'Supplier {id}', 's{id}@example.com', 'Oslo');"
        )
        .expect("writing to memory");
    }

    fn item(&mut self, sql: &mut String) {
        let sku = format!("SKU-{}", self.skus.len() + 100);
        writeln!(
            sql,
            "INSERT INTO stock (sku, bin, quantity, cost) VALUES ('{sku}', 'A-{}', 10, 12.60);",
            self.skus.len()
        )
        .expect("writing to memory");
        self.skus.push(sku);
    }

    fn transaction(&mut self, sql: &mut String, random: &mut StdRng) {
        let supplier = random.random_range(1..=self.suppliers);
        let sku = self.skus.choose(random).expect("there is one").clone();
        let delivery = random.random_range(0..=self.deliveries);
        let made = match random.random_range(0..100) {
            0..10 => {
                self.supplier(sql);
                return;
            }
            10..20 => {
                self.item(sql);
                return;
            }
            20..50 => {
                self.deliveries += 1;
                format!(
                    "BEGIN; INSERT INTO deliveries (id, supplier_id, sku, quantity, cost)
                     SELECT {}, max(id), '{sku}', 5, 63.00 FROM suppliers WHERE id <= {supplier} OR id > 100000;
                     UPDATE stock SET quantity = quantity + 5 WHERE sku = '{sku}'; COMMIT;",
                    self.deliveries
                )
            }
            50..70 => {
                let status = ["sent", "arrived", "shelved"].choose(random).expect("there are some");
                format!("UPDATE deliveries SET status = '{status}' WHERE id = {delivery};")
            }
            70..80 => format!("UPDATE stock SET cost = cost + 0.10, bin = 'B-{delivery}' WHERE sku = '{sku}';"),
            // The key changes: a delete and a create, maybe in two partitions.
            80..86 => format!(
                "UPDATE suppliers SET id = id + 100000 WHERE id = {supplier} AND id NOT IN (SELECT supplier_id FROM deliveries);"
            ),
            86..93 => format!("DELETE FROM deliveries WHERE id = {delivery};"),
            93..96 => "BEGIN; UPDATE stock SET quantity = 0; ROLLBACK;".to_owned(),
            // Many rows of one statement share a place in the log.
            _ => "UPDATE stock SET quantity = quantity + 1;".to_owned(),
        };
        sql.push_str(&made);
        sql.push('\n');
    }
}
