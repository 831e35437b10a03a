//! A whole file by position, commit by commit.

use std::sync::Arc;

use arrow::array::RecordBatch;
use deltafold_event::Position;

use super::{EventColumns, Interner, ParquetFile, columns};
use crate::{Batch, ReadError};

/// A file's rows, decoded into columns, with the order of their positions. Events are made some commits at a time.
#[derive(Debug)]
pub(crate) struct Ordered {
    file: ParquetFile,
    batches: Vec<RecordBatch>,
    /// Position, batch, row.
    order: Vec<(Position, u32, u32)>,
    next: usize,
    interner: Interner,
}

impl Ordered {
    /// Reads the file; what lies before `from` is left out.
    pub(crate) fn read(file: ParquetFile, from: Position) -> Result<Self, ReadError> {
        let batches = file.batches(&[], None)?;
        let mut order = Vec::with_capacity(file.file.rows as usize);
        for (number, batch) in batches.iter().enumerate() {
            for (row, position) in file.positions(batch)?.into_iter().enumerate() {
                if position >= from {
                    order.push((position, number as u32, row as u32));
                }
            }
        }
        order.sort_unstable();
        Ok(Self { file, batches, order, next: 0, interner: Interner::default() })
    }

    /// The next commits, about so many events; none at the end.
    pub(crate) fn next(&mut self, about: usize) -> Result<Vec<Arc<Batch>>, ReadError> {
        let columns: Vec<EventColumns> = self
            .batches
            .iter()
            .map(EventColumns::of)
            .collect::<Result<_, _>>()
            .map_err(|what| self.file.broken(what))?;
        let mut last = columns::Last::default();
        let (mut found, mut count) = (Vec::new(), 0);
        while count < about && self.next < self.order.len() {
            let version = self.order[self.next].0.version();
            let rest = &self.order[self.next..];
            let length = rest.partition_point(|(position, ..)| position.version() == version);
            let mut events = Vec::with_capacity(length);
            for &(position, batch, row) in &rest[..length] {
                let event = columns[batch as usize].event(
                    row as usize,
                    position,
                    &self.file.file,
                    &mut self.interner,
                    &mut last,
                    None,
                );
                events.push(event.map_err(|what| self.file.broken(what))?);
            }
            self.next += length;
            count += length;
            let committed_at = events.last().map_or(self.file.file.committed_at, |event| event.recorded_at);
            found.push(Arc::new(Batch { version, committed_at, events }));
        }
        Ok(found)
    }
}
