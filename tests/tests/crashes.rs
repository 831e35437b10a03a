//! Whatever ends the process or breaks the disk, and wherever: started again, it comes to the result of an undisturbed run.
//!
//! That result is not taken from a run of ours but from the generator, which keeps the database its stream speaks of; the store's
//! files are counted by code that is not the store's.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use anyhow::{Context, Result, ensure};
use deltafold_tests::live::wait_until;
use deltafold_tests::process::{Deltafold, binary};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use xtask::audit::Audit;
use xtask::expected::{check_all_rows, check_histories, plain};
use xtask::generator::{Config, Generated, Keys, generate};
use xtask::http::Connection;
use xtask::server::{Running, Server};

/// A stream in a file, generated once for all tests.
struct Stream {
    folder: TempDir,
    file: PathBuf,
    generated: Generated,
}

impl Stream {
    fn make(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(config.file_name());
        let generated = generate(&config, &mut BufWriter::new(File::create(&file).unwrap())).unwrap();
        generated.counts.complete().unwrap();
        Self { folder, file, generated }
    }

    /// A file with the first `percent` of the lines: what it was when less had been written.
    fn grown_to(&self, percent: u64) -> PathBuf {
        let file = tempfile::Builder::new().suffix(".jsonl").tempfile_in(self.folder.path()).unwrap();
        let (mut file, path) = file.keep().unwrap();
        let lines = (self.generated.counts.lines * percent / 100) as usize;
        for line in BufReader::new(File::open(&self.file).unwrap()).split(b'\n').take(lines) {
            file.write_all(&line.unwrap()).unwrap();
            file.write_all(b"\n").unwrap();
        }
        path
    }
}

static SMALL: LazyLock<Stream> = LazyLock::new(|| Stream::make(Config { seed: 3, events: 10_000, keys: Keys::Zipf }));

/// A fresh data directory; the folder around it goes with it.
fn fresh() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    (folder, data)
}

fn ingest(file: &Path) -> [&str; 3] {
    ["ingest", "--file", file.to_str().expect("temporary paths are text")]
}

/// Appends the small stream in five commits at least, so that there is something to merge and every point is passed more than once.
fn ingest_in_parts(deltafold: &Deltafold) {
    for percent in [20, 40, 60, 80] {
        deltafold.succeed(ingest(&SMALL.grown_to(percent)));
    }
    deltafold.succeed(ingest(&SMALL.file));
}

/// Whether store and views hold what the stream says, no more and no less.
fn check(data: &Path, generated: &Generated) -> Result<()> {
    Audit::of(data)?.check(&generated.counts).context("count the store's files")?;
    let server = Server::start(&mut Deltafold::on(data).command(["serve", "--listen", "127.0.0.1:0"]))?;
    server.wait_until_ready()?;
    let mut connection = server.connect()?;
    check_all_rows(&mut connection, &generated.model)?;
    check_histories(&mut connection, &generated.model)
}

/// Calls `arguments` with the point set to kill, which must happen, then again without, which must succeed.
fn killed_at(deltafold: &Deltafold, point: &str, passes: u32, arguments: &[&str]) {
    let ended = deltafold.failing(point, passes, "abort").run(arguments);
    assert!(ended.aborted, "{point} was not reached, or {} has no fault points: {ended:#?}", binary().display());
    deltafold.succeed(arguments);
}

#[test]
fn killed_around_an_append() {
    for point in [
        "store::before_file_sync",
        "store::after_file_sync",
        "store::before_log_entry",
        "store::after_log_entry",
        "store::before_dead_letters",
        "store::after_dead_letters",
    ] {
        let (_folder, data) = fresh();
        let deltafold = Deltafold::on(&data);
        // In the first commit of all, where there is nothing to go back to …
        killed_at(&deltafold, point, 0, &ingest(&SMALL.grown_to(60)));
        // … and in a later one.
        killed_at(&deltafold, point, 0, &ingest(&SMALL.file));
        check(&data, &SMALL.generated).with_context(|| point.to_owned()).unwrap();
    }
}

/// A change of a table without a key.
fn keyless(id: u64) -> Value {
    json!({
        "before": null, "after": {"id": id, "total": "1.50"}, "op": "c", "ts_ms": 1_790_582_400_001_u64,
        "source": {
            "version": "3.5.0.Final", "connector": "postgresql", "name": "shop", "ts_ms": 1_790_582_400_000_u64,
            "snapshot": "false", "db": "shop", "sequence": format!("[null,\"{id}\"]"),
            "ts_us": 1_790_582_400_000_000_u64 + id, "schema": "public", "table": "orders", "txId": id, "lsn": id,
        },
    })
}

/// Killed around the commit of a retry or of a discard, and called again: each letter is settled once.
#[test]
fn killed_around_a_retry() {
    for point in
        ["store::before_file_sync", "store::after_file_sync", "store::before_log_entry", "store::after_log_entry"]
    {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let deltafold = Deltafold::on(&folder.path().join("data"));
        let file = folder.path().join("orders.jsonl");
        let lines: String = (1..=20).map(|id| keyless(id).to_string() + "\n").collect();
        std::fs::write(&file, lines).expect("the file is written");
        deltafold.succeed(["ingest", "--file", file.to_str().expect("temporary paths are text")]);
        for arguments in [
            &["dead-letters", "retry", "--all", "--key", "orders=id"][..],
            &["dead-letters", "discard", "--all", "--reason", "a test"],
        ] {
            let ended = deltafold.failing(point, 0, "abort").run(arguments);
            // Once the first is through, there is nothing left for the second.
            let is_retry = arguments.contains(&"retry");
            assert_eq!(ended.aborted, is_retry, "{point}: {ended:#?}");
            deltafold.succeed(arguments);
        }
        let listed = deltafold.succeed(["dead-letters", "list", "--all", "--json"]).stdout;
        let states = listed.lines().map(|line| serde_json::from_str::<Value>(line).expect("a letter")["state"].clone());
        assert_eq!(states.collect::<Vec<_>>(), vec![json!("retried"); 20], "{point}");
        let query = ["query", "--json", "{ orders { nodes { id } } events(first: 100) { nodes { id } } }"];
        let answer: Value = serde_json::from_str(&deltafold.succeed(query).stdout).expect("an answer");
        for list in ["orders", "events"] {
            assert_eq!(answer["data"][list]["nodes"].as_array().map(Vec::len), Some(20), "{point}: {list}");
        }
        let events = Audit::of(&folder.path().join("data")).expect("the files can be counted").events;
        assert_eq!(events, 20, "{point}");
        deltafold.succeed(["verify"]);
    }
}

#[test]
fn killed_around_a_view_batch() {
    let query = ["query", "{ orders(first: 1) { totalCount } }"];
    for point in ["view::before_batch", "view::after_batch"] {
        // Catching up from nothing, and going on from an index that has a part.
        for folded_before in [false, true] {
            let (_folder, data) = fresh();
            let deltafold = Deltafold::on(&data);
            if folded_before {
                deltafold.succeed(ingest(&SMALL.grown_to(10)));
                deltafold.succeed(query);
            }
            ingest_in_parts(&deltafold);
            killed_at(&deltafold, point, 0, &query);
            check(&data, &SMALL.generated).with_context(|| format!("{point}, folded before: {folded_before}")).unwrap();
        }
    }
}

#[test]
fn killed_in_maintenance() {
    for (point, command) in [
        ("store::maintenance::before_compaction", "compact"),
        ("store::maintenance::after_compaction", "compact"),
        ("store::maintenance::before_checkpoint", "checkpoint"),
        ("store::maintenance::after_checkpoint", "checkpoint"),
    ] {
        let (_folder, data) = fresh();
        let deltafold = Deltafold::on(&data);
        ingest_in_parts(&deltafold);
        killed_at(&deltafold, point, 0, &[command]);
        deltafold.succeed(["verify"]);
        check(&data, &SMALL.generated).with_context(|| point.to_owned()).unwrap();
    }
}

/// Clean-up and vacuum, killed between two removals, of a store that is older than every retention.
#[test]
fn killed_while_removing() {
    for point in ["store::maintenance::clean", "store::maintenance::vacuum"] {
        let (_folder, data) = fresh();
        let deltafold = Deltafold::on(&data);
        // A kill before the log entry leaves a data file that nothing names.
        killed_at(&deltafold, "store::before_log_entry", 0, &ingest(&SMALL.grown_to(10)));
        ingest_in_parts(&deltafold);
        deltafold.succeed(["compact"]);
        deltafold.succeed(["checkpoint"]);
        make_old(&data);
        killed_at(&deltafold, point, 0, &["vacuum"]);
        deltafold.succeed(["verify"]);
        check(&data, &SMALL.generated).with_context(|| point.to_owned()).unwrap();
    }
}

/// Every file below was last written three hours ago.
fn make_old(folder: &Path) {
    let then = SystemTime::now() - Duration::from_secs(3 * 60 * 60);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            make_old(&path);
        } else {
            File::options().append(true).open(&path).unwrap().set_modified(then).unwrap();
        }
    }
}

/// Power fails before the last log entry reaches the disk: the entry comes back empty, though its file was synced.
#[test]
fn an_emptied_last_log_entry_is_not_read_as_nothing() {
    let (_folder, data) = fresh();
    let deltafold = Deltafold::on(&data);
    deltafold.succeed(ingest(&SMALL.grown_to(50)));
    let log = data.join("events").join("_delta_log");
    let last = std::fs::read_dir(&log)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .max()
        .expect("the log has entries");
    File::create(&last).unwrap();
    deltafold.succeed(ingest(&SMALL.file));
    check(&data, &SMALL.generated).unwrap();
}

/// A disk that is full, read-only or broken: an error that says so, exit code 5, and nothing lost.
#[test]
fn a_disk_that_refuses() {
    let cases = [("ENOSPC", "no space left"), ("EROFS", "read-only file system"), ("EIO", "input/output error")];
    let points = ["store::io", "store::io::write", "store::io::sync", "store::io::link", "store::io::sync_dir"];
    for (number, point) in points.into_iter().enumerate() {
        let (code, message) = cases[number % cases.len()];
        let (_folder, data) = fresh();
        let deltafold = Deltafold::on(&data);
        deltafold.succeed(ingest(&SMALL.grown_to(30)));
        for (passes, (code, message)) in [(0, (code, message)), (3, cases[(number + 1) % cases.len()])] {
            let ended = deltafold.failing(point, passes, code).run(ingest(&SMALL.grown_to(70)));
            assert_eq!(ended.code, Some(5), "{point} {code}: {ended:#?}");
            assert!(ended.stderr.to_lowercase().contains(message), "{point} {code}: {ended:#?}");
        }
        deltafold.succeed(ingest(&SMALL.file));
        check(&data, &SMALL.generated).with_context(|| point.to_owned()).unwrap();
    }
}

/// The same under the index: what was appended is safe, and folded once the disk takes it again.
#[test]
fn a_disk_that_refuses_the_index() {
    let query = ["query", "{ orders(first: 1) { totalCount } }"];
    let cases = [("ENOSPC", "no space left"), ("EROFS", "read-only file system"), ("EIO", "input/output error")];
    for (code, message) in cases {
        let (_folder, data) = fresh();
        let deltafold = Deltafold::on(&data);
        deltafold.succeed(ingest(&SMALL.grown_to(10)));
        deltafold.succeed(query);
        ingest_in_parts(&deltafold);
        let ended = deltafold.failing("view::io", 0, code).run(query);
        assert_eq!(ended.code, Some(5), "{code}: {ended:#?}");
        assert!(ended.stderr.to_lowercase().contains(message), "{code}: {ended:#?}");
        check(&data, &SMALL.generated).with_context(|| code.to_owned()).unwrap();
    }
}

#[test]
fn a_second_process_on_the_index_is_told_where_to_ask() {
    let (_folder, data) = fresh();
    let deltafold = Deltafold::on(&data);
    deltafold.succeed(ingest(&SMALL.grown_to(50)));
    let server = Server::start(&mut deltafold.command(["serve", "--listen", "127.0.0.1:0"])).unwrap();
    server.wait_until_ready().unwrap();
    let second = deltafold.run(["get", "orders", "1"]);
    assert_eq!(second.code, Some(5), "{second:#?}");
    assert!(second.stderr.contains("--url"), "{second:#?}");
    // Appending beside a server is normal.
    deltafold.succeed(ingest(&SMALL.file));
    drop(server);
    check(&data, &SMALL.generated).unwrap();
}

/// Whoever reads stderr may be gone, as after `| head`: what is said from then on is lost, and nothing else.
#[test]
fn what_nobody_reads_stops_nothing() {
    let (folder, data) = fresh();
    // A broker that never answers, until it is away: then there is something to say.
    let broker = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = broker.local_addr().unwrap();
    let configuration = format!("[sources.shop]\nkind = \"kafka\"\nbrokers = \"{address}\"\ntopics = [\"shop.*\"]\n");
    std::fs::write(folder.path().join("deltafold.toml"), configuration).unwrap();
    let mut command = Deltafold::on(&data).command(["run", "--listen", "127.0.0.1:0"]);
    let mut running = Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let said = BufReader::new(running.0.stderr.take().unwrap());
    let server = said.lines().map_while(Result::ok).find_map(|line| line.split_once("http://")?.1.trim().parse().ok());
    let server = server.expect("it says where it listens");
    drop(broker);
    wait_until("it is known that the broker is away", || {
        let mut connection = Connection::open(server).map_err(|error| error.to_string())?;
        let answer =
            connection.graphql("{ sources { hindrance } }", &Value::Null).map_err(|error| error.to_string())?;
        if answer["sources"][0]["hindrance"].is_string() { Ok(()) } else { Err(answer.to_string()) }
    });
}

/// The whole system in one process, killed (SIGKILL) at random while it appends and folds.
#[test]
fn killed_at_random() {
    let soak = std::env::var_os("DELTAFOLD_SOAK").is_some_and(|value| !value.is_empty());
    let (kills, events) = if soak { (20, 1_000_000) } else { (5, 100_000) };
    let stream = Stream::make(Config { seed: 5, events, keys: Keys::Uniform });
    let seed = rand::random();
    println!("seed {seed}: {kills} kills in {events} events");
    let undisturbed = undisturbed_run(&stream);
    println!("undisturbed: {undisturbed:.1?}");

    let (folder, data) = fresh();
    configure(folder.path(), &stream.file);
    let deltafold = Deltafold::on(&data);
    let mut random = StdRng::seed_from_u64(seed);
    let longest = undisturbed.as_secs_f64() * 1.5 / f64::from(kills);
    for kill in 1..=kills {
        let mut command = deltafold.command(["run", "--listen", "127.0.0.1:0"]);
        let mut running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let after = Duration::from_secs_f64(random.random_range(0.0..longest));
        std::thread::park_timeout(after);
        assert!(running.0.try_wait().unwrap().is_none(), "kill {kill}: it had ended by itself after {after:.1?}");
        drop(running);
        println!("kill {kill} after {after:.1?}: {} log entries", log_entries(&data));
    }
    deltafold.succeed(ingest(&stream.file));
    check(&data, &stream.generated).with_context(|| format!("seed {seed}")).unwrap();
}

/// How long `run` takes from nothing until everything is in the views.
fn undisturbed_run(stream: &Stream) -> Duration {
    let (folder, data) = fresh();
    configure(folder.path(), &stream.file);
    let begun = Instant::now();
    let server = Server::start(&mut Deltafold::on(&data).command(["run", "--listen", "127.0.0.1:0"])).unwrap();
    server.wait_until_ready().unwrap();
    let mut connection = server.connect().unwrap();
    let expected = stream.generated.model.orders.len().to_string();
    loop {
        // The view is not there before its first event.
        let count = connection.graphql("{ orders(first: 1) { totalCount } }", &serde_json::Value::Null);
        if count.is_ok_and(|data| plain(&data["orders"]["totalCount"]) == expected)
            && everything_read(&data, stream).is_ok()
        {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < Duration::from_secs(1800), "an undisturbed run does not come to its end");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn everything_read(data: &Path, stream: &Stream) -> Result<()> {
    let audit = Audit::of(data)?;
    ensure!(audit.events == stream.generated.counts.events, "{} events so far", audit.events);
    Ok(())
}

/// `deltafold.toml` in the folder that commands run in.
fn configure(folder: &Path, file: &Path) {
    let mut config = File::create(folder.join("deltafold.toml")).unwrap();
    writeln!(config, "[sources.events]\nkind = \"files\"\nfiles = [{:?}]", file.to_str().unwrap()).unwrap();
}

fn log_entries(data: &Path) -> usize {
    std::fs::read_dir(data.join("events").join("_delta_log")).map_or(0, |entries| {
        entries
            .filter(|entry| {
                entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|ending| ending == "json"))
            })
            .count()
    })
}
