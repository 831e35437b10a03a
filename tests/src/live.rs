//! Everything real: a database at work, Debezium, Kafka, Deltafold, what goes wrong in between, and what the database
//! itself said at moments of that time.

mod dump;
mod reader;
mod shop;
mod site;
mod truth;
mod warehouse;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use xtask::{
    server::Running,
    stack::{Bookmark, Connect, Options, Stack},
};

use crate::recording::{Answers, Moment};

pub use reader::{Reader, Seen};
pub use site::{Site, halt, leave, resume};
use {shop::Shop, warehouse::Warehouse};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(300);

/// A database that changes.
pub trait Workload {
    /// The connector's name, which is the first part of its topics' names.
    fn name(&self) -> &'static str;

    /// Some transactions.
    fn step(&mut self, stack: &Stack, random: &mut StdRng);

    /// Lets some hours pass.
    fn pass(&self, stack: &Stack);

    /// Every table, as the database says it is now; nothing changes close to that moment.
    fn moment(&self, stack: &Stack) -> Moment;

    /// Makes a backup of the database.
    fn save(&self, stack: &Stack);

    /// Sets the database back to the backup. Returns what a connector has to be told that reads it then, and knows nothing
    /// of the one before.
    fn restore(&self, stack: &Stack) -> Value;

    /// What it knows of the database now, for when that is set back to now.
    fn copy(&self) -> Box<dyn Workload>;
}

/// A backup of the database, with what its workload knew of it.
pub struct Backup(Box<dyn Workload>);

/// Waits for something that comes about by itself; what it lacks is told if it does not.
pub fn wait_until<T>(what: &str, is_so: impl Fn() -> Result<T, String>) -> T {
    wait(is_so).unwrap_or_else(|lacks| panic!("waited in vain until {what}: {lacks}"))
}

fn wait<T>(is_so: impl Fn() -> Result<T, String>) -> Result<T, String> {
    let began = Instant::now();
    loop {
        match is_so() {
            Err(_) if began.elapsed() < LIMIT => std::thread::park_timeout(Duration::from_millis(200)),
            ended => return ended,
        }
    }
}

/// One database with everything that hangs on it.
pub struct Live {
    stack: Stack,
    workload: Box<dyn Workload>,
    random: StdRng,
    site: Site,
    moments: Vec<Moment>,
}

impl Live {
    /// The shop on PostgreSQL.
    pub fn shop(seed: u64) -> Self {
        let options = Options { postgres: true, connect: true, clock: true, ..Options::default() };
        Self::start(&options, Box::new(Shop::default()), seed, &["shop.*"])
    }

    /// The shop on PostgreSQL, and a second process that reads what its orders' lines come through: without it, nobody
    /// does.
    pub fn shop_read_by_two(seed: u64) -> (Self, Running) {
        let options = Options { postgres: true, connect: true, clock: true, ..Options::default() };
        let topics = ["shop.public.customers*", "shop.public.products*", "shop.public.orders*", "shop.transaction*"];
        let live = Self::start(&options, Box::new(Shop::default()), seed, &topics);
        let kafka = live.stack.kafka().expect("it has a broker").address();
        let lines = live.site.other("lines", &kafka, &["shop.public.order_lines*"]);
        (live, lines)
    }

    /// The warehouse on MariaDB.
    pub fn warehouse(seed: u64) -> Self {
        let options = Options { mariadb: true, connect: true, clock: true, ..Options::default() };
        Self::start(&options, Box::new(Warehouse::default()), seed, &["warehouse.*"])
    }

    fn start(options: &Options, workload: Box<dyn Workload>, seed: u64, topics: &[&str]) -> Self {
        let stack = Stack::up(options).expect("the stack starts");
        let connect = stack.connect().expect("it has Kafka Connect");
        let name = workload.name();
        let often = json!({"heartbeat.interval.ms": "500"});
        let definition = Connect::definition(name, &often).expect("the connector is defined");
        connect.register(name, &definition).expect("the connector runs");
        // Rows of its snapshot have the connector's time, which is another than the database's.
        wait_until("the connector has taken its snapshot", || {
            let offsets = connect.offsets(name).map_err(|error| error.to_string())?.to_string();
            let is_done = offsets.contains("\"offset\":{") && !offsets.contains("\"snapshot");
            if is_done { Ok(()) } else { Err(offsets) }
        });
        let kafka = stack.kafka().expect("it has a broker").address();
        let site = Site::start(name, &kafka, topics);
        Self { stack, workload, random: StdRng::seed_from_u64(seed), site, moments: Vec::new() }
    }

    /// Deltafold.
    pub fn site(&mut self) -> &mut Site {
        &mut self.site
    }

    /// The same, only to be asked.
    pub fn site_ref(&self) -> &Site {
        &self.site
    }

    /// The database works for a while, and is asked at the end what it holds.
    pub fn work(&mut self) {
        self.workload.step(&self.stack, &mut self.random);
        self.moments.push(self.workload.moment(&self.stack));
        self.workload.pass(&self.stack);
    }

    /// Makes a backup of the database, for which it is stopped. So is the connector: Debezium looks once a minute whether a
    /// MariaDB that went away is there again.
    pub fn back_up(&self) -> Backup {
        let connect = self.stack.connect().expect("Connect");
        connect.stop_connector(self.workload.name()).expect("the connector stops");
        self.workload.save(&self.stack);
        connect.resume_connector(self.workload.name()).expect("the connector goes on");
        Backup(self.workload.copy())
    }

    /// Sets the database back to how it was then, lets it go on from there, and has it read anew by a connector that
    /// knows nothing of the one before, under the same name.
    pub fn restore(&mut self, backup: Backup) {
        self.workload = backup.0;
        let connect = self.stack.connect().expect("Connect");
        connect.delete_connector(self.workload.name()).expect("the connector ends");
        let mut changes = self.workload.restore(&self.stack);
        changes["heartbeat.interval.ms"] = "500".into();
        changes["snapshot.mode"] = "initial".into();
        let definition = Connect::definition(self.workload.name(), &changes).expect("the connector is defined");
        connect.register("restored", &definition).expect("the connector runs");
    }

    /// The last moment at which the database was asked.
    pub fn last(&self) -> &Moment {
        self.moments.last().expect("it was asked")
    }

    /// Lets the database work until something comes about. What was done before a connector's snapshot shows in no log, so
    /// that once may not do.
    pub fn work_until(&mut self, what: &str, is_so: impl Fn(&Self) -> Result<(), String>) {
        let began = Instant::now();
        while let Err(lacks) = is_so(self) {
            assert!(began.elapsed() < LIMIT, "worked in vain until {what}: {lacks}");
            self.work();
        }
    }

    /// Forgets the moments so far: another history has begun.
    pub fn forget(&mut self) {
        self.moments.clear();
    }

    /// Stops the broker and starts it again; the database works until the connector goes on.
    ///
    /// It does so before, too: a broker that is stopped while topics that were just made take their first transaction
    /// leaves that open for good, and so does Kafka Connect when it is told to stop while it is still being started anew.
    /// Behind an open transaction nobody can read.
    pub fn restart_broker(&mut self) {
        self.let_the_connector_go_on();
        let kafka = self.stack.kafka().expect("the broker");
        kafka.stop().expect("the broker stops");
        kafka.start().expect("and starts");
        self.let_the_connector_go_on();
        self.stack.connect().expect("Connect").wait_until_running(self.workload.name()).expect("it runs again");
    }

    fn let_the_connector_go_on(&mut self) {
        let written = |live: &Self| live.stack.connect().expect("Connect").offsets(live.workload.name());
        let before =
            wait_until("the connector's offsets are known", || written(self).map_err(|error| format!("{error:#}")));
        self.work_until("the connector goes on", |live| match written(live) {
            Ok(now) if now == before => Err(now.to_string()),
            _ => Ok(()),
        });
    }

    /// How far the connector has read.
    pub fn bookmark(&self) -> Bookmark {
        self.stack.bookmark(self.workload.name()).expect("the connector's offsets are known")
    }

    /// Lets the connector send again what it has sent since.
    pub fn send_again(&self, bookmark: &Bookmark) {
        self.stack.send_again(bookmark).expect("the connector goes back");
        self.stack.connect().expect("Connect").wait_until_running(self.workload.name()).expect("it runs again");
    }

    /// Waits until everything that the database did has come out of the topics and is in the views; returns the
    /// topics' records.
    pub fn settle(&mut self) -> Vec<Value> {
        // What comes last in the log is a change that nobody else makes.
        let last = self.workload.moment(&self.stack);
        if let Err(differs) = wait(|| self.answers(&last)) {
            let read = self.site.has_read(&dump::of(&self.stack, self.workload.name()));
            panic!("the views are not what the database has: {differs}; the source: {}; {read:?}", self.site.reading());
        }
        self.moments.push(last);
        wait_until("everything in the topics is read", || {
            let records = dump::of(&self.stack, self.workload.name());
            self.site.has_read(&records).map(|()| records)
        })
    }

    /// Whether every table is what the database said it was at a moment.
    ///
    /// # Errors
    /// The first difference.
    pub fn answers(&self, moment: &Moment) -> Result<(), String> {
        let mut answers = Answers::of(self.site.server());
        for (table, rows) in &moment.tables {
            if !rows.is_empty() && !answers.knows(table) {
                return Err(format!("there is no view of {table}"));
            }
            let (found, expected) = (answers.table(table, &moment.at), answers.expected(table, rows));
            if found != expected {
                let differing = expected.iter().zip(&found).find(|(expected, found)| expected != found);
                let differing =
                    differing.map(|(expected, found)| (format!("{expected:.200}"), format!("{found:.200}")));
                return Err(format!(
                    "{table} at {}: {} rows, {} expected; the first that differ: {differing:?}",
                    moment.at,
                    found.len(),
                    expected.len()
                ));
            }
        }
        Ok(())
    }

    /// Waits until the consistent moment is known and everything is there as of it.
    pub fn assert_consistent(&self) {
        wait_until("everything is there as of the consistent moment", || {
            let said = reader::consistent(self.site.server().address());
            let at = said["at"].as_str().filter(|_| said["estimated"] == serde_json::json!(false));
            let at = at.ok_or_else(|| said.to_string())?.to_owned();
            self.answers(&Moment { at, ..self.last().clone() })
        });
    }

    /// Law 8, at every moment so far.
    pub fn assert_truth(&self) {
        assert!(self.moments.len() >= 20, "{} moments are not enough", self.moments.len());
        for moment in &self.moments {
            self.answers(moment).unwrap_or_else(|difference| panic!("{difference}"));
        }
    }

    /// The store's distinct events are the topics', and every row's history has one entry for each of its events.
    pub fn assert_events(&self, records: &[Value]) {
        let told = dump::events(self.workload.name(), records);
        let mut answers = Answers::of(self.site.server());
        let listed = answers.event_ids();
        let mut expected: Vec<String> = told.iter().map(|event| event.id.clone()).collect();
        expected.sort();
        expected.dedup();
        let mut found = listed.clone();
        found.sort();
        let missing: Vec<_> = expected.iter().filter(|id| found.binary_search(id).is_err()).collect();
        let foreign: Vec<_> = found.iter().filter(|id| expected.binary_search(id).is_err()).collect();
        assert!(missing.is_empty() && foreign.is_empty(), "missing: {missing:?}, of no record: {foreign:?}");
        assert_eq!(found.len(), expected.len(), "an event is listed once");

        let mut by_row: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
        for event in &told {
            by_row.entry((event.aggregate_type.clone(), event.aggregate_id.clone())).or_default().push(&event.id);
        }
        for ((aggregate_type, aggregate_id), mut ids) in by_row {
            ids.sort_unstable();
            ids.dedup();
            let mut found = answers.history(&aggregate_type, &aggregate_id);
            found.sort();
            assert_eq!(found, ids, "the history of {aggregate_type} {aggregate_id}");
        }
    }
}
