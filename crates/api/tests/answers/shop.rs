//! A small shop: a store, its views, and an API over them.

use std::sync::{Arc, Mutex};

use deltafold_api::{
    Api, AppendEvents, CommandError, CommandResult, Commands, DeclaredRelation, LetterChoice, Limits, Options,
    Principal, Settled, SourceState,
};
use deltafold_event::{
    Coordinates, Event, EventId, Identity, Operation, Position, RowSchema, SourcePosition, Timestamp, control,
};
use deltafold_projector::{NewEpoch, Ordered, Projector, Said};
use deltafold_store::{Append, AppendError, AppendedTo, Conflict, EventStore};
use deltafold_view::ViewStore;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The whole of it, in a directory that goes with it.
pub(crate) struct Shop {
    pub(crate) api: Api,
    pub(crate) operator: Arc<Operator>,
    pub(crate) store: EventStore,
    pub(crate) projector: Projector,
    _dir: TempDir,
}

impl Shop {
    /// An empty shop.
    pub(crate) async fn open(limits: Limits) -> Self {
        Self::fed_by(limits, Vec::new()).await
    }

    /// An empty shop whose process reads sources.
    pub(crate) async fn fed_by(limits: Limits, sources: Vec<SourceState>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = EventStore::open(dir.path(), deltafold_store::Options::default()).await.unwrap();
        let views = ViewStore::open(&dir.path().join("index"), deltafold_view::Options::default()).unwrap();
        let types = [
            ("id", "int"),
            ("customer_id", "bigint"),
            ("status", "text"),
            ("total", "decimal(10,2)"),
            ("placed_at", "timestamptz"),
            ("shipped_on", "date"),
            ("notes", "json"),
            ("tags", "text[]"),
            ("weight", "float"),
            ("gift", "boolean"),
            ("größe", "text"),
        ];
        let orders = types.iter().map(|(name, of)| ((*name).to_owned(), of.parse().unwrap())).collect();
        let declared = [("orders".to_owned(), orders)].into();
        let indexes = [vec!["customer_id", "placed_at"], vec!["total"]];
        let indexes = indexes.map(|columns| columns.into_iter().map(str::to_owned).collect()).into();
        let indexes = [("orders".to_owned(), indexes)].into();
        let options = deltafold_projector::Options { declared, indexes, ..deltafold_projector::Options::default() };
        let projector = Projector::start(store.clone(), views.clone(), options).await.unwrap();
        let relation = DeclaredRelation {
            view: "orders".into(),
            name: "customer".into(),
            to: "customers".into(),
            by: vec!["customer_id".into()],
            inverse: Some("orders".into()),
        };
        let options = Options { limits, relations: vec![relation], ..Options::default() };
        let operator = Arc::new(Operator::new(store.clone()));
        let api =
            Api::new(store.clone(), views, projector.watch(), operator.clone(), Arc::new(sources), options).unwrap();
        Self { api, operator, store, projector, _dir: dir }
    }

    /// A shop in which four orders were placed; the third was paid, changed and deleted.
    ///
    /// Commit by commit: orders 1–4 are placed at 10:00 to 13:00; 1 is paid at 14:00, 3 is deleted at 15:00; then 2,
    /// late, is found to have been paid at 12:30.
    pub(crate) async fn with_orders() -> Self {
        let shop = Self::open(Limits::default()).await;
        shop.append(vec![
            order(Operation::Create, 10, 1, "10:00:00", &json!({"status": "new", "total": "12.50", "weight": 1.5})),
            order(
                Operation::Create,
                20,
                2,
                "11:00:00",
                &json!({"status": "new", "total": "4.00", "tags": ["a", null]}),
            ),
            order(
                Operation::Create,
                30,
                3,
                "12:00:00",
                &json!({"status": "new", "total": null, "notes": "{\"a\": 1.50}"}),
            ),
            order(
                Operation::Create,
                40,
                10,
                "13:00:00",
                &json!({"status": "new", "total": "100.00", "gift": true, "shipped_on": "2026-11-22", "größe": "XL"}),
            ),
        ])
        .await;
        shop.append(vec![
            order(Operation::Update, 50, 1, "14:00:00", &json!({"status": "paid", "total": "12.50", "weight": "NaN"})),
            order(Operation::Delete, 60, 3, "15:00:00", &json!({})),
        ])
        .await;
        shop.append(vec![order(
            Operation::Update,
            25,
            2,
            "12:30:00",
            &json!({"status": "paid", "total": "4.00", "tags": ["a", null]}),
        )])
        .await;
        shop
    }

    /// Makes one commit, and waits until it is folded.
    pub(crate) async fn append(&self, mut events: Vec<Event>) -> Position {
        let schema = schema();
        if !self.store.has_control(control::SCHEMA, schema.id().as_str()) {
            events.insert(0, schema_event(&schema));
        }
        let batch = self.store.append(Append { events, offsets: Vec::new() }).await.unwrap();
        self.projector.wait_for(batch.end()).await.unwrap();
        batch.events.last().unwrap().position
    }

    /// A response.
    pub(crate) async fn ask(&self, query: &str) -> Value {
        self.ask_with(query, json!({})).await
    }

    /// A response to a query with variables.
    pub(crate) async fn ask_with(&self, query: &str, variables: Value) -> Value {
        self.api.execute(json!({ "query": query, "variables": variables })).await
    }

    /// The data of a response without errors.
    pub(crate) async fn data(&self, query: &str) -> Value {
        let mut response = self.ask(query).await;
        assert_eq!(response.get("errors"), None, "{query}");
        response["data"].take()
    }

    /// The errors of a response: code and message of each.
    pub(crate) async fn errors(&self, query: &str) -> String {
        shown(&self.ask(query).await)
    }
}

/// Does what mutations ask for dead letters by writing down what it was asked, and answers as it was told to; puts new
/// epochs on record.
#[derive(Debug)]
pub(crate) struct Operator {
    store: EventStore,
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) answer: Mutex<Option<CommandResult<Settled>>>,
}

impl Operator {
    pub(crate) fn new(store: EventStore) -> Self {
        Self { store, asked: Mutex::default(), answer: Mutex::default() }
    }

    /// Appends an event; where it stands.
    fn append(&self, event: Event) -> BoxFuture<'static, CommandResult<Position>> {
        let store = self.store.clone();
        let handle = tokio::runtime::Handle::current();
        let appended = tokio::task::spawn_blocking(move || {
            handle.block_on(store.append(Append { events: vec![event], ..Append::default() }))
        });
        Box::pin(async { Ok(appended.await.unwrap().unwrap().events[0].position) })
    }

    fn answer(&self, asked: String) -> BoxFuture<'static, CommandResult<Settled>> {
        self.asked.lock().unwrap().push(asked);
        let answer = self.answer.lock().unwrap().take().unwrap_or_else(|| Ok(Settled::default()));
        Box::pin(async { answer })
    }
}

impl Commands for Operator {
    fn append_events(&self, append: AppendEvents, by: Principal) -> BoxFuture<'static, CommandResult<AppendedTo>> {
        let store = self.store.clone();
        let events = append.on_record(&by);
        let handle = tokio::runtime::Handle::current();
        let appended = tokio::task::spawn_blocking(move || {
            handle.block_on(store.append_to(events, append.expected, append.known))
        });
        Box::pin(async {
            appended.await.unwrap().map_err(|error| match error {
                AppendError::Conflict(Conflict::Revision { found, .. }) => {
                    CommandError::Revision { actual: found, message: error.to_string() }
                }
                error => CommandError::Conflict(error.to_string()),
            })
        })
    }

    fn retry_dead_letters(&self, which: LetterChoice, by: Principal) -> BoxFuture<'static, CommandResult<Settled>> {
        self.answer(format!("{} retries {which:?}", by.name()))
    }

    fn discard_dead_letters(
        &self,
        which: LetterChoice,
        reason: String,
        by: Principal,
    ) -> BoxFuture<'static, CommandResult<Settled>> {
        self.answer(format!("{} discards {which:?} because {reason}", by.name()))
    }

    fn new_epoch(
        &self,
        origin: String,
        epoch: u32,
        reason: String,
        by: Principal,
    ) -> BoxFuture<'static, CommandResult<Position>> {
        let said = NewEpoch { epoch, reason, by: by.name().to_owned() };
        let event = said.event(&origin, Timestamp::from_micros(0));
        self.append(event)
    }

    fn order(
        &self,
        projection: String,
        ordered: Ordered,
        reason: Option<String>,
        by: Principal,
    ) -> BoxFuture<'static, CommandResult<Position>> {
        let said = Said { ordered, by: by.name().to_owned(), reason };
        self.append(said.event(&projection, Timestamp::from_micros(0)))
    }
}

/// The errors of a response: code and message of each.
pub(crate) fn shown(response: &Value) -> String {
    let errors = response["errors"].as_array().unwrap_or_else(|| panic!("no errors in {response}"));
    let line = |error: &Value| {
        let code = error["extensions"]["code"].as_str().unwrap_or("-");
        format!("{code}: {}", error["message"].as_str().unwrap())
    };
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A change of an order on 2026-11-21.
pub(crate) fn order(operation: Operation, lsn: u64, id: i32, time: &str, columns: &Value) -> Event {
    let occurred_at: Timestamp = format!("2026-11-21T{time}Z").parse().unwrap();
    let mut row = json!({ "id": id, "customer_id": 7 });
    row.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
    row["placed_at"] = json!(format!("2026-11-21T{time}.5Z"));
    let row = row.to_string();
    let (before, after) = match operation {
        Operation::Delete => (Some(json!({ "id": id }).to_string()), None),
        _ => (None, Some(row)),
    };
    Event {
        id: event_id(lsn),
        aggregate_type: "orders".into(),
        aggregate_id: Some(id.to_string()),
        event_type: operation.event_type().into(),
        operation: Some(operation),
        before,
        after,
        metadata: json!({ "source": { "lsn": lsn } }).to_string(),
        source_position: Some(SourcePosition::postgres(lsn)),
        transaction_id: Some(lsn.to_string().into()),
        occurred_at,
        coordinates: coordinates(lsn),
        schema_id: Some(schema().id()),
    }
}

/// The id of the change at a log position.
pub(crate) fn event_id(lsn: u64) -> EventId {
    Identity::log().text(Some("postgresql")).number(lsn).id()
}

fn coordinates(lsn: u64) -> Coordinates {
    Coordinates { source: "shop".into(), topic: "shop.public.orders".into(), partition: 0, offset: lsn as i64 }
}

fn schema() -> RowSchema {
    RowSchema::new(vec!["id".to_owned()], None, Some("postgresql".to_owned()))
}

/// The event that tells a schema.
pub(crate) fn schema_event(schema: &RowSchema) -> Event {
    Event {
        id: Identity::domain().text(Some(control::SCHEMA)).text(Some(schema.id().as_str())).id(),
        aggregate_type: control::SCHEMA.into(),
        aggregate_id: Some(schema.id().to_string()),
        event_type: "seen".into(),
        operation: None,
        before: None,
        after: Some(schema.to_json()),
        metadata: "{}".to_owned(),
        source_position: None,
        transaction_id: None,
        occurred_at: Timestamp::from_micros(0),
        coordinates: coordinates(0),
        schema_id: None,
    }
}
