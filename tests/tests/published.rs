//! Published views: what other readers of Delta find in their tables, and what the tables' feeds come to, is what the
//! views show, however often the publisher was stopped.

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    path::Path,
    process::Command,
    sync::Arc,
    task::{Context, Poll},
};

use deltafold_event::{StoredEvent, Timestamp};
use deltafold_projector::{Ordered, PublishedView, PublisherOptions, Said, Tables, ViewKind};
use deltafold_tests::{
    kept::{Kept, OnDisk},
    projections::Span,
    recording::Recording,
};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::Deserialize;
use serde_json::{Value, json};

/// A row of a table, with where it begins and ends.
type Row = (String, Timestamp, Option<Timestamp>, Value);

/// What other readers find in a table.
#[derive(Debug, Deserialize)]
struct Found {
    /// How many rows, by reader.
    rows: BTreeMap<String, usize>,
    /// How often it was written as a whole.
    replaced: usize,
    /// How often changes were merged into it.
    merged: usize,
}

#[test]
fn other_readers_find_what_the_views_of_the_shop_show() {
    let shop = Recording { folder: "shop", stream: "shop", declared: "" };
    let (commits, schemas) = shop.commits(120);
    let mut kept = OnDisk::new(&schemas);
    let folder = tempfile::tempdir().expect("there is room");
    let options = PublisherOptions { dir: folder.path().join("views"), ..PublisherOptions::default() };
    let mut random = SmallRng::seed_from_u64(5);
    let runtime = tokio::runtime::Runtime::new().expect("there are threads");
    let mut publishing: BTreeMap<Arc<str>, PublishedView> = BTreeMap::new();
    let (mut published, mut cut_short) = (0, 0);
    for (number, commit) in commits.iter().enumerate() {
        let mut commit = commit.clone();
        match number {
            1 => definitions().into_iter().for_each(|(name, sql)| order(&mut commit, &name, Ordered::Defined { sql })),
            n if n == commits.len() / 2 => order(&mut commit, "customer_orders", Ordered::Rebuild { hold: false }),
            _ => {}
        }
        kept.fold(&commit);
        if number != 1 && number + 1 != commits.len() && !random.random_ratio(1, 4) {
            continue;
        }
        kept.finish_building();
        let views = kept.views();
        for info in &kept.catalog().views {
            let new = || PublishedView::new(&options, &info.name, info.kind, Tables::Both);
            let view = publishing.entry(Arc::clone(&info.name)).or_insert_with(new);
            let is_last = number + 1 == commits.len();
            let most = if !is_last && random.random_ratio(1, 3) { random.random_range(1..30) } else { usize::MAX };
            let publish = async { polled(view.publish(&views), most).await };
            match runtime.block_on(publish) {
                Some(result) => {
                    result.unwrap_or_else(|error| panic!("{} after {number} commits: {error}", info.name));
                    published += 1;
                }
                // As if it had been killed there: another one goes on.
                None => {
                    cut_short += 1;
                    publishing.remove(&info.name);
                }
            }
        }
    }
    assert!(published > 50 && cut_short > 5, "{published} times, {cut_short} cut short");
    let (mut compared, mut merged) = (0, 0);
    for info in &kept.catalog().views {
        let rows = rows(match info.kind {
            ViewKind::Mirror => kept.mirrored(&info.name),
            ViewKind::Derived => kept.derived(&info.name).expect("it is shown"),
        });
        compared += rows.len();
        let current: Vec<Row> = rows.iter().filter(|row| row.2.is_none()).cloned().collect();
        for (form, rows) in [("versions", rows), ("current", current)] {
            let found = compare(&options.dir.join(&*info.name).join(form), &rows);
            assert_eq!(found.rows.values().copied().collect::<Vec<_>>(), [rows.len(); 3], "{} {form}", info.name);
            // Its columns did not change.
            assert_eq!(found.replaced, 1, "{} {form}", info.name);
            merged += found.merged;
        }
    }
    assert!(compared > 2_000, "{compared} versions were compared");
    assert!(merged > 30, "{merged} times something was merged");
}

/// What a future comes to, if it does when it is polled so often.
async fn polled<T>(future: impl Future<Output = T>, most: usize) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut polls = 0;
    std::future::poll_fn(|context: &mut Context<'_>| {
        polls += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(found) => Poll::Ready(Some(found)),
            Poll::Pending if polls >= most => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn definitions() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../projections");
    let files = fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it can be read").path());
    let definition = |path: std::path::PathBuf| {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("names are UTF-8").to_owned();
        (name, fs::read_to_string(&path).expect("it can be read"))
    };
    files.map(definition).collect()
}

fn order(commit: &mut Vec<StoredEvent>, name: &str, ordered: Ordered) {
    let last = commit.last().expect("a commit has events");
    let (position, recorded_at) = (last.position.next(), last.recorded_at);
    let event = Said { ordered, by: "test".to_owned(), reason: None }.event(name, recorded_at);
    commit.push(StoredEvent { position, recorded_at, event });
}

fn rows(found: BTreeMap<Arc<str>, Vec<Span>>) -> Vec<Row> {
    let parsed = |row: &str| serde_json::from_str(row).expect("rows are JSON");
    let of_key = |(key, spans): (Arc<str>, Vec<Span>)| {
        spans.into_iter().map(move |(from, to, row)| (key.to_string(), from, to, parsed(&row)))
    };
    found.into_iter().flat_map(of_key).collect()
}

/// Has other readers compare a table with what must be in it.
fn compare(table: &Path, rows: &[Row]) -> Found {
    let expected = tempfile::NamedTempFile::new().expect("there is room");
    let micros = |moment: &Timestamp| moment.as_micros();
    let line = |(key, from, to, row): &Row| {
        json!({"_key": key, "_valid_from": micros(from), "_valid_to": to.as_ref().map(micros), "row": row}).to_string()
    };
    let lines: Vec<String> = rows.iter().map(line).collect();
    fs::write(expected.path(), lines.join("\n")).expect("there is room");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("published.py");
    let python = xtask::python::python().expect("a Python with the readers can be made");
    let said = Command::new(python).arg(script).arg(table).arg(expected.path()).output().expect("it runs");
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{}: {errors}", table.display());
    serde_json::from_slice(&said.stdout).expect("it prints what it found")
}
