//! Properties of random histories of databases that are restored now and then.

use deltafold_event::{Operation, SourcePosition};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    batches::{cases, disturbed},
    story::{Told, at, new_epoch, position, store},
};
use crate::{InMemory, Origins};

/// A history that partitions of Kafka had: restores begin at some of its events, with another run of the connector or
/// without; operators speak up at others.
fn restored() -> impl Strategy<Value = Vec<Told>> {
    let restores = vec((any::<Index>(), 0..3_u8), 1..4);
    let words = vec((any::<Index>(), 0..4_u32), 0..4);
    (disturbed(), restores, words, any::<bool>(), 0..3_u8).prop_map(|(story, restores, words, has_runs, markers)| {
        let length = story.len();
        let begins = |at: usize| restores.iter().filter(move |(begin, _)| begin.index(length) <= at);
        let mut told: Vec<Told> = Vec::new();
        for (index, mut event) in story.into_iter().enumerate() {
            told.extend(words.iter().filter(|(at, _)| at.index(length) == index).map(|(_, epoch)| new_epoch(*epoch)));
            if event.event.operation.is_none() {
                told.push(event);
                continue;
            }
            let restores = begins(index).count();
            let run = begins(index).map(|(_, runs)| runs).sum::<u8>() + 1;
            if event.event.source_position.is_some() {
                // What stands in the database's log again is lower and later.
                let lsn = (index as u64 + 1) * 10 + 500 - 100 * restores as u64;
                event.event.source_position = Some(SourcePosition::postgres(lsn));
                event.event.transaction_id = event.event.transaction_id.map(|tx| format!("{tx}-{restores}").into());
            }
            let second = event.event.occurred_at.as_micros() / 1_000_000 + 50 * restores as i64;
            let is_last = index as u8 % 3 == markers;
            let is_read = event.event.operation == Some(Operation::Read);
            let partition =
                event.event.aggregate_id.as_deref().map_or(2, |id| id.len() as i32 + i32::from(id > "1")) % 3;
            let event = event.at(second).sent(if has_runs { run } else { 0 }, partition);
            told.push(match is_read {
                true => event.snapshot(if is_last { "last" } else { "true" }, restores as u64),
                false => event,
            });
        }
        told
    })
}

fn fold_in(story: &[Told], cuts: &[Index], at_once: usize) -> (InMemory, Origins) {
    let (events, schemas) = store(story);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(events.len() + 1)).collect();
    cuts.extend([0, events.len()]);
    cuts.sort_unstable();
    let (mut memory, mut origins) = (InMemory::default(), Origins::default());
    for cut in cuts.windows(2) {
        memory.fold_log(&mut origins, &events, cut[0]..cut[1], at_once, &schemas);
        origins = Origins::from_bytes(&origins.to_bytes()).unwrap();
    }
    (memory, origins)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same(story in restored(), cuts in vec(any::<Index>(), 0..6), at_once in 1..9_usize) {
        let (at_once, origins) = fold_in(&story, &cuts, at_once);
        let (one_by_one, again) = fold_in(&story, &[], usize::MAX);
        prop_assert_eq!(at_once, one_by_one);
        prop_assert_eq!(origins, again);
    }

    #[test]
    fn what_was_believed_is_never_edited_away(story in restored()) {
        let (events, schemas) = store(&story);
        let (mut memory, mut origins) = (InMemory::default(), Origins::default());
        let mut then: Vec<InMemory> = Vec::new();
        for index in 0..events.len() {
            memory.fold_log(&mut origins, &events, index..index + 1, usize::MAX, &schemas);
            then.push(memory.clone());
        }
        for (index, past) in then.iter().enumerate() {
            let by = position(index + 1);
            for id in memory.records.keys().chain(past.records.keys()) {
                for moment in (-60..260).step_by(3).map(at) {
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
    fn moves_bound_what_was_newest(story in restored()) {
        let memory = fold_in(&story, &[], usize::MAX).0;
        for index in 0..story.len() {
            let by = position(index + 1);
            for id in memory.records.keys() {
                prop_assert!(memory.is_bounded(id, by), "{} by {}: {:#?}", id, by, memory.moves);
            }
        }
    }

    #[test]
    fn row_changes_add_up_to_the_rows(story in restored()) {
        let memory = fold_in(&story, &[], usize::MAX).0;
        for id in memory.records.keys().chain(memory.rows.keys().map(|(id, ..)| id)) {
            for moment in (-60..260).step_by(7).map(at) {
                let changes = memory.rows.iter().filter(|((of, from, _), _)| of == id && *from <= moment);
                let shown = memory.as_of(id, moment, position(story.len()));
                let shown = i64::from(shown.is_some_and(|record| record.shown().is_some()));
                prop_assert_eq!(changes.map(|(_, weight)| weight).sum::<i64>(), shown, "{} at {}", id, moment);
            }
        }
    }
}

/// The properties above say something: histories like these do have resets that are held and go on.
#[test]
fn restores_are_noticed() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut held, mut resets, mut swept) = (0, 0, 0);
    for _ in 0..400 {
        let story = restored().new_tree(&mut runner).unwrap().current();
        let (memory, origins) = fold_in(&story, &[], usize::MAX);
        held += usize::from(origins.infos().iter().any(|info| info.suspect.is_some()));
        resets += usize::from(origins.infos().iter().any(|info| info.epoch > 0));
        swept += usize::from(memory.state.sweeps().iter().any(|sweep| sweep.is_complete));
    }
    assert!(held > 50 && resets > 30 && swept > 10, "{held} held, {resets} gone on, {swept} swept");
}
