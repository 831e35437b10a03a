//! Finding events: by position, by id, by what they are about.

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc};

use deltafold_event::{EventId, Position, StoredEvent};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    Direction, EventFilter, EventStore, ReadError, blocking,
    read::{ParquetFile, matching},
    schema::column,
    table::file::DataFile,
};

/// How many files are looked into at once.
const AT_ONCE: usize = 4;

impl EventStore {
    /// The events at these positions, by position; positions that hold none are left out.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn events_at(&self, positions: &[Position]) -> Result<Vec<StoredEvent>, ReadError> {
        let mut wanted = positions.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        self.again(async || {
            let mut rest = wanted.as_slice();
            let mut groups: Vec<(Arc<DataFile>, Vec<Position>)> = Vec::new();
            {
                let state = self.events().state();
                while let Some(&first) = rest.first() {
                    let Some(file) = state.files.reaching(first) else { break };
                    let before = rest.partition_point(|position| *position < file.first);
                    let upto = rest.partition_point(|position| *position <= file.last);
                    if before < upto {
                        groups.push((file.clone(), rest[before..upto].to_vec()));
                    }
                    rest = &rest[upto..];
                }
            }
            let read = stream::iter(groups).map(|(file, wanted)| {
                self.look_into(file, move |file| {
                    let mut rows = rows_where(file, &[], |position| wanted.binary_search(&position).is_ok())?;
                    fetch(file, &mut rows)
                })
            });
            read.buffered(AT_ONCE).try_concat().await
        })
        .await
    }

    /// The event with this id, at its first delivery.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn find(&self, id: EventId) -> Result<Option<StoredEvent>, ReadError> {
        let text = id.to_string();
        self.again(async || {
            let files: Vec<_> = self.events().state().files.iter().cloned().collect();
            let looked = stream::iter(files).map(|file| {
                let text = text.clone();
                self.look_into(file, move |file| {
                    if !file.may_hold(column::EVENT_ID, &text) {
                        return Ok(None);
                    }
                    let first = rows_with_id(file, &text)?.into_iter().min();
                    Ok(match first {
                        Some(row) => fetch(file, &mut [row])?.pop(),
                        None => None,
                    })
                })
            });
            let mut looked = std::pin::pin!(looked.buffered(AT_ONCE));
            while let Some(found) = looked.try_next().await? {
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok(None)
        })
        .await
    }

    /// The first (or last) `limit` events that satisfy a filter, in the direction's order.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn scan(
        &self,
        filter: &EventFilter,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, ReadError> {
        self.again(async || {
            let mut files: Vec<_> =
                self.events().state().files.iter().filter(|file| filter.may_be_in(file)).cloned().collect();
            if direction == Direction::Backward {
                files.reverse();
            }
            // Few are wanted: the first file may have them.
            let at_once = if limit <= 1_000 { AT_ONCE.min(2) } else { AT_ONCE };
            let looked = stream::iter(files).map(|file| {
                let filter = filter.clone();
                self.look_into(file, move |file| {
                    let mut rows = matching(file, &filter)?;
                    match direction {
                        Direction::Forward => rows.sort_unstable(),
                        Direction::Backward => rows.sort_unstable_by_key(|row| Reverse(*row)),
                    }
                    rows.truncate(limit);
                    let mut events = fetch(file, &mut rows)?;
                    if direction == Direction::Backward {
                        events.reverse();
                    }
                    Ok(events)
                })
            });
            let mut looked = std::pin::pin!(looked.buffered(at_once));
            let mut found = Vec::new();
            while found.len() < limit {
                let Some(events) = looked.try_next().await? else { break };
                found.extend(events);
            }
            found.truncate(limit);
            Ok(found)
        })
        .await
    }

    /// Every event of a control type (`$schema`, `$table`, …), by position, without a full scan.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn control(&self, aggregate_type: &str) -> Result<Vec<StoredEvent>, ReadError> {
        let filter = EventFilter { aggregate_type: Some(aggregate_type.to_owned()), ..EventFilter::default() };
        self.again(async || {
            let files = self.events().state().files.with_control(aggregate_type);
            let looked = stream::iter(files).map(|file| {
                let filter = filter.clone();
                self.look_into(file, move |file| fetch(file, &mut matching(file, &filter)?))
            });
            looked.buffered(AT_ONCE).try_concat().await
        })
        .await
    }

    /// The newest event of one control aggregate, such as a file's `$file`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn control_last(&self, aggregate_type: &str, id: &str) -> Result<Option<StoredEvent>, ReadError> {
        let filter = EventFilter {
            aggregate_type: Some(aggregate_type.to_owned()),
            aggregate_id: Some(id.to_owned()),
            ..EventFilter::default()
        };
        self.again(async || {
            let file = self.events().state().files.newest_control(aggregate_type, id).cloned();
            let Some(file) = file else { return Ok(None) };
            let filter = filter.clone();
            self.look_into(file, move |file| match matching(file, &filter)?.into_iter().max() {
                Some(row) => Ok(fetch(file, &mut [row])?.pop()),
                None => Ok(None),
            })
            .await
        })
        .await
    }

    /// The events of some control aggregates of a type that are in one file, by position.
    pub(crate) async fn control_in(
        &self,
        file: Arc<DataFile>,
        aggregate_type: &str,
        ids: BTreeSet<String>,
    ) -> Result<Vec<StoredEvent>, ReadError> {
        let filter = EventFilter { aggregate_type: Some(aggregate_type.to_owned()), ..EventFilter::default() };
        let look = move |file: &ParquetFile| {
            let mut events = fetch(file, &mut matching(file, &filter)?)?;
            events.retain(|stored| stored.event.aggregate_id.as_ref().is_some_and(|id| ids.contains(id)));
            Ok(events)
        };
        self.look_into(file, look).await
    }

    /// Whether a control aggregate has an event, from memory.
    pub fn has_control(&self, aggregate_type: &str, id: &str) -> bool {
        self.events().state().files.has_control(aggregate_type, id)
    }

    /// Opens a file and looks into it where that may block.
    async fn look_into<T: Send + 'static>(
        &self,
        file: Arc<DataFile>,
        look: impl FnOnce(&ParquetFile) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let source = ParquetFile::source(self.events().store.as_ref(), &file).await?;
        blocking(move || look(&ParquetFile::new(file, source, true)?)).await
    }

    /// Runs a read, and once more if a file was not as it should be: compaction in another process may have
    /// replaced it, and vacuum removed it.
    async fn again<T>(&self, read: impl AsyncFn() -> Result<T, ReadError>) -> Result<T, ReadError> {
        match read().await {
            Err(ReadError::File { .. }) => {
                self.events().refresh().await?;
                read().await
            }
            result => result,
        }
    }
}

/// The rows whose position satisfies a condition: position and index.
fn rows_where(
    file: &ParquetFile,
    more: &[&str],
    condition: impl Fn(Position) -> bool,
) -> Result<Vec<(Position, usize)>, ReadError> {
    let mut names = vec![file.position_column()];
    names.extend(more);
    let mut found = Vec::new();
    let mut start = 0;
    for batch in file.batches(&names, None)? {
        let positions = file.positions(&batch)?;
        let rows = positions.iter().enumerate().filter(|(_, position)| condition(**position));
        found.extend(rows.map(|(row, position)| (*position, start + row)));
        start += batch.num_rows();
    }
    Ok(found)
}

fn rows_with_id(file: &ParquetFile, id: &str) -> Result<Vec<(Position, usize)>, ReadError> {
    use arrow::array::AsArray;
    let mut found = Vec::new();
    let mut start = 0;
    for batch in file.batches(&[column::EVENT_ID, file.position_column()], None)? {
        let ids = batch.column_by_name(column::EVENT_ID).and_then(|ids| ids.as_string_view_opt());
        let ids = ids.ok_or_else(|| file.broken("it has no event ids"))?;
        let positions = file.positions(&batch)?;
        let rows = ids.iter().enumerate().filter(|(_, found)| *found == Some(id));
        found.extend(rows.map(|(row, _)| (positions[row], start + row)));
        start += batch.num_rows();
    }
    Ok(found)
}

/// The events in some rows, by position.
fn fetch(file: &ParquetFile, rows: &mut [(Position, usize)]) -> Result<Vec<StoredEvent>, ReadError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    rows.sort_unstable_by_key(|(_, row)| *row);
    let indices: Vec<usize> = rows.iter().map(|(_, row)| *row).collect();
    let mut events = file.events(&indices)?;
    events.sort_unstable_by_key(|event| event.position);
    Ok(events)
}

impl EventFilter {
    /// Whether a file may hold what is looked for, by its statistics.
    fn may_be_in(&self, file: &DataFile) -> bool {
        self.from.is_none_or(|from| file.last >= from)
            && self.to.is_none_or(|to| file.first < to)
            && self.aggregate_type.as_deref().is_none_or(|wanted| file.may_hold_type(wanted))
            && file.occurred.is_none_or(|(least, greatest)| {
                self.occurred_from.is_none_or(|from| greatest >= from) && self.occurred_to.is_none_or(|to| least < to)
            })
    }
}
