//! A small database whose clients write in interleaved transactions.

use super::{
    case::Case,
    connector::{Binlog, Connectors, Sent},
    step::{Script, Step, What},
    table::{Connector, Row, TABLES, Table},
};

/// What a transaction did to a row, or to a table.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Created(Row),
    Updated(Row, Row),
    Deleted(Row),
    /// A key update.
    Moved(Row, Row),
    Truncated,
    Message(u16),
}

/// One change in the database's log.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) table: usize,
    pub(super) kind: Kind,
    /// The columns of the record's key.
    pub(super) key: &'static [&'static str],
    pub(super) lsn: u64,
    /// Changes of one statement share it.
    pub(super) statement: u64,
    /// When the statement began, in microseconds.
    pub(super) began_at: i64,
    pub(super) cases: Vec<Case>,
}

/// An open transaction.
#[derive(Debug, Default)]
struct Transaction {
    changes: Vec<Change>,
}

#[derive(Debug)]
pub(super) struct Database {
    pub(super) tables: Vec<Table>,
    pub(super) connectors: Connectors,
    open: [Option<Transaction>; 3],
    lsn: u64,
    statement: u64,
    clock: i64,
    backup: Option<Backup>,
}

/// What a restore goes back to.
#[derive(Debug, Clone)]
struct Backup {
    tables: Vec<Table>,
    lsn: u64,
    binlog: Binlog,
}

/// 2026-09-28T08:00:00Z, in microseconds.
const BEGINNING: i64 = 1_790_582_400_000_000;

impl Database {
    /// Plays a script to its end.
    pub(super) fn play(script: &Script) -> Self {
        let mut database = Self {
            tables: TABLES.iter().map(Table::new).collect(),
            connectors: Connectors::new(script.seed, script.restored),
            open: [None, None, None],
            lsn: 96_500_000,
            statement: 0,
            clock: BEGINNING,
            backup: None,
        };
        for table in 0..TABLES.len() {
            // Some have no rows yet where the first backup is made, so that a restore empties them.
            let is_empty = script.restored.is_some() && (script.seed >> (8 + 4 * table) & 15).is_multiple_of(3);
            for id in (1..=script.rows_before).filter(|_| !is_empty) {
                let row = database.tables[table].row(id, id as u16 * 31);
                database.tables[table].rows.insert(id, row);
            }
            if script.snapshot {
                database.read(table, Case::InitialSnapshot, 0);
            }
        }
        if script.restored.is_some() {
            database.back_up();
        }
        for step in &script.steps {
            database.step(*step);
        }
        for slot in 0..database.open.len() {
            database.commit(slot, 4);
        }
        if script.restored.is_some() && script.seed.is_multiple_of(2) {
            database.connectors.new_epoch("postgresql/gen", 99, database.clock);
            database.connectors.new_epoch("mariadb/maria", 99, database.clock);
        }
        database
    }

    fn step(&mut self, step: Step) {
        let Step { what, slot, table, id, arg } = step;
        match what {
            What::Commit => self.commit(slot, arg),
            What::Insert => self.insert(step, id),
            What::Copy => self.copy(step),
            What::Truncate => self.truncate(step),
            What::Message => self.message(step),
            What::Shift => self.shift(step),
            What::Snapshot => self.read(table, Case::IncrementalSnapshot, arg),
            What::AlterColumns => self.alter_columns(table),
            What::AlterKey => self.alter_key(arg),
            What::Resend => self.connectors.resend(usize::from(arg % 7) + 1),
            What::Domain => self.connectors.domain_event(id, arg, self.clock),
            What::Backup => self.back_up(),
            What::Restore => self.restore(arg),
            What::NewEpoch => {
                let origin = if arg.is_multiple_of(3) { "mariadb/maria" } else { "postgresql/gen" };
                self.connectors.new_epoch(origin, u32::from(arg % 5), self.clock);
            }
            What::Update | What::UpdateNothing | What::Delete | What::Move | What::Replace => {
                let rows: Vec<i64> = self.tables[table].rows.keys().copied().collect();
                match rows.get(id as usize % rows.len().max(1)) {
                    None => self.insert(step, id),
                    Some(&id) if !self.tables[table].is_free(id, slot) => {}
                    Some(&id) => self.write(step, id),
                }
            }
        }
    }

    /// A backup has what is committed.
    fn back_up(&mut self) {
        for slot in 0..self.open.len() {
            self.commit(slot, 5);
        }
        let (tables, binlog) = (self.tables.clone(), self.connectors.binlog.clone());
        self.backup = Some(Backup { tables, lsn: self.lsn, binlog });
    }

    /// What was not committed is lost, and what was committed since the backup. The connectors start anew, some with a
    /// snapshot, of which some stop before its end.
    fn restore(&mut self, arg: u16) {
        let Some(Backup { tables, lsn, binlog }) = self.backup.clone() else { return self.back_up() };
        self.open = [None, None, None];
        self.tables = tables;
        self.lsn = lsn + u64::from(arg % 64);
        self.clock += 5_000_000;
        let is_other = arg.is_multiple_of(7);
        // A connector that starts anew may know the end of the transaction that was committed last, or not.
        let last_commit_lsn = (!arg.is_multiple_of(3)).then_some(self.lsn);
        self.connectors.restore(binlog, last_commit_lsn, is_other);
        if arg % 4 == 3 {
            return;
        }
        let (lsn, clock) = (self.lsn, self.clock);
        for connector in [Connector::Postgres, Connector::MariaDb] {
            let tables = self.tables.iter().enumerate();
            let of_it = tables.filter(|(_, table)| table.definition.connector == connector);
            let rows: Vec<(usize, Row)> =
                of_it.flat_map(|(at, table)| table.rows.values().map(move |row| (at, row.clone()))).collect();
            let last = rows.len().saturating_sub(1);
            for (at, (table, row)) in rows.iter().enumerate() {
                let marker = match at {
                    _ if at == last && arg % 4 == 2 => break,
                    _ if at == last => "last",
                    0 => "first",
                    _ => "true",
                };
                self.connectors.read_whole(&self.tables[*table], row, marker, lsn, clock);
            }
            for (table, row) in rows {
                self.tables[table].show(&row);
            }
        }
        self.lsn += 8;
    }

    /// Changes a row that exists and is free.
    fn write(&mut self, step: Step, id: i64) {
        self.begin_statement();
        let table = &self.tables[step.table];
        let row = table.rows[&id].clone();
        match step.what {
            What::Update => {
                let after = table.changed(&row, step.arg);
                self.update(step, id, row, after);
            }
            What::UpdateNothing => self.update(step, id, row.clone(), row),
            What::Delete => self.delete(step, id, row),
            What::Replace => {
                let after = table.row(id, step.arg);
                self.delete(step, id, row);
                self.begin_statement();
                self.create(step, id, after, vec![Case::DeleteAndInsertInOneTransaction]);
            }
            _ => {
                let by_level = table.key.contains(&"lvl") && step.arg.is_multiple_of(2);
                let free = (1..12).find(|id| !table.rows.contains_key(id) && table.is_free(*id, step.slot));
                let to = if by_level { Some(id) } else { free };
                let Some(to) = to else { return };
                let mut after = if step.arg % 4 < 2 { row.clone() } else { table.changed(&row, step.arg) };
                after.insert("id".to_owned(), to.into());
                if by_level {
                    after.insert("lvl".to_owned(), format!("M{}", step.arg % 5).into());
                }
                if by_level && after["lvl"] == row["lvl"] {
                    return;
                }
                self.tables[step.table].rows.remove(&id);
                self.relocate(step, id, to, row, after, vec![Case::KeyUpdate]);
            }
        }
    }

    fn insert(&mut self, step: Step, id: i64) {
        let table = &self.tables[step.table];
        if !table.is_free(id, step.slot) {
            return;
        }
        let row = table.rows.get(&id).cloned();
        let after = table.row(id, step.arg);
        self.begin_statement();
        match row {
            None => self.create(step, id, after, Vec::new()),
            Some(row) => {
                let after = self.tables[step.table].changed(&row, step.arg);
                self.update(step, id, row, after);
            }
        }
    }

    fn copy(&mut self, step: Step) {
        let table = &self.tables[step.table];
        let fresh = (1..9).filter(|id| !table.rows.contains_key(id) && table.is_free(*id, step.slot));
        let ids: Vec<i64> = fresh.take(3).collect();
        self.begin_statement();
        let lsn = self.lsn;
        for id in ids {
            let row = self.tables[step.table].row(id, step.arg.wrapping_add(id as u16));
            self.create(step, id, row, vec![Case::RowsAtOnePosition]);
            self.lsn = lsn;
        }
        // Beyond the rows: what the transaction does next stands after them.
        self.lsn += 256;
    }

    /// `UPDATE … SET id = id + 1`, the rows in either order.
    fn shift(&mut self, step: Step) {
        let table = &mut self.tables[step.table];
        if !table.is_free_for(step.slot) {
            return;
        }
        let mut rows: Vec<(i64, Row)> = std::mem::take(&mut table.rows).into_iter().collect();
        // MariaDB has no deferred constraints.
        if step.arg.is_multiple_of(4) || table.definition.connector == Connector::MariaDb {
            rows.reverse();
        }
        self.begin_statement();
        for (at, (id, row)) in rows.iter().enumerate() {
            let mut after = row.clone();
            after.insert("id".to_owned(), (id + 1).into());
            let mut cases = vec![Case::KeyUpdate, Case::DeferredShift];
            if rows[at + 1..].iter().any(|(other, _)| *other == id + 1) {
                cases.push(Case::CreateOntoRow);
            }
            self.relocate(step, *id, id + 1, row.clone(), after, cases);
        }
    }

    fn create(&mut self, step: Step, id: i64, row: Row, mut cases: Vec<Case>) {
        let transaction = self.open[step.slot].as_ref();
        let reused = transaction.is_some_and(|open| {
            open.changes.iter().any(|change| {
                change.table == step.table
                    && matches!(&change.kind, Kind::Deleted(row) | Kind::Moved(row, _) if row["id"] == id)
            })
        });
        if reused {
            cases.push(Case::KeyReusedInOneTransaction);
        }
        self.tables[step.table].rows.insert(id, row.clone());
        self.record(step, id, Kind::Created(row), cases);
    }

    fn update(&mut self, step: Step, id: i64, row: Row, after: Row) {
        let table = &mut self.tables[step.table];
        let mut cases = Vec::new();
        if after == row {
            cases.push(Case::UpdateOfNothing);
        }
        if after.iter().any(|(name, value)| value.is_null() && row.get(name).is_some_and(|old| !old.is_null())) {
            cases.push(Case::UpdateToNull);
        }
        if table.extra && after["extra"].is_null() && table.shown.contains(&id) && !table.shown_extra.contains(&id) {
            cases.push(Case::AbsentThenNull);
        }
        table.rows.insert(id, after.clone());
        self.record(step, id, Kind::Updated(row, after), cases);
    }

    fn delete(&mut self, step: Step, id: i64, row: Row) {
        self.tables[step.table].rows.remove(&id);
        self.record(step, id, Kind::Deleted(row), Vec::new());
    }

    fn relocate(&mut self, step: Step, id: i64, to: i64, row: Row, after: Row, cases: Vec<Case>) {
        let table = &mut self.tables[step.table];
        table.locks.insert(id, step.slot);
        table.rows.insert(to, after.clone());
        self.record(step, to, Kind::Moved(row, after), cases);
    }

    fn truncate(&mut self, step: Step) {
        let names = if step.arg.is_multiple_of(3) { vec![0, 1] } else { vec![step.table] };
        if !names.iter().all(|&table| self.tables[table].is_free_for(step.slot)) {
            return;
        }
        self.begin_statement();
        let lsn = self.lsn;
        for &table in &names {
            let open = self.open[step.slot].as_ref();
            let mut cases = vec![Case::Truncate];
            if names.len() > 1 {
                cases.push(Case::TruncateOfSeveralTables);
            }
            if open.is_some_and(|open| open.changes.iter().any(|change| change.table == table)) {
                cases.push(Case::TruncateAmongInserts);
            }
            self.tables[table].rows.clear();
            self.tables[table].locked = Some(step.slot);
            self.lsn = lsn;
            self.record(Step { table, ..step }, 0, Kind::Truncated, cases);
        }
    }

    fn message(&mut self, step: Step) {
        self.begin_statement();
        let mut change = self.change(Step { table: 0, ..step }, Kind::Message(step.arg), vec![Case::LogicalMessage]);
        if step.arg.is_multiple_of(2) {
            change.cases.push(Case::LogicalMessageOutsideTransaction);
            let sent = Sent { transaction: None, committed_at: self.clock, end_lsn: self.lsn };
            self.connectors.send(sent, &[change], &mut self.tables);
        } else {
            self.open[step.slot].get_or_insert_default().changes.push(change);
        }
    }

    fn alter_columns(&mut self, table: usize) {
        self.finish_writers(table);
        let table = &mut self.tables[table];
        table.extra = !table.extra;
        table.shown_extra.clear();
        for row in table.rows.values_mut() {
            row.shift_remove("extra");
            if table.extra {
                row.insert("extra".to_owned(), serde_json::Value::Null);
            }
        }
        self.connectors.counts.count(if table.extra { Case::AddedColumn } else { Case::DroppedColumn });
    }

    fn alter_key(&mut self, arg: u16) {
        let Some(at) = TABLES.iter().position(|table| table.keys.len() > 1) else { return };
        self.finish_writers(at);
        let table = &mut self.tables[at];
        let Some(next) = table.definition.keys.iter().skip_while(|key| **key != table.key).nth(1) else { return };
        table.key = next;
        if arg.is_multiple_of(3) {
            self.read(at, Case::IncrementalSnapshot, arg);
        }
    }

    /// An ALTER waits for the transactions that have written to its table.
    fn finish_writers(&mut self, table: usize) {
        let table = &self.tables[table];
        let mut writers: Vec<usize> = table.locks.values().copied().chain(table.locked).collect();
        writers.sort_unstable();
        writers.dedup();
        for slot in writers {
            self.commit(slot, 5);
        }
    }

    /// A snapshot of what is committed: rows that a transaction holds are left to its events.
    fn read(&mut self, table: usize, case: Case, arg: u16) {
        if self.tables[table].locked.is_some() {
            return;
        }
        let rows = self.tables[table].rows.iter();
        let free = rows.filter(|(id, _)| !self.tables[table].locks.contains_key(id));
        let rows: Vec<Row> = free.map(|(_, row)| row.clone()).collect();
        let connector_clock = self.clock + [0, -3_600_000_000, 3_600_000_000, 1][usize::from(arg % 4)];
        for row in &rows {
            self.connectors.read(&self.tables[table], row, case, self.lsn, connector_clock);
        }
        for row in rows {
            self.tables[table].show(&row);
        }
    }

    fn begin_statement(&mut self) {
        self.statement += 1;
    }

    fn change(&mut self, step: Step, kind: Kind, cases: Vec<Case>) -> Change {
        self.lsn += 8 + u64::from(step.arg % 128);
        if self.connectors.are_restored() {
            // No place in a log is another's again after a restore.
            self.lsn = self.lsn / 64 * 64 + 64 + u64::from(self.connectors.restores() % 64);
        }
        let key = self.tables[step.table].key;
        let statement = self.statement;
        Change { table: step.table, kind, key, lsn: self.lsn, statement, began_at: self.clock, cases }
    }

    fn record(&mut self, step: Step, id: i64, kind: Kind, cases: Vec<Case>) {
        let change = self.change(step, kind, cases);
        self.tables[step.table].locks.insert(id, step.slot);
        self.open[step.slot].get_or_insert_default().changes.push(change);
    }

    fn commit(&mut self, slot: usize, arg: u16) {
        let Some(transaction) = self.open[slot].take() else { return };
        self.clock += match arg % 9 {
            0 => 0,
            1 => -2_000_000,
            2 => 1,
            3 => 3_600_000_000,
            4 => -1,
            _ => 700_000,
        };
        self.lsn += 48;
        let interleaved = self.open.iter().flatten().any(|open| !open.changes.is_empty());
        if interleaved {
            self.connectors.counts.count(Case::TransactionsInterleaved);
        }
        // A database has one transaction over tables that live in two; each connector sees its own part.
        for connector in [Connector::Postgres, Connector::MariaDb] {
            let changes = transaction.changes.iter().filter(|change| TABLES[change.table].connector == connector);
            let changes: Vec<Change> = changes.cloned().collect();
            let number = 5_000 + self.statement;
            let transaction = (connector == Connector::Postgres || !arg.is_multiple_of(4)).then_some(number);
            let sent = Sent { transaction, committed_at: self.clock, end_lsn: self.lsn };
            self.connectors.send(sent, &changes, &mut self.tables);
        }
        for table in &mut self.tables {
            table.release(slot);
        }
    }
}
