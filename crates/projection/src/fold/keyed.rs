//! Changes by key: what a build sorts, so that everything of a key is folded at once, and keys apart from each other.
//!
//! | in the definition | key | columns |
//! |---|---|---|
//! | no groups | the view's key, as text | the view's |
//! | one level of groups | the group, as the bytes of its row | what the groups are made of |
//! | several, or joins | the same for all: they are folded by their moments | the number of the relation, the row |
//!
//! Before them come [`ORDER`] and [`KEY_HASH`].

use std::{borrow::Borrow, collections::BTreeMap, convert::Infallible, hash::BuildHasher, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, BinaryArray, BinaryBuilder, RecordBatch, StringArray, UInt16Array, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef, UInt16Type},
};
use deltafold_event::{EventId, Position, Timestamp, arrays::data_type};
use foldhash::quality::FixedState;

use super::{
    Change, Deltas, Fault, Fold, FoldError, Folded, Writes,
    deltas::batch,
    group::{Group, row_bytes},
    operator::{Given, Operator},
};
use crate::memory::{Memory, NoMemory};

/// The first column, binary: where a change comes in the order in which they are folded ([`Order`]).
pub const ORDER: &str = "order";
/// The second column, uint64: a hash of the key, by which changes are put into partitions.
pub const KEY_HASH: &str = "key hash";
/// How many columns come before those that are folded.
const BEFORE: usize = 2;

/// The hash of a key or of a row: by the latter those that came with one event are told apart.
pub fn keyed_hash(bytes: &[u8]) -> u64 {
    FixedState::with_seed(0).hash_one(bytes)
}

/// Changes in their order: each key together, its moments in order, and at each what goes before what comes.
///
/// | bytes | what |
/// |---|---|
/// | 4 | the key's length |
/// | … | the key |
/// | 8 | the moment, microseconds |
/// | 1 | the weight |
/// | 16 | the event |
/// | 8 | the hash of the row |
///
/// Numbers are big-endian, signed ones with their sign flipped, so that bytes order as what they say: several
/// columns would be brought into such a format for each merge. Changes of which all of it is the same are to be folded at once.
#[derive(Clone, Copy)]
pub struct Order<'b>(&'b BinaryArray);

impl<'b> Order<'b> {
    /// Of rows that [`Fold::keyed`] gave.
    ///
    /// # Panics
    /// When the columns are others.
    pub fn of(rows: &'b RecordBatch) -> Self {
        Self(rows.column(0).as_binary())
    }

    /// All of it.
    pub fn place(self, row: usize) -> &'b [u8] {
        self.0.value(row)
    }

    /// The key, with its length.
    pub fn key(self, row: usize) -> &'b [u8] {
        Self::key_of(self.place(row))
    }

    /// The key of a place, with its length.
    pub fn key_of(place: &[u8]) -> &[u8] {
        &place[..place.len() - OF_KEY_BYTES]
    }

    /// The key, with its length, and the moment.
    pub fn key_and_moment(self, row: usize) -> &'b [u8] {
        let place = self.place(row);
        &place[..place.len() - OF_MOMENT_BYTES]
    }

    fn moment(self, row: usize) -> i64 {
        i64::from_be_bytes(self.behind_key(row, 0)) ^ i64::MIN
    }

    fn weight(self, row: usize) -> i8 {
        let [weight] = self.behind_key(row, 8);
        i8::from_be_bytes([weight ^ SIGN])
    }

    fn event(self, row: usize) -> EventId {
        EventId::from_bytes(self.behind_key(row, 9))
    }

    /// The bytes so far behind the key.
    fn behind_key<const N: usize>(self, row: usize, at: usize) -> [u8; N] {
        let place = self.place(row);
        let at = place.len() - OF_KEY_BYTES + at;
        place[at..at + N].try_into().expect("a place has all of these")
    }
}

/// The key, with its length, where there is only one.
pub const ONLY_KEY: [u8; 4] = [0; 4];

/// What comes behind a key, and behind a moment.
const OF_KEY_BYTES: usize = 33;
const OF_MOMENT_BYTES: usize = 25;
const SIGN: u8 = 0x80;

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
            None if self.root.remembers() => Level::None,
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
        let before = [Field::new(ORDER, DataType::Binary, false), Field::new(KEY_HASH, DataType::UInt64, false)];
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
        let of_row = |deltas: &Deltas, row: usize| {
            // Nothing below a group makes more of a change than it was.
            let weight = i8::try_from(deltas.weight[row]).expect("it was one of 8 bits");
            (deltas.at[row], weight, &changes[deltas.cause[row] as usize])
        };
        Ok(match self.level() {
            Level::View => {
                let deltas = self.canonical(given(&self.root)?)?;
                let keys = self.rows.keys(&deltas.rows).map(String::into_bytes);
                let of_rows = keys.enumerate().map(|(row, key)| (key, of_row(&deltas, row)));
                self.batch(deltas.rows.columns(), of_rows)
            }
            Level::Group(below, group) => {
                let deltas = given(below)?;
                let groups = group.groups(&deltas)?;
                let key = |row: usize| groups.as_ref().map_or(&[][..], |groups| row_bytes(groups, row));
                self.batch(deltas.rows.columns(), (0..deltas.len()).map(|row| (key(row), of_row(&deltas, row))))
            }
            Level::None => {
                let number = u16::try_from(number.unwrap_or_default()).expect("a definition has few relations");
                let columns: [ArrayRef; 2] = [
                    Arc::new(UInt16Array::from_value(number, changes.len())),
                    Arc::new(StringArray::from_iter_values(changes.iter().map(|change| change.row))),
                ];
                let of_rows = changes.iter().map(|change| ([], (change.valid_from.as_micros(), change.weight, change)));
                self.batch(&columns, of_rows)
            }
        })
    }

    /// Columns with what comes before them: of each row the key, the moment, the weight and the change that it stems from.
    fn batch<'c>(
        &self,
        columns: &[ArrayRef],
        of_rows: impl ExactSizeIterator<Item = (impl Borrow<[u8]>, (i64, i8, &'c Change<'c>))>,
    ) -> RecordBatch {
        let mut order = BinaryBuilder::with_capacity(of_rows.len(), of_rows.len() * (OF_KEY_BYTES + 20));
        let mut hashes: Vec<u64> = Vec::with_capacity(of_rows.len());
        let mut place = Vec::new();
        let (mut last, mut hash) = ("", 0);
        for (key, (moment, weight, change)) in of_rows {
            let key = key.borrow();
            if !std::ptr::eq(last, change.row) {
                (last, hash) = (change.row, keyed_hash(change.row.as_bytes()));
            }
            place.clear();
            place.extend_from_slice(&u32::try_from(key.len()).expect("a key is no longer than a row").to_be_bytes());
            place.extend_from_slice(key);
            place.extend_from_slice(&(moment ^ i64::MIN).to_be_bytes());
            place.push(weight.to_be_bytes()[0] ^ SIGN);
            place.extend_from_slice(change.event.as_bytes());
            place.extend_from_slice(&hash.to_be_bytes());
            order.append_value(&place);
            hashes.push(keyed_hash(key));
        }
        let before: [ArrayRef; BEFORE] = [Arc::new(order.finish()), Arc::new(UInt64Array::from(hashes))];
        RecordBatch::try_new(self.keyed_schema(), before.into_iter().chain(columns.iter().cloned()).collect())
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
        let order = Order::of(rows);
        let columns = || rows.columns().iter().skip(BEFORE).cloned().collect::<Vec<_>>();
        let schema = match self.level() {
            Level::View => None,
            Level::Group(below, _) => Some(below.schema().clone()),
            Level::None => {
                let changes = self.changes_of(rows, order);
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
            rows: batch(&schema, columns(), rows.num_rows()).expect("they are the columns that were given"),
            at: (0..rows.num_rows()).map(|row| order.moment(row)).collect(),
            weight: (0..rows.num_rows()).map(|row| order.weight(row).into()).collect(),
            cause: (0..rows.num_rows()).map(number).collect(),
            same: None,
        };
        let folded = match is_of_view {
            true => {
                let shown = self.rows.fold(&deltas, recorded_from, memory);
                shown.map(|shown| Folded { shown, ..Folded::default() })
            }
            false => self.fold_given(&Given::Grouped(&deltas), recorded_from, memory, &mut Writes::default()),
        };
        folded.map_err(|fault| FoldError::of(fault, |cause| (cause < rows.num_rows()).then(|| order.event(cause))))
    }

    /// Rows of relations as they came.
    fn changes_of<'a>(&'a self, rows: &'a RecordBatch, order: Order<'_>) -> BTreeMap<&'a str, Vec<Change<'a>>> {
        let relations = rows.column(BEFORE).as_primitive::<UInt16Type>();
        let texts = rows.column(BEFORE + 1).as_string::<i32>();
        let mut changes: BTreeMap<&str, Vec<Change<'_>>> = BTreeMap::new();
        for row in 0..rows.num_rows() {
            changes.entry(&self.relations[usize::from(relations.value(row))].name).or_default().push(Change {
                row: texts.value(row),
                valid_from: Timestamp::from_micros(order.moment(row)),
                weight: order.weight(row),
                event: order.event(row),
            });
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use deltafold_event::{Column, ColumnType};

    use super::*;
    use crate::{Definition, Relation, Relations, Statement};

    /// Bytes order as what they say, and say it.
    #[test]
    fn changes_order_by_key_moment_weight_and_event() {
        let column = |name: &str| Column { name: name.to_owned(), column_type: ColumnType::BigInt };
        let relation = Relation::new(["id", "a"].map(column).to_vec(), vec!["id".to_owned()]);
        let relations: Relations = [("t".to_owned(), relation)].into_iter().collect();
        let sql = "CREATE MATERIALIZED VIEW v WITH (key = 'a') AS SELECT a, count(*) AS n FROM t GROUP BY a";
        let statement = Statement::parse("v.sql", sql).expect("it is right");
        let fold =
            Fold::new(&Definition::check(&statement, &relations).expect("it is right")).expect("it can be folded");
        let rows = [r#"{"id":1,"a":-7}"#, r#"{"id":1,"a":0}"#, r#"{"id":1,"a":300}"#];
        let moments = [i64::MIN, -1, 0, i64::MAX];
        let mut changes: Vec<Change<'_>> = Vec::new();
        for (row, moment) in rows.into_iter().flat_map(|row| moments.map(|moment| (row, moment))) {
            let valid_from = Timestamp::from_micros(moment);
            for (weight, event) in [(-1, 3), (-1, 9), (1, 3), (1, 9)] {
                changes.push(Change { row, valid_from, weight, event: EventId::from_bytes([event; 16]) });
            }
        }
        let keyed = fold.keyed("t", &changes).expect("they can be told apart");
        let order = Order::of(&keyed);
        assert_eq!(keyed.num_rows(), changes.len());
        for (row, change) in changes.iter().enumerate() {
            let said = (order.moment(row), order.weight(row), order.event(row));
            assert_eq!(said, (change.valid_from.as_micros(), change.weight, change.event));
        }
        for (low, high) in (0..).zip(1..changes.len()) {
            assert!(order.place(low) < order.place(high), "{:?} comes before {:?}", changes[low], changes[high]);
        }
        let keys: BTreeSet<&[u8]> = (0..changes.len()).map(|row| order.key(row)).collect();
        assert_eq!(keys.len(), rows.len());
    }
}
