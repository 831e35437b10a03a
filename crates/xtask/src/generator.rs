//! Seeded Debezium streams for benchmarks and crash tests: the same seed and size give the same bytes, everywhere.
//!
//! PostgreSQL events without schemas, one `{"key": …, "value": …}` a line, about 0.9 kB each: 25 % creates, 65 % updates, 8 %
//! deletes, 2 % snapshot rows; among them everything that real streams contain and that consumers get wrong ([`Counts`]). The
//! generator keeps the database that the events speak of ([`Model`]), so that a result can be checked against something that never
//! saw the stream.
//!
//! ```
//! use xtask::generator::{Config, Keys, generate};
//!
//! let mut file = Vec::new();
//! let generated = generate(&Config { seed: 1, events: 20_000, keys: Keys::Uniform }, &mut file)?;
//! assert!(generated.counts.complete().is_ok());
//! assert!(generated.counts.distinct < generated.counts.events);
//! # Ok::<(), std::io::Error>(())
//! ```

mod counts;
mod delivery;
mod line;
mod model;
mod payments;
mod random;
mod row;
mod stream;

pub use self::counts::{Counts, Incomplete};
pub use self::model::{Change, Model};
pub use self::payments::{Ledger, Payments, held_by};
pub use self::row::{Basket, Order};

use std::io::{self, Write};
use std::str::FromStr;

/// When streams begin: 2026-01-01T00:00:00Z, in µs since 1970.
pub const BEGIN_US: i64 = 1_767_225_600_000_000;

/// To be raised with every change of what a seed gives, so that files of an earlier generator are not taken for ours.
const FORMAT: u32 = 2;

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// Lines that are events, re-delivered ones included; tombstones and poison come on top.
    pub events: u64,
    /// Which rows are changed.
    pub keys: Keys,
}

impl Config {
    /// A file name that is different for different streams.
    pub fn file_name(&self) -> String {
        format!("events-{FORMAT}-{}-{}-{}.jsonl", self.keys.name(), self.events, self.seed)
    }
}

/// How changes are spread over the rows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// Every row is as likely as any other.
    Uniform,
    /// Zipf's law with exponent 0.99: the older the row, the likelier.
    Zipf,
    /// One row ([`Model::HOT`]) has 1 % of all events, the rest is uniform.
    Hot,
}

impl Keys {
    /// The word for it, as `FromStr` reads it.
    pub const fn name(self) -> &'static str {
        match self {
            Keys::Uniform => "uniform",
            Keys::Zipf => "zipf",
            Keys::Hot => "hot",
        }
    }
}

impl FromStr for Keys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Keys::Uniform, Keys::Zipf, Keys::Hot]
            .into_iter()
            .find(|keys| keys.name() == text)
            .ok_or_else(|| format!("no such spread of keys: {text} (uniform, zipf, hot)"))
    }
}

/// What a stream contains, and what should come of it.
#[derive(Debug)]
pub struct Generated {
    /// How often each case was made.
    pub counts: Counts,
    /// The database that the stream speaks of.
    pub model: Model,
}

/// Writes the stream that `config` describes.
pub fn generate(config: &Config, out: &mut dyn Write) -> io::Result<Generated> {
    stream::Stream::new(config, out).run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn generated(config: Config) -> (Vec<u8>, Generated) {
        let mut bytes = Vec::new();
        let generated = generate(&config, &mut bytes).unwrap();
        (bytes, generated)
    }

    const SMALL: Config = Config { seed: 7, events: 20_000, keys: Keys::Uniform };

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
        let (first, _) = generated(SMALL);
        assert_eq!(first, generated(SMALL).0);
        assert_ne!(first, generated(Config { seed: 8, ..SMALL }).0);
    }

    #[test]
    fn every_case_occurs_in_the_promised_mix() {
        for keys in [Keys::Uniform, Keys::Zipf, Keys::Hot] {
            let (bytes, Generated { counts, .. }) = generated(Config { keys, ..SMALL });
            counts.complete().unwrap();
            assert_eq!(counts.events, SMALL.events);
            assert_eq!(counts.lines as usize, bytes.iter().filter(|byte| **byte == b'\n').count());
            let share = |count: u64| count as f64 / counts.events as f64 * 100.0;
            for (count, percent) in
                [(counts.created, 25.0), (counts.updated, 65.0), (counts.deleted, 8.0), (counts.read, 2.0)]
            {
                assert!((share(count) - percent).abs() < 1.5, "{keys:?}: {count} should be {percent} %");
            }
            let mean = bytes.len() as u64 / counts.lines;
            assert!((780..980).contains(&mean), "{mean} bytes a line");
        }
    }

    #[test]
    fn a_hot_key_has_one_event_in_a_hundred() {
        let (_, Generated { counts, model }) = generated(Config { keys: Keys::Hot, ..SMALL });
        let changes = model.history[&Model::HOT].len() as f64;
        assert!((0.008..0.013).contains(&(changes / counts.events as f64)), "{changes}");
    }

    /// The model must be what the stream says: replays the lines by source position, as a consumer should.
    #[test]
    fn the_stream_folds_to_the_model() {
        let (bytes, Generated { counts, model }) = generated(SMALL);
        let mut by_position: BTreeMap<(u64, u64, String), serde_json::Value> = BTreeMap::new();
        let (mut last_position, mut dead) = (0, 0);
        for (number, line) in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            let Ok(record) = serde_json::from_slice::<serde_json::Value>(line) else {
                dead += 1;
                continue;
            };
            let value = &record["value"];
            if value.is_null() {
                continue;
            }
            if record["key"].is_null() && value["op"] != "t" {
                dead += 1;
                continue;
            }
            // A snapshot row stands directly after what came before it; none here contradicts the log.
            let position = value["source"]["lsn"].as_u64().filter(|_| value["op"] != "r");
            let order = if position.is_some() { 0 } else { number as u64 + 1 };
            last_position = position.unwrap_or(last_position).max(last_position);
            let op = value["op"].as_str().unwrap();
            // Of a move's two events at one position the delete comes first.
            let rank = if op == "d" { "0" } else { "1" };
            by_position
                .insert((position.unwrap_or(last_position), order, format!("{rank}{}", record["key"])), value.clone());
        }
        let mut orders: BTreeMap<u64, serde_json::Value> = BTreeMap::new();
        let mut baskets: BTreeMap<u64, serde_json::Value> = BTreeMap::new();
        let mut took = serde_json::Value::Null;
        for ((.., key), value) in by_position {
            let rows = if value["source"]["table"] == "orders" { &mut orders } else { &mut baskets };
            let key: serde_json::Value = serde_json::from_str(&key[1..]).unwrap();
            match value["op"].as_str().unwrap() {
                "t" => rows.clear(),
                "d" => took = rows.remove(&key["id"].as_u64().unwrap()).unwrap_or_default(),
                _ => {
                    let mut row = value["after"].clone();
                    if row["note"] == "__debezium_unavailable_value" {
                        // A moved row takes it from the row that its delete took.
                        let before = if value["op"] == "c" { &took } else { &rows[&key["id"].as_u64().unwrap()] };
                        row["note"] = before["note"].clone();
                    }
                    rows.insert(key["id"].as_u64().unwrap(), row);
                }
            }
        }
        assert_eq!(dead, counts.poison);
        let expected: BTreeMap<u64, serde_json::Value> =
            model.orders.iter().map(|order| (order.id, serde_json::from_str(&order.to_json()).unwrap())).collect();
        assert_eq!(orders.len(), expected.len());
        for (id, row) in &expected {
            assert_eq!(&orders[id], row, "order {id}");
        }
        let expected: BTreeMap<u64, serde_json::Value> =
            model.baskets.iter().map(|basket| (basket.id, serde_json::from_str(&basket.to_json()).unwrap())).collect();
        assert_eq!(baskets, expected);
    }
}
