//! Which events count, and since when, where databases are restored ("Reset").
//!
//! Everything is worked out from nothing for the events recorded up to a position: which of them contradict others, what
//! belongs to which epoch, what is held, and what an operator has let go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
};

use deltafold_event::{Event, Operation, Position, SourcePosition, StoredEvent, Timestamp};
use serde_json::Value;

/// What an event says of where it comes from; nothing of one without an origin.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// Connector and server, as `postgresql/gen`.
    origin: String,
    partition: (String, i32),
    run: Option<String>,
    server_id: Option<u64>,
    /// Of a log event that is judged.
    order: Option<[u64; 3]>,
    /// Of a row of a whole snapshot: its marker, and the place in the log.
    snapshot: Option<(String, [Value; 3])>,
}

/// A snapshot: of one origin, epoch, run and place in the log.
pub(super) type SnapshotKey = (String, usize, Option<String>, String);

/// An event that counts.
#[derive(Debug, Clone)]
pub(super) struct Counted<'a> {
    pub(super) event: &'a Event,
    /// Whether it is one of the type. Else it is the last row of a snapshot of all tables, which may have had none of it.
    pub(super) is_own: bool,
    pub(super) epoch: u32,
    /// Only its place in its partition tells its epoch.
    pub(super) is_unsaid: bool,
    /// The snapshot that it is a row of, whether all of it was sent, and where log events are later than it.
    pub(super) snapshot: Option<(SnapshotKey, bool, Vec<u8>)>,
}

/// Whether all that a run sends is in the epoch that begins with it, or only what later ones do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whole {
    All,
    Later,
}

#[derive(Debug, Clone)]
struct Epoch {
    /// The first run that is in it, or only later ones are.
    run: Option<(String, Whole)>,
    server_id: Option<u64>,
    /// Nothing of it counts before; none while it is held.
    counts_from: Option<Position>,
    /// Whether it was held, at least for some time.
    was_held: bool,
    /// Whether it was noticed in a later run than it began with.
    began_earlier: bool,
}

#[derive(Debug, Clone, Default)]
struct Partition {
    /// The newest time of all.
    newest: Option<Timestamp>,
    /// The epochs that came, as far as was known then, each with the highest order by run.
    came: BTreeMap<(usize, Option<String>), Option<[u64; 3]>>,
    /// Where it went from one epoch to a later one.
    left: Vec<(usize, usize, Position, Timestamp)>,
}

#[derive(Debug, Clone)]
struct Origin {
    epochs: Vec<Epoch>,
    /// The server that each run told of first.
    servers: BTreeMap<String, u64>,
    partitions: BTreeMap<(String, i32), Partition>,
}

/// How often things happened by the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resets {
    /// Epochs that began.
    pub noticed: u64,
    /// Those of which it was found later that they had begun with an earlier run.
    pub began_earlier: u64,
    /// Those that are held.
    pub held: u64,
    /// Those that were held, until an operator let them go on.
    pub released: u64,
    /// Events that were known before it was noticed that they belong to a later epoch.
    pub taken_back: u64,
    /// Events of an epoch that came after some of a later one.
    pub late: u64,
    /// Complete snapshots of later epochs.
    pub swept: u64,
    /// Origins that were restored several times.
    pub several: u64,
}

/// What an event says.
pub(super) fn said(event: &Event) -> Option<Said> {
    if &*event.coordinates.source == "file" {
        return None;
    }
    let metadata: Value = serde_json::from_str(&event.metadata).unwrap_or_default();
    let source = &metadata["source"];
    let (connector, server) = (source["connector"].as_str()?, source["name"].as_str()?);
    let headers: Vec<&Value> = metadata["headers"].as_array().into_iter().flatten().collect();
    let run = headers.chunks(2).find(|pair| pair[0] == "__debezium.context.runId");
    let sequence: Option<Vec<Option<String>>> =
        source["sequence"].as_str().and_then(|text| serde_json::from_str(text).ok());
    let number = |text: &Option<String>| text.as_ref().and_then(|digits| digits.parse::<u64>().ok());
    let is_log = event.source_position.is_some();
    let order = match connector {
        _ if !is_log || metadata["key"].is_null() => None,
        "mariadb" => {
            let file = source["file"].as_str().and_then(|name| name.rsplit('.').next()?.parse().ok());
            file.map(|file| [file, source["pos"].as_u64().unwrap_or(0), source["row"].as_u64().unwrap_or(0)])
        }
        _ if event.transaction_id.is_none() => None,
        _ => sequence.and_then(|parts| Some([number(parts.first()?)?, number(parts.get(1)?)?, 0])),
    };
    let marker = source["snapshot"].as_str().unwrap_or("false");
    let is_whole = event.operation == Some(Operation::Read) && !["false", "incremental"].contains(&marker);
    let place = || ["lsn", "file", "pos"].map(|part| source[part].clone());
    Some(Said {
        origin: format!("{connector}/{server}"),
        partition: (event.coordinates.topic.to_string(), event.coordinates.partition),
        run: run.and_then(|pair| pair.get(1)?.as_str().map(str::to_owned)),
        server_id: source["server_id"].as_u64().filter(|server| *server > 0 && is_log),
        order,
        snapshot: is_whole.then(|| (marker.to_owned(), place())),
    })
}

/// What of the recorded events counts for a type, in the order in which it does. `said` has what each says.
pub(super) fn counted<'a>(recorded: &'a [StoredEvent], said: &[Option<Said>], name: &str) -> Vec<Counted<'a>> {
    let (origins, belongs_from) = origins(recorded, said);
    let is_of_type = |event: &Event| &*event.aggregate_type == name;
    let tables = recorded.iter().zip(said).filter(|(stored, _)| is_of_type(&stored.event));
    let tables = tables.filter(|(stored, _)| stored.event.operation.is_some());
    let databases: BTreeSet<&str> = tables.filter_map(|(_, said)| Some(&*said.as_ref()?.origin)).collect();
    let events = recorded.iter().zip(said);
    let belongs: Vec<Option<(usize, bool)>> = events
        .clone()
        .map(|(stored, said)| {
            let said = said.as_ref()?;
            let (epoch, is_unsaid, _) = origins[&said.origin].epoch(stored, said);
            Some((epoch, is_unsaid))
        })
        .collect();
    let key = |said: &Said, epoch: usize| {
        let (_, place) = said.snapshot.as_ref()?;
        Some((said.origin.clone(), epoch, said.run.clone(), format!("{place:?}")))
    };
    // With the position of the row that was sent last.
    let mut complete: BTreeMap<SnapshotKey, Position> = BTreeMap::new();
    let mut read_before = BTreeSet::new();
    for ((stored, said), belongs) in events.clone().zip(&belongs) {
        if let (Some(said), Some((epoch, _))) = (said, belongs)
            && let Some(key) = key(said, *epoch)
            && said.snapshot.as_ref().is_some_and(|(marker, _)| marker == "last")
            && read_before.insert(stored.event.id)
        {
            complete.entry(key).or_insert(stored.position);
        }
    }
    let mut counted: Vec<(Position, Counted<'_>)> = Vec::new();
    for (((stored, said), belongs), belongs_from) in events.zip(belongs).zip(belongs_from) {
        let event = &stored.event;
        let (Some(said), Some((epoch, is_unsaid))) = (said, belongs) else {
            if is_of_type(event) {
                let of = Counted { event, is_own: true, epoch: 0, is_unsaid: false, snapshot: None };
                counted.push((stored.position, of));
            }
            continue;
        };
        let origin = &origins[&said.origin];
        let Some(from) = origin.epochs[epoch].counts_from else { continue };
        let snapshot = key(said, epoch).filter(|_| epoch > 0).map(|key| {
            let completed_at = complete.get(&key).copied();
            (key, completed_at, origin.later_than(said, epoch))
        });
        let is_end = snapshot.as_ref().is_some_and(|(_, completed_at, _)| *completed_at == Some(stored.position));
        if !(is_of_type(event) || is_end && databases.contains(&*said.origin)) {
            continue;
        }
        let snapshot = snapshot.map(|(key, completed_at, later)| (key, completed_at.is_some(), later));
        let of = Counted { event, is_own: is_of_type(event), epoch: epoch as u32, is_unsaid, snapshot };
        counted.push((belongs_from.max(from), of));
    }
    // Stable: what counts from one position on does so in its own order.
    counted.sort_by_key(|(from, _)| *from);
    counted.into_iter().map(|(_, counted)| counted).collect()
}

/// Of each event that has an origin: its epoch, and whether it counts.
pub(super) fn epochs(recorded: &[StoredEvent], said: &[Option<Said>]) -> Vec<Option<(u32, bool)>> {
    let (origins, _) = origins(recorded, said);
    let epoch = |(stored, said): (&StoredEvent, &Option<Said>)| {
        let origin = &origins[&said.as_ref()?.origin];
        let (epoch, ..) = origin.epoch(stored, said.as_ref()?);
        Some((epoch as u32, origin.epochs[epoch].counts_from.is_some()))
    };
    recorded.iter().zip(said).map(epoch).collect()
}

/// How often databases were restored in a history.
pub(super) fn count(recorded: &[StoredEvent], said: &[Option<Said>]) -> Resets {
    let (origins, belongs_from) = origins(recorded, said);
    let epochs = || origins.values().flat_map(|origin| &origin.epochs[1..]);
    let taken_back = recorded.iter().zip(belongs_from).filter(|(stored, from)| *from > stored.position).count();
    let names: BTreeSet<&str> = recorded.iter().map(|stored| &*stored.event.aggregate_type).collect();
    let swept = names.into_iter().flat_map(|name| counted(recorded, said, name)).filter_map(|counted| counted.snapshot);
    let swept: BTreeSet<SnapshotKey> = swept.filter(|(_, is_complete, _)| *is_complete).map(|(key, ..)| key).collect();
    let mut newest: BTreeMap<&str, usize> = BTreeMap::new();
    let mut late = 0;
    for (stored, said) in recorded.iter().zip(said) {
        let Some(said) = said else { continue };
        let (epoch, ..) = origins[&said.origin].epoch(stored, said);
        let newest = newest.entry(&said.origin).or_default();
        late += u64::from(epoch < *newest);
        *newest = epoch.max(*newest);
    }
    let count = |is_such: fn(&&Epoch) -> bool| epochs().filter(is_such).count() as u64;
    Resets {
        noticed: count(|_| true),
        began_earlier: count(|epoch| epoch.began_earlier),
        held: count(|epoch| epoch.counts_from.is_none()),
        released: count(|epoch| epoch.was_held && epoch.counts_from.is_some()),
        taken_back: taken_back as u64,
        late,
        swept: swept.len() as u64,
        several: origins.values().filter(|origin| origin.epochs.len() > 2).count() as u64,
    }
}

/// Goes through the events in the order of their positions; also since when each belongs to its epoch.
fn origins(recorded: &[StoredEvent], said: &[Option<Said>]) -> (BTreeMap<String, Origin>, Vec<Position>) {
    let mut origins: BTreeMap<String, Origin> = BTreeMap::new();
    let mut belongs: Vec<(usize, Position)> = Vec::new();
    for (at, stored) in recorded.iter().enumerate() {
        if &*stored.event.aggregate_type == "$source" {
            let word = stored.event.after.as_deref().and_then(|json| serde_json::from_str::<Value>(json).ok());
            let upto = word.and_then(|word| word["epoch"].as_u64()).unwrap_or(0) as usize;
            let origin = origins.get_mut(stored.event.aggregate_id.as_deref().unwrap_or_default());
            for epoch in origin.into_iter().flat_map(|origin| origin.epochs.iter_mut().take(upto + 1)) {
                epoch.counts_from = epoch.counts_from.or(Some(stored.position));
            }
        }
        belongs.push((0, stored.position));
        let Some(of) = &said[at] else { continue };
        let origin = origins.entry(of.origin.clone()).or_insert_with(|| Origin {
            epochs: vec![Epoch {
                run: None,
                server_id: None,
                counts_from: Some(Position::ZERO),
                was_held: false,
                began_earlier: false,
            }],
            servers: BTreeMap::new(),
            partitions: BTreeMap::new(),
        });
        if let (Some(run), Some(server)) = (&of.run, of.server_id) {
            origin.servers.entry(run.clone()).or_insert(server);
        }
        let began: Vec<_> = origin.epochs.iter().map(|epoch| epoch.run.clone()).collect();
        let has_left = stored.event.source_position.is_some() && origin.judge(stored, of);
        // Its events count anew, in the order in which they came, with those that were found to be of it.
        let began_earlier = began.iter().zip(&origin.epochs).position(|(run, epoch)| *run != epoch.run);
        let anew = began_earlier.map_or(0..0, |first| match began.len() == origin.epochs.len() {
            true => first..first + 1,
            false => first..origin.epochs.len(),
        });
        // What came before may belong to other epochs now.
        let changed = if has_left { 0..=at } else { at..=at };
        for at in changed {
            let Some(said) = said[at].as_ref().filter(|said| said.origin == of.origin) else { continue };
            let (epoch, ..) = origin.epoch(&recorded[at], said);
            if epoch != belongs[at].0 || anew.contains(&epoch) {
                belongs[at] = (epoch, stored.position);
            }
        }
    }
    (origins, belongs.into_iter().map(|(_, from)| from).collect())
}

impl Partition {
    /// The highest order of each run that came of an epoch, as is known now.
    fn orders(&self, epochs: &[Epoch], epoch: usize) -> Vec<([u64; 3], &Option<String>)> {
        let of_it = self.came.iter().filter(|((came, run), _)| epoch_known(epochs, *came, run.as_ref()) == epoch);
        of_it.filter_map(|((_, run), order)| Some(((*order)?, run))).collect()
    }
}

/// The epoch of what came as one of an epoch, sent by a run.
fn epoch_known(epochs: &[Epoch], came: usize, run: Option<&String>) -> usize {
    epoch_of_run(epochs, run).max(came)
}

/// The epoch of what a run sends, where no partition says otherwise.
fn epoch_of_run(epochs: &[Epoch], own: Option<&String>) -> usize {
    let begins = |epoch: &Epoch| epoch.run.is_some() && epoch.run <= own.map(|own| (own.clone(), Whole::All));
    epochs.iter().rposition(begins).unwrap_or(0)
}

impl Origin {
    /// The epoch of an event, whether only its place tells it, and whether another server wrote it.
    fn epoch(&self, stored: &StoredEvent, said: &Said) -> (usize, bool, bool) {
        let mut epoch = epoch_of_run(&self.epochs, said.run.as_ref());
        let mut is_unsaid = false;
        let left = self.partitions.get(&said.partition).map(|partition| partition.left.as_slice()).unwrap_or_default();
        for (from, to, position, newest) in left {
            if *from == epoch && *position <= stored.position {
                epoch = *to;
                is_unsaid = stored.event.source_position.is_none() || stored.event.occurred_at <= *newest;
            }
        }
        let other = |known: &Option<u64>| known.is_some() && said.server_id.is_some() && *known != said.server_id;
        if !other(&self.epochs[epoch].server_id) {
            return (epoch, is_unsaid, false);
        }
        let began_it = said.run.clone().is_some_and(|run| self.epochs[epoch].run == Some((run, Whole::All)));
        let same = (0..epoch).rev().find(|at| self.epochs[*at].server_id == said.server_id);
        match same.filter(|_| began_it) {
            Some(older) => (older, is_unsaid, false),
            None => (epoch, is_unsaid, true),
        }
    }

    /// Looks at a log event that comes after all those before; whether its partition goes to a later epoch with it.
    fn judge(&mut self, stored: &StoredEvent, said: &Said) -> bool {
        let (epoch, is_unsaid, is_of_other_server) = self.epoch(stored, said);
        let partition = self.partitions.entry(said.partition.clone()).or_default();
        let (time, newest) = (stored.event.occurred_at, partition.newest);
        partition.newest = newest.max(Some(time));
        let is_late = |(came, run): &(usize, Option<String>)| epoch_known(&self.epochs, *came, run.as_ref()) > epoch;
        if is_unsaid || partition.came.keys().any(is_late) {
            return false;
        }
        let orders = partition.orders(&self.epochs, epoch);
        // The first run that said the highest order.
        let highest = orders.into_iter().rev().max_by_key(|(order, _)| *order);
        let contradicts = match (&said.order, highest, newest) {
            // Places in the logs of two servers say nothing of each other.
            (Some(order), Some((highest, _)), Some(newest)) => !is_of_other_server && *order < highest && time > newest,
            _ => false,
        };
        let has_left = contradicts || is_of_other_server;
        let mut belongs = epoch;
        if has_left {
            let held = contradicts || newest.is_some_and(|newest| time < newest);
            let own_highest = highest.is_some_and(|(_, by)| *by >= said.run);
            let whole = if own_highest { Whole::Later } else { Whole::All };
            let run = said.run.clone().map(|run| (run, whole));
            belongs = self.leave(epoch, run, newest.unwrap_or(time), stored, said, (!held).then_some(stored.position));
        }
        let partition = self.partitions.entry(said.partition.clone()).or_default();
        let highest = partition.came.entry((belongs, said.run.clone())).or_default();
        *highest = said.order.max(*highest);
        let server = &mut self.epochs[belongs].server_id;
        *server = server.or(said.server_id);
        has_left
    }

    /// The epoch that a partition goes to: one that has begun elsewhere, or a new one.
    fn leave(
        &mut self,
        epoch: usize,
        run: Option<(String, Whole)>,
        newest: Timestamp,
        stored: &StoredEvent,
        said: &Said,
        counts_from: Option<Position>,
    ) -> usize {
        let next = self.epochs.len();
        let is_other = |one: Option<u64>, other: Option<u64>| one.is_some() && other.is_some() && one != other;
        let to = match run.clone().and_then(|run| (epoch + 1..next).find(|at| self.epochs[*at].run > Some(run.clone())))
        {
            // Epochs come in the order of the runs that they begin with.
            Some(later) => {
                let known = &self.epochs[later];
                let mut between = self.servers.iter().filter(|(between, _)| {
                    let between = Some(((*between).clone(), Whole::All));
                    between >= run && between < known.run
                });
                if between.all(|(_, server)| !is_other(known.server_id, Some(*server))) {
                    self.epochs[later].run = run;
                    self.epochs[later].began_earlier = true;
                } else {
                    self.begin(later, run, said.server_id, counts_from);
                }
                later
            }
            None => match (epoch + 1..next).find(|at| !is_other(self.epochs[*at].server_id, said.server_id)) {
                Some(joined) => joined,
                None => {
                    self.begin(next, run, said.server_id, counts_from);
                    next
                }
            },
        };
        if epoch_of_run(&self.epochs, said.run.as_ref()) != to {
            let partition = self.partitions.entry(said.partition.clone()).or_default();
            partition.left.push((epoch, to, stored.position, newest));
        }
        to
    }

    /// Begins an epoch, and those that must come directly after it.
    fn begin(
        &mut self,
        mut at: usize,
        run: Option<(String, Whole)>,
        server_id: Option<u64>,
        counts_from: Option<Position>,
    ) {
        // While an earlier one is held, answers stay those from before it.
        let counts_from = counts_from.filter(|_| self.epochs[..at].iter().all(|epoch| epoch.counts_from.is_some()));
        let was_held = counts_from.is_none();
        let mut begins = Some((run, server_id));
        while let Some((run, server_id)) = begins {
            self.make_room(at);
            let began_earlier = false;
            self.epochs.insert(at, Epoch { run: run.clone(), server_id, counts_from, was_held, began_earlier });
            at += 1;
            // Later runs may have been read before, in other partitions. Another server is another epoch there, too.
            let mut later = run.iter().flat_map(|(run, _)| self.servers.range::<String, _>((Excluded(run), Unbounded)));
            let other = later.find(|(_, other)| server_id.is_some_and(|server| server != **other));
            let other = other.map(|(run, server)| (Some((run.clone(), Whole::All)), Some(*server)));
            let next = self.epochs.get(at).and_then(|next| next.run.clone());
            begins = other.filter(|(run, _)| next.is_none() || *run < next);
        }
        for epoch in &mut self.epochs[at..] {
            epoch.counts_from = epoch.counts_from.filter(|_| !was_held);
            epoch.was_held |= was_held;
        }
    }

    /// Epochs from one on get the next number.
    fn make_room(&mut self, at: usize) {
        let moved = |epoch: usize| epoch + usize::from(epoch >= at);
        for partition in self.partitions.values_mut() {
            let came = std::mem::take(&mut partition.came).into_iter();
            partition.came = came.map(|((epoch, run), order)| ((moved(epoch), run), order)).collect();
            partition.left.iter_mut().for_each(|left| (left.0, left.1) = (moved(left.0), moved(left.1)));
        }
    }

    /// Where in the log an event is later than a snapshot, as source positions have it.
    fn later_than(&self, said: &Said, epoch: usize) -> Vec<u8> {
        let Some((_, [lsn, file, pos])) = &said.snapshot else { return Vec::new() };
        let place = match (lsn.as_u64(), file.as_str(), pos.as_u64(), self.epochs[epoch].server_id) {
            (Some(lsn), ..) => SourcePosition::postgres(lsn),
            (None, Some(file), Some(pos), Some(server)) => SourcePosition::binlog(server, file, pos, 0),
            _ => SourcePosition::default(),
        };
        place.as_bytes().to_vec()
    }
}
