//! The stretches of valid time over which a row is the same.

use std::collections::BTreeMap;

use deltafold_event::{EventId, Timestamp};

use super::{image::Content, walk::Happened};

/// What happened to an aggregate at one of its events.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The event.
    pub event: EventId,
    /// Its rank among the aggregate's own distinct events, by position; none of a truncate or a change of key.
    pub revision: Option<u64>,
    /// From when it holds.
    pub valid_from: Timestamp,
    /// The row after it.
    pub content: Option<Content>,
}

/// A stretch of valid time over which a row is there and the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// Its first moment.
    pub valid_from: Timestamp,
    /// The first moment after it, if it has ended.
    pub valid_to: Option<Timestamp>,
    /// The event that it stems from.
    pub event: EventId,
    /// The row.
    pub content: Content,
}

/// The rows of one aggregate type over valid time, as believed at one position.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Relation {
    /// By aggregate id: everything that happened to it, in order.
    pub history: BTreeMap<String, Vec<Entry>>,
    /// By aggregate id: its versions, in order of valid time. Never empty.
    pub versions: BTreeMap<String, Vec<Version>>,
}

impl Relation {
    /// From what happened to each aggregate, in order.
    pub fn of(history: BTreeMap<String, Vec<Entry>>) -> Self {
        let versions = history.iter().map(|(id, entries)| (id.clone(), versions(entries)));
        let versions = versions.filter(|(_, versions)| !versions.is_empty()).collect();
        Self { history, versions }
    }

    /// The rows at a moment.
    pub fn at(&self, moment: Timestamp) -> BTreeMap<&str, &Version> {
        let holds = |version: &&Version| {
            version.valid_from <= moment && version.valid_to.is_none_or(|valid_to| moment < valid_to)
        };
        self.versions.iter().filter_map(|(id, versions)| Some((id.as_str(), versions.iter().find(holds)?))).collect()
    }
}

pub(super) fn relation(happened: BTreeMap<String, Vec<Happened>>) -> Relation {
    Relation::of(happened.into_iter().map(|(id, happened)| (id, entries(&happened))).collect())
}

fn entries(happened: &[Happened]) -> Vec<Entry> {
    let valid = valid_times(happened);
    let rank = |this: &Happened| {
        let arrived = this.arrived?;
        Some(1 + happened.iter().filter(|other| other.arrived.is_some_and(|other| other < arrived)).count() as u64)
    };
    let entry = |(this, valid_from): (&Happened, Timestamp)| Entry {
        event: this.event,
        revision: rank(this),
        valid_from,
        content: this.shown.as_ref().map(|image| image.content()),
    };
    happened.iter().zip(valid).map(entry).collect()
}

/// A log event is never before the log event that precedes it; anything else is held between its neighbours.
fn valid_times(happened: &[Happened]) -> Vec<Timestamp> {
    let mut log: Vec<Option<Timestamp>> = Vec::new();
    let mut last_log = Timestamp::MIN;
    for this in happened {
        if this.log {
            last_log = last_log.max(this.occurred_at);
        }
        log.push(this.log.then_some(last_log));
    }
    let mut valid: Vec<Timestamp> = Vec::new();
    for (at, this) in happened.iter().enumerate() {
        let after = valid.last().copied().unwrap_or(Timestamp::MIN);
        let before = log[at..].iter().flatten().next().copied().unwrap_or(Timestamp::MAX);
        valid.push(log[at].unwrap_or_else(|| this.occurred_at.max(after).min(before)));
    }
    valid
}

fn versions(entries: &[Entry]) -> Vec<Version> {
    let mut versions: Vec<Version> = Vec::new();
    for instant in entries.chunk_by(|a, b| a.valid_from == b.valid_from) {
        let valid_from = instant[0].valid_from;
        // Several events at one instant: the last of them is what is shown.
        let shown = &instant[instant.len() - 1].content;
        let open = versions.last_mut().filter(|version| version.valid_to.is_none());
        match (open, shown) {
            (Some(open), Some(content)) if open.content == *content => continue,
            (Some(open), _) => open.valid_to = Some(valid_from),
            (None, _) => {}
        }
        if let Some(content) = shown {
            let others = instant.iter().rposition(|entry| entry.content.as_ref() != Some(content));
            let first = &instant[others.map_or(0, |last| last + 1)];
            versions.push(Version { valid_from, valid_to: None, event: first.event, content: content.clone() });
        }
    }
    versions
}
