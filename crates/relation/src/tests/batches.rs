//! Properties of random histories.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::story::{Create, Delete, Told, UNCHANGED, Update, at, domain, log, position, read, store, truncate};
use crate::{ByAggregate, InMemory, Schemas};

const IDS: usize = 4;

/// The long form is a soak.
pub(super) fn cases() -> u32 {
    if std::env::var_os("DELTAFOLD_SOAK").is_some_and(|value| !value.is_empty()) { 20_000 } else { 256 }
}

/// What happens next in a made-up database.
#[derive(Debug, Clone)]
enum Happens {
    Change(usize, i64, bool),
    Delete(usize),
    Move(usize, usize, bool),
    Truncate,
    Snapshot(usize, i64),
    Note(usize),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (0..IDS, 0..3_i64, any::<bool>()).prop_map(|(id, v, unchanged)| Happens::Change(id, v, unchanged)),
        2 => (0..IDS).prop_map(Happens::Delete),
        3 => (0..IDS, 0..IDS, any::<bool>()).prop_map(|(from, to, unchanged)| Happens::Move(from, to, unchanged)),
        1 => Just(Happens::Truncate),
        1 => (0..IDS, 0..3_i64).prop_map(|(id, v)| Happens::Snapshot(id, v)),
        1 => (0..IDS).prop_map(Happens::Note),
    ]
}

/// A history, told in the order in which it happened: log events have growing positions, transactions of a few
/// events, and clocks that stutter and run backwards; at some point the key gets another column.
fn told(happens: &[(Happens, bool, i64)], rekey_at: usize) -> Vec<Told> {
    let mut story: Vec<Told> = Vec::new();
    let (mut transaction, mut clock) = (0, 0);
    for (index, (happened, same_transaction, tick)) in happens.iter().enumerate() {
        let lsn = 10 * (index as u64 + 1);
        if !same_transaction {
            transaction += 1;
            clock += tick;
        }
        let has_new_key = index >= rekey_at;
        let key: &[&str] = if has_new_key { &["id", "lvl"] } else { &["id"] };
        let id = |id: &usize| if has_new_key { format!(r#"[{id},"L"]"#) } else { id.to_string() };
        let row = |id: &usize, v: &str| format!(r#"{{"id":{id},"lvl":"L","v":{v}}}"#);
        let value = |v: &i64, unchanged: &bool| if *unchanged { UNCHANGED.to_owned() } else { v.to_string() };
        let tx = format!("t{transaction}");
        match happened {
            Happens::Change(at, v, unchanged) => {
                story.push(log(lsn, &id(at), Update, &row(at, &value(v, unchanged))).key(key).tx(&tx));
            }
            Happens::Delete(at) => story.push(log(lsn, &id(at), Delete, "").key(key).tx(&tx)),
            Happens::Move(from, to, unchanged) => {
                let v = value(&(index as i64), unchanged);
                story.push(log(lsn, &id(from), Delete, "").to(&id(to)).key(key).tx(&tx));
                story.push(
                    log(lsn, &id(to), Create, &row(to, &v)).from(&id(from)).key(key).tx(&tx).offset(lsn as i64 + 1),
                );
            }
            Happens::Truncate => story.push(truncate(lsn).tx(&tx)),
            Happens::Snapshot(at, v) => story.push(read(lsn as i64, &id(at), &row(at, &v.to_string())).key(key)),
            Happens::Note(at) => story.push(domain(lsn as i64, &id(at), "{}")),
        }
        for told in story.iter_mut().rev().take(2) {
            if told.event.occurred_at == at(lsn as i64) {
                told.event.occurred_at = at(clock);
            }
        }
    }
    story
}

fn histories() -> impl Strategy<Value = Vec<Told>> {
    (vec((happens(), any::<bool>(), -2..4_i64), 1..24), 0..40_usize)
        .prop_map(|(happens, rekey_at)| told(&happens, rekey_at))
}

/// Moves some events to later places, and tells some twice.
pub(super) fn disturbed() -> impl Strategy<Value = Vec<Told>> {
    (histories(), vec((any::<Index>(), any::<Index>()), 0..8), vec((any::<Index>(), any::<Index>(), 0..40_i64), 0..4))
        .prop_map(|(mut story, moves, again)| {
            for (from, to) in moves {
                let told = story.remove(from.index(story.len()));
                story.insert(to.index(story.len() + 1), told);
            }
            for (which, to, offset) in again {
                let told = story[which.index(story.len())].clone();
                let is_log = told.event.source_position.is_some();
                let again = if is_log {
                    let offset = told.event.coordinates.offset + offset;
                    told.offset(offset)
                } else {
                    told
                };
                story.insert(to.index(story.len() + 1), again);
            }
            story
        })
}

fn fold_in(story: &[Told], cuts: &[Index]) -> InMemory {
    let (events, schemas) = store(story);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(events.len() + 1)).collect();
    cuts.extend([0, events.len()]);
    cuts.sort_unstable();
    let mut memory = InMemory::default();
    for cut in cuts.windows(2) {
        memory.fold(&events[cut[0]..cut[1]], &schemas);
    }
    memory
}

/// All of a story, aggregate by aggregate, some at once; none when it has to be folded by position.
fn fold_by_aggregate(story: &[Told], at_once: usize) -> Option<InMemory> {
    let (mut events, schemas) = store(story);
    events.sort_by(|one, other| one.event.aggregate_id.cmp(&other.event.aggregate_id));
    let own = events.partition_point(|stored| stored.event.aggregate_id.is_none());
    let aggregates: Vec<_> =
        events[own..].chunk_by(|one, other| one.event.aggregate_id == other.event.aggregate_id).collect();
    let mut folded = ByAggregate::new(events[..own].to_vec(), usize::MAX);
    let mut memory = InMemory::default();
    for some in aggregates.chunks(at_once) {
        memory.apply(folded.fold(some.iter().copied(), &schemas).unwrap()?);
    }
    memory.apply(folded.finish(&schemas).unwrap()?);
    Some(memory)
}

type Versions = Vec<(String, i64, Option<String>, bool, String)>;

/// The versions that are shown now, of all aggregates.
fn versions(memory: &InMemory) -> Versions {
    let mut found = Versions::new();
    for id in memory.records.keys() {
        let told = memory.told(id);
        for (index, record) in told.iter().enumerate() {
            let is_shown = told.get(index + 1).is_none_or(|next| next.valid_from > record.valid_from);
            let entry = (
                id.clone(),
                record.since.valid_from.as_micros(),
                record.shown().map(|row| normal(&row.json)),
                record.shown().is_some_and(|row| row.incomplete),
                record.since.id.to_string(),
            );
            let continues =
                found.last().is_some_and(|last| last.0 == entry.0 && last.2 == entry.2 && last.3 == entry.3);
            if is_shown && !continues && (entry.2.is_some() || found.last().is_some_and(|last| last.0 == entry.0)) {
                found.push(entry);
            }
        }
    }
    // That a row is gone begins where the row before it ends, whatever made it so.
    for entry in &mut found {
        if entry.2.is_none() {
            entry.4.clear();
        }
    }
    found
}

fn normal(json: &str) -> String {
    let mut members: Vec<_> =
        deltafold_event::RawMembers::new(json).map(|(name, value)| format!("{name}:{value}")).collect();
    members.sort();
    members.join(",")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_into_batches_gives_the_same(story in disturbed(), cuts in vec(any::<Index>(), 0..6)) {
        let (events, schemas) = store(&story);
        let mut one_by_one = InMemory::default();
        for event in &events {
            one_by_one.fold(std::slice::from_ref(event), &schemas);
        }
        prop_assert_eq!(&fold_in(&story, &cuts), &one_by_one);
        prop_assert_eq!(fold_in(&story, &[]), one_by_one);
    }

    #[test]
    fn aggregate_by_aggregate_gives_the_same(story in disturbed(), at_once in 1..4_usize) {
        let story: Vec<Told> = story.into_iter().filter(|told| told.event.operation.is_some()).collect();
        let expected = fold_in(&story, &[]);
        match fold_by_aggregate(&story, at_once) {
            Some(memory) => prop_assert_eq!(memory, expected),
            None => prop_assert!(expected.state.keys().len() > 1, "only a change of the key needs the order of positions"),
        }
    }

    #[test]
    fn what_was_believed_is_never_edited_away(story in disturbed()) {
        let (events, schemas) = store(&story);
        let mut memory = InMemory::default();
        let mut then: Vec<InMemory> = Vec::new();
        for event in &events {
            memory.fold(std::slice::from_ref(event), &schemas);
            then.push(memory.clone());
        }
        let moments = || (-60..60).map(at);
        for (index, past) in then.iter().enumerate() {
            let by = position(index + 1);
            for id in memory.records.keys().chain(past.records.keys()) {
                for moment in moments() {
                    let shown = |memory: &InMemory| {
                        let record = memory.as_of(id, moment, by)?;
                        Some((record.shown()?.clone(), record.since))
                    };
                    prop_assert_eq!(shown(&memory), shown(past), "{} at {} by {}", id, moment, by);
                }
            }
        }
    }

    #[test]
    fn moves_bound_what_was_newest(story in disturbed()) {
        let memory = fold_in(&story, &[]);
        for index in 0..story.len() {
            let by = position(index + 1);
            for id in memory.records.keys() {
                prop_assert!(memory.is_bounded(id, by), "{} by {}: {:#?}", id, by, memory.moves);
            }
        }
    }

    #[test]
    fn row_changes_add_up_to_the_versions(story in disturbed()) {
        let memory = fold_in(&story, &[]);
        for id in memory.records.keys() {
            for moment in (-60..60).map(at) {
                let mut rows: std::collections::BTreeMap<String, i64> = Default::default();
                for ((_, _, row), weight) in memory.rows.iter().filter(|((of, from, _), _)| of == id && *from <= moment) {
                    *rows.entry(normal(row)).or_default() += weight;
                }
                rows.retain(|_, weight| *weight != 0);
                let shown = memory.as_of(id, moment, position(story.len()));
                let shown = shown.and_then(|record| record.shown()).map(|row| (normal(&row.json), 1));
                prop_assert_eq!(rows.into_iter().collect::<Vec<_>>(), Vec::from_iter(shown));
            }
        }
    }

    #[test]
    fn log_events_in_any_order_give_the_same_versions(story in histories(), keys in vec(any::<u64>(), 64)) {
        let logged: Vec<Told> = story.into_iter().filter(|told| told.event.source_position.is_some()).collect();
        let mut shuffled: Vec<(u64, Told)> = keys.into_iter().cycle().zip(logged.clone()).collect();
        shuffled.sort_by_key(|(key, _)| *key);
        let shuffled: Vec<Told> = shuffled.into_iter().map(|(_, told)| told).collect();
        prop_assert_eq!(versions(&fold_in(&shuffled, &[])), versions(&fold_in(&logged, &[])));
    }
}

#[test]
fn schemas_that_nobody_told_of_are_an_error() {
    let (events, _) = store(&[log(1, "1", Create, "{}").key(&["id"])]);
    let error = crate::Keeper::new(Default::default()).fold(&events, &Schemas::default(), &InMemory::default());
    assert!(error.unwrap_err().to_string().contains("no $schema event"));
}
