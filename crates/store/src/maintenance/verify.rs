//! Reading everything and comparing it with what the log says.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use deltafold_event::Position;

use crate::{
    EventStore, MaintenanceError, Problem, ReadError, VerifyReport, blocking,
    read::{EventColumns, ParquetFile, letter},
    schema::column,
    table::{Table, file::DataFile, snapshot::LastCheckpoint, state::State},
};

impl EventStore {
    /// Reads everything and compares it with what the log says.
    ///
    /// # Errors
    /// When the file system refuses; what is wrong with the data is in the report.
    pub async fn verify(&self) -> Result<VerifyReport, MaintenanceError> {
        let mut report = VerifyReport::default();
        for table in [self.events(), self.letters()] {
            let mut found = Found { table: table.name, problems: Vec::new() };
            match table.refresh().await {
                Err(ReadError::Disk { file, what }) => return Err(ReadError::Disk { file, what }.into()),
                Err(error) => found.problem("_delta_log", error),
                Ok(()) => {}
            }
            check_log(table, &mut found).await?;
            let files: Vec<Arc<DataFile>> = table.state().files.iter().cloned().collect();
            for file in &files {
                check_file(table, file.clone(), &mut found).await;
            }
            let rows: u64 = files.iter().map(|file| file.rows).sum();
            match table.name {
                "events" => report.events = rows,
                _ => report.dead_letters = rows,
            }
            report.commits += table.state().version + 1;
            report.files += files.len() as u64;
            report.problems.extend(found.problems);
        }
        Ok(report)
    }
}

struct Found {
    table: &'static str,
    problems: Vec<Problem>,
}

impl Found {
    fn problem(&mut self, place: impl ToString, what: impl ToString) {
        let table = self.table.to_owned();
        self.problems.push(Problem { table, place: place.to_string(), what: what.to_string() });
    }
}

/// Entries readable and without a gap, offsets never backwards, and the same state whichever way it is read.
async fn check_log(table: &Table, found: &mut Found) -> Result<(), MaintenanceError> {
    let versions = table.versions().await?;
    let last = LastCheckpoint::read(table.store.as_ref()).await?;
    let mut state = match last {
        Some(last) => match last.load(table.store.as_ref()).await {
            Ok(state) => state,
            Err(error) => {
                found.problem(format!("checkpoint {}", last.version), error);
                State::default()
            }
        },
        None => State::default(),
    };
    let mut offsets: BTreeMap<String, i64> = BTreeMap::new();
    let mut before = None;
    for &version in &versions.entries {
        if before.is_some_and(|before| before + 1 != version) {
            found.problem(format!("log entry {version}"), "the entry before it is missing");
        }
        before = Some(version);
        let entry = match table.read_entry(version).await {
            Ok(Some(entry)) => entry,
            Ok(None) => continue,
            Err(error) => {
                found.problem(format!("log entry {version}"), error);
                continue;
            }
        };
        for (app_id, next) in &entry.txns {
            let known = offsets.insert(app_id.clone(), *next);
            if known.is_some_and(|known| known > *next) {
                found.problem(format!("log entry {version}"), format!("it takes {app_id} back to {next}"));
            }
        }
        if version == state.version + 1
            && let Err(what) = state.apply(entry)
        {
            found.problem(format!("log entry {version}"), what);
        }
    }
    let known = table.state();
    if state.version != known.version {
        let what = format!("it ends at {}, and {} was read before", state.version, known.version);
        found.problem("_delta_log", what);
    } else if state.txns != known.txns || !state.files.iter().eq(known.files.iter()) {
        found.problem("_delta_log", "read again, it says something else than before");
    }
    Ok(())
}

async fn check_file(table: &Table, file: Arc<DataFile>, found: &mut Found) {
    let source = match ParquetFile::source(table.store.as_ref(), &file).await {
        Ok(source) => source,
        Err(error) => return found.problem(&file.path, error),
    };
    let letters = table.name == "dead_letters";
    let read = file.clone();
    let problems = blocking(move || {
        use parquet::file::reader::Length;
        let mut problems = Vec::new();
        if source.len() != read.size {
            problems.push(format!("it has {} bytes, and its Add says {}", source.len(), read.size));
        }
        let checked = if letters { ParquetFile::letters(read, source) } else { ParquetFile::new(read, source, false) };
        if let Err(error) = checked.and_then(|opened| check_rows(&opened, letters, &mut problems)) {
            problems.push(error.to_string());
        }
        problems
    })
    .await;
    for what in problems {
        found.problem(&file.path, what);
    }
}

/// Every row decodes; the positions are those that the Add promises, each once.
fn check_rows(opened: &ParquetFile, letters: bool, problems: &mut Vec<String>) -> Result<(), ReadError> {
    let file = &opened.file;
    let mut positions: Vec<Position> = Vec::with_capacity(file.rows as usize);
    for batch in opened.batches(&[], None)? {
        let batch_positions = opened.positions(&batch)?;
        decode(&batch, &batch_positions, file, letters).map_err(|what| opened.broken(what))?;
        let times = batch.column_by_name(column::COMMITTED_AT);
        let times = times.and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
        if file.compacted && times.is_none_or(|times| times.null_count() > 0) {
            problems.push("it is compacted, and a row has no commit time".to_owned());
        }
        positions.extend(batch_positions);
    }
    positions.sort_unstable();
    if positions.len() as u64 != file.rows {
        problems.push(format!("it has {} rows, and its statistics say {}", positions.len(), file.rows));
    }
    if positions.windows(2).any(|pair| pair[0] == pair[1]) {
        problems.push("two of its rows have the same position".to_owned());
    }
    if positions.first() != Some(&file.first) || positions.last() != Some(&file.last) {
        problems.push(format!("its positions are not those from {} to {}", file.first, file.last));
    }
    let gap = positions.windows(2).any(|pair| match pair[0].version() == pair[1].version() {
        true => pair[0].next() != pair[1],
        false => pair[1].ordinal() != 0,
    });
    if gap {
        problems.push("the ordinals of a commit in it have a gap".to_owned());
    }
    Ok(())
}

fn decode(batch: &RecordBatch, positions: &[Position], file: &DataFile, letters: bool) -> Result<(), String> {
    if letters {
        let whole = (0..batch.num_rows()).all(|row| letter(batch, row).is_some());
        return if whole { Ok(()) } else { Err("it lacks a column of dead letters".to_owned()) };
    }
    let columns = EventColumns::of(batch)?;
    let (mut interner, mut last) = Default::default();
    for (row, position) in positions.iter().enumerate() {
        columns.event(row, *position, file, &mut interner, &mut last, None)?;
    }
    Ok(())
}
