//! Changes by key: what a build sorts, so that everything of a key is folded at once, and keys apart from each other.
//!
//! | in the definition | key | columns |
//! |---|---|---|
//! | no groups | the view's key, as text | the view's |
//! | one level of groups | the group, as the bytes of its row | what the groups are made of |
//! | several | the same for all: they are folded by their moments | the number of the relation, the row |
//!
//! Before them come those of [`ORDER`].

use std::{collections::BTreeMap, convert::Infallible, hash::BuildHasher, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder, Int8Array, Int64Array,
        RecordBatch, StringArray, UInt16Array, UInt64Array,
    },
    datatypes::{DataType, Field, Int8Type, Int64Type, Schema, SchemaRef, UInt16Type},
};
use deltafold_event::{EventId, Position, Timestamp, arrays::data_type};
use foldhash::quality::FixedState;

use super::{
    Change, Deltas, Fault, Fold, FoldError, Folded, Writes,
    group::{Group, row_bytes},
    operator::{Given, Operator},
};
use crate::memory::{Memory, NoMemory};

/// The first columns: the key (binary), the moment (int64, microseconds), the weight (int8), the event (16 bytes) and a hash
/// of the row (uint64). Whoever sorts by all of them has each key together, its moments in order, and at each what goes
/// before what comes; rows of which all of them are the same are to be folded at once.
pub const ORDER: [&str; 5] = ["key", "moment", "weight", "event", "row"];

/// How many columns come before those that are folded.
const BEFORE: usize = ORDER.len();

/// The hash by which rows that came with one event are told apart.
pub fn row_hash(row: &str) -> u64 {
    FixedState::with_seed(0).hash_one(row)
}

/// What changes are told apart by.
enum Level<'f> {
    /// The key of the view.
    View,
    /// The group, of what an operator gives.
    Group(&'f Operator, &'f Group),
    /// Nothing.
    None,
}

impl Fold {
    fn level(&self) -> Level<'_> {
        match self.root.only_group() {
            Some((below, group)) => Level::Group(below, group),
            None if self.root.has_groups() => Level::None,
            None => Level::View,
        }
    }

    /// Whether there is more than one key; else what all changes make is remembered under the same one, also of none.
    pub fn has_keys(&self) -> bool {
        match self.level() {
            Level::View => true,
            Level::Group(_, group) => group.converter.is_some(),
            Level::None => false,
        }
    }

    /// The columns of what [`Self::keyed`] gives.
    pub fn keyed_schema(&self) -> SchemaRef {
        let types: Vec<DataType> = match self.level() {
            Level::View => self.rows.columns.iter().map(|column| data_type(&column.column_type)).collect(),
            Level::Group(below, _) => below.schema().fields().iter().map(|field| field.data_type().clone()).collect(),
            Level::None => vec![DataType::UInt16, DataType::Utf8],
        };
        let before = [
            Field::new(ORDER[0], DataType::Binary, false),
            Field::new(ORDER[1], DataType::Int64, false),
            Field::new(ORDER[2], DataType::Int8, false),
            Field::new(ORDER[3], DataType::FixedSizeBinary(16), false),
            Field::new(ORDER[4], DataType::UInt64, false),
        ];
        let folded = types.into_iter().enumerate().map(|(at, of)| Field::new(format!("column {at}"), of, true));
        Arc::new(Schema::new(before.into_iter().chain(folded).collect::<Vec<_>>()))
    }

    /// What changed in a relation, by key.
    ///
    /// # Errors
    /// When a change cannot be folded.
    pub fn keyed(&self, relation: &str, changes: &[Change<'_>]) -> Result<RecordBatch, FoldError<Infallible>> {
        let event = |cause: usize| changes.get(cause).map(|change| change.event);
        self.keyed_rows(relation, changes).map_err(|fault| FoldError::of(fault, event))
    }

    fn keyed_rows(&self, relation: &str, changes: &[Change<'_>]) -> Result<RecordBatch, Fault<Infallible>> {
        let number = self.relations.iter().position(|source| source.name == relation);
        let given = |operator: &Operator| {
            let deltas = |(at, source): (usize, &super::Source)| {
                source.deltas(if number == Some(at) { changes } else { &[] }, 0)
            };
            let relations: Vec<Deltas> = self.relations.iter().enumerate().map(deltas).collect();
            operator.fold(
                &Given::Relations { changes: &relations, is_first: false },
                &NoMemory::default(),
                &mut Writes::default(),
            )
        };
        let (keys, deltas) = match self.level() {
            Level::View => {
                let deltas = self.canonical(given(&self.root)?)?;
                (self.rows.keys(&deltas.rows).map(Some).collect::<BinaryArray>(), deltas)
            }
            Level::Group(below, group) => {
                let deltas = given(below)?;
                let groups = group.groups(&deltas)?;
                let key = |row: usize| groups.as_ref().map_or(&[][..], |groups| row_bytes(groups, row));
                (BinaryArray::from_iter_values((0..deltas.len()).map(key)), deltas)
            }
            Level::None => {
                let number = u16::try_from(number.unwrap_or_default()).expect("a definition has few relations");
                let columns: Vec<ArrayRef> = vec![
                    Arc::new(UInt16Array::from_value(number, changes.len())),
                    Arc::new(StringArray::from_iter_values(changes.iter().map(|change| change.row))),
                ];
                let keys = BinaryArray::from_iter_values(changes.iter().map(|_| []));
                let of_rows = changes.iter().map(|change| (change.valid_from.as_micros(), change.weight, change));
                return Ok(self.batch(keys, columns, of_rows));
            }
        };
        let columns = deltas.rows.columns().to_vec();
        let of_row = |row: usize| {
            // Nothing below a group makes more of a change than it was.
            let weight = i8::try_from(deltas.weight[row]).expect("it was one of 8 bits");
            (deltas.at[row], weight, &changes[deltas.cause[row] as usize])
        };
        Ok(self.batch(keys, columns, (0..deltas.len()).map(of_row)))
    }

    fn batch<'c>(
        &self,
        keys: BinaryArray,
        columns: Vec<ArrayRef>,
        of_rows: impl Iterator<Item = (i64, i8, &'c Change<'c>)>,
    ) -> RecordBatch {
        let (mut moments, mut weights) = (Vec::with_capacity(keys.len()), Vec::with_capacity(keys.len()));
        let mut events = FixedSizeBinaryBuilder::with_capacity(keys.len(), 16);
        let mut rows: Vec<u64> = Vec::with_capacity(keys.len());
        let mut last = "";
        for (moment, weight, change) in of_rows {
            moments.push(moment);
            weights.push(weight);
            events.append_value(change.event.as_bytes()).expect("an id has 16 bytes");
            let is_last = std::ptr::eq(last, change.row);
            rows.push(rows.last().copied().filter(|_| is_last).unwrap_or_else(|| row_hash(change.row)));
            last = change.row;
        }
        let before: [ArrayRef; BEFORE] = [
            Arc::new(keys),
            Arc::new(Int64Array::from(moments)),
            Arc::new(Int8Array::from(weights)),
            Arc::new(events.finish()),
            Arc::new(UInt64Array::from(rows)),
        ];
        RecordBatch::try_new(self.keyed_schema(), before.into_iter().chain(columns).collect())
            .expect("operators give what their schemas say")
    }

    /// Folds rows that [`Self::keyed`] gave; what is new is believed from a position on. Something was folded before, if
    /// only that there is nothing ([`Self::fold`]): where all rows are one group, it is there.
    ///
    /// # Errors
    /// When a change cannot be folded, or the memory cannot be read.
    ///
    /// # Panics
    /// When the columns are others.
    pub fn fold_keyed<M: Memory>(
        &self,
        rows: &RecordBatch,
        recorded_from: Position,
        memory: &M,
    ) -> Result<Folded, FoldError<M::Error>> {
        let at = rows.column(1).as_primitive::<Int64Type>().values();
        let weight = rows.column(2).as_primitive::<Int8Type>().values();
        let events = rows.column(3).as_fixed_size_binary();
        let columns = || rows.columns().iter().skip(BEFORE).cloned().collect::<Vec<_>>();
        let schema = match self.level() {
            Level::View => None,
            Level::Group(below, _) => Some(below.schema().clone()),
            Level::None => {
                let changes = self.changes_of(rows, at, weight, events);
                let changes = changes.iter().map(|(name, changes)| (*name, changes.as_slice())).collect();
                return self.fold(&changes, false, recorded_from, memory);
            }
        };
        let number = |row: usize| u32::try_from(row).expect("a batch has fewer than 2³² rows");
        let is_of_view = schema.is_none();
        let schema = schema.unwrap_or_else(|| {
            let fields =
                self.rows.columns.iter().map(|column| Field::new(&column.name, data_type(&column.column_type), true));
            Arc::new(Schema::new(fields.collect::<Vec<_>>()))
        });
        let deltas = Deltas {
            rows: RecordBatch::try_new(schema, columns()).expect("they are the columns that were given"),
            at: at.to_vec(),
            weight: weight.iter().copied().map(i64::from).collect(),
            cause: (0..rows.num_rows()).map(number).collect(),
            same: None,
        };
        let folded = match is_of_view {
            true => self.rows.fold(&deltas, recorded_from, memory).map(|shown| Folded { memory: Vec::new(), shown }),
            false => self.fold_given(&Given::Grouped(&deltas), recorded_from, memory),
        };
        folded.map_err(|fault| FoldError::of(fault, |cause| (cause < events.len()).then(|| event(events, cause))))
    }

    /// Rows of relations as they came.
    fn changes_of<'a>(
        &'a self,
        rows: &'a RecordBatch,
        at: &[i64],
        weight: &[i8],
        events: &FixedSizeBinaryArray,
    ) -> BTreeMap<&'a str, Vec<Change<'a>>> {
        let relations = rows.column(BEFORE).as_primitive::<UInt16Type>();
        let texts = rows.column(BEFORE + 1).as_string::<i32>();
        let mut changes: BTreeMap<&str, Vec<Change<'_>>> = BTreeMap::new();
        for row in 0..rows.num_rows() {
            changes.entry(&self.relations[usize::from(relations.value(row))].name).or_default().push(Change {
                row: texts.value(row),
                valid_from: Timestamp::from_micros(at[row]),
                weight: weight[row],
                event: event(events, row),
            });
        }
        changes
    }
}

fn event(events: &FixedSizeBinaryArray, row: usize) -> EventId {
    EventId::from_bytes(events.value(row).try_into().expect("an id has 16 bytes"))
}
