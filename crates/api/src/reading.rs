//! What one response reads from: every view at one position.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use async_graphql::{Context, dataloader::DataLoader};
use datafusion::{dataframe::DataFrame, physical_plan::displayable};
use deltafold_event::{Position, Timestamp};
use deltafold_projector::{Believed, Catalog, Consistent, OlderBeliefs, OlderBeliefsError};
use deltafold_view::{At, Reader, Snapshot};
use tokio::{
    sync::{OnceCell, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};

use crate::{
    errors::ApiError,
    limits::{Limits, exceeded},
    list::children::Children,
    log::Log,
    model::{Model, ViewModel},
    tables::{Tables, engine},
};

/// How long a scan of the past waits for others to end.
const SCANS_WAIT: Duration = Duration::from_secs(1);

/// What reads of the past share.
#[derive(Clone)]
pub(crate) struct Past {
    older: Arc<OlderBeliefs>,
    /// A place for each scan of the past.
    scans: Arc<Semaphore>,
}

impl Past {
    /// For so many scans at once.
    pub(crate) fn new(older: OlderBeliefs, scans: usize) -> Self {
        Self { older: Arc::new(older), scans: Arc::new(Semaphore::new(scans)) }
    }
}

/// The state of one request.
pub(crate) struct Reading {
    /// The views' names, as the schema has them.
    pub(crate) model: Arc<Model>,
    /// What the views hold.
    pub(crate) snapshot: Snapshot,
    /// How far they are folded, and since when.
    pub(crate) catalog: Arc<Catalog>,
    /// The log.
    pub(crate) log: Log,
    /// The limits.
    pub(crate) limits: Arc<Limits>,
    /// Where lists are planned and run.
    pub(crate) tables: Tables,
    /// What is not kept of derived views, and how much of it may be read at once.
    past_reads: Past,
    /// What of that was computed for this request.
    believed: Mutex<ByViewAndPosition<Arc<OnceCell<Arc<Believed>>>>>,
    /// The exclusive end of what the views hold.
    end: Position,
    /// Whether some hold more, of which not all is there: they are read as they were before.
    is_earlier: bool,
    /// The newest moment at which every transaction that the views hold is whole.
    consistent: Option<Consistent>,
    /// The views that were read as of the past.
    past: Mutex<BTreeSet<Arc<str>>>,
    /// How fields were read, by field, where that is to be told.
    plans: Option<Mutex<Vec<(String, String)>>>,
    /// What reads the rows that name others.
    children: OnceLock<DataLoader<Children>>,
    begun: Begun,
}

/// What was begun beside a request.
#[derive(Clone, Default)]
struct Begun(Arc<Mutex<JoinSet<()>>>);

/// Ends what was begun beside a request, with it: nobody waits for it any more.
pub(crate) struct EndsWithRequest(Begun);

impl Drop for EndsWithRequest {
    fn drop(&mut self) {
        self.0.0.lock().expect("no holder of this lock panics").abort_all();
    }
}

type ByViewAndPosition<T> = BTreeMap<(Arc<str>, Position), T>;

/// The moment that a field is read at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// What is read.
    pub(crate) at: At,
    /// Whether it was asked for: then absence before the history's start means unknown.
    pub(crate) is_past: bool,
}

impl Reading {
    /// A view of everything as it is in a snapshot, which may hold more by now than the catalog tells of.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) fn new(
        model: Arc<Model>,
        catalog: Arc<Catalog>,
        snapshot: Snapshot,
        log: Log,
        limits: Arc<Limits>,
        tables: Tables,
        past_reads: Past,
    ) -> Result<Self, ApiError> {
        let end = snapshot.checkpoint(deltafold_projector::CHECKPOINT);
        let end = end.map_err(|error| ApiError::internal("checkpoint", error))?.unwrap_or(Position::ZERO);
        // What was whole by then may be followed by more, of an earlier time.
        let consistent = match catalog.checkpoint == end {
            true => Ok(catalog.consistent),
            false => deltafold_projector::consistent(&snapshot),
        };
        let consistent = consistent.map_err(|error| ApiError::internal("consistent moment", error))?;
        let (believed, past) = Default::default();
        Ok(Self {
            model,
            snapshot,
            catalog,
            log,
            limits,
            tables,
            past_reads,
            believed,
            end,
            is_earlier: false,
            consistent,
            past,
            plans: None,
            children: OnceLock::new(),
            begun: Begun::default(),
        })
    }

    /// One that reads views which satisfy a condition, and maybe others: where one of them is folded in pieces, all are read
    /// as they were before that.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) fn of_views(self, is_read: impl Fn(&str) -> bool) -> Result<Self, ApiError> {
        let earlier = deltafold_projector::shown_earlier(&self.snapshot);
        let earlier = earlier.map_err(|error| ApiError::internal("position", error))?;
        let until = earlier.iter().filter(|(name, _)| is_read(name)).map(|(_, until)| *until).min();
        Ok(match until {
            Some(until) if until < self.end => Self { end: until, is_earlier: true, ..self },
            _ => self,
        })
    }

    /// Whether views are read as they were before.
    pub(crate) fn is_earlier(&self) -> bool {
        self.is_earlier
    }

    /// What is read where nothing else is said.
    pub(crate) fn now(&self) -> Position {
        if self.is_earlier { self.position() } else { Position::MAX }
    }

    /// As of when a projection is read whatever else the request reads, and as of when what waits to be shown of it: now, or
    /// before what is not all there yet.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) fn whole(&self, name: &str) -> Result<[Position; 2], ApiError> {
        let until = deltafold_projector::whole_until(&self.snapshot, name);
        let until = until.map_err(|error| ApiError::internal("position", error))?;
        Ok(until.map(|until| until.map_or(Position::MAX, last_before)))
    }

    /// A position that was reached, as it is read: the last one is now.
    pub(crate) fn or_now(&self, position: Position) -> Position {
        if position == self.position() { self.now() } else { position }
    }

    /// One that keeps how fields are read.
    pub(crate) fn explaining(self) -> Self {
        Self { plans: Some(Mutex::default()), ..self }
    }

    /// Notes how a field is read, if that is to be told.
    pub(crate) fn explain(&self, field: &str, plan: impl FnOnce() -> String) {
        if let Some(plans) = &self.plans {
            plans.lock().expect("no holder of this lock panics").push((field.to_owned(), plan()));
        }
    }

    /// Notes the plan of a field that is read by one, if that is to be told.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn explain_frame(&self, field: &str, frame: &DataFrame) -> Result<(), ApiError> {
        if self.plans.is_some() {
            let plan = frame.clone().create_physical_plan().await.map_err(engine)?;
            self.explain(field, || displayable(plan.as_ref()).indent(false).to_string());
        }
        Ok(())
    }

    /// How fields were read, if that is to be told.
    pub(crate) fn plans(&self) -> Option<Vec<(String, String)>> {
        let plans = self.plans.as_ref()?;
        Some(std::mem::take(&mut *plans.lock().expect("no holder of this lock panics")))
    }

    /// What reads the rows that name others, for all that ask at once.
    pub(crate) fn children(self: &Arc<Self>) -> &DataLoader<Children> {
        self.children.get_or_init(|| {
            let begun = self.begun.clone();
            let begin = move |load| drop(begun.0.lock().expect("no holder of this lock panics").spawn(load));
            DataLoader::new(Children(Arc::downgrade(self)), begin)
        })
    }

    /// Ends what is begun for it beside the request when it is dropped.
    pub(crate) fn ends_with_request(&self) -> EndsWithRequest {
        EndsWithRequest(self.begun.clone())
    }

    /// The one of the request that is being answered.
    pub(crate) fn of<'a>(ctx: &Context<'a>) -> &'a Arc<Self> {
        ctx.data_unchecked::<Arc<Self>>()
    }

    /// The first position that the views do not hold.
    pub(crate) fn end(&self) -> Position {
        self.end
    }

    /// The last position that the views hold: everything recorded at or before it counts.
    pub(crate) fn position(&self) -> Position {
        last_before(self.end)
    }

    /// How long ago the views held all that there is, in milliseconds; 0 while they do.
    pub(crate) fn lag_ms(&self) -> i32 {
        let lag = lag_ms(&self.catalog, self.end, self.log.store().high_water_mark());
        lag.and_then(|lag| i32::try_from(lag).ok()).unwrap_or(i32::MAX)
    }

    /// The newest moment at which every transaction that the views hold is whole; none while they hold none.
    pub(crate) fn consistent(&self) -> Option<Consistent> {
        self.consistent
    }

    /// The reads of one view as of a position, which was entered before.
    pub(crate) fn reader(&self, view: &ViewModel, position: Position) -> Reader {
        if position == Position::MAX {
            return self.snapshot.reader(&view.rows);
        }
        let believed = self.believed.lock().expect("no holder of this lock panics");
        match believed.get(&(view.info.name.clone(), position)).and_then(|believed| believed.get()) {
            Some(believed) => believed.reader(),
            None => self.snapshot.reader(&view.rows),
        }
    }

    /// The mirror of an aggregate type, also where no aggregate of it ever had a row, so that there is no view to see.
    pub(crate) fn aggregates_of(&self, aggregate_type: &str) -> Option<Arc<ViewModel>> {
        let views = &self.model.views;
        match views.iter().find(|view| view.is_mirror() && *view.info.name == *aggregate_type) {
            Some(view) => Some(view.clone()),
            None => self.snapshot.mirror(aggregate_type).map(|mirror| Arc::new(ViewModel::without_rows(mirror))),
        }
    }

    /// The position up to which a moment's reads count: never [`Position::MAX`], so that it can be frozen.
    pub(crate) fn position_of(&self, moment: Moment) -> Position {
        moment.at.position.min(self.position())
    }

    /// Whether what was believed of a view at a moment's position is kept.
    pub(crate) fn keeps(&self, view: &ViewModel, moment: Moment) -> Result<bool, ApiError> {
        let position = moment.at.position;
        if view.is_mirror() || position == Position::MAX {
            return Ok(true);
        }
        let end = position.next();
        if view.info.kept_from.is_none_or(|from| end < from) {
            return Ok(false);
        }
        let was_whole = deltafold_projector::was_whole_at(&self.snapshot, &view.info.name, end);
        Ok(was_whole.map_err(|error| ApiError::internal("position", error))?
            && self.snapshot.is_end(end).map_err(|error| ApiError::internal("position", error))?)
    }

    /// Begins to read a view at a moment: what was believed then and is not kept is computed.
    ///
    /// # Errors
    /// When it cannot be.
    pub(crate) async fn enter(&self, view: &ViewModel, moment: Moment, path: &str) -> Result<(), ApiError> {
        let position = moment.at.position;
        if !self.keeps(view, moment)? {
            let name = &view.info.name;
            let cell = {
                let mut believed = self.believed.lock().expect("no holder of this lock panics");
                believed.entry((name.clone(), position)).or_default().clone()
            };
            // Once for all fields that ask.
            let compute = async || {
                let _place = self.place_for_scan(moment.at).await?;
                let believed =
                    self.past_reads.older.at(self.log.store(), &self.catalog, &self.snapshot, name, position).await;
                believed.map_err(|error| match error {
                    OlderBeliefsError::Failed(what) => {
                        ApiError::NotKept { path: path.to_owned(), view: name.to_string(), position, what }
                    }
                    OlderBeliefsError::Broken(error) => ApiError::internal("older belief", error),
                })
            };
            cell.get_or_try_init(compute).await?;
        }
        self.note(view, moment);
        Ok(())
    }

    /// A place for a scan of a moment, to be held as long as it takes; none where it is of now.
    ///
    /// # Errors
    /// When all places stay taken.
    pub(crate) async fn place_for_scan(&self, at: At) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
        if at.is_now() {
            return Ok(None);
        }
        match timeout(SCANS_WAIT, self.past_reads.scans.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(Some(place)),
            Ok(Err(_)) | Err(_) => {
                Err(exceeded("past_scans", self.limits.past_scans, "to wait for others too long; try again"))
            }
        }
    }

    /// A place for a scan, however long it takes to get one: for what nobody waits for.
    pub(crate) async fn wait_for_scan(&self) -> OwnedSemaphorePermit {
        self.past_reads.scans.clone().acquire_owned().await.expect("nobody closes it")
    }

    /// Notes that a view is read at a moment.
    pub(crate) fn note(&self, view: &ViewModel, moment: Moment) {
        if moment.is_past {
            self.past.lock().expect("no holder of this lock panics").insert(view.info.name.clone());
        }
    }

    /// The views read as of the past, and where their histories start.
    pub(crate) fn history_starts(&self) -> Vec<(Arc<str>, Option<Timestamp>)> {
        let past = std::mem::take(&mut *self.past.lock().expect("no holder of this lock panics"));
        let start = |name: &str| self.catalog.view(name).and_then(|view| view.history_start);
        past.into_iter().map(|name| (name.clone(), start(&name))).collect()
    }

    /// The moment at a position, which must have been folded.
    ///
    /// # Errors
    /// When it has not.
    pub(crate) fn at_position(&self, position: Position, path: &str) -> Result<Position, ApiError> {
        let reached = self.position();
        match position.cmp(&reached) {
            std::cmp::Ordering::Greater => Err(ApiError::PositionAhead { path: path.to_owned(), position, reached }),
            // The same reads, without looking at what was believed when.
            std::cmp::Ordering::Equal => Ok(self.now()),
            std::cmp::Ordering::Less => Ok(position),
        }
    }
}

/// How long ago views that hold everything before `end` held all that there was, in milliseconds; 0 while they do, none
/// while nothing has been folded that would tell.
pub(crate) fn lag_ms(catalog: &Catalog, end: Position, high_water_mark: Position) -> Option<u64> {
    if high_water_mark <= end {
        return Some(0);
    }
    let lag = (chrono::Utc::now().timestamp_micros() - catalog.recorded_at?.as_micros()) / 1_000;
    // While there is something to fold there is a lag, however short.
    Some(lag.max(1).unsigned_abs())
}

/// The last position before an exclusive end.
pub(crate) fn last_before(end: Position) -> Position {
    Position::from_i64(end.as_i64() - 1).unwrap_or(Position::ZERO)
}
