//! How a projector is set up.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use deltafold_event::ColumnType;

/// Columns whose types the configuration declares: by aggregate type, by column.
pub type Declared = BTreeMap<String, BTreeMap<String, ColumnType>>;

/// The indexes of views: by view, the columns of each.
pub type WantedIndexes = BTreeMap<String, Vec<Vec<String>>>;

/// What a projector does.
#[derive(Debug, Clone)]
pub struct Options {
    /// Types that stand above what the stream says.
    pub declared: Declared,
    /// Which indexes views have.
    pub indexes: WantedIndexes,
    /// The most events folded into one batch of the view store, where so many wait: what a batch changes twice is written
    /// once, and a key of a join of which several rows change is read and written once. A batch is in memory, with what
    /// follows from it.
    pub batch_events: usize,
    /// The most newest records held in memory during a bulk load, where each would else be written with every batch;
    /// one takes about a kilobyte.
    pub held_records: usize,
    /// The most events of one aggregate, and of all aggregates with moves, held in memory while a type is loaded from
    /// nothing; a type with more is folded in the order of positions.
    pub held_events: usize,
    /// The most changes that a build folds at once. A key with as many is folded in several pieces, each of which has
    /// to remember what the ones before came to.
    pub built_changes: usize,
    /// How many pairs of joined rows follow from one change at once: of one of which more do, they are folded in pieces of
    /// about as many, and seen when all are.
    pub joined_pairs: u64,
    /// For how long such pieces are folded before what has come meanwhile is.
    pub folded_on: Duration,
    /// For how long what derived views were believed to be is kept, from when it was recorded on.
    pub kept_beliefs: Duration,
    /// For how long a view is shown whose definition was removed, from then on: who asks it is told that it goes.
    pub keep_removed: Duration,
    /// The sources whose origins go on by themselves in a new epoch when they are restored (`on_reset = "continue"`).
    pub continue_on_reset: BTreeSet<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            declared: BTreeMap::new(),
            indexes: BTreeMap::new(),
            batch_events: 32_768,
            held_records: 400_000,
            held_events: 262_144,
            built_changes: 16_384,
            joined_pairs: 10_000,
            folded_on: Duration::from_millis(100),
            kept_beliefs: Duration::from_secs(60 * 60),
            keep_removed: Duration::from_secs(24 * 60 * 60),
            continue_on_reset: BTreeSet::new(),
        }
    }
}
