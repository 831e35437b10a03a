//! Publishing views as Delta tables: what was folded, at a cadence, for engines that read Delta.
//!
//! Each table says in every commit up to which position it shows its view, so that what is new is the difference
//! between what was believed there and what is believed now. Where that is not kept any more, or the view was built
//! anew, everything is compared.

mod differences;
mod rows;

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc, thread, time::Duration};

use deltafold_event::{Column, Position};
use deltafold_relation::Origins;
use deltafold_store::{PublishError, PublishedTable};
use deltafold_view::{Mirror, Snapshot, ViewStore};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    CHECKPOINT, Catalog, Declared, ProjectorError, ViewKind,
    folder::ORIGINS,
    mirror::MirrorView,
    projections::{last_before, shown_earlier, shown_generation},
};
use differences::Differences;
use rows::{Form, Layout};

/// As which tables a view is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tables {
    /// Not at all.
    Off,
    /// `versions`: every version of every row, with its valid interval.
    Versions,
    /// `current`: the rows as they are.
    Current,
    /// Both.
    #[default]
    Both,
}

/// How a view is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    /// As what.
    pub tables: Tables,
    /// How often.
    pub every: Duration,
}

/// What is published.
#[derive(Debug, Clone, Default)]
pub struct PublisherOptions {
    /// Where: a folder per view, with a table in each of `versions` and `current`.
    pub dir: PathBuf,
    /// By view; `*` is every other one.
    pub views: BTreeMap<String, Publication>,
    /// As the projector's: [`crate::Options::declared`].
    pub declared: Declared,
}

impl PublisherOptions {
    fn of(&self, view: &str) -> Option<Publication> {
        let found = self.views.get(view).or_else(|| self.views.get("*"));
        found.copied().filter(|publication| publication.tables != Tables::Off)
    }
}

/// Publishes views on a thread of its own until it is stopped.
pub struct Publisher {
    cancel: CancellationToken,
    thread: thread::JoinHandle<()>,
}

impl Publisher {
    /// Begins to publish what a projector folds.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        views: ViewStore,
        catalog: watch::Receiver<Arc<Catalog>>,
        options: PublisherOptions,
    ) -> io::Result<Self> {
        // Not on the threads that answer: a merge computes for long.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let cancel = CancellationToken::new();
        let cancelled = cancel.clone();
        let run = move || runtime.block_on(run(views, catalog, options, cancelled));
        let thread = thread::Builder::new().name("publish".into()).spawn(run)?;
        Ok(Self { cancel, thread })
    }

    /// Ends it; a table that was being written stays as its last commit left it.
    pub async fn stop(self) {
        self.cancel.cancel();
        // What a panic there left is written next time.
        let _ = tokio::task::spawn_blocking(|| self.thread.join()).await;
    }
}

async fn run(
    views: ViewStore,
    mut catalog: watch::Receiver<Arc<Catalog>>,
    options: PublisherOptions,
    cancel: CancellationToken,
) {
    let mut published: BTreeMap<Arc<str>, (PublishedView, Instant)> = BTreeMap::new();
    // While the first views are being loaded, none is there.
    let mut missing = None;
    loop {
        let known = Arc::clone(&*catalog.borrow_and_update());
        if missing.is_none() && !known.views.is_empty() {
            missing = Some(Missing::new(&options, Instant::now()));
        }
        for view in missing.iter_mut().flat_map(|missing| missing.due(&known, Instant::now())) {
            tracing::warn!(view, "[publish.{view}] names no view there is; it is published once there is one");
        }
        for info in &known.views {
            let Some(Publication { tables, every }) = options.of(&info.name) else { continue };
            let new = || (PublishedView::new(&options, &info.name, info.kind, tables), Instant::now());
            let (view, due) = published.entry(Arc::clone(&info.name)).or_insert_with(new);
            if *due > Instant::now() {
                continue;
            }
            tokio::select! {
                result = view.publish(&views) => {
                    if let Err(error) = result {
                        tracing::error!(view = &*info.name, %error, "a view is not published");
                    }
                }
                () = cancel.cancelled() => return,
            }
            *due = Instant::now() + every;
        }
        published.retain(|name, _| known.view(name).is_some());
        let next = published.values().map(|(_, due)| *due).chain(missing.as_ref().and_then(Missing::next)).min();
        let due = async {
            match next {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            // A view may be new.
            changed = catalog.changed() => if changed.is_err() { return },
            () = cancel.cancelled() => return,
        }
    }
}

/// Views that are to be published and were not there yet, with when to say so: a table that is only beginning to be read,
/// or a view that is being built, has the time until it would be published again.
struct Missing<'o>(BTreeMap<&'o str, Instant>);

impl<'o> Missing<'o> {
    fn new(options: &'o PublisherOptions, now: Instant) -> Self {
        let named = options.views.iter().filter(|(name, _)| *name != "*");
        Self(named.map(|(name, publication)| (name.as_str(), now + publication.every)).collect())
    }

    /// Those that are still missing when they are due; each once.
    fn due(&mut self, known: &Catalog, now: Instant) -> Vec<&'o str> {
        let is_building = |name: &str| known.projections.iter().any(|projection| &*projection.name == name);
        self.0.retain(|name, _| known.view(name).is_none() && !is_building(name));
        self.0.extract_if(.., |_, due| *due <= now).map(|(name, _)| name).collect()
    }

    fn next(&self) -> Option<Instant> {
        self.0.values().min().copied()
    }
}

/// The tables of a view.
pub struct PublishedView {
    name: Arc<str>,
    kind: ViewKind,
    declared: Declared,
    tables: Vec<Published>,
}

struct Published {
    form: Form,
    dir: PathBuf,
    table: Option<PublishedTable>,
    /// The generation that was compared last, and up to where: nothing before that has changed since.
    compared: Option<(u32, Position)>,
}

/// Why a view was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublisherError {
    /// The index cannot be read.
    #[error(transparent)]
    Read(#[from] ProjectorError),
    /// The table cannot be written.
    #[error(transparent)]
    Write(#[from] PublishError),
    /// What was read does not go into a table.
    #[error("the rows cannot be put into columns: {0}")]
    Rows(String),
}

/// A view at a moment of the store.
struct Shown {
    view: Mirror,
    columns: Vec<Column>,
    generation: u32,
    /// Everything before it is folded.
    until: Position,
    /// From where on it is known what was believed; none: always.
    kept_from: Option<Position>,
}

impl PublishedView {
    /// The tables of a view in the folder of its name.
    pub fn new(options: &PublisherOptions, name: &Arc<str>, kind: ViewKind, tables: Tables) -> Self {
        let forms: &[Form] = match tables {
            Tables::Off => &[],
            Tables::Versions => &[Form::Versions],
            Tables::Current => &[Form::Current],
            Tables::Both => &[Form::Versions, Form::Current],
        };
        let table = |form: &Form| Published {
            form: *form,
            dir: options.dir.join(folder(name)).join(form.name()),
            table: None,
            compared: None,
        };
        Self {
            name: Arc::clone(name),
            kind,
            declared: options.declared.clone(),
            tables: forms.iter().map(table).collect(),
        }
    }

    /// Brings its tables to what the store shows now.
    ///
    /// # Errors
    /// When the index cannot be read, or a table cannot be written: then it stays as its last commit left it.
    pub async fn publish(&mut self, views: &ViewStore) -> Result<(), PublisherError> {
        let snapshot = views.snapshot();
        let Some(shown) = self.shown(&snapshot)? else { return Ok(()) };
        let index = index(views)?;
        for published in &mut self.tables {
            if published.compared == Some((shown.generation, shown.until)) {
                continue;
            }
            let table = match &mut published.table {
                Some(table) => table,
                none => none.insert(PublishedTable::open(&published.dir, published.form.key()).await?),
            };
            let result = bring(table, published.form, published.compared, &shown, index, &snapshot).await;
            if result.is_err() {
                // Somebody else may have written it: it is read again.
                published.table = None;
            }
            if result? {
                tracing::debug!(view = &*self.name, table = published.form.name(), until = %shown.until, "published");
            }
            published.compared = Some((shown.generation, shown.until));
        }
        Ok(())
    }

    /// What the snapshot has of the view; none while it has nothing whole.
    fn shown(&self, snapshot: &Snapshot) -> Result<Option<Shown>, ProjectorError> {
        let origins = snapshot.state(ORIGINS)?.map(|bytes| Origins::from_bytes(&bytes)).transpose();
        if origins.map_err(ProjectorError::Origins)?.is_some_and(|origins| origins.replay().is_some()) {
            // A crash left it half way: the projector goes on with it.
            return Ok(None);
        }
        match self.kind {
            ViewKind::Mirror => {
                let Some(view) = snapshot.mirror(&self.name) else { return Ok(None) };
                let Some(info) = MirrorView::open(snapshot, view.clone(), &self.declared)?.info() else {
                    return Ok(None);
                };
                let until = snapshot.checkpoint(CHECKPOINT)?.unwrap_or_default();
                Ok(Some(Shown { view, columns: info.columns.clone(), generation: 1, until, kept_from: None }))
            }
            ViewKind::Derived => {
                let Some((generation, until)) = shown_generation(snapshot, &self.name)? else { return Ok(None) };
                if shown_earlier(snapshot)?.contains_key(&*self.name) {
                    // Not all is there yet of what it is folded until.
                    return Ok(None);
                }
                let Some(view) = snapshot.generation(&self.name, generation.number) else { return Ok(None) };
                let kept_from = Some(generation.shown_from.unwrap_or(until));
                Ok(Some(Shown { view, columns: generation.columns, generation: generation.number, until, kept_from }))
            }
        }
    }
}

/// The name of the state that tells an index from others: a UUID.
const INDEX: &str = "publisher/index";

/// What tells this index from one that was there before, or that another process has. They number generations alike, and
/// need not have believed the same at a position.
fn index(views: &ViewStore) -> Result<Uuid, ProjectorError> {
    if let Some(index) = views.written().state(INDEX)?.and_then(|bytes| Uuid::from_slice(&bytes).ok()) {
        return Ok(index);
    }
    let index = Uuid::new_v4();
    let mut write = views.batch();
    write.put_state(INDEX, index.as_bytes());
    write.commit()?;
    Ok(index)
}

/// The name of a view's folder. A view is called what a database calls its table: what could lead elsewhere stands as `+`
/// and the byte's two digits.
fn folder(view: &str) -> String {
    let mut name = String::new();
    for byte in view.bytes() {
        match byte {
            b'.' if name.is_empty() => name.push_str("+2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => name.push(char::from(byte)),
            byte => name.push_str(&format!("+{byte:02X}")),
        }
    }
    name
}

/// Brings a table to what is shown; says whether there was anything to write.
async fn bring(
    table: &mut PublishedTable,
    form: Form,
    compared: Option<(u32, Position)>,
    shown: &Shown,
    index: Uuid,
    snapshot: &Snapshot,
) -> Result<bool, PublisherError> {
    let app_id = format!("deltafold/{index}/{}", shown.generation);
    let written = table.until(&app_id).await?;
    let compared = compared.filter(|(generation, _)| *generation == shown.generation).map(|(_, until)| until);
    let from = written.map(|written| compared.map_or(written, |compared| compared.max(written)));
    if from.is_some_and(|from| from >= shown.until) {
        return Ok(false);
    }
    let layout = Layout::new(form, &shown.columns);
    let reader = snapshot.reader(&shown.view);
    if !table.has_columns(layout.columns()) {
        let rows = Differences::all(&reader, &layout, false)?;
        table.replace(layout.columns(), rows, &app_id, shown.until).await?;
        return Ok(true);
    }
    let is_kept = |from: Position| {
        let is_kept = shown.kept_from.is_none_or(|kept_from| from >= kept_from);
        Ok::<_, ProjectorError>(is_kept && (shown.kept_from.is_none() || snapshot.is_end(from)?))
    };
    let from = match from {
        Some(from) if is_kept(from)? => Some(from),
        _ => None,
    };
    let changes = match from {
        Some(from) => Differences::since(&reader, &layout, last_before(from))?,
        None => Differences::all(&reader, &layout, true)?,
    };
    let is_all = from.is_none();
    if changes.is_empty() && !is_all {
        return Ok(false);
    }
    table.merge(changes, is_all, &app_id, shown.until).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_no_view_is_told_once_and_not_before_there_was_time_for_one() {
        let publication = Publication { tables: Tables::Both, every: Duration::from_secs(60) };
        let views = ["*", "ordres"].map(|name| (name.to_owned(), publication));
        let options = PublisherOptions { views: views.into(), ..PublisherOptions::default() };
        let (catalog, start) = (Catalog::default(), Instant::now());
        let mut missing = Missing::new(&options, start);
        assert_eq!(missing.due(&catalog, start), [""; 0]);
        assert_eq!(missing.next(), Some(start + publication.every));
        assert_eq!(missing.due(&catalog, start + publication.every), ["ordres"]);
        assert_eq!(missing.due(&catalog, start + publication.every), [""; 0]);
        assert_eq!(missing.next(), None);
    }

    #[test]
    fn a_view_s_folder_is_nowhere_else() {
        assert_eq!(folder("public_orders.v2"), "public_orders.v2");
        assert_eq!(folder("../events"), "+2E.+2Fevents");
        assert_eq!(folder("a+b"), "a+2Bb");
        assert_eq!(folder("größe"), "gr+C3+B6+C3+9Fe");
    }
}
