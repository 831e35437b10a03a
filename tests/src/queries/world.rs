//! A store, a view, and an API over it, with all that happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use deltafold_api::{
    Api, AppendEvents, CommandError, CommandResult, Commands, DeclaredRelation, LetterChoice, Options, Principal,
    Settled,
};
use deltafold_event::{
    Coordinates, Event, Identity, Operation, Position, RowSchema, SourcePosition, StoredEvent, Timestamp, control,
};
use deltafold_projector::{Ordered, Projector, Said};
use deltafold_store::{Append, AppendedTo, EventStore};
use deltafold_view::ViewStore;
use futures::future::BoxFuture;
use rand::{
    Rng, SeedableRng,
    rngs::SmallRng,
    seq::{IndexedRandom, SliceRandom},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    columns::{COLUMNS, DERIVED, OF_DERIVED, VIEW},
    table::Rows,
};
use crate::naive;

const AGGREGATES: i32 = 60;
const EVENTS: u64 = 300;
const IN_A_COMMIT: usize = 12;

/// All of it, in a directory that goes with it.
pub struct World {
    api: Api,
    events: Vec<StoredEvent>,
    schemas: naive::Schemas,
    times: Vec<Timestamp>,
    positions: Vec<Position>,
    _projector: Projector,
    _dir: TempDir,
}

impl World {
    /// A random one.
    pub async fn make(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = EventStore::open(dir.path(), deltafold_store::Options::default()).await.expect("it opens");
        let views = ViewStore::open(&dir.path().join("index"), deltafold_view::Options::default()).expect("it opens");
        let columns = COLUMNS.iter().map(|(name, kind)| ((*name).to_owned(), kind.column_type())).collect();
        let declared = [(VIEW.to_owned(), columns)].into();
        let derived = if random.random() { vec![vec!["total".to_owned()], vec!["n".to_owned()]] } else { Vec::new() };
        let indexes = [(VIEW.to_owned(), indexes(&mut random)), (DERIVED.to_owned(), derived)].into();
        let options = deltafold_projector::Options { declared, indexes, ..Default::default() };
        let projector = Projector::start(store.clone(), views.clone(), options).await.expect("it starts");
        let (nobody, sources) = (Arc::new(Nobody), Arc::new(Vec::new()));
        let options = Options { relations: vec![relation()], ..Options::default() };
        let api = Api::new(store.clone(), views, projector.watch(), nobody, sources, options);

        let schema = RowSchema::new(vec!["id".to_owned()], None, Some("postgresql".to_owned()));
        let mut arrivals = arrivals(&mut random, &schema);
        arrivals.insert(0, schema_event(&schema));
        // Sometime: what was believed of it before is computed.
        arrivals.insert(random.random_range(1..arrivals.len()), definition_event());
        let mut events = Vec::new();
        for commit in arrivals.chunks(IN_A_COMMIT) {
            let batch = store.append(Append { events: commit.to_vec(), ..Append::default() }).await.expect("appended");
            projector.wait_for(batch.end()).await.expect("it is folded");
            events.extend(batch.events.iter().cloned());
        }
        projector.built().await.expect("they are built");
        projector.indexed().await.expect("they are filled");
        let times =
            events.iter().filter(|stored| !stored.event.is_control()).map(|stored| stored.event.occurred_at).collect();
        let positions = events.iter().map(|stored| stored.position).collect();
        let schemas = [(schema.id(), schema)].into();
        let events = events.into_iter().filter(|stored| !stored.event.is_control()).collect();
        let api = api.expect("the API is built");
        Self { api, events, schemas, times, positions, _projector: projector, _dir: dir }
    }

    /// When things happened.
    pub fn times(&self) -> &[Timestamp] {
        &self.times
    }

    /// Where they stand.
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// Whether something that had happened by a time was recorded after a position.
    pub fn is_late(&self, time: Timestamp, position: Position) -> bool {
        let newest = self.events.iter().filter(|stored| stored.position <= position);
        let newest = newest.map(|stored| stored.event.occurred_at).max().unwrap_or(Timestamp::MIN).min(time);
        self.events.iter().any(|stored| stored.position > position && stored.event.occurred_at < newest)
    }

    /// The rows at a time, by what was recorded up to a position.
    pub fn rows(&self, time: Timestamp, position: Position) -> Rows {
        let relation = naive::fold(&self.events, &self.schemas, position);
        let rows = relation.at(time);
        rows.into_iter()
            .map(|(key, version)| (key.to_owned(), version.content.columns.clone().into_iter().collect()))
            .collect()
    }

    /// The data of an answer; whether indexes had to do with it is noted.
    ///
    /// # Panics
    /// When it has errors.
    pub async fn ask(&self, query: &str, variables: Value, kinds: &mut BTreeSet<&'static str>) -> Value {
        let extensions = json!({ "deltafold": { "explain": true } });
        let request = json!({ "query": query, "variables": variables, "extensions": extensions });
        let mut answer = self.api.execute(request).await;
        assert!(answer.get("errors").is_none(), "{query}\n{answer}");
        let plan = answer["extensions"]["deltafold"]["plan"].to_string();
        if plan.contains("a walk of the index") {
            kinds.insert(if plan.contains("in its order") { "in the order of an index" } else { "by an index" });
        }
        answer["data"].take()
    }
}

/// Columns to index, in half of the worlds.
fn indexes(random: &mut SmallRng) -> Vec<Vec<String>> {
    let ordered: Vec<&str> = COLUMNS.iter().filter(|(_, kind)| kind.is_ordered()).map(|(name, _)| *name).collect();
    let count = if random.random() { 6 } else { 0 };
    (0..count)
        .map(|_| {
            let count = random.random_range(1..=3);
            ordered.choose_multiple(random, count).map(|name| (*name).to_owned()).collect()
        })
        .collect()
}

/// Changes of rows as they arrive: some late, some twice.
fn arrivals(random: &mut SmallRng, schema: &RowSchema) -> Vec<Event> {
    let mut there: BTreeMap<i32, bool> = BTreeMap::new();
    let mut arrivals: Vec<Event> = Vec::new();
    let mut held: Vec<Event> = Vec::new();
    for lsn in 1..=EVENTS {
        let id = random.random_range(1..=AGGREGATES);
        let is_there = there.insert(id, true) == Some(true);
        let operation = match is_there {
            false => Operation::Create,
            true if random.random_ratio(1, 8) => Operation::Delete,
            true => Operation::Update,
        };
        there.insert(id, operation != Operation::Delete);
        let event = change(random, operation, lsn, id, schema);
        match random.random_range(0..20) {
            0 | 1 => held.push(event),
            2 => arrivals.extend([event.clone(), event]),
            _ => arrivals.push(event),
        }
        if random.random_ratio(1, 20) {
            held.shuffle(random);
            arrivals.append(&mut held);
        }
        if random.random_ratio(1, 30)
            && let Some(again) = arrivals.choose(random).cloned()
        {
            arrivals.push(again);
        }
    }
    arrivals.append(&mut held);
    arrivals
}

fn change(random: &mut SmallRng, operation: Operation, lsn: u64, id: i32, schema: &RowSchema) -> Event {
    let columns = COLUMNS.iter().map(|(name, kind)| {
        let value = if *name == "id" { json!(id) } else { kind.value(random) };
        ((*name).to_owned(), value)
    });
    let row = Value::Object(columns.collect()).to_string();
    let (before, after) = match operation {
        Operation::Delete => (Some(row), None),
        _ => (None, Some(row)),
    };
    Event {
        id: Identity::log().text(Some("postgresql")).number(lsn).id(),
        aggregate_type: VIEW.into(),
        aggregate_id: Some(id.to_string()),
        event_type: operation.event_type().into(),
        operation: Some(operation),
        before,
        after,
        metadata: json!({ "source": { "lsn": lsn } }).to_string(),
        source_position: Some(SourcePosition::postgres(lsn)),
        transaction_id: None,
        // Several at one moment.
        occurred_at: Timestamp::from_micros(1_790_000_000_000_000 + (lsn / 3) as i64 * 1_000_000),
        coordinates: coordinates(lsn),
        schema_id: Some(schema.id()),
    }
}

fn coordinates(lsn: u64) -> Coordinates {
    Coordinates { source: "shop".into(), topic: "shop.public.items".into(), partition: 0, offset: lsn as i64 }
}

fn schema_event(schema: &RowSchema) -> Event {
    let id = Identity::domain().text(Some(control::SCHEMA)).text(Some(schema.id().as_str())).id();
    let now = Timestamp::from_micros(0);
    Event::of_control(control::SCHEMA, schema.id().as_str(), "seen", id, schema.to_json(), now)
}

fn definition_event() -> Event {
    let sql = format!("CREATE MATERIALIZED VIEW {DERIVED} WITH (key = 'name') AS {OF_DERIVED}");
    let said = Said { ordered: Ordered::Defined { sql }, by: "a test".to_owned(), reason: None };
    said.event(DERIVED, Timestamp::from_micros(0))
}

fn relation() -> DeclaredRelation {
    DeclaredRelation {
        view: VIEW.to_owned(),
        name: "named".to_owned(),
        to: DERIVED.to_owned(),
        by: vec!["name".to_owned()],
        inverse: Some(VIEW.to_owned()),
    }
}

/// Does nothing that mutations ask for: no query does.
struct Nobody;

impl Commands for Nobody {
    fn append_events(&self, _: AppendEvents, _: Principal) -> BoxFuture<'static, CommandResult<AppendedTo>> {
        refused()
    }

    fn retry_dead_letters(&self, _: LetterChoice, _: Principal) -> BoxFuture<'static, CommandResult<Settled>> {
        refused()
    }

    fn discard_dead_letters(
        &self,
        _: LetterChoice,
        _: String,
        _: Principal,
    ) -> BoxFuture<'static, CommandResult<Settled>> {
        refused()
    }

    fn new_epoch(&self, _: String, _: u32, _: String, _: Principal) -> BoxFuture<'static, CommandResult<Position>> {
        refused()
    }

    fn order(
        &self,
        _: String,
        _: Ordered,
        _: Option<String>,
        _: Principal,
    ) -> BoxFuture<'static, CommandResult<Position>> {
        refused()
    }
}

fn refused<T: Send + 'static>() -> BoxFuture<'static, CommandResult<T>> {
    Box::pin(async { Err(CommandError::Unavailable("nobody does this".to_owned())) })
}
