//! A view of a definition, folded as keepers say what changes.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use datafusion::arrow::{
    array::RecordBatch,
    compute::{concat_batches, partition, sort_to_indices, take_record_batch},
};
use deltafold_event::{Position, StoredEvent, Timestamp};
use deltafold_projection::{Change, Definition, Fold, FoldError, Folded, ORDER};
use deltafold_relation::RowChange;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::remembered::Remembered;
use crate::{
    kept::{InMemory, Kept},
    naive::Schemas,
};

/// A version of a view's row: where it begins and ends, and the row.
pub type Span = (Timestamp, Option<Timestamp>, Arc<str>);

/// The rows at a moment, by key.
pub fn at_moment(versions: &BTreeMap<Arc<str>, Vec<Span>>, moment: Timestamp) -> BTreeMap<Arc<str>, Arc<str>> {
    let holds = |span: &&Span| span.0 <= moment && span.1.is_none_or(|end| moment < end);
    let row = |versions: &[Span]| versions.iter().find(holds).map(|span| Arc::clone(&span.2));
    versions.iter().filter_map(|(key, versions)| Some((Arc::clone(key), row(versions)?))).collect()
}

/// The keepers of a stream, and the fold of one definition over them.
pub struct Projected {
    keepers: InMemory,
    fold: Fold,
    memory: Remembered,
    parts: usize,
    /// Lets more come before nothing is left.
    patience: Option<SmallRng>,
}

impl Projected {
    /// With nothing folded; it begins as a server does, before there is anything.
    pub fn new(schemas: &Schemas, definition: &Definition) -> Self {
        Self::of(schemas, Fold::new(definition).expect("what was checked can be folded"))
    }

    /// The same, which folds no more than so many pairs of joined rows at once.
    pub fn in_pieces_of(pairs: u64, schemas: &Schemas, definition: &Definition) -> Self {
        Self::of(schemas, Fold::new(definition).expect("what was checked can be folded").in_pieces_of(pairs))
    }

    /// And lets more come before nothing is left of what came before.
    #[must_use]
    pub fn patiently(self, seed: u64) -> Self {
        Self { patience: Some(SmallRng::seed_from_u64(seed)), ..self }
    }

    fn of(schemas: &Schemas, fold: Fold) -> Self {
        let mut projected =
            Self { keepers: InMemory::new(schemas), fold, memory: Remembered::default(), parts: 0, patience: None };
        projected.fold_first(&BTreeMap::new(), true, Position::ZERO);
        projected
    }

    /// Folds commits that follow those folded before.
    pub fn fold(&mut self, events: &[StoredEvent]) {
        self.keepers.fold(events);
        let changes = self.keepers.take_changes();
        let at = events.last().map_or(Position::ZERO, |last| last.position);
        self.fold_changes(&changes, at);
    }

    /// The same view, folded at once from what its relations show now.
    #[must_use]
    pub fn rebuilt(&self, definition: &Definition) -> Self {
        let mut rebuilt = Self::new(&Schemas::new(), definition);
        let changes = self.keepers.shown();
        rebuilt.fold_changes(&changes, Position::ZERO);
        rebuilt
    }

    /// The same view, built as a server does: from changes in their order, in pieces, which may end within a moment.
    #[must_use]
    pub fn built_by_key(&self, definition: &Definition, seed: u64) -> Self {
        let mut built = Self::in_pieces_of(1 + seed % 5, &Schemas::new(), definition);
        let changes = self.keepers.shown();
        let keyed = built.fold.sources().map(|relation| {
            let changes = changes.get(relation).map(Vec::as_slice).unwrap_or_default();
            let changes: Vec<Change<'_>> = changes.iter().map(change).collect();
            built.fold.keyed(relation, &changes).unwrap_or_else(|error| panic!("it cannot be told apart: {error}"))
        });
        let keyed: Vec<RecordBatch> = keyed.collect();
        let all = concat_batches(&built.fold.keyed_schema(), &keyed).expect("they are of one schema");
        let order = all.column_by_name(ORDER).expect("it is there");
        let order = sort_to_indices(order, None, None).expect("they can be sorted");
        let all = take_record_batch(&all, &order).expect("they are places in it");
        let mut random = SmallRng::seed_from_u64(seed);
        let order = all.column_by_name(ORDER).expect("it is there").clone();
        let parts = partition(&[order]).expect("they can be compared").ranges();
        let mut parts = parts.into_iter().peekable();
        while let Some(mut piece) = parts.next() {
            while let Some(next) = parts.next_if(|_| random.random_ratio(2, 3)) {
                piece.end = next.end;
            }
            let piece = all.slice(piece.start, piece.len());
            let folded = built.fold.fold_keyed(&piece, Position::ZERO, &built.memory);
            built.apply(folded, Position::ZERO);
        }
        built
    }

    /// Folds changes by relation, and leaves what is left of them for later.
    pub fn fold_part(&mut self, changes: &BTreeMap<&str, &[Change<'_>]>) {
        let folded = self.fold.fold(changes, false, Position::ZERO, &self.memory);
        let Folded { memory, shown, is_part } = folded.unwrap_or_else(|error| panic!("it cannot be folded: {error}"));
        self.memory.apply(memory, shown);
        self.parts += usize::from(is_part);
    }

    fn fold_changes(&mut self, changes: &BTreeMap<String, Vec<RowChange>>, at: Position) {
        self.fold_first(changes, false, at);
    }

    fn fold_first(&mut self, changes: &BTreeMap<String, Vec<RowChange>>, is_first: bool, at: Position) {
        let of_types: BTreeMap<&str, Vec<Change<'_>>> =
            changes.iter().map(|(name, rows)| (name.as_str(), rows.iter().map(change).collect())).collect();
        let slices = of_types.iter().map(|(name, changes)| (*name, changes.as_slice())).collect();
        let folded = self.fold.fold(&slices, is_first, at, &self.memory);
        self.apply(folded, at);
    }

    /// Writes what was folded, and folds on what is left.
    fn apply(&mut self, mut folded: Result<Folded, FoldError<Infallible>>, at: Position) {
        loop {
            let Folded { memory, shown, is_part } =
                folded.unwrap_or_else(|error| panic!("it cannot be folded: {error}"));
            self.memory.apply(memory, shown);
            if !is_part {
                return;
            }
            self.parts += 1;
            if self.patience.as_mut().is_some_and(|random| random.random_ratio(2, 3)) {
                return;
            }
            folded = self.fold.fold_on(at, &self.memory);
        }
    }

    /// Folds on until nothing is left.
    pub fn finish(&mut self) {
        self.patience = None;
        self.apply(self.fold.fold_on(Position::ZERO, &self.memory), Position::ZERO);
    }

    /// How often something was left to be folded on.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// All versions, by key.
    pub fn versions(&self) -> BTreeMap<Arc<str>, Vec<Span>> {
        let spans = |versions: &BTreeMap<Timestamp, deltafold_projection::Version>| {
            let ends = versions.keys().skip(1).map(|end| Some(*end)).chain([None]);
            let spans = versions.values().zip(ends);
            let spans = spans.filter_map(|(version, end)| Some((version.valid_from, end, version.row.clone()?)));
            spans.collect::<Vec<_>>()
        };
        self.memory.versions.iter().map(|(key, versions)| (key.clone(), spans(versions))).collect()
    }

    /// The rows at a moment, by key.
    pub fn at(&self, moment: Timestamp) -> BTreeMap<Arc<str>, Arc<str>> {
        let versions = self.memory.versions.iter();
        let row = |versions: &BTreeMap<Timestamp, deltafold_projection::Version>| {
            versions.range(..=moment).next_back().and_then(|(_, version)| version.row.clone())
        };
        versions.filter_map(|(key, versions)| Some((key.clone(), row(versions)?))).collect()
    }

    /// How much is remembered beside the versions.
    pub fn remembered(&self) -> usize {
        self.memory.pairs()
    }
}

fn change(change: &RowChange) -> Change<'_> {
    Change {
        row: &change.record.shown().expect("a change is of a record that shows a row").json,
        valid_from: change.valid_from,
        weight: change.weight,
        event: change.record.since.id,
    }
}
