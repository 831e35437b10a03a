//! The shop at work on PostgreSQL.

use std::{fmt::Write as _, time::Duration};

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};
use xtask::stack::Stack;

use super::{Workload, truth};
use crate::recording::Moment;

const SKUS: [&str; 4] = ["LAM-100", "MUG-105", "DES-104", "CHA-103"];
const TRANSACTIONS: u32 = 12;

/// What is known of the tables without asking.
#[derive(Debug, Clone, Default)]
pub(super) struct Shop {
    customers: i64,
    orders: Vec<i64>,
    last_order: i64,
    steps: u32,
}

impl Workload for Shop {
    fn save(&self, stack: &Stack) {
        stack.postgres().expect("PostgreSQL").save("backup").expect("a backup is made");
    }

    fn restore(&self, stack: &Stack) -> Value {
        stack.postgres().expect("PostgreSQL").restore("backup").expect("the backup is there");
        json!({"slot.name": "restored", "publication.name": "restored"})
    }

    fn copy(&self) -> Box<dyn Workload> {
        Box::new(self.clone())
    }

    fn name(&self) -> &'static str {
        "shop"
    }

    fn step(&mut self, stack: &Stack, random: &mut StdRng) {
        let mut sql = String::new();
        if self.steps == 0 {
            for (sku, price) in SKUS.iter().zip(["39.90", "12.60", "420.00", "149.00"]) {
                writeln!(
                    sql,
                    "INSERT INTO products (sku, name, price, stock) VALUES ('{sku}', 'a thing', {price}, 50);"
                )
                .expect("writing to memory");
            }
            // Rows whose large values other updates leave out.
            self.customer(&mut sql);
        }
        self.steps += 1;
        for _ in 0..TRANSACTIONS {
            self.transaction(&mut sql, random);
        }
        stack.postgres().expect("PostgreSQL").sql(&sql).expect("the transactions are made");
    }

    fn pass(&self, stack: &Stack) {
        let clock = stack.postgres().expect("PostgreSQL").clock().expect("its clock moves");
        clock.advance(Duration::from_secs(5 * 3600)).expect("time passes");
    }

    fn moment(&self, stack: &Stack) -> Moment {
        let postgres = stack.postgres().expect("PostgreSQL");
        let clock = postgres.clock().expect("its clock moves");
        // Nothing is committed within a second of the moment.
        clock.advance(Duration::from_secs(1)).expect("time passes");
        let tables: Vec<String> = ["customers", "products", "orders", "order_lines"]
            .iter()
            .map(|table| format!("'{table}', (SELECT coalesce(json_agg(row_to_json(t)), '[]') FROM {table} t)"))
            .collect();
        let said = postgres
            .sql(&format!(
                "SET TimeZone = 'UTC'; SELECT json_build_object('at', to_json(clock_timestamp()), 'tables', json_build_object({}))",
                tables.join(", ")
            ))
            .expect("the tables are read");
        clock.advance(Duration::from_secs(1)).expect("time passes");
        truth::moment(said.trim_start_matches("SET"))
    }
}

impl Shop {
    fn customer(&mut self, sql: &mut String) {
        self.customers += 1;
        let id = self.customers;
        writeln!(
            sql,
            "INSERT INTO customers (id, name, email, city, about) VALUES ({id}, 'Customer {id}', 'c{id}@example.com', 'Lisbon',
             (SELECT string_agg(md5((random() * g)::text), '') FROM generate_series(1, 200) g));"
        )
        .expect("writing to memory");
    }

    fn transaction(&mut self, sql: &mut String, random: &mut StdRng) {
        let customer = random.random_range(1..=self.customers);
        let order = self.orders.choose(random).copied();
        let made = match (random.random_range(0..100), order) {
            (0..15, _) => {
                self.customer(sql);
                return;
            }
            (15..45, _) | (_, None) => {
                self.last_order += 1;
                let order = self.last_order;
                self.orders.push(order);
                let mut made = format!("BEGIN; INSERT INTO orders (id, customer_id) VALUES ({order}, {customer});");
                let lines = random.random_range(1..=3);
                let skus: Vec<&str> = SKUS.choose_multiple(random, lines).copied().collect();
                for (line, sku) in skus.into_iter().enumerate() {
                    let quantity = random.random_range(1..4);
                    write!(
                        made,
                        " INSERT INTO order_lines SELECT {order}, {line}, sku, {quantity}, price FROM products WHERE sku = '{sku}';
                          UPDATE products SET stock = stock - {quantity} WHERE sku = '{sku}';"
                    )
                    .expect("writing to memory");
                }
                made + &total(order) + " COMMIT;"
            }
            (45..60, Some(order)) => {
                let status = ["paid", "packed", "shipped", "cancelled"].choose(random).expect("there are some");
                format!("UPDATE orders SET status = '{status}', note = 'n{customer}' WHERE id = {order};")
            }
            (60..68, Some(order)) => format!(
                "BEGIN; UPDATE order_lines SET quantity = quantity + 1 WHERE order_id = {order}; {} COMMIT;",
                total(order)
            ),
            (68..76, _) => {
                let sku = SKUS.choose(random).expect("there are some");
                format!("UPDATE products SET price = price + 0.10, tags = tags || 'dear'::text WHERE sku = '{sku}';")
            }
            // The large text is left out of what Debezium says.
            (76..86, _) => format!("UPDATE customers SET tier = 'gold', updated_at = now() WHERE id = {customer};"),
            // The key changes: a delete and a create, maybe in two partitions.
            (86..91, Some(order)) => {
                format!("UPDATE order_lines SET line_no = line_no + 10 WHERE order_id = {order};")
            }
            (91..95, Some(order)) => {
                self.orders.retain(|known| *known != order);
                format!("DELETE FROM orders WHERE id = {order};")
            }
            // Nothing of it is ever seen.
            (95..97, _) => "BEGIN; UPDATE products SET stock = 0; ROLLBACK;".to_owned(),
            _ => format!("UPDATE customers SET city = city WHERE id = {customer};"),
        };
        sql.push_str(&made);
        sql.push('\n');
    }
}

/// What an order costs is what its lines cost, at every moment.
fn total(order: i64) -> String {
    format!(
        " UPDATE orders SET total = (SELECT coalesce(sum(quantity * unit_price), 0) FROM order_lines WHERE order_id = {order})
          WHERE id = {order};"
    )
}
