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
}

/// Scripts of up to this many steps.
pub fn scripts(most_steps: usize) -> impl Strategy<Value = Script> {
    (0..5_i64, any::<bool>(), vec(step(), 1..=most_steps), any::<u64>())
        .prop_map(|(rows_before, snapshot, steps, seed)| Script { rows_before, snapshot, steps, seed })
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
