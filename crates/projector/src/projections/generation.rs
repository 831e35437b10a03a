//! A generation of a view: one build of it, and how it is folded on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arrow::array::RecordBatch;
use deltafold_event::{Column, EventId, Position, Timestamp};
use deltafold_projection::{Change, FoldError, Folded, Memory, Newest, Relations, Version, operator_of};
use deltafold_relation::RowChange;
use deltafold_view::{Batch, Entry, Mirror, Pending, PendingReader, Snapshot, Stored};
use serde::{Deserialize, Serialize};

use super::{
    Changes,
    arranged::Arranged,
    build::Round,
    fold_memory::FoldMemory,
    last_before,
    log_relation::LogChange,
    plan::{Over, Plan, over},
    record::Failed,
};
use crate::{ProjectorError, ViewInfo, ViewKind};

/// What is known of a generation, as the index keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Generation {
    pub(crate) number: u32,
    /// The definition, and what it was made of.
    pub(crate) sql: String,
    shape: String,
    relations: Vec<String>,
    pub(crate) columns: Vec<Column>,
    pub(crate) key: Vec<String>,
    /// Events that it leaves out.
    pub(crate) skipped: BTreeSet<EventId>,
    /// Where it was ordered.
    pub(crate) ordered: Option<Position>,
    /// Everything before this position was folded when it was shown first.
    pub(crate) shown_from: Option<Position>,
    /// How far it is built.
    pub(crate) round: Round,
    /// Whether anything was folded.
    pub(crate) is_begun: bool,
    /// Where what its joins remember is; of those that have nowhere else, it is with the rest.
    #[serde(default)]
    pub(crate) arranged: Arranged,
}

impl Generation {
    /// One of which nothing is built.
    pub(crate) fn new(
        (name, number): (&Arc<str>, u32),
        plan: &Plan,
        skipped: BTreeSet<EventId>,
        until: Position,
        ordered: Option<Position>,
    ) -> Self {
        let column = |column: &deltafold_projection::Column| Column {
            name: column.name.clone(),
            column_type: column.column_type.clone(),
        };
        Self {
            number,
            sql: plan.sql.clone(),
            shape: plan.shape.clone(),
            relations: plan.fold.sources().map(str::to_owned).collect(),
            columns: plan.columns.iter().map(column).collect(),
            key: plan.key.clone(),
            skipped,
            ordered,
            shown_from: None,
            round: Round::first(until),
            is_begun: false,
            arranged: Arranged::own(name, number, plan),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("all of it is JSON")
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    /// The same, of which everything before a position is folded: from there on it can be folded further, unless what its
    /// joins remember is another's too.
    pub(crate) fn ended(self, until: Position) -> Self {
        Self { round: Round::ended(until), arranged: self.arranged.ended(), ..self }
    }

    /// The definition and the shape that it is made of.
    pub(crate) fn made_of(&self) -> (String, String) {
        (self.sql.clone(), self.shape.clone())
    }

    /// Whether it is what a plan makes.
    pub(crate) fn is_of(&self, plan: &Plan) -> bool {
        self.sql == plan.sql && self.shape == plan.shape
    }

    /// How it is folded on: by its own definition, also while another one is wanted and not built yet; none: what it is over
    /// has changed, or how it is folded.
    pub(crate) fn plan(
        &self,
        name: &str,
        wanted: Option<&Arc<Plan>>,
        relations: &Relations,
        joined_pairs: u64,
    ) -> Option<Arc<Plan>> {
        if let Some(wanted) = wanted.filter(|wanted| self.is_of(wanted)) {
            return Some(Arc::clone(wanted));
        }
        let own = Plan::new(name, &self.sql, relations).ok()?;
        self.is_of(&own).then(|| Arc::new(own.in_pieces_of(joined_pairs)))
    }

    /// Whether it is over the rows of this type.
    pub(crate) fn is_over(&self, aggregate_type: &str) -> bool {
        self.relations.iter().any(|relation| over(relation) == Over::Rows(aggregate_type))
    }

    /// What readers are told of it.
    pub(crate) fn info(&self, name: &Arc<str>, history_start: Option<Timestamp>) -> ViewInfo {
        ViewInfo {
            name: name.clone(),
            kind: ViewKind::Derived,
            key: self.key.clone(),
            columns: self.columns.clone(),
            history_start,
            generation: self.number,
            kept_from: self.shown_from,
            removed: None,
            leaving: Vec::new(),
        }
    }
}

/// A generation that is folded.
pub(crate) struct Live {
    pub(crate) plan: Arc<Plan>,
    view: Mirror,
    /// What others may remember with it, by operator.
    arranged: BTreeMap<u16, Mirror>,
    pub(super) skipped: BTreeSet<EventId>,
    /// What was left when it was folded last.
    has_left: AtomicBool,
}

/// Whether something is left that follows from what was folded: nobody is to see any of it before all is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    Some,
}

/// The longest key of a view, in bytes.
const MOST_KEY_BYTES: usize = 30_000;

impl Live {
    pub(crate) fn new(plan: Arc<Plan>, view: Mirror, skipped: BTreeSet<EventId>) -> Self {
        Self { plan, view, arranged: BTreeMap::new(), skipped, has_left: AtomicBool::new(false) }
    }

    /// Has what it arranges be in these views.
    pub(crate) fn arrange(&mut self, arranged: BTreeMap<u16, Mirror>) {
        self.arranged = arranged;
    }

    /// The same, of which something is left.
    pub(crate) fn with_left(self, left: Left) -> Self {
        Self { has_left: AtomicBool::new(left == Left::Some), ..self }
    }

    pub(crate) fn left(&self) -> Left {
        if self.has_left.load(Ordering::SeqCst) { Left::Some } else { Left::Nothing }
    }

    /// Whether relations are still what it is made of.
    pub(crate) fn fits(&self, relations: &Relations) -> bool {
        Plan::new(self.view.name(), &self.plan.sql, relations).is_ok_and(|plan| plan.shape == self.plan.shape)
    }

    /// Folds what changed in relations. `until`: everything before it will have been folded.
    pub(crate) fn fold(
        &self,
        changes: &Changes,
        until: Position,
        memory: &FoldMemory,
        write: &mut Batch,
    ) -> Result<Result<Left, Failed>, ProjectorError> {
        let mut of_relations: BTreeMap<&str, Vec<Change<'_>>> = BTreeMap::new();
        for relation in self.plan.fold.sources() {
            let found = match over(relation) {
                Over::Log => changes.log.iter().map(LogChange::change).collect(),
                Over::Rows(name) => changes.rows.get(name).into_iter().flatten().map(change).collect(),
            };
            of_relations.insert(relation, found);
        }
        if of_relations.values().all(Vec::is_empty) && self.left() == Left::Nothing {
            return Ok(Ok(Left::Nothing));
        }
        self.fold_changes(of_relations, false, until, memory, write)
    }

    /// Folds changes by relation. `is_first`: nothing was folded before.
    pub(crate) fn fold_changes(
        &self,
        mut changes: BTreeMap<&str, Vec<Change<'_>>>,
        is_first: bool,
        until: Position,
        memory: &FoldMemory,
        write: &mut Batch,
    ) -> Result<Result<Left, Failed>, ProjectorError> {
        if !self.skipped.is_empty() {
            changes.values_mut().for_each(|changes| changes.retain(|change| !self.skipped.contains(&change.event)));
        }
        let slices = changes.iter().map(|(relation, changes)| (*relation, changes.as_slice())).collect();
        let folded = self.plan.fold.fold(&slices, is_first, last_before(until), memory);
        self.take(folded, until, write)
    }

    /// Folds on what is left of what was folded before; everything before `until` was.
    pub(crate) fn fold_on(
        &self,
        until: Position,
        memory: &FoldMemory,
        write: &mut Batch,
    ) -> Result<Result<Left, Failed>, ProjectorError> {
        self.take(self.plan.fold.fold_on(last_before(until), memory), until, write)
    }

    /// What is remembered of it.
    pub(crate) fn memory(&self, written: &Snapshot) -> FoldMemory {
        self.memory_with(written, Pending::default())
    }

    /// Likewise, with what is not committed yet.
    pub(crate) fn memory_with(&self, written: &Snapshot, pending: Pending) -> FoldMemory {
        let reader = |view: &Mirror| PendingReader::new(written, pending.clone(), view);
        let arranged = self.arranged.iter().map(|(operator, view)| (*operator, reader(view))).collect();
        FoldMemory::new(reader(&self.view), arranged)
    }

    /// Folds changes by key, as `deltafold_projection::Fold::keyed` gave them.
    pub(crate) fn fold_keyed(
        &self,
        rows: &RecordBatch,
        until: Position,
        memory: &impl Memory<Error = ProjectorError>,
        write: &mut Batch,
    ) -> Result<Result<Left, Failed>, ProjectorError> {
        self.take(self.plan.fold.fold_keyed(rows, last_before(until), memory), until, write)
    }

    fn take(
        &self,
        folded: Result<Folded, FoldError<ProjectorError>>,
        until: Position,
        write: &mut Batch,
    ) -> Result<Result<Left, Failed>, ProjectorError> {
        let failed = |event, what| Ok(Err(Failed { event, before: until, what }));
        match folded {
            Ok(folded) => match folded.shown.puts.iter().find(|(key, _)| key.len() > MOST_KEY_BYTES) {
                Some((key, _)) => {
                    let start: String = key.chars().take(60).collect();
                    failed(None, format!("the key {start}… is longer than {MOST_KEY_BYTES} bytes"))
                }
                None => {
                    self.has_left.store(folded.is_part, Ordering::SeqCst);
                    self.put(folded, last_before(until), write)?;
                    Ok(Ok(self.left()))
                }
            },
            Err(FoldError::Change { event, what }) => failed(event, what),
            Err(FoldError::Memory(error)) => Err(error),
            Err(FoldError::Damaged) => {
                let view = self.view.name().to_owned();
                Err(ProjectorError::Memory { view, what: "what it remembers cannot be read".to_owned() })
            }
        }
    }

    fn put(&self, folded: Folded, last: Position, write: &mut Batch) -> Result<(), ProjectorError> {
        let Self { view, .. } = self;
        for (key, value) in folded.memory {
            match operator_of(&key).and_then(|(operator, rest)| Some((self.arranged.get(&operator)?, rest))) {
                // Others who remember it put the same: it is written once.
                Some((arranged, rest)) => write.put_memory(arranged, &key[rest..], value.as_deref()),
                None => write.put_memory(view, &key, value.as_deref()),
            }
        }
        for (key, valid_from) in folded.shown.removals {
            write.remove_entry(view, &key, valid_from, &[])?;
        }
        // By key, as what is newest: mostly that is the last that was put of the key, and in memory they are the same.
        let mut last_puts: Vec<(Arc<str>, Timestamp, Stored)> = Vec::with_capacity(folded.shown.newest.len());
        for (key, version) in folded.shown.puts {
            let stored = to_stored(&version);
            write.put_entry(view, &key, &stored)?;
            last_puts.pop_if(|(before, ..)| *before == key);
            last_puts.push((key, version.valid_from, stored));
        }
        let mut last_puts = last_puts.into_iter().peekable();
        for (key, version) in folded.shown.superseded {
            // What came and went within one position was never believed at any.
            if version.recorded_from < last {
                write.put_superseded(view, &key, &to_stored(&version), last)?;
            }
        }
        for Newest { key, before, now } in folded.shown.newest {
            let valid_from = now.as_ref().map(|version| version.valid_from);
            if let Some(before) = before.filter(|before| valid_from != Some(*before)) {
                write.put_head(view, &key, last, (before, &[]), valid_from < Some(before))?;
            }
            match now {
                Some(version) => {
                    while last_puts.next_if(|(earlier, ..)| *earlier < key).is_some() {}
                    let put = last_puts.next_if(|(of, valid_from, _)| (of, valid_from) == (&key, &version.valid_from));
                    let stored = put.map_or_else(|| to_stored(&version), |(_, _, stored)| stored);
                    write.put_current(view, &key, &stored)?;
                }
                None => write.remove_current(view, &key)?,
            }
        }
        Ok(())
    }
}

fn change(change: &RowChange) -> Change<'_> {
    Change {
        row: &change.row().json,
        valid_from: change.valid_from,
        weight: change.weight,
        event: change.record.since.id,
    }
}

fn to_stored(version: &Version) -> Stored {
    Stored::new(&Entry { row: version.row.as_deref(), ..Entry::absent(version.valid_from, &[], version.recorded_from) })
}
