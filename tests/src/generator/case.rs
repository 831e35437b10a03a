//! The cases that `fold.md` names, and how often each was made.

use std::{collections::BTreeMap, fmt};

/// Something that real streams do and that costs a consumer a right answer if it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each name says it in the words of fold.md")]
pub enum Case {
    DuplicateLogEvent,
    DuplicateTruncateInAnotherPartition,
    DuplicateDomainEvent,
    DuplicateWithoutSequence,
    ReadAgain,
    LateEvent,
    LateTruncate,
    EventBeforeTruncateArrivesLater,
    LateDelete,
    PartitionsInterleaved,
    TransactionsInterleaved,
    InitialSnapshot,
    IncrementalSnapshot,
    EqualSnapshotRow,
    SnapshotHealsUnknownValue,
    SnapshotBeforeItsNeighbour,
    LogEventPullsSnapshotBack,
    UpdateOfNothing,
    UpdateToNull,
    KeyUpdate,
    KeyUpdateInTwoPartitions,
    MovedUnchangedDeleteFirst,
    MovedUnchangedCreateFirst,
    DeferredShift,
    CreateOntoRow,
    DeleteAndInsertInOneTransaction,
    KeyReusedInOneTransaction,
    Truncate,
    TruncateOfSeveralTables,
    TruncateAmongInserts,
    UnchangedText,
    UnchangedBytes,
    UnchangedTexts,
    UnchangedNumbers,
    UnchangedUuids,
    UnchangedBeforeAnyImage,
    UpdateOfUnknownRow,
    DeleteOfUnknownRow,
    FilledBefore,
    Tombstone,
    LogicalMessage,
    LogicalMessageOutsideTransaction,
    DomainEvent,
    ChangedKey,
    ChangedKeyShownBySnapshot,
    LateEventBeforeChangedKey,
    AddedColumn,
    DroppedColumn,
    AbsentThenNull,
    RowsAtOnePosition,
    EqualInstants,
    ClockBackwards,
    WholeBefore,
    UnchangedFromWholeBefore,
    DeclaredKey,
    DeclaredKeyMoves,
    WithoutTransaction,
}

impl Case {
    /// Every case.
    pub const ALL: [Self; 57] = [
        Self::DuplicateLogEvent,
        Self::DuplicateTruncateInAnotherPartition,
        Self::DuplicateDomainEvent,
        Self::DuplicateWithoutSequence,
        Self::ReadAgain,
        Self::LateEvent,
        Self::LateTruncate,
        Self::EventBeforeTruncateArrivesLater,
        Self::LateDelete,
        Self::PartitionsInterleaved,
        Self::TransactionsInterleaved,
        Self::InitialSnapshot,
        Self::IncrementalSnapshot,
        Self::EqualSnapshotRow,
        Self::SnapshotHealsUnknownValue,
        Self::SnapshotBeforeItsNeighbour,
        Self::LogEventPullsSnapshotBack,
        Self::UpdateOfNothing,
        Self::UpdateToNull,
        Self::KeyUpdate,
        Self::KeyUpdateInTwoPartitions,
        Self::MovedUnchangedDeleteFirst,
        Self::MovedUnchangedCreateFirst,
        Self::DeferredShift,
        Self::CreateOntoRow,
        Self::DeleteAndInsertInOneTransaction,
        Self::KeyReusedInOneTransaction,
        Self::Truncate,
        Self::TruncateOfSeveralTables,
        Self::TruncateAmongInserts,
        Self::UnchangedText,
        Self::UnchangedBytes,
        Self::UnchangedTexts,
        Self::UnchangedNumbers,
        Self::UnchangedUuids,
        Self::UnchangedBeforeAnyImage,
        Self::UpdateOfUnknownRow,
        Self::DeleteOfUnknownRow,
        Self::FilledBefore,
        Self::Tombstone,
        Self::LogicalMessage,
        Self::LogicalMessageOutsideTransaction,
        Self::DomainEvent,
        Self::ChangedKey,
        Self::ChangedKeyShownBySnapshot,
        Self::LateEventBeforeChangedKey,
        Self::AddedColumn,
        Self::DroppedColumn,
        Self::AbsentThenNull,
        Self::RowsAtOnePosition,
        Self::EqualInstants,
        Self::ClockBackwards,
        Self::WholeBefore,
        Self::UnchangedFromWholeBefore,
        Self::DeclaredKey,
        Self::DeclaredKeyMoves,
        Self::WithoutTransaction,
    ];
}

/// How often each case occurred.
#[derive(Debug, Clone, Default)]
pub struct Counts(BTreeMap<Case, u64>);

impl Counts {
    /// It occurred once more.
    pub fn count(&mut self, case: Case) {
        *self.0.entry(case).or_default() += 1;
    }

    /// Takes in the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (case, count) in &other.0 {
            *self.0.entry(*case).or_default() += count;
        }
    }

    /// The cases that occurred less often than this.
    pub fn rarer_than(&self, least: u64) -> Vec<(Case, u64)> {
        let counted = Case::ALL.iter().map(|case| (*case, self.0.get(case).copied().unwrap_or_default()));
        counted.filter(|(_, count)| *count < least).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in Case::ALL {
            writeln!(f, "{:>8}  {case:?}", self.0.get(&case).copied().unwrap_or_default())?;
        }
        Ok(())
    }
}
