//! Keepers, projector and view store as a server runs them, read as the query API reads them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use deltafold_event::{EventId, Position, StoredEvent, Timestamp, control};
use deltafold_projector::{
    Catalog, Consistent, Declared, Folder, Log, OlderBeliefs, Options, ProjectorError, ViewKind, to_record,
    was_whole_at,
};
use deltafold_relation::Schemas;
use deltafold_store::Batch;
use deltafold_view::{self as view, At, Part, Reader, Stored, Timeline, ViewStore};
use tempfile::TempDir;

use super::Kept;
use crate::{
    naive::{self, Content, Relation, Version},
    projections::Span,
};

/// The mirrors of a stream's types.
pub struct OnDisk {
    /// None only while it is opened again.
    open: Option<(Folder, ViewStore)>,
    schemas: Schemas,
    folder: TempDir,
    held_events: usize,
    declared: Declared,
    log: Folded,
}

/// All that was folded, to be read again.
#[derive(Clone, Default)]
struct Folded {
    events: Arc<Mutex<Vec<StoredEvent>>>,
    views: Option<ViewStore>,
    /// Where the stretch ends that is being read again, and the rows that readers saw when that began.
    shown: Option<(Position, Vec<String>)>,
}

impl Folded {
    /// Adds what is not there yet.
    fn take(&self, events: &[StoredEvent]) {
        let mut log = self.events.lock().expect("no test panics while it holds it");
        let next = log.last().map_or(Position::ZERO, |last| last.position.next());
        log.extend(events.iter().filter(|stored| stored.position >= next).cloned());
    }

    /// While a stretch is read again, page by page, readers see nothing of what that changes.
    fn check_shown(&mut self, until: Position) {
        let Some(views) = &self.views else { return };
        let snapshot = views.snapshot();
        let mut rows = Vec::new();
        for mirror in views.mirrors() {
            let found = snapshot.reader(&mirror).scan(At::NOW).map(|row| row.expect("the index can be read"));
            rows.extend(found.map(|row| format!("{} {} {}", mirror.name(), row.key, row.row())));
        }
        match &self.shown {
            Some((end, shown)) if *end == until => assert_eq!(rows, *shown, "before {until}"),
            _ => self.shown = Some((until, rows)),
        }
    }
}

impl Log for Folded {
    fn has_origins(&self) -> bool {
        true
    }

    fn read(&mut self, from: Position, until: Position, most: usize) -> Result<Vec<StoredEvent>, ProjectorError> {
        // A single event is read for what is in it, by views over the log.
        if most > 1 {
            self.check_shown(until);
        }
        let log = self.events.lock().expect("no test panics while it holds it");
        let there = log.iter().filter(|stored| (from..until).contains(&stored.position));
        Ok(there.take(most).cloned().collect())
    }

    fn share(&self) -> Box<dyn Log> {
        // It has nothing to do with what is read again because of a reset.
        Box::new(Self { views: None, ..self.clone() })
    }
}

impl OnDisk {
    /// A store that writes sorted runs, as one does that catches up from nothing. Restarted, it has nothing again.
    pub fn in_bulk(schemas: &naive::Schemas) -> Self {
        let mut kept = Self::new(schemas);
        let (folder, _) = kept.open.as_mut().expect("just opened");
        folder.begin_bulk(Position::MAX).expect("it is empty");
        kept
    }

    /// Folds the beginning of a stream aggregate by aggregate. `held_events` as in [`Options`].
    pub fn load(schemas: &naive::Schemas, events: &[StoredEvent], held_events: usize) -> Self {
        let mut kept = Self { held_events, ..Self::new(schemas) };
        kept.reopen();
        let (folder, _) = kept.open.as_mut().expect("just opened");
        folder.begin_bulk(Position::MAX).expect("it is empty");
        kept.log.take(events);
        let is_end = |stored: &&StoredEvent| &*stored.event.aggregate_type == control::TRANSACTION;
        folder.expect_transactions(&events.iter().filter(is_end).cloned().collect::<Vec<_>>());
        let mut sorted = events.to_vec();
        let whose = |stored: &StoredEvent| (stored.event.aggregate_type.clone(), stored.event.aggregate_id.clone());
        sorted.sort_by_key(whose);
        let mut aggregates = sorted.chunk_by(|one, other| whose(one) == whose(other));
        let next = |most: usize, next: &mut Vec<StoredEvent>, _: &mut Vec<StoredEvent>| {
            let Some(events) = aggregates.next() else { return Ok(false) };
            *next = events.iter().take(most.saturating_add(1)).cloned().collect();
            Ok(true)
        };
        let end = events.last().map_or(Position::ZERO, |last| last.position.next());
        folder.load(next, end, Timestamp::from_micros(0)).expect("it can be folded");
        kept
    }

    /// Folds commits that were recorded at a moment.
    pub fn fold_at(&mut self, events: &[StoredEvent], committed_at: Timestamp) {
        self.log.take(events);
        let commits = events.chunk_by(|a, b| a.position.version() == b.position.version());
        let batches: Vec<Arc<Batch>> = commits
            .map(|events| {
                let version = events[0].position.version();
                Arc::new(Batch { version, committed_at, events: events.to_vec() })
            })
            .collect();
        let (folder, _) = self.open.as_mut().expect("it is open");
        if batches.len() % 2 == 1 {
            return folder.fold(&batches).expect("the index can be written");
        }
        // As one does that is behind: the mirrors go ahead of the rest.
        for batch in batches {
            folder.fold_ahead(vec![batch], |_| ()).expect("the index can be written");
        }
        folder.settle().expect("the index can be written");
    }

    /// Lets readers see what was folded in bulk.
    pub fn end_bulk(&mut self) {
        self.open.as_mut().expect("it is open").0.end_bulk().expect("the index can be written");
    }

    /// All that was written, as far as it can be read: of each type its keeper's state and, by aggregate, what is
    /// believed, what was, and what was shown as of each of its positions; and which transactions are remembered.
    pub fn written(&self) -> Vec<String> {
        let (_, views) = self.open.as_ref().expect("it is open");
        let snapshot = views.snapshot();
        let mut written: Vec<String> = self.transactions().iter().map(|state| format!("{state:?}")).collect();
        for mirror in views.mirrors() {
            let reader = snapshot.reader(&mirror);
            let state = snapshot.state(&format!("keeper/{}", mirror.name())).expect("the index can be read");
            written.push(format!("{} {state:?}", mirror.name()));
            for key in reader.keys().map(|key| key.expect("the index can be read")) {
                let entries: Vec<Stored> = reader.entries(&key).map(|entry| entry.expect("it can be read")).collect();
                let superseded = reader.superseded(&key).map(|superseded| superseded.expect("it can be read"));
                let superseded: Vec<(Position, Stored)> = superseded.collect();
                let last = reader.last(&key).expect("the index can be read");
                let all = entries.iter().chain(superseded.iter().map(|(_, stored)| stored));
                let positions: BTreeSet<Position> = all.map(|stored| stored.entry().recorded_from).collect();
                let shown = positions.into_iter().map(|position| {
                    let row = reader.as_of(&key, At::position(position)).expect("the index can be read");
                    (position, row.map(|row| (row.valid_from, row.recorded_from, row.recorded_to, row.revision)))
                });
                let shown: Vec<_> = shown.collect();
                written.push(format!("{key} {last:?} {entries:?} {superseded:?} {shown:?}"));
            }
        }
        written
    }

    /// The newest moment at which every transaction is whole, as the catalog and as the index has it.
    pub fn consistent(&self) -> Option<Consistent> {
        let (folder, views) = self.open.as_ref().expect("it is open");
        let consistent = folder.catalog().consistent;
        assert_eq!(consistent, deltafold_projector::consistent(&views.snapshot()).expect("the index can be read"));
        consistent
    }

    /// Which transactions are remembered, as it is written.
    pub fn transactions(&self) -> Vec<(String, Vec<u8>)> {
        let (_, views) = self.open.as_ref().expect("it is open");
        views.snapshot().states("transactions/").expect("the index can be read")
    }

    /// How many events of each transaction a mirror shows as of a moment: of those that are of one aggregate.
    pub fn events_as_of(&self, name: &str, at: Timestamp) -> BTreeMap<String, usize> {
        let Some(reader) = self.reader(name) else { return BTreeMap::new() };
        let keys = reader.keys().map(|key| key.expect("the index can be read"));
        let mut ids: BTreeMap<String, BTreeSet<EventId>> = BTreeMap::new();
        for key in keys {
            for stored in reader.entries(&key).map(|entry| entry.expect("the index can be read")) {
                let record = to_record(name, &stored).expect("a keeper wrote it");
                if record.kind.is_own() && record.valid_from <= at {
                    ids.entry(record.transaction.as_deref().unwrap_or_default().to_owned())
                        .or_default()
                        .insert(record.id);
                }
            }
        }
        ids.into_iter().map(|(transaction, ids)| (transaction, ids.len())).collect()
    }

    /// Everything below it is folded.
    pub fn checkpoint(&self) -> Position {
        self.open.as_ref().expect("it is open").0.checkpoint()
    }

    /// The same, with columns of declared types. Nothing is folded yet.
    #[must_use]
    pub fn with_declared(mut self, declared: Declared) -> Self {
        self.declared = declared;
        self.reopen();
        self
    }

    /// What there is to read.
    pub fn catalog(&self) -> Catalog {
        self.open.as_ref().expect("it is open").0.catalog()
    }

    /// Where the views are.
    pub fn views(&self) -> ViewStore {
        self.open.as_ref().expect("it is open").1.clone()
    }

    /// Builds all views that are wanted.
    pub fn finish_building(&mut self) {
        self.open.as_mut().expect("it is open").0.finish_building().expect("the index can be written");
    }

    /// All versions of a derived view as they were believed to be at a position, by key.
    pub fn believed(&self, name: &str, position: Position) -> BTreeMap<Arc<str>, Vec<Span>> {
        let (folder, views) = self.open.as_ref().expect("it is open");
        let older = OlderBeliefs::new(views.clone(), 3);
        let (log, catalog, snapshot) = (self.log.clone(), folder.catalog(), views.snapshot());
        let believed = older.compute(&log, &catalog, &snapshot, name, position, Arc::default());
        spans(&believed.expect("it can be computed").reader(), position)
    }

    /// Waits until views are built as far as they can be without the folder.
    pub fn wait_for_builds(&self) {
        self.open.as_ref().expect("it is open").0.wait_for_builds();
    }

    /// All versions of a mirror, by key, as they are found one by one.
    pub fn mirrored(&self, name: &str) -> BTreeMap<Arc<str>, Vec<Span>> {
        let reader = self.reader(name).expect("there is a mirror");
        let mut found: BTreeMap<Arc<str>, Vec<Span>> = BTreeMap::new();
        for key in reader.keys().map(|key| key.expect("the index can be read")) {
            for entry in reader.entries(&key) {
                let moment = entry.expect("it can be read").entry().valid_from;
                let version = reader.as_of(&key, At::time(moment)).expect("the index can be read");
                let Some(version) = version.filter(|version| version.valid_from == moment) else { continue };
                let spans = found.entry(Arc::from(&*key)).or_default();
                if spans.last().is_none_or(|(from, ..)| *from != moment) {
                    let end = reader.valid_to(&version, Position::MAX).expect("it can be read");
                    spans.push((moment, end, Arc::from(version.row())));
                }
            }
        }
        found
    }

    /// All versions of a derived view that is shown, by key.
    pub fn derived(&self, name: &str) -> Option<BTreeMap<Arc<str>, Vec<Span>>> {
        let (folder, views) = self.open.as_ref().expect("it is open");
        let info = folder.catalog().view(name).filter(|info| info.kind == ViewKind::Derived).cloned()?;
        let view = views.generation(name, info.generation).expect("it is registered");
        Some(spans(&views.snapshot().reader(&view), Position::MAX))
    }

    /// The rows of a derived view that is shown as of a moment, as a position has it that is kept; none: it is not.
    pub fn derived_as_of(&self, name: &str, at: At) -> Option<BTreeMap<Arc<str>, Arc<str>>> {
        let (folder, views) = self.open.as_ref().expect("it is open");
        let info = folder.catalog().view(name).filter(|info| info.kind == ViewKind::Derived).cloned()?;
        let end = at.position.next();
        let was_whole = was_whole_at(&views.snapshot(), name, end).expect("the index can be read");
        if info.kept_from.is_none_or(|from| end < from) || !was_whole {
            return None;
        }
        let reader = views.snapshot().reader(&views.generation(name, info.generation).expect("it is registered"));
        let mut found = BTreeMap::new();
        for version in reader.scan(at) {
            let version = version.expect("the index can be read");
            let alone = reader.as_of(&version.key, at).expect("the index can be read");
            assert_eq!(alone.as_ref(), Some(&version), "found alone and in a scan");
            found.insert(Arc::from(&*version.key), Arc::from(version.row()));
        }
        Some(found)
    }

    fn reopen(&mut self) {
        // The files are closed when both are gone.
        self.open = None;
        let sizes = view::Options {
            memtable_bytes: 1 << 20,
            unwritten_bytes: 4 << 20,
            block_cache_bytes: 1 << 20,
            row_cache_bytes: 1 << 14,
            history_cache_bytes: 1 << 15,
            ..view::Options::default()
        };
        let views = ViewStore::open(self.folder.path(), sizes).expect("the index opens");
        // Few, so that a bulk load has to let go of some again and again.
        let options = Options {
            declared: self.declared.clone(),
            held_records: 3,
            held_events: self.held_events,
            batch_events: 7,
            built_changes: 3,
            joined_pairs: 2,
            folded_on: Duration::ZERO,
            ..Options::default()
        };
        let log = Folded { views: Some(views.clone()), ..self.log.clone() };
        let folder = Folder::open(views.clone(), self.schemas.clone(), log, options).expect("it can be read");
        self.open = Some((folder, views));
    }

    fn reader(&self, name: &str) -> Option<Reader> {
        let (_, views) = self.open.as_ref().expect("it is open");
        let mirror = views.mirrors().into_iter().find(|mirror| mirror.name() == name)?;
        Some(views.snapshot().reader(&mirror))
    }
}

/// All versions of a derived view, by key, each found one by one, too.
fn spans(reader: &Reader, position: Position) -> BTreeMap<Arc<str>, Vec<Span>> {
    let mut found = BTreeMap::new();
    for key in reader.keys().map(|key| key.expect("the index can be read")) {
        let entries: Vec<Stored> = reader.entries(&key).map(|entry| entry.expect("it can be read")).collect();
        let ends = entries.iter().skip(1).map(|entry| Some(entry.entry().valid_from)).chain([None]);
        let spans = entries.iter().zip(ends).filter_map(|(entry, end)| {
            let entry = entry.entry();
            Some((entry.valid_from, end, Arc::from(entry.row?)))
        });
        let spans: Vec<Span> = spans.collect();
        for (from, end, row) in &spans {
            let version =
                reader.as_of(&key, At { time: *from, position }).expect("the index can be read").expect("it is there");
            assert_eq!((version.valid_from, version.row()), (*from, &**row), "{key} as of {from}");
            assert_eq!(reader.valid_to(&version, position).expect("it can be read"), *end, "{key} of {from}");
        }
        let last = reader.last(&key).expect("it can be read");
        assert_eq!(last.as_ref().map(Stored::entry), entries.last().map(Stored::entry), "the newest of {key}");
        found.insert(Arc::from(&*key), spans);
    }
    found
}

impl Kept for OnDisk {
    const POSITIONS: usize = 6;
    const ONE_IN: u32 = 8;

    fn new(schemas: &naive::Schemas) -> Self {
        let mut known = Schemas::default();
        for schema in schemas.values() {
            known.insert(schema.clone().into());
        }
        let folder = tempfile::tempdir().expect("a temporary directory");
        let log = Folded::default();
        let mut kept =
            Self { open: None, schemas: known, folder, held_events: usize::MAX, declared: Declared::new(), log };
        kept.reopen();
        kept
    }

    fn fold(&mut self, events: &[StoredEvent]) {
        self.fold_at(events, Timestamp::from_micros(0));
    }

    fn restart(&mut self) {
        self.reopen();
    }

    fn relation(&self, name: &str, at: Position, expected: &Relation) -> Relation {
        let Some(reader) = self.reader(name) else { return Relation::default() };
        let on_record = reader.keys().map(|key| key.expect("the index can be read").into_string());
        let aggregates: BTreeSet<String> = on_record.chain(expected.history.keys().cloned()).collect();
        let history: BTreeMap<String, Vec<naive::Entry>> = aggregates
            .iter()
            .map(|aggregate| (aggregate.clone(), history(&reader, aggregate, at)))
            .filter(|(_, entries)| !entries.is_empty())
            .collect();
        let moments = history.values().flatten().map(|entry| entry.valid_from);
        let moments: BTreeSet<Timestamp> =
            moments.chain(expected.history.values().flatten().map(|entry| entry.valid_from)).collect();
        Relation { versions: versions(&reader, &aggregates, &moments, at), history }
    }

    /// The row now, which is read from a place of its own, is the row as of the end of time.
    fn flaw(&self, name: &str) -> Option<String> {
        let reader = self.reader(name)?;
        let now: Vec<_> = reader.scan(At::NOW).map(|row| row.expect("the index can be read")).collect();
        let last = Timestamp::from_micros(i64::MAX - 1);
        let then: Vec<_> = reader.scan(At::time(last)).map(|row| row.expect("the index can be read")).collect();
        let shown =
            |row: &view::Version| (row.key.clone(), row.valid_from, row.event, row.revision, row.row().to_owned());
        let (now, then): (Vec<_>, Vec<_>) = (now.iter().map(shown).collect(), then.iter().map(shown).collect());
        (now != then).then(|| format!("the rows are now {now:#?}, and in the end {then:#?}"))
    }
}

/// What was believed at a position to have happened to an aggregate.
fn history(reader: &Reader, aggregate: &str, at: Position) -> Vec<naive::Entry> {
    let on_record = reader.entries(aggregate).map(|stored| (Position::MAX, stored.expect("the index can be read")));
    let superseded = reader.superseded(aggregate).map(|superseded| superseded.expect("the index can be read"));
    let mut believed: Vec<Stored> = on_record
        .chain(superseded)
        .filter(|(recorded_to, stored)| {
            stored.entry().recorded_from <= at && (at < *recorded_to || *recorded_to == Position::MAX)
        })
        .map(|(_, stored)| stored)
        .collect();
    believed.sort_by(|a, b| {
        let (a, b) = (a.entry(), b.entry());
        (a.valid_from, a.order).cmp(&(b.valid_from, b.order))
    });
    believed.iter().map(|stored| told(reader, stored)).collect()
}

fn told(reader: &Reader, stored: &Stored) -> naive::Entry {
    let record = to_record(reader.mirror().name(), stored).expect("a keeper wrote it");
    naive::Entry {
        event: record.id,
        revision: (record.revision > 0).then_some(record.revision),
        valid_from: record.valid_from,
        content: record.shown().map(|row| Content::parse(&row.json, row.incomplete)),
    }
}

/// Timelines, one by one and all in a walk, show at each moment what reads as of it do.
fn check_timelines(reader: &Reader, aggregates: &BTreeSet<String>, moments: &BTreeSet<Timestamp>, position: Position) {
    let of = |key: &String| reader.timeline(key, position).expect("the index can be read");
    let one_by_one: Vec<Timeline> = aggregates.iter().filter_map(of).collect();
    let walked: Vec<Timeline> =
        reader.timelines(position, Part::default()).map(|found| found.expect("it can be read")).collect();
    assert_eq!(walked, one_by_one, "timelines at {position}");
    let mut by_key: BTreeMap<&str, &Timeline> = BTreeMap::new();
    by_key.extend(walked.iter().map(|timeline| (&*timeline.key, timeline)));
    for (key, &time) in aggregates.iter().flat_map(|key| moments.iter().map(move |time| (key, time))) {
        let row = reader.as_of(key, At { time, position }).expect("the index can be read");
        let begun = |timeline: &&Timeline| timeline.versions.iter().rfind(|(from, _)| *from <= time).cloned();
        let shown = by_key.get(key.as_str()).and_then(begun);
        let shown =
            shown.and_then(|(from, entry)| Some((from, Content::parse(entry.row()?, entry.entry().incomplete))));
        let expected = row.map(|row| (row.valid_from, Content::parse(row.row(), row.incomplete)));
        assert_eq!(shown, expected, "{key} as of {time} at {position}: {by_key:#?}");
    }
}

/// The versions that reads as of the moments find, each moment by a scan and by every key.
fn versions(
    reader: &Reader,
    aggregates: &BTreeSet<String>,
    moments: &BTreeSet<Timestamp>,
    position: Position,
) -> BTreeMap<String, Vec<Version>> {
    let mut found: BTreeMap<String, Vec<Version>> = BTreeMap::new();
    check_timelines(reader, aggregates, moments, position);
    for &time in moments {
        let at = At { time, position };
        let rows: Vec<_> = reader.scan(at).map(|row| row.expect("the index can be read")).collect();
        let by_key = aggregates.iter().filter_map(|key| reader.as_of(key, at).expect("the index can be read"));
        assert_eq!(rows, by_key.collect::<Vec<_>>(), "as of {time} at {position}, all rows and each by its key");
        for row in rows {
            let version = version(reader, &row, position);
            let versions = found.entry(row.key.to_string()).or_default();
            if versions.last() != Some(&version) {
                versions.push(version);
            }
        }
    }
    found
}

fn version(reader: &Reader, row: &view::Version, position: Position) -> Version {
    Version {
        valid_from: row.valid_from,
        valid_to: reader.valid_to(row, position).expect("the index can be read"),
        event: row.event.expect("every version is of an event"),
        content: Content::parse(row.row(), row.incomplete),
    }
}
