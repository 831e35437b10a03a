//! A data file of a table, as far as finding things needs to know it.

use std::{collections::HashMap, sync::Arc};

use deltafold_event::{Position, Timestamp};
use deltalake::kernel::Add;
use serde::Deserialize;

/// A control aggregate that a file has an event of: type and id.
pub(crate) type Control = (Arc<str>, Arc<str>);

/// A data file. The ranges of two files of a table never overlap.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DataFile {
    /// Its path in the table.
    pub(crate) path: String,
    /// In bytes.
    pub(crate) size: u64,
    /// How many rows it has; at least one.
    pub(crate) rows: u64,
    /// The position of its first row.
    pub(crate) first: Position,
    /// The position of its last row.
    pub(crate) last: Position,
    /// The time of the (last) commit whose rows it holds.
    pub(crate) committed_at: Timestamp,
    /// Whether it holds the rows of several commits, with their positions in a column.
    pub(crate) compacted: bool,
    /// How many bytes its rows have in memory.
    pub(crate) raw_bytes: u64,
    /// The least and greatest aggregate type.
    pub(crate) types: Option<(Box<str>, Box<str>)>,
    /// The earliest and latest `occurred_at`.
    pub(crate) occurred: Option<(Timestamp, Timestamp)>,
    /// The control aggregates it has events of.
    pub(crate) control: Vec<Control>,
}

/// What is in the statistics of an Add, as far as we read it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statistics {
    num_records: u64,
    #[serde(default)]
    min_values: Bounds,
    #[serde(default)]
    max_values: Bounds,
}

#[derive(Debug, Default, Deserialize)]
struct Bounds {
    aggregate_type: Option<Box<str>>,
    occurred_at: Option<String>,
}

/// What an Add says of its file, from a log entry or a checkpoint.
#[derive(Debug, Clone, Default)]
pub(crate) struct Described {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) statistics: Option<String>,
    pub(crate) tags: HashMap<String, String>,
}

impl From<Add> for Described {
    fn from(add: Add) -> Self {
        Self {
            path: add.path,
            size: add.size.try_into().unwrap_or(0),
            statistics: add.stats,
            tags: add.tags.unwrap_or_default().into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        }
    }
}

/// The tags that make positions and control aggregates known from a checkpoint (D3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tags {
    pub(crate) place: Place,
    pub(crate) committed_at: Timestamp,
    pub(crate) raw_bytes: u64,
    pub(crate) control: Vec<Control>,
}

/// Where the rows of a file stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the commit of this version.
    Version(u64),
    /// From this position to that one.
    Range(Position, Position),
}

impl Default for Place {
    fn default() -> Self {
        Self::Version(0)
    }
}

impl Tags {
    pub(crate) fn to_map(&self) -> HashMap<String, Option<String>> {
        let mut tags = HashMap::new();
        let mut set = |name: &str, value: String| tags.insert(name.to_owned(), Some(value));
        match self.place {
            Place::Version(version) => {
                set("version", version.to_string());
            }
            Place::Range(first, last) => {
                set("from", first.to_string());
                set("to", last.to_string());
            }
        }
        set("committed_at", self.committed_at.as_micros().to_string());
        set("raw_bytes", self.raw_bytes.to_string());
        if !self.control.is_empty() {
            set("control", serde_json::to_string(&self.control).expect("pairs of texts are JSON"));
        }
        tags
    }
}

impl DataFile {
    /// Reads what an Add says.
    pub(crate) fn read(add: Described) -> Result<Self, String> {
        let place = || format!("the Add of {}", add.path);
        let tag = |name: &str| add.tags.get(name).map(String::as_str);
        let missing = |what: &str| format!("{} has no {what}: it was written by another program", place());
        let statistics = add.statistics.as_deref().ok_or_else(|| missing("statistics"))?;
        let statistics: Statistics =
            serde_json::from_str(statistics).map_err(|error| format!("the statistics of {}: {error}", place()))?;
        let rows = statistics.num_records;
        if rows == 0 {
            return Err(format!("{} says that it has no rows", place()));
        }
        let position = |text: &str| text.parse::<Position>().map_err(|error| format!("{}: {error}", place()));
        let (first, last, compacted) = match (tag("version"), tag("from"), tag("to")) {
            (Some(version), ..) => {
                let version = version.parse().map_err(|_| format!("{} has version {version:?}", place()))?;
                let last = u32::try_from(rows - 1).map_err(|_| format!("{} has {rows} rows", place()))?;
                let at = |ordinal| Position::new(version, ordinal).map_err(|error| format!("{}: {error}", place()));
                (at(0)?, at(last)?, false)
            }
            (None, Some(first), Some(last)) => (position(first)?, position(last)?, true),
            _ => return Err(missing("tag `version`, nor `from` and `to`")),
        };
        let committed_at = tag("committed_at").and_then(|micros| micros.parse().ok()).map(Timestamp::from_micros);
        let control = tag("control").map(serde_json::from_str::<Vec<Control>>).transpose();
        let moment = |text: Option<String>| text.and_then(|text| text.parse::<Timestamp>().ok());
        Ok(Self {
            size: add.size,
            rows,
            first,
            last,
            committed_at: committed_at.ok_or_else(|| missing("tag `committed_at`"))?,
            compacted,
            raw_bytes: tag("raw_bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(add.size * 16),
            types: statistics.min_values.aggregate_type.zip(statistics.max_values.aggregate_type),
            occurred: moment(statistics.min_values.occurred_at).zip(moment(statistics.max_values.occurred_at)),
            control: control.map_err(|error| format!("the control tag of {}: {error}", place()))?.unwrap_or_default(),
            path: add.path,
        })
    }

    /// Whether a row of this aggregate type may be in it.
    pub(crate) fn may_hold_type(&self, aggregate_type: &str) -> bool {
        self.types.as_ref().is_none_or(|(least, greatest)| &**least <= aggregate_type && aggregate_type <= &**greatest)
    }

    /// Whether it has an event of a control aggregate, or of any of the type.
    pub(crate) fn has_control(&self, aggregate_type: &str, id: Option<&str>) -> bool {
        self.control.iter().any(|(found, other)| &**found == aggregate_type && id.is_none_or(|id| id == &**other))
    }
}
