//! Snapshots of epochs after the first: once one is complete, it replaces what was known of the type.

use deltafold_event::OrderKey;

use super::{Fold, append::directly_after, type_wide::type_event};
use crate::{FoldError, Memory, Record, SnapshotId, SnapshotRow, Sweep};

impl<M: Memory> Fold<'_, M> {
    /// Takes in that `record` is a row of a snapshot, which stands after everything of its type that had arrived when its
    /// first row did, but for log events that were made after it, and before all of its rows.
    pub(super) fn begin_sweep(
        &mut self,
        row: &SnapshotRow,
        epoch: u32,
        record: &Record,
    ) -> Result<(), FoldError<M::Error>> {
        if self.state.sweeps.iter().any(|sweep| sweep.snapshot == row.snapshot) {
            return Ok(());
        }
        let log_from = (!row.log_from.is_empty()).then(|| OrderKey {
            epoch,
            source_position: row.log_from.clone(),
            offset: i64::MIN,
            arrival: None,
        });
        let greatest = self.greatest_order(log_from.as_ref())?;
        let order = match greatest.epoch < epoch {
            true => OrderKey { epoch, ..OrderKey::default() },
            false => directly_after(&greatest, record.position),
        };
        let sweep = Sweep { from: type_event(record, order.clone()), snapshot: row.snapshot, is_complete: false };
        let sweeps = &mut self.state.sweeps;
        sweeps.insert(sweeps.partition_point(|other| other.from.order < order), sweep);
        self.state_changed = true;
        if row.is_complete { self.complete(row.snapshot) } else { Ok(()) }
    }

    /// Ends every row that stands before a snapshot. Those that it names stand after it.
    pub(super) fn complete(&mut self, snapshot: SnapshotId) -> Result<(), FoldError<M::Error>> {
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
