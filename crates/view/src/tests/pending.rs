//! Reads through what is pending, against reads after it is committed.

use deltafold_event::EventId;
use proptest::prelude::*;

use super::{entry, moment, open, order};
use crate::{Batch, Mirror, Pending, PendingReader, Snapshot};

const AGGREGATES: [&str; 3] = ["a", "a\0", "b"];

/// A change of one thing that folding reads; none: it is removed.
#[derive(Debug, Clone)]
enum Change {
    Entry(usize, i64, Option<u8>),
    Current(usize, Option<u8>),
    Seen(u8, bool),
    Memory(u8, Option<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let value = || prop::option::weighted(0.7, any::<u8>());
    prop_oneof![
        (0..AGGREGATES.len(), 0..6_i64, value()).prop_map(|(of, at, value)| Change::Entry(of, at, value)),
        (0..AGGREGATES.len(), value()).prop_map(|(of, value)| Change::Current(of, value)),
        (0..4_u8, any::<bool>()).prop_map(|(event, is_seen)| Change::Seen(event, is_seen)),
        (0..6_u8, value()).prop_map(|(key, value)| Change::Memory(key, value)),
    ]
}

fn event(number: u8) -> EventId {
    EventId::from_bytes([number; 16])
}

fn put(batch: &mut Batch, view: &Mirror, change: &Change) {
    let stored = |at: i64, value: u8| entry(at, at, Some(&value.to_string()));
    match *change {
        Change::Entry(of, at, Some(value)) => batch.put_entry(view, AGGREGATES[of], &stored(at, value)).unwrap(),
        Change::Entry(of, at, None) => {
            batch.remove_entry(view, AGGREGATES[of], moment(at), &order(at as u64)).unwrap();
        }
        Change::Current(of, Some(value)) => batch.put_current(view, AGGREGATES[of], &stored(9, value)).unwrap(),
        Change::Current(of, None) => batch.remove_current(view, AGGREGATES[of]).unwrap(),
        Change::Seen(number, true) => batch.put_seen(view, event(number)),
        Change::Seen(number, false) => batch.remove_seen(view, event(number)),
        Change::Memory(key, value) => batch.put_memory(view, &[key], value.as_ref().map(std::slice::from_ref)),
    }
}

/// Everything that folding can ask for.
fn read(snapshot: &Snapshot, pending: &Pending, view: &Mirror) -> Vec<String> {
    let reader = PendingReader::new(snapshot, pending.clone(), view);
    let mut read = vec![format!("{:?}", reader.keys().collect::<Result<Vec<_>, _>>().unwrap())];
    for aggregate in AGGREGATES {
        read.push(format!("{:?}", reader.last(aggregate).unwrap()));
        for at in 0..7 {
            let before: Result<Vec<_>, _> = reader.entries_before(aggregate, moment(at), &[]).collect();
            let from: Result<Vec<_>, _> = reader.entries_from(aggregate, moment(at), &[]).collect();
            read.push(format!("{:?} {:?}", before.unwrap(), from.unwrap()));
        }
    }
    for number in 0..6 {
        read.push(format!("{:?} {:?}", reader.seen(event(number)).unwrap(), reader.memory(&[number]).unwrap()));
        for until in 0..7 {
            let memories: Vec<_> = reader.memories(&[number], &[until]).collect::<Result<_, _>>().unwrap();
            let last = reader.last_memory(&[number], &[until]).unwrap();
            assert_eq!(memories.last(), last.as_ref());
            read.push(format!("{memories:?}"));
        }
    }
    read
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_pending_is_read_as_if_it_was_committed(
        stages in prop::collection::vec(prop::collection::vec(change(), 0..12), 3),
    ) {
        let (_dir, views) = open();
        let (view, other) = (views.mirror("view").unwrap(), views.mirror("other").unwrap());
        let mut batches = Vec::new();
        let mut pending = Pending::default();
        for (number, changes) in stages.iter().enumerate() {
            let mut batch = views.batch();
            put(&mut batch, &other, &Change::Memory(1, Some(1)));
            changes.iter().for_each(|change| put(&mut batch, &view, change));
            if number == 0 {
                batch.commit().unwrap();
            } else {
                pending = batch.pending().after(pending);
                batches.push(batch);
            }
        }
        let before = views.snapshot();
        let through = read(&before, &pending, &view);
        for batch in batches {
            batch.commit().unwrap();
            // Some of what is pending, or all of it, may be committed already.
            prop_assert_eq!(&read(&views.snapshot(), &pending, &view), &through);
            prop_assert_eq!(&read(&before, &pending, &view), &through);
        }
        prop_assert_eq!(&read(&views.snapshot(), &Pending::default(), &view), &through);
    }
}
