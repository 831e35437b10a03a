//! Files read side by side, aggregate by aggregate.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    sync::Arc,
};

use deltafold_event::{Position, StoredEvent};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::{EventColumns, Interner, ParquetFile, columns};
use crate::ReadError;

/// Merges files whose rows are in the order of the table (D4).
#[derive(Debug)]
pub(crate) struct Merged {
    cursors: Vec<Cursor>,
    /// Where each file stands that has not ended.
    heads: BinaryHeap<Reverse<Head>>,
    interner: Interner,
}

#[derive(Debug)]
struct Cursor {
    file: ParquetFile,
    reader: ParquetRecordBatchReader,
    columns: Option<EventColumns>,
    /// Of the rows of `columns`.
    positions: Vec<Position>,
    row: usize,
    last: columns::Last,
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    aggregate_type: Arc<str>,
    aggregate_id: Option<String>,
    cursor: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        let types = if Arc::ptr_eq(&self.aggregate_type, &other.aggregate_type) {
            Ordering::Equal
        } else {
            self.aggregate_type.cmp(&other.aggregate_type)
        };
        types.then_with(|| self.aggregate_id.cmp(&other.aggregate_id)).then_with(|| self.cursor.cmp(&other.cursor))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Merged {
    /// `rows_at_once`: of each file.
    pub(crate) fn open(files: Vec<ParquetFile>, rows_at_once: usize) -> Result<Self, ReadError> {
        let (cursors, heads) = (Vec::with_capacity(files.len()), BinaryHeap::with_capacity(files.len()));
        let mut merged = Self { cursors, heads, interner: Interner::default() };
        for file in files {
            let reader = file.rows(rows_at_once)?;
            let (positions, last) = (Vec::new(), columns::Last::default());
            merged.cursors.push(Cursor { file, reader, columns: None, positions, row: 0, last });
            merged.advance(merged.cursors.len() - 1)?;
        }
        Ok(merged)
    }

    /// Puts the next aggregate's events into `events`, by position; those of a type that belong to none come before
    /// its aggregates. If there are more than `most`, only some are put there. Those in `spare` are written over. False
    /// at the end.
    pub(crate) fn next(
        &mut self,
        most: usize,
        events: &mut Vec<StoredEvent>,
        spare: &mut Vec<StoredEvent>,
    ) -> Result<bool, ReadError> {
        events.clear();
        let Some(Reverse(Head { aggregate_type, aggregate_id, cursor: mut at })) = self.heads.pop() else {
            return Ok(false);
        };
        loop {
            let Self { cursors, interner, .. } = self;
            let cursor = &mut cursors[at];
            while let Some(columns) = &cursor.columns
                && columns.aggregate(cursor.row) == (&*aggregate_type, aggregate_id.as_deref())
            {
                if events.len() <= most {
                    let position = cursor.positions[cursor.row];
                    let Cursor { file, last, .. } = cursor;
                    let event = columns.event(cursor.row, position, &file.file, interner, last, spare.pop());
                    events.push(event.map_err(|what| cursor.file.broken(what))?);
                }
                cursor.row += 1;
                cursor.fill()?;
            }
            self.advance(at)?;
            match self.heads.peek() {
                Some(Reverse(head)) if head.aggregate_type == aggregate_type && head.aggregate_id == aggregate_id => {
                    at = self.heads.pop().map_or(at, |Reverse(head)| head.cursor);
                }
                _ => break,
            }
        }
        events.sort_unstable_by_key(|stored| stored.position);
        Ok(true)
    }

    /// Says where a file stands now.
    fn advance(&mut self, cursor: usize) -> Result<(), ReadError> {
        let at = &mut self.cursors[cursor];
        at.fill()?;
        if let Some(columns) = &at.columns {
            let (aggregate_type, id) = columns.aggregate(at.row);
            let aggregate_type = self.interner.text(aggregate_type, &mut at.last.aggregate_type);
            self.heads.push(Reverse(Head { aggregate_type, aggregate_id: id.map(str::to_owned), cursor }));
        }
        Ok(())
    }
}

impl Cursor {
    /// Reads more rows when those that were read are used up; no columns at the end.
    fn fill(&mut self) -> Result<(), ReadError> {
        while self.row >= self.positions.len() {
            (self.columns, self.row) = (None, 0);
            self.positions.clear();
            let Some(batch) = self.reader.next() else { return Ok(()) };
            let batch = batch.map_err(|error| self.file.broken(error))?;
            self.positions = self.file.positions(&batch)?;
            let columns = EventColumns::of(&batch).map_err(|what| self.file.broken(what))?;
            self.columns = Some(columns.for_folding());
        }
        Ok(())
    }
}
