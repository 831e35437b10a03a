//! What differs in a view between what was believed and what is, as rows of a table.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use deltafold_event::{Position, Timestamp};
use deltafold_view::{Part, Reader, Timeline};

use super::{
    PublisherError,
    rows::{Form, Layout, Rows},
};
use crate::ProjectorError;

/// How many rows come in one batch.
const ROWS_AT_ONCE: usize = 16_384;

/// Batches of rows, or of changes.
pub(super) struct Differences<'l> {
    layout: &'l Layout,
    are_changes: bool,
    rows: Rows<'l>,
    full: Vec<RecordBatch>,
}

/// The rows of a table of one key, by where they begin.
type OfKey<'t> = BTreeMap<Timestamp, (Option<Timestamp>, &'t str)>;

impl<'l> Differences<'l> {
    /// All rows there are; of changes, at least one batch.
    pub(super) fn all(
        reader: &Reader,
        layout: &'l Layout,
        are_changes: bool,
    ) -> Result<Vec<RecordBatch>, PublisherError> {
        let mut all = Self::new(layout, are_changes);
        for timeline in reader.timelines(Position::MAX, Part::default()) {
            let timeline = timeline.map_err(ProjectorError::from)?;
            for (valid_from, (valid_to, row)) in of_key(layout.form, &timeline) {
                all.rows.put(&timeline.key, valid_from, valid_to, row)?;
            }
            all.settle()?;
        }
        if are_changes && all.full.is_empty() {
            return Ok(vec![all.rows.finish()?]);
        }
        all.finish()
    }

    /// What has changed since a position.
    pub(super) fn since(
        reader: &Reader,
        layout: &'l Layout,
        position: Position,
    ) -> Result<Vec<RecordBatch>, PublisherError> {
        let mut found = Self::new(layout, true);
        for compared in reader.compared(position, Position::MAX, Part::default()) {
            let (was, is) = compared.map_err(ProjectorError::from)?;
            found.compare(was.as_ref(), is.as_ref())?;
            found.settle()?;
        }
        found.finish()
    }

    fn new(layout: &'l Layout, are_changes: bool) -> Self {
        Self { layout, are_changes, rows: Rows::new(layout, are_changes), full: Vec::new() }
    }

    fn compare(&mut self, was: Option<&Timeline>, is: Option<&Timeline>) -> Result<(), PublisherError> {
        let form = self.layout.form;
        let Some(key) = was.or(is).map(|timeline| &*timeline.key) else { return Ok(()) };
        let was = was.map(|timeline| of_key(form, timeline)).unwrap_or_default();
        let is = is.map(|timeline| of_key(form, timeline)).unwrap_or_default();
        if form == Form::Current && !was.is_empty() && !is.is_empty() {
            // One row of the table, wherever it begins.
            if was != is {
                for (valid_from, (valid_to, row)) in is {
                    self.rows.put(key, valid_from, valid_to, row)?;
                }
            }
            return Ok(());
        }
        for valid_from in was.keys().filter(|valid_from| !is.contains_key(valid_from)) {
            self.rows.remove(key, *valid_from);
        }
        for (valid_from, row) in &is {
            if was.get(valid_from) != Some(row) {
                self.rows.put(key, *valid_from, row.0, row.1)?;
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), PublisherError> {
        if self.rows.len() >= ROWS_AT_ONCE {
            let full = std::mem::replace(&mut self.rows, Rows::new(self.layout, self.are_changes));
            self.full.push(full.finish()?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<RecordBatch>, PublisherError> {
        if self.rows.len() > 0 {
            self.full.push(self.rows.finish()?);
        }
        Ok(self.full)
    }
}

/// What a table shows of a timeline.
fn of_key(form: Form, timeline: &Timeline) -> OfKey<'_> {
    let ends = timeline.versions.iter().skip(1).map(|(from, _)| Some(*from)).chain([None]);
    let rows = timeline.versions.iter().zip(ends);
    let rows = rows.filter_map(|((from, entry), end)| Some((*from, (end, entry.row()?))));
    match form {
        Form::Versions => rows.collect(),
        Form::Current => rows.filter(|(_, (end, _))| end.is_none()).collect(),
    }
}
