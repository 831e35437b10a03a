//! What a memory says was believed.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use deltafold_event::{Position, Timestamp};
use deltafold_relation::Record;

use super::shelf::Shelf;
use crate::naive::{Content, Entry, Relation};

impl Shelf {
    /// The relation as believed at a position.
    pub(super) fn believed(&self, at: Position) -> Relation {
        let aggregates = self.records.keys().chain(self.superseded.keys());
        let histories = aggregates.map(|aggregate| {
            let records = self.records_at(aggregate, at);
            check_order(aggregate, &records);
            (aggregate.to_string(), records.iter().map(entry).collect::<Vec<_>>())
        });
        let histories: BTreeMap<_, _> = histories.filter(|(_, entries)| !entries.is_empty()).collect();
        let relation = Relation::of(histories);
        self.check_beginnings(&relation, at);
        relation
    }

    /// The records of an aggregate that were believed at a position, in their order.
    fn records_at(&self, aggregate: &str, at: Position) -> Vec<Arc<Record>> {
        let now = self.records.get(aggregate).into_iter().flat_map(BTreeMap::values);
        let now = now.filter(|record| record.recorded_from <= at);
        let then = self.superseded.get(aggregate).into_iter().flatten();
        let then = then.filter(|(record, recorded_to)| record.recorded_from <= at && at < *recorded_to);
        let mut records: Vec<_> = now.chain(then.map(|(record, _)| record)).cloned().collect();
        records.sort_by(|a, b| a.order.cmp(&b.order));
        records
    }

    /// What each record says of the beginning of its version must be so.
    fn check_beginnings(&self, relation: &Relation, at: Position) {
        for (aggregate, versions) in &relation.versions {
            let records = self.records_at(aggregate, at);
            for version in versions {
                let last = records.iter().rfind(|record| record.valid_from == version.valid_from);
                let record = last.expect("a version begins with a record");
                let since = (record.since.valid_from, record.since.id);
                assert_eq!(since, (version.valid_from, version.event), "{aggregate} at {at}: {record:#?}");
                assert!(record.since.recorded_from <= record.recorded_from, "{aggregate} at {at}: {record:#?}");
            }
        }
    }

    /// What does not hold of what was written, though it must, whatever was folded.
    pub(super) fn flaw(&self) -> Option<String> {
        let flaws = self.records.iter().filter_map(|(aggregate, records)| {
            let newest = records.values().next_back();
            let last = self.last.get(aggregate);
            let own = records.values().filter(|record| record.kind.is_own()).count() as u64;
            if newest != last.map(|last| &last.record) {
                return Some(format!("{aggregate}: the last record is {newest:#?}, and written was {last:#?}"));
            }
            let revisions = last.map_or(0, |last| last.revisions);
            if revisions < own || (revisions > own && !self.taken_back) {
                return Some(format!("{aggregate}: there are {own} revisions, and written was {last:#?}"));
            }
            self.flaw_of_moves(aggregate).or_else(|| self.flaw_of_rows(aggregate))
        });
        flaws.reduce(|all, flaw| all + "\n" + &flaw)
    }

    /// No record believed at a position stands beyond where the next move of the newest record began, nor beyond where
    /// the next move back did: reads as of that position start there.
    fn flaw_of_moves(&self, aggregate: &Arc<str>) -> Option<String> {
        let moves = self.moves.get(aggregate).cloned().unwrap_or_default();
        let positions = self.records[aggregate].values().map(|record| record.recorded_from);
        let ended = self.superseded.get(aggregate).into_iter().flatten().map(|(_, recorded_to)| *recorded_to);
        positions.chain(ended).find_map(|at| {
            let records = self.records_at(aggregate, at);
            let newest = records.last().map(|record| (record.valid_from, record.order.clone()));
            let mut later = moves.iter().filter(|((position, _), _)| *position > at);
            let next = later.clone().next().into_iter().chain(later.find(|(_, is_back)| **is_back));
            let beyond = next.map(|((_, Reverse(from)), _)| from).find(|from| newest.as_ref() > Some(*from));
            beyond.map(|from| format!("{aggregate}: at {at} the newest record is {newest:?}, beyond {from:?}"))
        })
    }

    /// The sum of the row changes is what is believed now.
    fn flaw_of_rows(&self, aggregate: &Arc<str>) -> Option<String> {
        let mut expected: BTreeMap<(Timestamp, String, bool), i64> = BTreeMap::new();
        let mut standing: Option<(String, bool)> = None;
        let records = self.records_at(aggregate, Position::MAX);
        for instant in records.chunk_by(|a, b| a.valid_from == b.valid_from) {
            let shown = instant.last().and_then(|record| record.shown());
            let shown = shown.map(|row| (row.json.clone(), row.incomplete));
            let valid_from = instant[0].valid_from;
            for (row, weight) in [(&standing, -1), (&shown, 1)] {
                if let Some((json, incomplete)) = row {
                    *expected.entry((valid_from, json.clone(), *incomplete)).or_default() += weight;
                }
            }
            standing = shown;
        }
        let told = by_content(self.rows.get(aggregate).cloned().unwrap_or_default());
        let expected = by_content(expected);
        (told != expected).then(|| format!("{aggregate}: the row changes add up to {told:#?}, not {expected:#?}"))
    }
}

/// The changes that do not add up to nothing, with rows that are equal as one.
fn by_content(changes: BTreeMap<(Timestamp, String, bool), i64>) -> Vec<(Timestamp, String, i64)> {
    let mut sums: BTreeMap<(Timestamp, String), i64> = BTreeMap::new();
    for ((moment, json, incomplete), weight) in changes {
        *sums.entry((moment, format!("{:?}", Content::parse(&json, incomplete)))).or_default() += weight;
    }
    sums.into_iter().filter(|(_, weight)| *weight != 0).map(|((moment, row), weight)| (moment, row, weight)).collect()
}

fn check_order(aggregate: &str, records: &[Arc<Record>]) {
    for pair in records.windows(2) {
        assert!(pair[0].order < pair[1].order, "{aggregate}: two records at one place: {pair:#?}");
        assert!(pair[0].valid_from <= pair[1].valid_from, "{aggregate}: valid time falls: {pair:#?}");
    }
}

fn entry(record: &Arc<Record>) -> Entry {
    Entry {
        event: record.id,
        revision: (record.revision > 0).then_some(record.revision),
        valid_from: record.valid_from,
        content: record.shown().map(|row| Content::parse(&row.json, row.incomplete)),
    }
}
