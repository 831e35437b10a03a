//! Folding: what changes in relations to what changes in a view.
//!
//! | module | about |
//! |---|---|
//! | `plan` | from a checked plan to operators |
//! | `operator`, `expressions` | rows that come and go, filtered and mapped |
//! | `group` | what is alike, added up over valid time |
//! | `join` | what belongs together, over valid time |
//! | `arrangement` | what of it several folds can remember together |
//! | `versions`, `held` | from rows that come and go to versions of keys |
//! | `keyed` | changes by key, for a build that sorts them first |
//! | `deltas`, `error` | what flows between them |
//! | `keys`, `steps` | what they remember: under which keys, and how often something is there |

mod arrangement;
mod deltas;
mod error;
mod expressions;
mod group;
mod held;
mod join;
mod keyed;
mod keys;
mod operator;
mod plan;
mod steps;
mod versions;

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, UInt32Array},
    compute::{cast, take},
};
use datafusion::{
    common::DataFusionError,
    optimizer::{optimize_projections::OptimizeProjections, simplify_expressions::SimplifyExpressions},
};
use deltafold_event::{
    EventId, Position, RawMembers, Timestamp,
    arrays::{Values, data_type},
    unescaped,
};

use crate::{Definition, memory::Memory, optimized, relations::Relation};
use deltas::Deltas;
use error::Fault;
use operator::{Given, Operator};
use plan::Planner;
use versions::Rows;

pub use arrangement::Arrangement;
pub use error::FoldError;
pub use keyed::{KEY_HASH, ONLY_KEY, ORDER, Order, keyed_hash};
pub use keys::operator_of;
pub use versions::{Newest, Shown};

/// A row of a relation that came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'a> {
    /// The row, a JSON object of canonical values.
    pub row: &'a str,
    /// From when on.
    pub valid_from: Timestamp,
    /// +1 or -1.
    pub weight: i8,
    /// The event that the row stems from, to be named if it cannot be folded.
    pub event: EventId,
}

/// A key of what is remembered, and what is under it from now on.
pub type Kept = (Vec<u8>, Option<Vec<u8>>);

/// What folding changes, to be written at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Folded {
    /// What is remembered under keys; none: nothing any more. Of several under one key the last counts.
    pub memory: Vec<Kept>,
    /// What is shown.
    pub shown: Shown,
    /// Whether more follows from the changes: it is to be folded on until nothing does, before anybody sees any of it.
    pub is_part: bool,
}

/// What is remembered, as it is put together.
#[derive(Default)]
pub(crate) struct Writes {
    kept: Vec<Kept>,
    /// The events that changes stem from.
    events: Vec<EventId>,
    /// How much of what follows from joins may be given at once.
    pieces: Pieces,
    /// Whether something is left that follows from the changes.
    is_part: bool,
}

impl Writes {
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.kept.push((key, value));
    }

    /// The event of a change.
    pub(crate) fn event(&self, cause: u32) -> EventId {
        self.events.get(cause as usize).copied().unwrap_or(EventId::from_bytes([0; 16]))
    }

    /// The number of a change that stems from an event.
    pub(crate) fn cause(&mut self, event: EventId) -> u32 {
        self.events.push(event);
        u32::try_from(self.events.len() - 1).expect("a batch has fewer than 2³² changes")
    }
}

/// How many pairs of rows follow from changes at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pieces {
    /// Of one key: of one that has more, they are given in pieces of about as many.
    pub(crate) of_key: u64,
    /// Of all that changes: the keys that come after it are left for later.
    pub(crate) of_all: u64,
}

impl Pieces {
    fn of(pairs: u64) -> Self {
        Self { of_key: pairs, of_all: 50 * pairs }
    }

    /// More of one key, and of all together no more.
    fn of_one(self) -> Self {
        let half = self.of_all / 2;
        Self { of_key: half, of_all: half }
    }
}

impl Default for Pieces {
    fn default() -> Self {
        Self::of(10_000)
    }
}

/// Keeps one view true: a pure function of what it remembers and of what changes.
pub struct Fold {
    root: Operator,
    /// What it is over, by number: the name and the columns that it needs.
    relations: Vec<Source>,
    rows: Rows,
    pieces: Pieces,
    /// What it computes, in text.
    plan: String,
    arrangements: Vec<Arrangement>,
}

/// A relation that a fold is over.
struct Source {
    name: String,
    relation: Relation,
    /// Which columns are read; the others are null.
    needed: Vec<bool>,
}

impl Fold {
    /// The fold of a definition.
    ///
    /// # Errors
    /// When something in it cannot be kept true; [`Definition::check`] refuses that.
    pub fn new(definition: &Definition) -> Result<Self, DataFusionError> {
        let plan = optimized(
            definition.plan().clone(),
            vec![Arc::new(SimplifyExpressions::new()), Arc::new(OptimizeProjections::new())],
        )?;
        let mut planner = Planner::default();
        let root = planner.operator(&plan)?;
        let mut relations: Vec<Source> = Vec::new();
        let mut by_number: Vec<(usize, String)> =
            planner.relations.iter().map(|(name, number)| (*number, name.clone())).collect();
        by_number.sort();
        for (_, name) in by_number {
            let relation = definition.relation(&name).expect("the plan is over what was checked").clone();
            let needed = vec![false; relation.columns().len()];
            relations.push(Source { name, relation, needed });
        }
        need(&root, &mut relations);
        let columns = definition.columns().to_vec();
        let place = |name: &String| columns.iter().position(|column| column.name == *name);
        let key = definition.key().iter().map(|name| place(name).expect("it was checked")).collect();
        let plan = plan.display_indent().to_string();
        let (rows, arrangements) = (Rows { columns, key }, planner.arrangements);
        Ok(Self { root, relations, rows, pieces: Pieces::default(), plan, arrangements })
    }

    /// The same, which folds about so many pairs of joined rows of one key at once, and leaves what follows beyond them for
    /// [`Self::fold_on`].
    #[must_use]
    pub fn in_pieces_of(self, pairs: u64) -> Self {
        Self { pieces: Pieces::of(pairs), ..self }
    }

    /// The relations that it is over, by name.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.relations.iter().map(|source| source.name.as_str())
    }

    /// What it remembers that others can remember with it.
    pub fn arrangements(&self) -> &[Arrangement] {
        &self.arrangements
    }

    /// What it remembers and shows, and of what it makes that, in text: of folds of which that is the same, one can go on
    /// where the other has stopped.
    pub fn shape(&self) -> String {
        let mut shape = String::new();
        for source in &self.relations {
            let needed = source.relation.columns().iter().zip(&source.needed).filter(|(_, needed)| **needed);
            let columns: Vec<String> =
                needed.map(|(column, _)| format!("{} {}", column.name, column.column_type)).collect();
            shape += &format!("{} key ({}) ({})\n", source.name, source.relation.key.join(", "), columns.join(", "));
        }
        let shown = self.rows.columns.iter().map(|column| format!("{} {}", column.name, column.column_type));
        shape + &shown.collect::<Vec<_>>().join(", ") + "\n" + &self.plan
    }

    /// Folds what changed in its relations, by name; what is new is believed from a position on. The changes of a row at
    /// one moment add up, so that their order within a relation does not matter; it is the order in which one that cannot
    /// be folded is looked for. `is_first`: nothing was folded before.
    ///
    /// # Errors
    /// When a change cannot be folded, or the memory cannot be read.
    pub fn fold<M: Memory>(
        &self,
        changes: &BTreeMap<&str, &[Change<'_>]>,
        is_first: bool,
        recorded_from: Position,
        memory: &M,
    ) -> Result<Folded, FoldError<M::Error>> {
        let mut relations = Vec::with_capacity(self.relations.len());
        let mut events: Vec<EventId> = Vec::new();
        for source in &self.relations {
            let changes = changes.get(source.name.as_str()).copied().unwrap_or_default();
            relations.push(source.deltas(changes, events.len()));
            events.extend(changes.iter().map(|change| change.event));
        }
        let given = Given::Relations { changes: &relations, is_first };
        let given_events = events.len();
        let mut writes = Writes { events, pieces: self.pieces, ..Writes::default() };
        let mut folded = self.fold_given(&given, recorded_from, memory, &mut writes);
        if writes.is_part && matches!(folded, Err(Fault::Change { .. })) {
            // It may be for what is not there yet, as where a sum is divided by another: of what fits in memory nothing is
            // left for later.
            let mut events = std::mem::take(&mut writes.events);
            events.truncate(given_events);
            writes = Writes { events, pieces: self.pieces.of_one(), ..Writes::default() };
            folded = self.fold_given(&given, recorded_from, memory, &mut writes);
        }
        folded.map_err(|fault| FoldError::of(fault, |cause| writes.events.get(cause).copied()))
    }

    /// Folds on what is left of changes that were folded before.
    ///
    /// # Errors
    /// As [`Self::fold`].
    pub fn fold_on<M: Memory>(&self, recorded_from: Position, memory: &M) -> Result<Folded, FoldError<M::Error>> {
        self.fold(&BTreeMap::new(), false, recorded_from, memory)
    }

    fn fold_given<M: Memory>(
        &self,
        given: &Given<'_>,
        recorded_from: Position,
        memory: &M,
        writes: &mut Writes,
    ) -> Result<Folded, Fault<M::Error>> {
        let rows = self.root.fold(given, memory, writes)?;
        let rows = self.canonical(rows)?;
        let shown = match self.root.has_joins() {
            true => self.rows.fold_parts(&rows, recorded_from, memory, writes)?,
            false => self.rows.fold(&rows, recorded_from, memory)?,
        };
        Ok(Folded { memory: std::mem::take(&mut writes.kept), shown, is_part: writes.is_part })
    }

    /// Rows whose columns are of the types that views have.
    fn canonical<E>(&self, deltas: Deltas) -> Result<Deltas, Fault<E>> {
        let columns = self.rows.columns.iter().zip(deltas.rows.columns()).map(|(column, values)| {
            let to = data_type(&column.column_type);
            if *values.data_type() == to { Ok(values.clone()) } else { cast(values, &to) }
        });
        let columns: Result<Vec<_>, _> = columns.collect();
        let rows = columns.and_then(|columns| {
            let named = self.rows.columns.iter().map(|column| column.name.as_str()).zip(columns);
            RecordBatch::try_from_iter_with_nullable(named.map(|(name, values)| (name, values, true)))
        });
        Ok(deltas.with_rows(rows.map_err(|error| Fault::of(0, &error.into()))?))
    }
}

impl Source {
    /// Changes as arrays; the first of them has a number.
    fn deltas(&self, changes: &[Change<'_>], number: usize) -> Deltas {
        let columns = self.relation.columns();
        let mut values: Vec<Values> =
            columns.iter().map(|column| Values::new(&column.column_type, changes.len())).collect();
        let mut found: Vec<Option<&str>> = vec![None; columns.len()];
        // A row that comes mostly goes next: it is read once.
        let mut places: Vec<u32> = Vec::with_capacity(changes.len());
        let mut read = 0;
        let mut last: &str = "";
        for change in changes {
            if read > 0 && std::ptr::eq(change.row, last) {
                places.push(read - 1);
                continue;
            }
            last = change.row;
            places.push(read);
            read += 1;
            found.fill(None);
            let mut missing = self.needed.iter().filter(|needed| **needed).count();
            let mut next = 0;
            // A keeper has written it: it need not be checked.
            let mut members = RawMembers::new(change.row);
            while missing > 0
                && let Some((name, value)) = members.next()
            {
                let name = unescaped(name);
                // Members mostly come in the order of the columns: look on from the last one found.
                let at = (next..columns.len()).chain(0..next).find(|&at| columns[at].name == name);
                if let Some(at) = at {
                    next = at + 1;
                    // Of several with one name the first counts.
                    if self.needed[at] && found[at].is_none() {
                        found[at] = Some(value);
                        missing -= 1;
                    }
                }
            }
            for (values, found) in values.iter_mut().zip(&found) {
                match found {
                    Some(value) => _ = values.append(value),
                    None => values.append_null(),
                }
            }
        }
        let mut arrays: Vec<ArrayRef> = values.into_iter().map(Values::finish).collect();
        if places.len() > read as usize {
            let places = UInt32Array::from(places);
            for array in &mut arrays {
                *array = take(array, &places, None).expect("a place is one of a row that was read");
            }
        }
        let number = |at: usize| u32::try_from(number + at).expect("a batch has fewer than 2³² changes");
        Deltas {
            rows: RecordBatch::try_new(self.relation.schema.clone(), arrays).expect("they are of the relation's types"),
            at: changes.iter().map(|change| change.valid_from.as_micros()).collect(),
            weight: changes.iter().map(|change| change.weight.into()).collect(),
            cause: (0..changes.len()).map(number).collect(),
            same: None,
        }
    }
}

/// Notes which columns of relations are read.
fn need(operator: &Operator, relations: &mut [Source]) {
    match operator {
        Operator::Scan { relation, columns, .. } => {
            columns.iter().for_each(|&column| relations[*relation].needed[column] = true);
        }
        Operator::Filter { input, .. } | Operator::Map { input, .. } | Operator::Group { input, .. } => {
            need(input, relations);
        }
        Operator::Union { inputs, .. } => inputs.iter().for_each(|input| need(input, relations)),
        Operator::Join(join) => [&join.left, &join.right].iter().for_each(|side| need(&side.input, relations)),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use deltafold_event::ColumnType;

    use super::*;
    use crate::{NoMemory, Relation, Relations, Statement};

    /// What a row says of a column does not hang on what else it says.
    #[test]
    fn of_members_with_one_name_the_first_counts() {
        let column = |name: &str| deltafold_event::Column { name: name.to_owned(), column_type: ColumnType::Text };
        let relation = Relation::new(["id", "a", "b", "é"].map(column).to_vec(), vec!["id".to_owned()]);
        let relations: Relations = [("t".to_owned(), relation)].into_iter().collect();
        let sql = "CREATE MATERIALIZED VIEW v WITH (key = 'id') AS SELECT id, a, b, \"é\" FROM t";
        let statement = Statement::parse("v.sql", sql).expect("it is right");
        let fold =
            Fold::new(&Definition::check(&statement, &relations).expect("it is right")).expect("it can be folded");
        let shown = |row| {
            let valid_from = Timestamp::from_micros(1);
            let changes = [Change { row, valid_from, weight: 1, event: EventId::from_bytes([1; 16]) }];
            let changes = BTreeMap::from([("t", &changes[..])]);
            let folded = fold.fold(&changes, true, Position::ZERO, &NoMemory::<Infallible>::default());
            folded.expect("it can be folded").shown.puts[0].1.row.clone().expect("there is a row")
        };
        let expected = r#"{"id":"1","a":"x","b":"z","é":"w"}"#;
        assert_eq!(&*shown(expected), expected);
        assert_eq!(&*shown(r#"{"id":"1","a":"x","a":"y","a":"y","b":"z","\u00e9":"w"}"#), expected);
        assert_eq!(&*shown(r#"{"\u00e9":"w","b":"z","other":{"a":1},"a":"x","id":"1"}"#), expected);
    }
}
