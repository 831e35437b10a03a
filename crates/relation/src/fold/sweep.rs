//! Snapshots of epochs after the first: once one is complete, it replaces what was known of the type.

use deltafold_event::{OrderKey, Position, SourcePosition};

use super::{Fold, append::directly_after, type_wide::type_event};
use crate::{Completed, FoldError, Memory, Record, SnapshotId, SnapshotRow, Sweep, TypeEvent};

impl<M: Memory> Fold<'_, M> {
    /// Takes in that `record` is a row of a snapshot, which stands after everything of its type that had arrived when its
    /// first row did, but for log events that were made after it, and before all of its rows.
    pub(super) fn begin_sweep(
        &mut self,
        row: &SnapshotRow,
        epoch: u32,
        record: &Record,
    ) -> Result<(), FoldError<M::Error>> {
        if self.has_sweep(row.snapshot) {
            return Ok(());
        }
        let order = self.place_of_sweep(&row.log_from, epoch, record.position)?;
        self.put_sweep(row.snapshot, type_event(record, order));
        if row.is_complete { self.complete(row.snapshot) } else { Ok(()) }
    }

    /// All rows of a snapshot have been sent. Where none of them was of this type, it stands where the last one arrived.
    pub(super) fn complete_all(&mut self, completed: &Completed) -> Result<(), FoldError<M::Error>> {
        let Completed { snapshot, epoch, ref log_from, last, .. } = *completed;
        if !self.has_sweep(snapshot) {
            let order = self.place_of_sweep(log_from, epoch, last.position)?;
            let (id, position, occurred_at) = (last.id, last.position, last.occurred_at);
            self.put_sweep(snapshot, TypeEvent { order, id, position, occurred_at, transaction: None });
        }
        self.complete(snapshot)
    }

    fn has_sweep(&self, snapshot: SnapshotId) -> bool {
        self.state.sweeps.iter().any(|sweep| sweep.snapshot == snapshot)
    }

    fn place_of_sweep(
        &self,
        log_from: &SourcePosition,
        epoch: u32,
        arrived: Position,
    ) -> Result<OrderKey, FoldError<M::Error>> {
        let limit = match log_from.is_empty() {
            true => OrderKey { epoch: epoch.saturating_add(1), offset: i64::MIN, ..OrderKey::default() },
            false => OrderKey { epoch, source_position: log_from.clone(), offset: i64::MIN, arrival: None },
        };
        let greatest = self.greatest_order(Some(&limit))?;
        Ok(match greatest.epoch < epoch {
            true => OrderKey { epoch, ..OrderKey::default() },
            false => directly_after(&greatest, arrived),
        })
    }

    fn put_sweep(&mut self, snapshot: SnapshotId, from: TypeEvent) {
        let sweeps = &mut self.state.sweeps;
        let at = sweeps.partition_point(|other| other.from.order < from.order);
        sweeps.insert(at, Sweep { from, snapshot, is_complete: false });
        self.state_changed = true;
    }

    /// Ends every row that stands before a snapshot. Those that it names stand after it.
    fn complete(&mut self, snapshot: SnapshotId) -> Result<(), FoldError<M::Error>> {
        let sweeps = &mut self.state.sweeps;
        let Some(sweep) = sweeps.iter_mut().find(|sweep| sweep.snapshot == snapshot && !sweep.is_complete) else {
            return Ok(());
        };
        sweep.is_complete = true;
        let order = sweep.from.order.clone();
        self.state_changed = true;
        self.for_each_aggregate(|_, last| last.order > order || last.shown().is_some(), &order, &order)
    }
}
