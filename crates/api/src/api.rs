//! Answering requests.

mod reached;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use async_graphql::{
    Response, Value, Variables,
    parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType},
};
use deltafold_event::Position;
use deltafold_projector::{Catalog, OlderBeliefs};
use deltafold_store::EventStore;
use deltafold_view::ViewStore;
use serde_json::Value as Json;
use tokio::sync::watch;

use crate::{
    DeclaredRelation, Readiness,
    answer::Answer,
    auth::Principal,
    commands::Commands,
    documents::{Document, Documents, operation, operation_at, permitted},
    errors::{ApiError, are_of_validation, settle},
    limits::Limits,
    log::Log,
    measures::{self, ReadTimes},
    model::Model,
    permission, persisted, pinned,
    reading::{Past, Reading, last_before},
    request::Request,
    schema::Built,
    source_state::{SourceState, Sources},
    subscriptions::Pushed,
    tables::Tables,
    values,
};

/// How an [`Api`] is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What a request may ask for.
    pub limits: Limits,
    /// Whether the schema can be asked for.
    pub introspection: bool,
    /// Origins, beside our own, whose pages may send requests: `https://shop.example`.
    pub allowed_origins: Vec<String>,
    /// Names, beside those of this machine, that the server may be called by: with a port, at that port only. On loopback
    /// no others are answered to, elsewhere only if there are any here.
    pub allowed_hosts: Vec<String>,
    /// Which views' rows name rows of others.
    pub relations: Vec<DeclaredRelation>,
    /// The bytes that parsed documents may take.
    pub document_cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            introspection: true,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            relations: Vec::new(),
            document_cache_bytes: 32 << 20,
        }
    }
}

/// How long it may take to fold what there is for the views to count as caught up.
const PROMPT: Duration = Duration::from_millis(500);

/// The query API. Cheap to clone; clones share everything.
///
/// Its schema follows the catalog: a view or column that appears can be asked for with the next request.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

struct Inner {
    log: Log,
    views: ViewStore,
    commands: Arc<dyn Commands>,
    sources: Arc<dyn Sources>,
    catalog: watch::Receiver<Arc<Catalog>>,
    current: ArcSwap<Current>,
    numbers: AtomicU64,
    documents: Documents,
    tables: Tables,
    past_reads: Past,
    times: ReadTimes,
    limits: Arc<Limits>,
    options: Options,
}

/// The schema, and the catalog that it was last seen to fit.
struct Current {
    catalog: Arc<Catalog>,
    built: Arc<Built>,
}

/// What comes of a request.
pub(crate) enum Responded {
    /// Its answer.
    Answer(Answer),
    /// The answer is what is known by this tag.
    Known(String),
}

/// A request that may be run: within the limits, with every right, and its values of the right types.
pub(crate) struct Asked {
    query: Arc<str>,
    variables: Variables,
    operation_name: Option<String>,
    explain: bool,
    catalog: Arc<Catalog>,
    built: Arc<Built>,
    document: Arc<Document>,
    /// Which of the document's operations.
    number: usize,
}

impl Asked {
    /// What is to be run.
    pub(crate) fn operation(&self) -> &OperationDefinition {
        operation_at(&self.document.parsed, self.number)
    }

    /// What it is part of.
    pub(crate) fn document(&self) -> &ExecutableDocument {
        &self.document.parsed
    }

    /// The schema that it was checked against.
    pub(crate) fn built(&self) -> &Arc<Built> {
        &self.built
    }

    /// Its variables, as they were given.
    pub(crate) fn variables(&self) -> &Variables {
        &self.variables
    }

    /// The same request once more.
    pub(crate) fn again(&self) -> Request {
        let (query, variables) = (self.query.clone(), self.variables.clone());
        let operation_name = self.operation_name.clone();
        Request { query, variables, operation_name, min_position: None, explain: false, reads_only: true }
    }
}

/// Why an [`Api`] cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot build the query API: {0}")]
pub struct BuildError(String);

impl Api {
    /// An API over a store and its views, as a projector keeps them. What mutations do is for `commands`,
    /// how this process reads for `sources`.
    ///
    /// # Errors
    /// When the query engine or the schema cannot be set up.
    pub fn new(
        store: EventStore,
        views: ViewStore,
        catalog: watch::Receiver<Arc<Catalog>>,
        commands: Arc<dyn Commands>,
        sources: Arc<dyn Sources>,
        options: Options,
    ) -> Result<Self, BuildError> {
        let failed = |error: ApiError| BuildError(error.to_string());
        let now = catalog.borrow().clone();
        let model = Model::new(&now, &views, &options.relations);
        let built = Built::new(Arc::new(model), options.introspection, 0).map_err(failed)?;
        let older = OlderBeliefs::new(views.clone(), deltafold_projector::Options::default().built_changes);
        let inner = Inner {
            past_reads: Past::new(older, options.limits.past_scans),
            log: Log::new(store),
            views,
            commands,
            sources,
            catalog,
            current: ArcSwap::from_pointee(Current { catalog: now, built: Arc::new(built) }),
            numbers: AtomicU64::new(1),
            documents: Documents::new(options.document_cache_bytes),
            tables: Tables::new(options.limits.memory_bytes).map_err(failed)?,
            times: ReadTimes::new(),
            limits: Arc::new(options.limits.clone()),
            options,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Answers a request: an object with `query`, and maybe `variables`, `operationName` and `extensions`. Whatever is
    /// wrong is in the response. Whoever calls this has the data, and so every right.
    pub async fn execute(&self, request: Json) -> Json {
        let answer = match Request::parse(request, persisted::Asked::into_text) {
            Ok(request) => self.respond(request, &Principal::local()).await,
            Err(error) => error.into(),
        };
        answer.into_json()
    }

    /// The schema definition now.
    pub fn sdl(&self) -> String {
        match self.current(&self.inner.catalog.borrow().clone()) {
            Ok(built) => built.sdl(),
            Err(_) => self.inner.current.load().built.sdl(),
        }
    }

    /// How it is set up.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Whether the views hold what the store holds now. While events come in they are always a little behind: what
    /// counts is whether they get that far at once.
    pub async fn readiness(&self) -> Readiness {
        let end = self.inner.log.store().high_water_mark();
        let mut catalog = self.inner.catalog.clone();
        let reached = catalog.wait_for(|catalog| catalog.checkpoint >= end || catalog.failure.is_some());
        // The projector may be gone, or not fast enough: what there is tells.
        let _ = tokio::time::timeout(PROMPT, reached).await;
        let catalog = self.inner.catalog.borrow().clone();
        let readiness = match &catalog.failure {
            Some(_) => Readiness::stopped(),
            None if catalog.checkpoint >= end => Readiness::ready(),
            None => Readiness::catching_up(last_before(catalog.checkpoint), last_before(end)),
        };
        let held = catalog.origins.iter().filter_map(|origin| {
            let suspect = origin.suspect.as_ref()?;
            Some(format!("{}: {} events are held: {}", origin.id, suspect.held, suspect.since))
        });
        let states = self.inner.sources.states();
        readiness.with_notes(held.chain(states.iter().flat_map(SourceState::problems)))
    }

    /// Tells the recorder of metrics what changes by itself.
    pub(crate) fn observe(&self) {
        let catalog = self.inner.catalog.borrow().clone();
        measures::observe(&catalog, self.inner.log.store().high_water_mark());
        measures::observe_sources(&self.inner.sources.states());
    }

    /// Answers a request.
    pub(crate) async fn respond(&self, request: Request, principal: &Principal) -> Answer {
        let Responded::Answer(answer) = self.respond_unless(request, principal, |_| false).await else {
            unreachable!("nothing is known already")
        };
        answer
    }

    /// Answers a request, unless the answer is known already by its tag.
    pub(crate) async fn respond_unless(
        &self,
        request: Request,
        principal: &Principal,
        is_known: impl Fn(&str) -> bool,
    ) -> Responded {
        let limit = self.inner.limits.timeout;
        match tokio::time::timeout(limit, self.answer(request, principal, is_known)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => Responded::Answer(error.into()),
            Err(_) => Responded::Answer(ApiError::Timeout { limit_ms: limit.as_millis() as u64 }.into()),
        }
    }

    async fn answer(
        &self,
        request: Request,
        principal: &Principal,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<Responded, ApiError> {
        let began = Instant::now();
        let asked = self.asked(request, principal).await?;
        if asked.operation().ty == OperationType::Subscription {
            let what = "a subscription is sent over a WebSocket that speaks graphql-transport-ws, at this very address";
            return Err(ApiError::BadRequest(what.to_owned()));
        }
        let Asked { query, built, catalog, document, variables, .. } = &asked;
        // Of another store the same positions say something else.
        let settings = format!("{} {}", self.inner.log.store().id(), self.inner.limits.page_default);
        let (parsed, operation) = (&document.parsed, asked.operation());
        let tag = pinned::entity_tag(built, catalog, query, parsed, operation, variables, &settings);
        // How an answer is found is no part of it, and may change.
        // Nor is one that is of before because more is not all there yet: there will be another.
        let is_earlier = tag.is_some() && self.is_earlier(catalog, Position::MAX, query)?;
        match tag.filter(|_| !asked.explain && !is_earlier) {
            Some(tag) if is_known(&tag) => Ok(Responded::Known(tag)),
            tag => Ok(Responded::Answer(self.run(asked, principal, began).await?.tagged(tag))),
        }
    }

    /// A request that may be run, once the views hold what it waits for.
    ///
    /// # Errors
    /// When it may not.
    pub(crate) async fn asked(&self, request: Request, principal: &Principal) -> Result<Asked, ApiError> {
        let inner = &*self.inner;
        let Request { query, variables, operation_name, min_position, explain, reads_only } = request;
        let permit = |parsed: &ExecutableDocument| {
            let (_, operation) = operation(parsed, operation_name.as_deref())?;
            if reads_only && operation.ty == OperationType::Mutation {
                return Err(ApiError::ReadsOnly);
            }
            permission::check(principal, parsed, operation)
        };
        let catalog = match min_position {
            None => inner.catalog.borrow().clone(),
            Some(position) => {
                // Whoever lacks the right does not get to hold a request either.
                permitted(&inner.limits, &query, permit)?;
                self.reached(position, &query).await?
            }
        };
        let built = self.current(&catalog)?;
        let document = inner.documents.get(&built, &inner.limits, &query, permit)?;
        let (number, operation) = operation(&document.parsed, operation_name.as_deref())?;
        document.check_variables(&built, &inner.limits, operation, &variables)?;
        Ok(Asked { query, variables, operation_name, explain, catalog, built, document, number })
    }

    /// Runs a request.
    pub(crate) async fn run(&self, asked: Asked, principal: &Principal, began: Instant) -> Result<Answer, ApiError> {
        let inner = &*self.inner;
        let Asked { query, variables, operation_name, explain, catalog, built, document, number } = asked;
        let operation = operation_at(&document.parsed, number);
        let shape = document.shape(&built, operation, &variables);
        let reading = self.reading(&built, catalog)?.of_views(|name| built.model.may_be_read(name, &query))?;
        let reading = Arc::new(if explain { reading.explaining() } else { reading });
        // A request that takes too long is dropped.
        let _begun = reading.ends_with_request();
        let mut request = async_graphql::Request::new(String::new())
            .variables(variables)
            .data(reading.clone())
            .data(inner.sources.clone());
        let is_read = operation.ty != OperationType::Mutation;
        if !is_read {
            request = request.data(principal.clone()).data(inner.commands.clone());
        }
        request.set_parsed_query(document.parsed.clone());
        request.operation_name = operation_name;
        let valid = document.is_valid();
        let schema = if valid { &built.fast } else { &built.strict };
        let timer = is_read.then(|| inner.times.time(document.kind(number), began));
        let Response { data, mut errors, .. } = schema.execute(request).await;
        drop(timer);
        let is_invalid = are_of_validation(&errors);
        settle(&mut errors);
        if is_invalid {
            return Ok(Answer::refused(errors));
        }
        document.set_valid();
        let data = shape.fit(data, &errors).unwrap_or_default();
        Ok(Answer::run(data, errors, extension(&reading)))
    }

    /// The selection of a subscription, run for one thing that is pushed; without any, it is only validated.
    pub(crate) async fn push(&self, asked: &Asked, pushed: Option<(Pushed, Arc<Reading>)>) -> Result<Answer, ApiError> {
        let Asked { variables, operation_name, built, document, number, .. } = asked;
        let mut parsed = document.parsed.clone();
        let operation = operation_at(&document.parsed, *number);
        // The root of this schema is what may be subscribed to.
        match &mut parsed.operations {
            DocumentOperations::Single(operation) => operation.node.ty = OperationType::Query,
            DocumentOperations::Multiple(operations) => {
                operations.values_mut().for_each(|operation| operation.node.ty = OperationType::Query);
            }
        }
        let shape = document.shape(built, operation, variables);
        let mut request = async_graphql::Request::new(String::new()).variables(variables.clone());
        request.operation_name.clone_from(operation_name);
        request.set_parsed_query(parsed);
        let (pushed, reading) = pushed.unzip();
        let reading = match reading {
            Some(reading) => reading,
            None => {
                let reading = self.reading(built, asked.catalog.clone())?;
                Arc::new(reading.of_views(|name| built.model.may_be_read(name, &asked.query))?)
            }
        };
        request = request.data(reading.clone()).data(self.inner.sources.clone()).data(pushed);
        let Response { data, mut errors, .. } = built.pushing.execute(request).await;
        let is_invalid = are_of_validation(&errors);
        settle(&mut errors);
        if is_invalid {
            return Ok(Answer::refused(errors));
        }
        let data = shape.fit(data, &errors).unwrap_or_default();
        Ok(Answer::run(data, errors, extension(&reading)))
    }

    /// The state of a request that begins to read now.
    pub(crate) fn reading_now(&self) -> Result<(Arc<Built>, Arc<Reading>), ApiError> {
        let catalog = self.catalog().borrow().clone();
        let built = self.current(&catalog)?;
        let reading = Arc::new(self.reading(&built, catalog)?);
        Ok((built, reading))
    }

    /// Likewise, of a request that reads a view and those that it names.
    pub(crate) fn reading_of(&self, view: &str) -> Result<(Arc<Built>, Arc<Reading>), ApiError> {
        let catalog = self.catalog().borrow().clone();
        let built = self.current(&catalog)?;
        let reading = self.reading(&built, catalog)?;
        let reading = reading.of_views(|name| built.model.leads_to(view, name))?;
        Ok((built, Arc::new(reading)))
    }

    /// How far the views have come, to be waited for.
    pub(crate) fn catalog(&self) -> watch::Receiver<Arc<Catalog>> {
        self.inner.catalog.clone()
    }

    /// The views.
    pub(crate) fn views(&self) -> &ViewStore {
        &self.inner.views
    }

    /// What a request reads from.
    fn reading(&self, built: &Built, catalog: Arc<Catalog>) -> Result<Reading, ApiError> {
        let inner = &*self.inner;
        let (log, limits, tables) = (inner.log.clone(), inner.limits.clone(), inner.tables.clone());
        let (snapshot, past_reads) = (inner.views.snapshot_for_request(), inner.past_reads.clone());
        Reading::new(built.model.clone(), catalog, snapshot, log, limits, tables, past_reads)
    }

    /// The schema of a catalog; built anew when views or columns have come.
    fn current(&self, catalog: &Arc<Catalog>) -> Result<Arc<Built>, ApiError> {
        let current = self.inner.current.load();
        if Arc::ptr_eq(&current.catalog, catalog) {
            return Ok(current.built.clone());
        }
        let built = if current.built.model.fits(catalog) {
            current.built.clone()
        } else {
            let model = Arc::new(Model::new(catalog, &self.inner.views, &self.inner.options.relations));
            let number = self.inner.numbers.fetch_add(1, Ordering::Relaxed);
            Arc::new(Built::new(model, self.inner.options.introspection, number)?)
        };
        self.inner.current.store(Arc::new(Current { catalog: catalog.clone(), built: built.clone() }));
        Ok(built)
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

/// `extensions.deltafold`.
fn extension(reading: &Reading) -> Value {
    let consistent = reading.consistent().map_or(
        Json::Null,
        |consistent| serde_json::json!({ "at": consistent.at.to_string(), "estimated": consistent.estimated }),
    );
    let mut said = serde_json::json!({
        "position": reading.position().to_string(),
        "lagMs": reading.lag_ms(),
        "consistent": consistent,
    });
    let starts = reading.history_starts();
    if !starts.is_empty() {
        let start = |(name, start): (Arc<str>, Option<deltafold_event::Timestamp>)| {
            (name.to_string(), start.map_or(Json::Null, |start| start.to_string().into()))
        };
        said["historyStart"] = starts.into_iter().map(start).collect();
    }
    if let Some(plans) = reading.plans() {
        said["plan"] =
            plans.into_iter().map(|(field, plan)| serde_json::json!({ "field": field, "plan": plan })).collect();
    }
    values::of_json(said)
}
