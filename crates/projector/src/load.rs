//! Catching up from nothing, aggregate by aggregate. One thread reads, one folds, one lays out what is to be written, and
//! one writes it.
//!
//! In the order of positions each batch touches aggregates all over: they are looked up, sorted and written again and
//! again. Taken aggregate by aggregate, each is folded once, and everything comes out in the order of the keys.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
};

use deltafold_event::{StoredEvent, Timestamp};
use deltafold_relation::{ByAggregate, Changes, FoldError, Schemas};
use deltafold_view::{Batch, Mirror, ViewStore, WriteError};

use crate::{ProjectorError, folder::learn, mirror::put};

/// How many events travel from thread to thread at once.
const EVENTS_AT_ONCE: usize = 1_024;
/// How many such runs may wait for the next thread: enough for the others to go on while the disk is synced.
const WAITING: usize = 16;

/// What a load has made.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Mirrors that are as they should be.
    pub(crate) mirrors: BTreeMap<Arc<str>, Mirror>,
    /// Whether nothing is there of some types, since they need the order of positions.
    pub(crate) is_partial: bool,
    /// The latest moment of which a log event told.
    pub(crate) newest: Option<Timestamp>,
}

/// Whole aggregates of one type, in the order of their ids.
struct Aggregates {
    aggregate_type: Arc<str>,
    /// Those of one aggregate after those of the other, each by position.
    events: Vec<StoredEvent>,
    /// Where each aggregate's events end.
    ends: Vec<usize>,
    /// Whether one of them has more events than may be held: some of those are missing.
    is_too_long: bool,
}

/// Folds everything that `next` gives: it puts the next aggregate's events into a list, or one more than so many of
/// them, and may write over those in another list; false at the end ([`deltafold_store::ByAggregate::next`]). The index
/// is in a bulk load and holds nothing of it. `follow` is shown all of them.
pub(crate) fn load(
    views: &ViewStore,
    schemas: &mut Schemas,
    held_events: usize,
    mut follow: impl FnMut(&StoredEvent),
    next: impl FnMut(usize, &mut Vec<StoredEvent>, &mut Vec<StoredEvent>) -> Result<bool, ProjectorError> + Send,
) -> Result<Loaded, ProjectorError> {
    thread::scope(|scope| {
        let (send, receive) = sync_channel(WAITING);
        let (done, spare) = channel();
        thread::Builder::new()
            .name("read".into())
            .spawn_scoped(scope, move || read(next, held_events, &send, &spare))
            .map_err(WriteError::Io)?;
        let mut loaded = Loaded::default();
        let mut chunks = receive.into_iter().peekable();
        while let Some(chunk) = chunks.peek() {
            let name = match chunk {
                Ok(chunk) => chunk.aggregate_type.clone(),
                Err(_) => return Err(chunks.find_map(Result::err).expect("just seen")),
            };
            let of_type = std::iter::from_fn(|| {
                chunks.next_if(|chunk| chunk.as_ref().map_or(true, |chunk| chunk.aggregate_type == name))
            });
            let of_type = of_type.inspect(|chunk| {
                let events = chunk.iter().flat_map(|chunk| &chunk.events);
                let events = events.inspect(|stored| follow(stored)).map(|stored| &stored.event);
                let told = events.filter(|event| event.source_position.is_some()).map(|event| event.occurred_at);
                loaded.newest = told.max().max(loaded.newest);
            });
            if name.starts_with('$') {
                for chunk in of_type {
                    chunk?.events.iter().for_each(|stored| learn(schemas, stored));
                }
            } else if let Some(mirror) = load_type(views, schemas, held_events, &name, of_type, &done)? {
                loaded.mirrors.insert(name, mirror);
            } else {
                loaded.is_partial = true;
                tracing::info!(view = &*name, "it is folded in the order of positions");
            }
        }
        Ok(loaded)
    })
}

/// Reads aggregates, many at once, until there are no more or nobody takes them. Events that were folded come back in
/// `done`: their memory is used again.
fn read(
    mut next: impl FnMut(usize, &mut Vec<StoredEvent>, &mut Vec<StoredEvent>) -> Result<bool, ProjectorError>,
    held_events: usize,
    send: &SyncSender<Result<Aggregates, ProjectorError>>,
    done: &Receiver<Vec<StoredEvent>>,
) {
    let mut chunk: Option<Aggregates> = None;
    let (mut events, mut spare) = (Vec::new(), Vec::new());
    loop {
        match next(held_events, &mut events, &mut spare) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let _ = send.send(Err(error));
                return;
            }
        }
        let Some(first) = events.first() else { continue };
        let aggregate_type = first.event.aggregate_type.clone();
        let is_full =
            |chunk: &mut Aggregates| chunk.events.len() >= EVENTS_AT_ONCE || chunk.aggregate_type != aggregate_type;
        if let Some(full) = chunk.take_if(is_full)
            && send.send(Ok(full)).is_err()
        {
            return;
        }
        let chunk = chunk.get_or_insert_with(|| {
            let used_up = std::mem::replace(&mut spare, done.try_recv().unwrap_or_default());
            Aggregates::of(aggregate_type, used_up)
        });
        chunk.is_too_long |= events.len() > held_events;
        chunk.events.append(&mut events);
        chunk.ends.push(chunk.events.len());
    }
    if let Some(last) = chunk {
        let _ = send.send(Ok(last));
    }
}

/// Folds a type; none, and nothing kept, when it needs the order of positions.
fn load_type(
    views: &ViewStore,
    schemas: &Schemas,
    held_events: usize,
    name: &str,
    mut chunks: impl Iterator<Item = Result<Aggregates, ProjectorError>>,
    done: &Sender<Vec<StoredEvent>>,
) -> Result<Option<Mirror>, ProjectorError> {
    let mirror = views.mirror(name)?;
    let (send_changes, changes) = sync_channel(WAITING);
    let (send_batches, batches) = sync_channel(WAITING);
    let last = thread::scope(|scope| {
        let thread = |name: &str| thread::Builder::new().name(name.into());
        let layout = || lay_out(views, &mirror, changes, send_batches);
        let layout = thread("lay out").spawn_scoped(scope, layout).map_err(WriteError::Io)?;
        let writing = thread("write").spawn_scoped(scope, || write(views, batches)).map_err(WriteError::Io)?;
        let folded = fold_type(name, schemas, held_events, &mut chunks, done, send_changes);
        layout.join().map_err(|_| WriteError::Stopped)??;
        writing.join().map_err(|_| WriteError::Stopped)??;
        folded
    })?;
    // After a refusal the rest of the type is of no use here.
    chunks.try_for_each(|chunk| chunk.map(drop))?;
    let Some(last) = last else { return Ok(None) };
    let mut batch = views.batch();
    put(&mirror, last, &mut batch)?;
    batch.commit()?;
    Ok(Some(mirror))
}

/// Hands what is folded to the writer; what comes on top of it in the end is returned.
fn fold_type(
    name: &str,
    schemas: &Schemas,
    held_events: usize,
    chunks: &mut impl Iterator<Item = Result<Aggregates, ProjectorError>>,
    done: &Sender<Vec<StoredEvent>>,
    send: SyncSender<Step<Changes>>,
) -> Result<Option<Changes>, ProjectorError> {
    let unfit = |error: FoldError<Infallible>| ProjectorError::Fold { view: name.to_owned(), what: error.to_string() };
    let mut keeper = None;
    for chunk in chunks {
        let chunk = chunk?;
        if chunk.is_too_long {
            return Ok(None);
        }
        let mut aggregates = chunk.aggregates().peekable();
        let keeper = keeper.get_or_insert_with(|| {
            let type_wide = aggregates.next_if(|events| events[0].event.aggregate_id.is_none());
            ByAggregate::new(type_wide.unwrap_or_default().to_vec(), held_events)
        });
        let Some(changes) = keeper.fold(aggregates, schemas).map_err(unfit)? else { return Ok(None) };
        if send.send(Step::Next(changes)).is_err() {
            // Why it stopped is said by the writer.
            return Ok(None);
        }
        // Once everything is read nobody needs them.
        let _ = done.send(chunk.events);
    }
    let keeper = keeper.unwrap_or_else(|| ByAggregate::new(Vec::new(), held_events));
    let Some(changes) = keeper.finish(schemas).map_err(unfit)? else { return Ok(None) };
    Ok(send.send(Step::End).is_ok().then_some(changes))
}

/// What is handed on towards the disk.
enum Step<T> {
    Next(T),
    /// Without it, nothing that came before is kept.
    End,
}

/// Turns changes into the bytes of keys and entries.
fn lay_out(
    views: &ViewStore,
    mirror: &Mirror,
    receive: Receiver<Step<Changes>>,
    send: SyncSender<Step<Batch>>,
) -> Result<(), ProjectorError> {
    for step in receive {
        let step = match step {
            Step::Next(changes) => {
                let mut batch = views.batch();
                put(mirror, changes, &mut batch)?;
                Step::Next(batch)
            }
            Step::End => Step::End,
        };
        if send.send(step).is_err() {
            break;
        }
    }
    Ok(())
}

fn write(views: &ViewStore, receive: Receiver<Step<Batch>>) -> Result<(), WriteError> {
    let mut runs = views.sorted_runs()?;
    for step in receive {
        match step {
            Step::Next(batch) => runs.add(batch)?,
            Step::End => return runs.finish(),
        }
    }
    Ok(())
}

impl Aggregates {
    /// None yet; `memory` is where they will be, unless a long aggregate made it large.
    fn of(aggregate_type: Arc<str>, mut memory: Vec<StoredEvent>) -> Self {
        memory.clear();
        memory.shrink_to(2 * EVENTS_AT_ONCE);
        memory.reserve(EVENTS_AT_ONCE);
        Self { aggregate_type, events: memory, ends: Vec::new(), is_too_long: false }
    }

    fn aggregates(&self) -> impl Iterator<Item = &[StoredEvent]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.events[start..end])
    }
}
