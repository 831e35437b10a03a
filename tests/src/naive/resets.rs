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

#[derive(Debug, Clone)]
struct Epoch {
    /// The first run that is in it; with `false`, only later ones are.
    run: Option<(String, bool)>,
    server_id: Option<u64>,
    /// Nothing of it counts before; none while it is held.
    counts_from: Option<Position>,
    /// Whether it was held, at least for some time.
    was_held: bool,
}

#[derive(Debug, Clone, Default)]
struct Partition {
    /// The newest time of all.
    newest: Option<Timestamp>,
    /// The newest epoch, and the highest order in it, by run.
    epoch: usize,
    highest: BTreeMap<Option<String>, [u64; 3]>,
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
    /// Those among them that are held.
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
    let (origins, _) = origins(recorded, said);
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
    for ((stored, said), belongs) in events.zip(belongs) {
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
        counted.push((stored.position.max(from), of));
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
    let (origins, at_first) = origins(recorded, said);
    let epochs = || origins.values().flat_map(|origin| &origin.epochs[1..]);
    let later = recorded.iter().zip(said).zip(at_first).filter(|((stored, said), at_first)| {
        let belongs = said.as_ref().map(|said| origins[&said.origin].epoch(stored, said).0);
        belongs > *at_first
    });
    let taken_back = later.count();
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
        held: count(|epoch| epoch.counts_from.is_none()),
        released: count(|epoch| epoch.was_held && epoch.counts_from.is_some()),
        taken_back: taken_back as u64,
        late,
        swept: swept.len() as u64,
        several: origins.values().filter(|origin| origin.epochs.len() > 2).count() as u64,
    }
}

/// Goes through the events in the order of their positions; also the epoch that each seemed to be of when it came.
fn origins(recorded: &[StoredEvent], said: &[Option<Said>]) -> (BTreeMap<String, Origin>, Vec<Option<usize>>) {
    let mut origins: BTreeMap<String, Origin> = BTreeMap::new();
    let mut at_first = Vec::new();
    for (stored, said) in recorded.iter().zip(said) {
        if &*stored.event.aggregate_type == "$source" {
            let word = stored.event.after.as_deref().and_then(|json| serde_json::from_str::<Value>(json).ok());
            let upto = word.and_then(|word| word["epoch"].as_u64()).unwrap_or(0) as usize;
            let origin = origins.get_mut(stored.event.aggregate_id.as_deref().unwrap_or_default());
            for epoch in origin.into_iter().flat_map(|origin| origin.epochs.iter_mut().take(upto + 1)) {
                epoch.counts_from = epoch.counts_from.or(Some(stored.position));
            }
        }
        let Some(said) = said else {
            at_first.push(None);
            continue;
        };
        let origin = origins.entry(said.origin.clone()).or_insert_with(|| Origin {
            epochs: vec![Epoch { run: None, server_id: None, counts_from: Some(Position::ZERO), was_held: false }],
            servers: BTreeMap::new(),
            partitions: BTreeMap::new(),
        });
        if let (Some(run), Some(server)) = (&said.run, said.server_id) {
            origin.servers.entry(run.clone()).or_insert(server);
        }
        if stored.event.source_position.is_some() {
            origin.judge(stored, said);
        }
        at_first.push(Some(origin.epoch(stored, said).0));
    }
    (origins, at_first)
}

impl Partition {
    /// The highest order, with the first run that said it.
    fn highest(&self) -> Option<([u64; 3], &Option<String>)> {
        self.highest.iter().map(|(run, order)| (*order, run)).rev().max_by_key(|(order, _)| *order)
    }
}

/// The epoch of what a run sends, where no partition says otherwise.
fn epoch_of_run(epochs: &[Epoch], own: Option<&String>) -> usize {
    let begins = |epoch: &Epoch| {
        epoch
            .run
            .as_ref()
            .is_some_and(|(run, inclusive)| own.is_some_and(|own| if *inclusive { own >= run } else { own > run }))
    };
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
        let began_it = self.epochs[epoch]
            .run
            .as_ref()
            .is_some_and(|(run, inclusive)| *inclusive && said.run.as_ref() == Some(run));
        let same = (0..epoch).rev().find(|at| self.epochs[*at].server_id == said.server_id);
        match same.filter(|_| began_it) {
            Some(older) => (older, is_unsaid, false),
            None => (epoch, is_unsaid, true),
        }
    }

    /// Looks at a log event that comes after all those before.
    fn judge(&mut self, stored: &StoredEvent, said: &Said) {
        let (epoch, is_unsaid, is_of_other_server) = self.epoch(stored, said);
        let partition = self.partitions.entry(said.partition.clone()).or_default();
        let (time, newest) = (stored.event.occurred_at, partition.newest);
        partition.newest = newest.max(Some(time));
        if is_unsaid || partition.epoch > epoch {
            return;
        }
        self.enter(epoch, said);
        let contradicts = match (&said.order, self.partitions[&said.partition].highest(), newest) {
            // Places in the logs of two servers say nothing of each other.
            (Some(order), Some((highest, _)), Some(newest)) => !is_of_other_server && *order < highest && time > newest,
            _ => false,
        };
        let mut belongs = epoch;
        if contradicts || is_of_other_server {
            let held = contradicts || newest.is_some_and(|newest| time < newest);
            belongs = self.leave(epoch, newest.unwrap_or(time), stored, said, (!held).then_some(stored.position));
            self.enter(belongs, said);
        }
        let partition = self.partitions.entry(said.partition.clone()).or_default();
        if let Some(order) = said.order {
            let highest = partition.highest.entry(said.run.clone()).or_insert(order);
            *highest = order.max(*highest);
        }
        let server = &mut self.epochs[belongs].server_id;
        *server = server.or(said.server_id);
    }

    /// A partition comes to an epoch: of what it had before, only runs count that are of it, as is known now.
    fn enter(&mut self, epoch: usize, said: &Said) {
        let partition = self.partitions.entry(said.partition.clone()).or_default();
        if partition.epoch != epoch {
            partition.epoch = epoch;
            partition.highest.retain(|run, _| epoch_of_run(&self.epochs, run.as_ref()) == epoch);
        }
    }

    /// The epoch that a partition goes to: one that has begun elsewhere, or a new one.
    fn leave(
        &mut self,
        epoch: usize,
        newest: Timestamp,
        stored: &StoredEvent,
        said: &Said,
        counts_from: Option<Position>,
    ) -> usize {
        let next = self.epochs.len();
        let fits =
            |known: &Epoch| known.server_id.is_none() || said.server_id.is_none() || known.server_id == said.server_id;
        let joined = (epoch + 1..next).find(|at| fits(&self.epochs[*at]));
        let partition = self.partitions.entry(said.partition.clone()).or_default();
        if let Some(to) = joined {
            partition.left.push((epoch, to, stored.position, newest));
            return to;
        }
        let own_highest = partition.highest().is_some_and(|(_, by)| *by >= said.run);
        let is_whole = said.run.is_some() && !own_highest;
        if !is_whole {
            partition.left.push((epoch, next, stored.position, newest));
        }
        let run = said.run.clone().map(|run| (run, is_whole));
        // Runs of epochs grow.
        let run = run.filter(|(run, inclusive)| {
            self.epochs
                .iter()
                .filter_map(|epoch| epoch.run.as_ref())
                .all(|(known, known_inclusive)| known < run || (known == run && *known_inclusive && !inclusive))
        });
        // While an earlier one is held, answers stay those from before it.
        let counts_from = counts_from.filter(|_| self.epochs.iter().all(|epoch| epoch.counts_from.is_some()));
        let was_held = counts_from.is_none();
        let mut begins = Some((run, said.server_id));
        while let Some((run, server_id)) = begins {
            self.epochs.push(Epoch { run: run.clone(), server_id, counts_from, was_held });
            // Later runs may have been read before, in other partitions. Another server is another epoch there, too.
            let mut later = run.iter().flat_map(|(run, _)| self.servers.range::<String, _>((Excluded(run), Unbounded)));
            let other = later.find(|(_, other)| server_id.is_some_and(|server| server != **other));
            begins = other.map(|(run, server)| (Some((run.clone(), true)), Some(*server)));
        }
        next
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
