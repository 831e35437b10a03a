//! What a generated script tells the database to do.

use proptest::{collection::vec, prelude::*};

/// One thing that clients of the database, its operator or the connector do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Insert a row, or update it where it exists.
    Insert,
    /// Change some columns.
    Update,
    /// An update that changes nothing.
    UpdateNothing,
    /// Delete a row.
    Delete,
    /// Give a row another key.
    Move,
    /// `id = id + 1` over all rows, under a deferred constraint.
    Shift,
    /// Delete a row and insert it again.
    Replace,
    /// Insert several rows in one go, all at one position.
    Copy,
    /// Commit the transaction.
    Commit,
    /// Empty one table or several.
    Truncate,
    /// Write a logical message.
    Message,
    /// Read the table again (an incremental snapshot).
    Snapshot,
    /// Add a column, or drop it again.
    AlterColumns,
    /// Change the columns of the primary key.
    AlterKey,
    /// The connector sends again what it sent last.
    Resend,
    /// Append a domain event.
    Domain,
    /// Back the databases up.
    Backup,
    /// Restore them from the backup: what happened since is lost, and the connectors start anew.
    Restore,
    /// The operator lets a database go on that was restored.
    NewEpoch,
}

/// A step: what is done, in which of the open transactions, to which table and row; `arg` decides the details.
/// Every step is possible in every state of the database, so that a script can be shortened anywhere.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What is done.
    pub what: What,
    /// In which transaction.
    pub slot: usize,
    /// To which table.
    pub table: usize,
    /// To which row.
    pub id: i64,
    /// The details.
    pub arg: u16,
}

/// A history of a small database, and how its stream is delivered.
#[derive(Debug, Clone)]
pub struct Script {
    /// Rows that are there before the connector starts, per table.
    pub rows_before: i64,
    /// Whether the connector starts with a snapshot of them.
    pub snapshot: bool,
    /// What happens then.
    pub steps: Vec<Step>,
    /// Of everything about partitions and delivery.
    pub seed: u64,
    /// Where databases are restored: whether connectors say which run of theirs sends a record.
    pub restored: Option<bool>,
}

/// Scripts of up to this many steps.
pub fn scripts(most_steps: usize) -> impl Strategy<Value = Script> {
    (0..5_i64, any::<bool>(), vec(step(), 1..=most_steps), any::<u64>())
        .prop_map(|(rows_before, snapshot, steps, seed)| Script { rows_before, snapshot, steps, seed, restored: None })
}

/// Scripts in which databases are restored. The columns of keys never change in them: what events that are taken back
/// showed of them stays known.
pub fn restored_scripts(most_steps: usize) -> impl Strategy<Value = Script> {
    let step = (step(), 0..60_u8).prop_map(|(step, dice)| {
        let what = match (dice, step.what) {
            (0, _) => What::Backup,
            (1..4, _) => What::Restore,
            (4..6, _) => What::NewEpoch,
            // Many small transactions, so that some come after a restore.
            (6..20, _) => What::Commit,
            (_, What::AlterKey) => What::Snapshot,
            (_, what) => what,
        };
        // Mostly the same few rows, so that what comes after a restore meets what came before in its partition.
        let table = if step.arg.is_multiple_of(3) { step.table } else { [0, 3][usize::from(step.arg) % 2] };
        Step { what, table, id: 1 + step.id % 3, ..step }
    });
    let steps = vec(step, most_steps / 3..=most_steps);
    (0..5_i64, any::<bool>(), steps, any::<u64>(), proptest::bool::weighted(0.75)).prop_map(
        |(rows_before, snapshot, steps, seed, has_runs)| Script {
            rows_before,
            snapshot,
            steps,
            seed,
            restored: Some(has_runs),
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        10 => Just(What::Insert),
        18 => Just(What::Update),
        4 => Just(What::UpdateNothing),
        7 => Just(What::Delete),
        8 => Just(What::Move),
        4 => Just(What::Shift),
        4 => Just(What::Replace),
        3 => Just(What::Copy),
        24 => Just(What::Commit),
        4 => Just(What::Truncate),
        3 => Just(What::Message),
        10 => Just(What::Snapshot),
        5 => Just(What::AlterColumns),
        3 => Just(What::AlterKey),
        5 => Just(What::Resend),
        7 => Just(What::Domain),
    ];
    (what, 0..3_usize, 0..super::table::TABLES.len(), 1..6_i64, any::<u16>())
        .prop_map(|(what, slot, table, id, arg)| Step { what, slot, table, id, arg })
}
