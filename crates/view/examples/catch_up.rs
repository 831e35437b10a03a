//! How fast a mirror's entries are written when it catches up, and read afterwards.
//!
//! `cargo run --release -p deltafold-view --example catch_up -- [events] [keys] [bulk|batch] [batch events]`

#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use std::time::{Duration, Instant};

use deltafold_event::{EventId, Position, Timestamp};
use deltafold_view::{At, Entry, Mirror, Options, Stored, ViewStore};

const HOT: &str = "hot";
const HOT_VERSIONS: u64 = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut number = |default: u64| args.next().map_or(Ok(default), |text| text.parse());
    let (events, keys) = (number(1_000_000)?, number(200_000)?);
    let is_bulk = args.next().is_none_or(|mode| mode == "bulk");
    let batch_events = args.next().map_or(Ok(65_536), |text| text.parse())?;

    let dir = tempfile::tempdir()?;
    let views = ViewStore::open(dir.path(), Options::default())?;
    let mirror = views.mirror("orders")?;
    if is_bulk {
        views.begin_bulk()?;
    }
    let mut random = Random(7);
    let (mut commits, mut reads) = (Duration::ZERO, Duration::ZERO);
    let mut slowest = Duration::ZERO;
    let start = Instant::now();
    let cpu = processor_seconds();
    let mut at = 0;
    while at < events {
        let end = events.min(at + batch_events);
        let mut touched: std::collections::HashMap<String, Stored> = std::collections::HashMap::new();
        let mut batch = views.batch();
        let reader = views.snapshot().reader(&mirror);
        for at in at..end {
            let number = random.next();
            let key =
                if at % (events / HOT_VERSIONS).max(1) == 0 { HOT.to_owned() } else { (number % keys).to_string() };
            if !touched.contains_key(&key) {
                let before = Instant::now();
                reader.last(&key)?;
                reads += before.elapsed();
            }
            let stored = entry(at, number);
            let position = Position::from_i64(at as i64)?;
            let Entry { valid_from, order, .. } = stored.entry();
            batch.put_entry(&mirror, &key, &stored)?;
            batch.put_head(&mirror, &key, position, valid_from, order)?;
            touched.insert(key, stored);
        }
        for (key, stored) in &touched {
            batch.put_current(&mirror, key, stored)?;
        }
        batch.put_checkpoint("orders", Position::from_i64(end as i64)?);
        let before = Instant::now();
        batch.commit()?;
        commits += before.elapsed();
        slowest = slowest.max(before.elapsed());
        at = end;
    }
    views.end_bulk()?;
    let elapsed = start.elapsed();
    println!(
        "{events} events of {keys} keys, {}: {:.0} events/s; commits {:.2} s (slowest {:.0} ms), reads {:.2} s, {:.1} s of processor",
        if is_bulk { "bulk" } else { "batches" },
        events as f64 / elapsed.as_secs_f64(),
        commits.as_secs_f64(),
        slowest.as_secs_f64() * 1e3,
        reads.as_secs_f64(),
        processor_seconds() - cpu,
    );
    println!("on disk {:.0} bytes an event", views.disk_bytes()? as f64 / events as f64);
    read(&views, &mirror, events, keys)?;
    let before = Instant::now();
    drop(views);
    println!("closed in {:.2} s", before.elapsed().as_secs_f64());
    let before = Instant::now();
    let views = ViewStore::open(dir.path(), Options::default())?;
    println!("opened in {:.2} s", before.elapsed().as_secs_f64());
    read(&views, &mirror, events, keys)?;
    Ok(())
}

fn read(views: &ViewStore, mirror: &Mirror, events: u64, keys: u64) -> Result<(), Box<dyn std::error::Error>> {
    let snapshot = views.snapshot();
    let reader = snapshot.reader(mirror);
    let mut random = Random(3);
    let now = |_: u64| At::NOW;
    let time = |number: u64| At::time(moment(number % events));
    let position = |number: u64| At::position(Position::from_i64((number % events) as i64).expect("positive"));
    let both = |number: u64| At { time: moment(number / 7 % events), ..position(number) };
    for (name, at) in [
        ("now", &now as &dyn Fn(u64) -> At),
        ("as of a time", &time),
        ("as of a position", &position),
        ("as of both", &both),
    ] {
        for hot in [false, true] {
            let mut taken: Vec<Duration> = (0..20_000)
                .map(|_| {
                    let number = random.next();
                    let key = if hot { HOT.to_owned() } else { (number % keys).to_string() };
                    let before = Instant::now();
                    let version = reader.as_of(&key, at(random.next())).expect("readable");
                    std::hint::black_box(version);
                    before.elapsed()
                })
                .collect();
            taken.sort();
            let micros = |part: usize| taken[taken.len() * part / 100].as_secs_f64() * 1e6;
            let which = if hot { "hot key" } else { "any key" };
            println!("{name}, {which}: p50 {:.1} µs, p99 {:.1} µs", micros(50), micros(99));
        }
    }
    let before = Instant::now();
    let rows = reader.scan(At::NOW).count();
    println!("scan now: {rows} rows, {:.2} s", before.elapsed().as_secs_f64());
    let before = Instant::now();
    let rows = reader.scan(At::time(moment(events / 2))).count();
    println!("scan as of a time: {rows} rows, {:.2} s", before.elapsed().as_secs_f64());
    Ok(())
}

/// About 500 bytes, as a keeper writes them.
fn entry(at: u64, number: u64) -> Stored {
    let row = format!(
        r#"{{"id":{number},"customer_id":{},"status":"shipped","total":"{}.50","placed_at":"2026-11-21T14:00:00.{:06}Z","note":"{:0200}","address":"{:x}"}}"#,
        number % 977,
        number % 10_007,
        at % 1_000_000,
        number % 31,
        number.wrapping_mul(31),
    );
    let order = [[0; 4].as_slice(), &at.to_be_bytes(), &[0; 18]].concat();
    let memory = [at.to_be_bytes(); 12].concat();
    Stored::new(&Entry {
        event: Some(EventId::from_bytes(u128::from(number).to_be_bytes())),
        revision: at,
        row: Some(&row),
        memory: &memory,
        ..Entry::absent(moment(at), &order, Position::from_i64(at as i64).expect("positive"))
    })
}

fn moment(at: u64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + at as i64 * 1_000)
}

/// The seconds that this process has computed, by all its threads.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

/// splitmix64 (<https://prng.di.unimi.it/splitmix64.c>).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
