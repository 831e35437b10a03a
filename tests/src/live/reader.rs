//! A reader that looks at the shop's orders and their lines over and over while everything is at work.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde_json::{Value, json};
use xtask::http::Connection;

use super::Site;

/// How long it rests between two looks, for the others' sake.
const REST: Duration = Duration::from_millis(20);

/// Looks until it is asked what it has seen.
pub struct Reader {
    seen: Arc<Mutex<Seen>>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// What a reader has seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// How often some orders, as they were then, did not cost what their lines cost.
    pub halves_now: u32,
    /// As of the consistent moments: the orders that did not.
    pub halves: BTreeSet<String>,
    /// The consistent moments.
    pub moments: BTreeSet<String>,
    /// How often they were estimated.
    pub estimated: u32,
}

/// The orders of a moment.
struct Orders {
    /// Those that do not cost what their lines cost, and those that only have lines.
    halves: BTreeSet<String>,
    /// What is said of the consistent moment.
    consistent: Value,
}

impl Reader {
    /// Begins to look.
    pub fn of(site: &Site) -> Self {
        let (seen, is_over) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (address, looks, ends) = (site.server().address(), seen.clone(), is_over.clone());
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let (now, then) = (Orders::of(address, ""), Orders::of(address, "consistent: true"));
                lock(&looks).add(now, then);
                std::thread::park_timeout(REST);
            }
        });
        Self { seen, is_over, thread }
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    /// What it has seen in all.
    pub fn end(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it was answered");
        lock(&self.seen).clone()
    }
}

impl Seen {
    fn add(&mut self, now: Orders, then: Orders) {
        self.halves_now += u32::from(!now.halves.is_empty());
        self.halves.extend(then.halves);
        self.moments.insert(then.consistent["at"].to_string());
        self.estimated += u32::from(then.consistent["estimated"] != json!(false));
    }
}

impl Orders {
    /// Asks a server; `moment` is what `asOf` says, if anything.
    fn of(address: SocketAddr, moment: &str) -> Self {
        let moment = if moment.is_empty() { String::new() } else { format!(", asOf: {{{moment}}}") };
        let document = format!(
            "{{ orders(first: 1000{moment}) {{ nodes {{ id total }} }}
                orderLines(first: 1000{moment}) {{ nodes {{ orderId quantity unitPrice }} }} }}"
        );
        let answer = ask(address, &document);
        assert!(answer["errors"].is_null(), "{answer}");
        let nodes = |list: &str| answer["data"][list]["nodes"].as_array().cloned().unwrap_or_default();
        let mut costs: BTreeMap<String, i64> = BTreeMap::new();
        for line in nodes("orderLines") {
            *costs.entry(line["orderId"].to_string()).or_default() +=
                number(&line["quantity"]) * cents(&line["unitPrice"]);
        }
        for order in nodes("orders") {
            *costs.entry(order["id"].to_string()).or_default() -= cents(&order["total"]);
        }
        let halves = costs.into_iter().filter(|(_, left)| *left != 0).map(|(order, _)| order).collect();
        Self { halves, consistent: said(&answer) }
    }
}

/// What a server says of the consistent moment: `{"at":…,"estimated":…}`.
pub(super) fn consistent(address: SocketAddr) -> Value {
    said(&ask(address, "{ store { events } }"))
}

fn said(answer: &Value) -> Value {
    answer["extensions"]["deltafold"]["consistent"].clone()
}

/// The whole answer to a GraphQL request.
fn ask(address: SocketAddr, document: &str) -> Value {
    let mut connection = Connection::open(address).expect("the server listens");
    let request = Connection::request(address, "/graphql", &json!({ "query": document }).to_string());
    connection.send(&request).expect("it takes a request");
    let answer = connection.receive().expect("it answers").expect("the connection waits");
    serde_json::from_slice(answer).expect("the answer is JSON")
}

fn number(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).expect("a number")
}

fn cents(value: &Value) -> i64 {
    let text = value.as_str().expect("a decimal");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{part:0<2}").parse().expect("digits")
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().expect("nothing panics while it holds what was seen")
}
