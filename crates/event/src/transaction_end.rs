//! What a source says of a transaction that has ended.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The end of a transaction: how many events it has. A `$transaction` event holds a list of them, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Told", into = "Told")]
pub struct TransactionEnd {
    /// The server name of its origin, as the events' source blocks have it.
    pub origin: String,
    /// The transaction, as [`crate::Event::transaction_id`] has it.
    pub transaction: String,
    /// How many events it has, in all partitions of all topics.
    pub events: u64,
    /// When it ended, in whole milliseconds: never before the millisecond of its last event.
    pub ended_at: Timestamp,
}

/// How one is written: `["shop","2725",3,1794297600017]`, the time in milliseconds since 1970.
#[derive(Serialize, Deserialize)]
struct Told(String, String, u64, i64);

impl TransactionEnd {
    /// The `after` of a `$transaction` event.
    pub fn to_json(ends: &[Self]) -> String {
        serde_json::to_string(ends).expect("texts and numbers are always JSON")
    }

    /// The list of such an `after`.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_json(json: &str) -> Result<Vec<Self>, serde_json::Error> {
        serde_json::from_str(json)
    }
}

impl From<Told> for TransactionEnd {
    fn from(Told(origin, transaction, events, ended_at_ms): Told) -> Self {
        Self { origin, transaction, events, ended_at: Timestamp::from_millis(ended_at_ms) }
    }
}

impl From<TransactionEnd> for Told {
    fn from(end: TransactionEnd) -> Self {
        Self(end.origin, end.transaction, end.events, end.ended_at.as_micros().div_euclid(1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_compact_and_comes_back() {
        let end = |transaction: &str| TransactionEnd {
            origin: "shop".into(),
            transaction: transaction.into(),
            events: 3,
            ended_at: Timestamp::from_millis(1_794_297_600_017),
        };
        let ends = [end("2725"), end("0-5401-641")];
        let json = TransactionEnd::to_json(&ends);
        assert_eq!(json, r#"[["shop","2725",3,1794297600017],["shop","0-5401-641",3,1794297600017]]"#);
        assert_eq!(TransactionEnd::from_json(&json).unwrap(), ends);
        assert!(TransactionEnd::from_json("[[1]]").is_err());
    }
}
