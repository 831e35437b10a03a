//! What an event's metadata says of where it comes from.

use std::borrow::Cow;

use deltafold_event::{Event, RawMembers};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One start of a connector's task: a UUIDv7, so that a later start has a greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct RunId(u128);

impl RunId {
    /// The least one that is later.
    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The header that says which start of the connector sent a record.
const RUN_HEADER: &str = "\"__debezium.context.runId\"";

/// Where a row of a snapshot stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// The connector has read everything that it wanted to.
    Last,
    Other,
}

/// What the source block, the key and the headers say, as far as origins go. Texts are as JSON writes them.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    pub(super) connector: Cow<'a, str>,
    pub(super) server: Cow<'a, str>,
    sequence: Option<&'a str>,
    snapshot: Option<&'a str>,
    lsn: Option<&'a str>,
    file: Option<&'a str>,
    pos: Option<&'a str>,
    pub(super) has_key: bool,
    pub(super) run: Option<RunId>,
}

impl<'a> Said<'a> {
    /// Of an event whose source block names a connector and a server.
    pub(super) fn of(event: &'a Event) -> Option<Self> {
        let mut said = Self::default();
        for (name, value) in RawMembers::new(&event.metadata) {
            match name {
                "source" => RawMembers::new(value).for_each(|(name, value)| said.add(name, value)),
                "key" => said.has_key = value != "null",
                "headers" => said.run = run_of(value),
                _ => {}
            }
        }
        (!said.connector.is_empty() && !said.server.is_empty()).then_some(said)
    }

    fn add(&mut self, name: &str, value: &'a str) {
        if value == "null" {
            return;
        }
        match name {
            "connector" => self.connector = text(value),
            "name" => self.server = text(value),
            "sequence" => self.sequence = Some(value),
            "snapshot" => self.snapshot = Some(value),
            "lsn" => self.lsn = Some(value),
            "file" => self.file = Some(value),
            "pos" => self.pos = Some(value),
            _ => {}
        }
    }

    /// PostgreSQL's `sequence`: where the transaction committed last before ended, and where the change stands. None
    /// where it starts with null.
    pub(super) fn sequence(&self) -> Option<(u64, u64)> {
        let mut numbers = self.sequence?.split(|sign: char| !sign.is_ascii_digit()).filter(|digits| !digits.is_empty());
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(commit), Some(lsn), None) => Some((commit.parse().ok()?, lsn.parse().ok()?)),
            _ => None,
        }
    }

    /// Of a row that a snapshot read as one of all rows of its table. Incremental snapshots are told in pieces, between
    /// which the table changes: nobody says when one is complete.
    pub(super) fn marker(&self) -> Option<Marker> {
        let marker = self.snapshot?.trim_start_matches("{\"string\":").trim_end_matches('}').trim_matches('"');
        match marker {
            "false" | "incremental" => None,
            "last" => Some(Marker::Last),
            _ => Some(Marker::Other),
        }
    }

    /// Where the log stood at a row's snapshot: the same for all of its rows.
    pub(super) fn snapshot_place(&self) -> [&'a str; 3] {
        [self.lsn, self.file, self.pos].map(Option::unwrap_or_default)
    }
}

/// The text of a JSON string.
fn text(value: &str) -> Cow<'_, str> {
    match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        _ => Cow::Owned(serde_json::from_str(value).unwrap_or_default()),
    }
}

/// The run id among headers, an array of name, value, name, value. A quote inside of another header's text has a
/// backslash before it, so that the name with its quotes is found as a string of its own only.
fn run_of(headers: &str) -> Option<RunId> {
    let (_, rest) = headers.split_once(RUN_HEADER)?;
    let value = rest.trim_start().strip_prefix(',')?.trim_start().strip_prefix('"')?;
    let (id, _) = value.split_once('"')?;
    Some(RunId(Uuid::parse_str(id).ok()?.as_u128()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_numbers() {
        let sequence = |text: &'static str| Said { sequence: Some(text), ..Said::default() }.sequence();
        assert_eq!(sequence(r#""[\"96909144\",\"96908176\"]""#), Some((96_909_144, 96_908_176)));
        assert_eq!(sequence(r#""[null,\"96908176\"]""#), None);
        assert_eq!(sequence(r#""[\"9\",null]""#), None);
        assert_eq!(Said::default().sequence(), None);
    }

    #[test]
    fn runs_come_from_the_headers() {
        let headers = |name: &str, id: &str| {
            format!(r#"["a","say \"__debezium.context.runId\",\"1\"","{name}", "{id}","b",null]"#)
        };
        let id = "01a1fe0d-b0b2-7651-b07f-1f9d7b7c8646";
        let later = "01a1fe0d-b0b2-7651-b07f-1f9d7b7c8647";
        let run = |id| run_of(&headers("__debezium.context.runId", id));
        assert!(run(id).is_some() && run(id) < run(later));
        assert_eq!(run(id).map(RunId::next), run(later));
        assert_eq!(run_of(&headers("runId", id)), None);
        assert_eq!(run("none"), None);
    }

    #[test]
    fn rows_of_whole_snapshots_are_told_from_others() {
        let marker = |text: &'static str| Said { snapshot: Some(text), ..Said::default() }.marker();
        assert_eq!(marker(r#""last""#), Some(Marker::Last));
        assert_eq!(marker(r#"{"string":"last"}"#), Some(Marker::Last));
        for other in [r#""first""#, r#""true""#, r#""last_in_data_collection""#, "true"] {
            assert_eq!(marker(other), Some(Marker::Other), "{other}");
        }
        for none in [r#""false""#, "false", r#""incremental""#] {
            assert_eq!(marker(none), None, "{none}");
        }
    }
}
