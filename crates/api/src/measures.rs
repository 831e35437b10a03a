//! What the API measures: how long reads take, and how far the views are behind. The names are those of Prometheus's
//! conventions; what each means is told where the recorder is (`deltafold`).

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, Selection};
use deltafold_event::Position;
use deltafold_projector::Catalog;
use metrics::{Histogram, gauge, histogram};

use crate::{
    documents::root_fields,
    model::Model,
    reading::{lag_ms, last_before},
    source_state::SourceState,
};

/// What a read is of, as far as its cost depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadKind {
    /// One row: a seek.
    ByKey,
    /// Rows that a filter leaves.
    List,
    /// What rows that a filter leaves come to.
    Groups,
    /// Rows that differ between two moments.
    Differences,
    /// What happened to one aggregate.
    History,
    /// The audit log.
    Events,
    /// Anything else, or several of these at once.
    Other,
}

impl ReadKind {
    const ALL: [Self; 7] =
        [Self::ByKey, Self::List, Self::Groups, Self::Differences, Self::History, Self::Events, Self::Other];

    fn name(self) -> &'static str {
        match self {
            Self::ByKey => "by_key",
            Self::List => "list",
            Self::Groups => "aggregate",
            Self::Differences => "diff",
            Self::History => "history",
            Self::Events => "events",
            Self::Other => "other",
        }
    }
}

/// The kinds of a schema's root fields.
#[derive(Debug, Default)]
pub(crate) struct ReadKinds(HashMap<String, ReadKind>);

impl ReadKinds {
    /// Those of a model's schema.
    pub(crate) fn new(model: &Model) -> Self {
        let fixed = [("aggregate", ReadKind::History), ("event", ReadKind::Events), ("events", ReadKind::Events)];
        let fixed = fixed.map(|(name, kind)| (name.to_owned(), kind));
        let of_views = model.views.iter().flat_map(|view| {
            let names = &view.names;
            [
                (names.by_key(), ReadKind::ByKey),
                (names.list.clone(), ReadKind::List),
                (names.aggregate(), ReadKind::Groups),
                (names.diff(), ReadKind::Differences),
            ]
        });
        Self(of_views.chain(fixed).collect())
    }

    /// The kind of an operation.
    pub(crate) fn of(&self, document: &ExecutableDocument, operation: &OperationDefinition) -> ReadKind {
        let mut kinds = root_fields(document, operation).into_iter().map(|field| self.of_field(field));
        let first = kinds.next().unwrap_or(ReadKind::Other);
        if kinds.all(|kind| kind == first) { first } else { ReadKind::Other }
    }

    fn of_field(&self, field: &Field) -> ReadKind {
        match self.0.get(field.name.node.as_str()) {
            Some(ReadKind::ByKey) if selects(field, "_history") => ReadKind::History,
            Some(kind) => *kind,
            None => ReadKind::Other,
        }
    }
}

fn selects(field: &Field, name: &str) -> bool {
    let items = &field.selection_set.node.items;
    items.iter().any(|item| matches!(&item.node, Selection::Field(field) if field.node.name.node == name))
}

/// Where the durations of reads go: looked up once, since that costs more than to record one.
pub(crate) struct ReadTimes([Histogram; ReadKind::ALL.len()]);

impl ReadTimes {
    /// Those of the recorder that is installed now, if there is one.
    pub(crate) fn new() -> Self {
        Self(ReadKind::ALL.map(|kind| histogram!("deltafold_read_duration_seconds", "kind" => kind.name())))
    }

    /// A read that began at `began` and ends when what this returns goes: with its answer, or given up.
    pub(crate) fn time(&self, kind: ReadKind, began: Instant) -> ReadTimer<'_> {
        ReadTimer { histogram: &self.0[kind as usize], began }
    }
}

/// A read under way.
pub(crate) struct ReadTimer<'a> {
    histogram: &'a Histogram,
    began: Instant,
}

impl Drop for ReadTimer<'_> {
    fn drop(&mut self) {
        self.histogram.record(self.began.elapsed());
    }
}

/// Tells how far the views have come: once before each look at the metrics, since a lag grows by itself.
pub(crate) fn observe(catalog: &Catalog, high_water_mark: Position) {
    gauge!("deltafold_position").set(last_before(catalog.checkpoint).as_i64() as f64);
    // Not a number while nothing has been folded since the start that would tell.
    let lag = lag_ms(catalog, catalog.checkpoint, high_water_mark);
    let lag_s = lag.map_or(f64::NAN, |lag| Duration::from_millis(lag).as_secs_f64());
    for view in &catalog.views {
        gauge!("deltafold_projection_lag_seconds", "projection" => view.name.to_string()).set(lag_s);
    }
    for origin in &catalog.origins {
        let is_suspect = f64::from(u8::from(origin.suspect.is_some()));
        gauge!("deltafold_origin_suspect", "origin" => origin.id.clone()).set(is_suspect);
    }
}

/// Tells how far the sources have come that this process reads. A partition that it does not read any more is not shown
/// for long: the recorder forgets gauges that nobody sets.
pub(crate) fn observe_sources(states: &[SourceState]) {
    for state in states {
        let is_hindered = f64::from(u8::from(state.hindrance.is_some()));
        gauge!("deltafold_source_hindered", "source" => state.name.clone()).set(is_hindered);
        for partition in &state.partitions {
            let labels = [
                ("source", state.name.clone()),
                ("topic", partition.topic.clone()),
                ("partition", partition.partition.to_string()),
            ];
            let is_stopped = f64::from(u8::from(partition.problem.is_some()));
            gauge!("deltafold_source_partition_stopped", &labels).set(is_stopped);
            gauge!("deltafold_source_uncommitted_records", &labels).set(partition.uncommitted as f64);
            if let Some(lag) = partition.lag {
                gauge!("deltafold_source_lag_records", &labels).set(lag as f64);
            }
        }
    }
}

/// Tells whether a file that says who may do what can be read. If not, what it said before stays in force.
pub(crate) fn observe_credentials(file: &Path, is_wrong: bool) {
    let is_wrong = f64::from(u8::from(is_wrong));
    gauge!("deltafold_credentials_unreadable", "file" => file.display().to_string()).set(is_wrong);
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn a_read_is_of_the_kind_of_all_its_roots() {
        let kinds = [("ordersByKey", ReadKind::ByKey), ("orders", ReadKind::List), ("events", ReadKind::Events)];
        let kinds = ReadKinds(kinds.map(|(name, kind)| (name.to_owned(), kind)).into());
        let kind = |query: &str| {
            let document = parse_query(query).unwrap();
            kinds.of(&document, &document.operations.iter().next().unwrap().1.node)
        };
        assert_eq!(kind("{ ordersByKey(id: 1) { id } }"), ReadKind::ByKey);
        assert_eq!(kind("{ a: ordersByKey(id: 1) { id } b: ordersByKey(id: 2) { id } }"), ReadKind::ByKey);
        assert_eq!(kind("{ ordersByKey(id: 1) { _history { nodes { id } } } }"), ReadKind::History);
        assert_eq!(kind("{ ...f } fragment f on Query { orders { nodes { id } } }"), ReadKind::List);
        assert_eq!(kind("{ orders { totalCount } events { nodes { id } } }"), ReadKind::Other);
        assert_eq!(kind("{ store { events } }"), ReadKind::Other);
    }

    #[test]
    fn kinds_are_where_they_are_looked_up() {
        assert!(ReadKind::ALL.iter().enumerate().all(|(index, kind)| *kind as usize == index));
    }
}
