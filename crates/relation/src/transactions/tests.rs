use std::collections::{BTreeMap, BTreeSet};

use deltafold_event::{Coordinates, EventId, Identity, Position, SourcePosition};
use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * SECOND)
}

fn before(seconds: i64) -> Timestamp {
    just_before(at(seconds))
}

fn exactly(at: Timestamp) -> Option<Consistent> {
    Some(Consistent { at, estimated: false })
}

fn roughly(at: Timestamp) -> Option<Consistent> {
    Some(Consistent { at, estimated: true })
}

/// What a source tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    /// An event, with its number in its transaction.
    Event(&'static str, u32, u32, i64),
    /// The end of a transaction of so many events.
    End(&'static str, u32, u64, i64),
}
use Told::{End, Event as Change};

fn id_of(told: Told) -> EventId {
    Identity::domain().text(Some(&format!("{told:?}"))).id()
}

fn stored(told: Told, version: u64, ordinal: u32) -> StoredEvent {
    let mut event = Event {
        id: id_of(told),
        aggregate_type: control::TRANSACTION.into(),
        aggregate_id: Some("kafka".into()),
        event_type: "ended".into(),
        operation: None,
        before: None,
        after: None,
        metadata: "{}".into(),
        source_position: None,
        transaction_id: None,
        occurred_at: at(1_000_000),
        coordinates: Coordinates { source: "kafka".into(), topic: "t".into(), partition: 0, offset: 0 },
        schema_id: None,
    };
    match told {
        End(origin, transaction, events, ended_at) => {
            event.after = Some(TransactionEnd::to_json(&[TransactionEnd {
                origin: origin.into(),
                transaction: transaction.to_string(),
                events,
                ended_at: at(ended_at),
            }]));
        }
        Change(origin, transaction, _, time) => {
            event.aggregate_type = format!("{origin}_orders").into();
            event.operation = Some(Operation::Update);
            event.metadata = format!(r#"{{"source":{{"connector":"postgresql","name":"{origin}"}}}}"#);
            event.source_position = Some(SourcePosition::postgres(1));
            event.transaction_id = Some(transaction.to_string().into());
            event.occurred_at = at(time);
        }
    }
    StoredEvent { position: Position::new(version, ordinal).unwrap(), recorded_at: at(0), event }
}

fn commit(version: u64, told: &[Told]) -> Vec<StoredEvent> {
    told.iter().zip(0..).map(|(&told, ordinal)| stored(told, version, ordinal)).collect()
}

/// From then on events are of the next epoch: the database was restored.
const RESTORED: i64 = 1_000_000;

fn epoch_of(time: Timestamp) -> u32 {
    u32::from(time >= at(RESTORED))
}

/// Takes in a commit, the ends first, so that it does not depend on the order in it.
fn observe(transactions: &mut Transactions, commit: &[StoredEvent]) {
    commit.iter().for_each(|stored| transactions.end(stored).unwrap());
    events(transactions, commit);
}

fn events(transactions: &mut Transactions, events: &[StoredEvent]) {
    events.iter().for_each(|stored| transactions.event(stored, epoch_of(stored.event.occurred_at)));
    transactions.settle();
}

fn of(commits: &[&[Told]]) -> Transactions {
    let mut transactions = Transactions::default();
    for (told, version) in commits.iter().zip(1..) {
        observe(&mut transactions, &commit(version, told));
    }
    transactions
}

fn restarted(written: &mut BTreeMap<String, Vec<u8>>, transactions: &mut Transactions) -> Transactions {
    for (name, bytes) in transactions.take_changes() {
        match bytes {
            Some(bytes) => written.insert(name, bytes),
            None => written.remove(&name),
        };
    }
    let states: Vec<(String, Vec<u8>)> = written.clone().into_iter().collect();
    Transactions { capacity: transactions.capacity, ..Transactions::from_states(&states).unwrap() }
}

#[test]
fn a_transaction_in_part_holds_the_moment_just_before_it() {
    let first = [Change("a", 1, 1, 10), Change("a", 1, 2, 10), End("a", 1, 2, 10)];
    assert_eq!(of(&[&first]).consistent(), exactly(at(10)));
    // Whether it has more events is not known before its end is.
    assert_eq!(of(&[&first, &[Change("a", 2, 1, 20)]]).consistent(), exactly(before(20)));
    let in_part: &[Told] = &[Change("a", 2, 1, 20), End("a", 2, 2, 20), Change("a", 3, 1, 30), End("a", 3, 1, 30)];
    assert_eq!(of(&[&first, in_part]).consistent(), exactly(before(20)));
    assert_eq!(of(&[&first, in_part, &[Change("a", 2, 2, 20)]]).consistent(), exactly(at(30)));
    // Nothing is shown of one of which nothing was read.
    assert_eq!(of(&[&first, &[End("a", 2, 2, 20)]]).consistent(), exactly(at(10)));
    assert_eq!(of(&[]).consistent(), None);
}

/// A connector that was cut between the last event of a transaction and its end counts none of them when it goes on.
#[test]
fn an_end_that_counts_nothing_is_an_end() {
    let told =
        [Change("a", 1, 1, 10), End("a", 1, 1, 10), Change("a", 2, 1, 20), Change("a", 3, 1, 30), End("a", 3, 1, 30)];
    assert_eq!(of(&[&told]).consistent(), exactly(before(20)));
    assert_eq!(of(&[&told, &[End("a", 2, 0, 20)]]).consistent(), exactly(at(30)));
    assert_eq!(of(&[&[End("a", 2, 0, 20)], &told]).consistent(), exactly(at(30)));
    // It says nothing against one that counts more.
    assert_eq!(of(&[&[End("a", 2, 0, 20), End("a", 2, 2, 20)], &told]).consistent(), exactly(before(20)));
}

/// A database may have any number of transactions that touch nothing we read.
#[test]
fn transactions_without_events_push_out_no_others() {
    let mut transactions = Transactions { capacity: Capacity(80), ..Transactions::default() };
    observe(&mut transactions, &commit(1, &[Change("a", 1, 1, 10), End("a", 1, 1, 10), Change("a", 2, 1, 20)]));
    for number in 3..1_000 {
        observe(&mut transactions, &commit(2, &[End("a", number, 0, 21 + i64::from(number))]));
    }
    assert_eq!(transactions.consistent(), exactly(before(20)));
    observe(&mut transactions, &commit(3, &[Change("a", 2, 2, 20), End("a", 2, 2, 20)]));
    assert_eq!(transactions.consistent(), exactly(at(20)));
}

#[test]
fn what_comes_again_changes_nothing() {
    let whole = [Change("a", 1, 1, 10), Change("a", 1, 2, 10), End("a", 1, 2, 10)];
    let again: &[Told] = &[Change("a", 1, 1, 10), Change("a", 1, 1, 10)];
    assert_eq!(of(&[again, &whole[2..]]).consistent(), roughly(before(10)));
    let next = [Change("a", 2, 1, 20), End("a", 2, 1, 20)];
    assert_eq!(of(&[&whole, &next, again, &whole]).consistent(), exactly(at(20)));
}

#[test]
fn without_ends_it_is_estimated() {
    assert_eq!(of(&[&[Change("a", 1, 1, 10), Change("a", 2, 1, 20)]]).consistent(), roughly(before(20)));
    // Whichever of two origins is further back; and an end of one is none of the other.
    let followed = [Change("a", 1, 1, 10), End("a", 1, 1, 10)];
    assert_eq!(of(&[&followed, &[Change("b", 1, 1, 5)]]).consistent(), roughly(before(5)));
    assert_eq!(of(&[&followed, &[Change("b", 1, 1, 50)]]).consistent(), roughly(before(50)));
    assert_eq!(of(&[&followed, &[Change("a", 2, 1, 20), Change("b", 1, 1, 50)]]).consistent(), roughly(before(20)));
    // Ends of which no event comes are not of these events.
    assert_eq!(of(&[&[Change("a", 1, 1, 10), End("renamed", 1, 1, 10)]]).consistent(), roughly(before(10)));
}

#[test]
fn an_origin_that_is_whole_leaves_the_moment_to_the_others() {
    let one = [Change("a", 1, 1, 10), End("a", 1, 1, 10)];
    let other = [Change("b", 1, 1, 90), End("b", 1, 1, 90), Change("b", 2, 1, 95)];
    assert_eq!(of(&[&one, &other]).consistent(), exactly(before(95)));
    assert_eq!(of(&[&one, &other, &[End("b", 2, 1, 95)]]).consistent(), exactly(at(95)));
}

/// MariaDB gives events the time of their statement.
#[test]
fn a_transaction_of_two_times_is_shown_when_both_are() {
    let long = [Change("m", 1, 1, 10), Change("m", 1, 2, 40), End("m", 1, 2, 40)];
    assert_eq!(of(&[&long]).consistent(), exactly(at(40)));
    assert_eq!(of(&[&long, &[Change("m", 2, 1, 40)]]).consistent(), exactly(before(10)));
    // And before one that ends at that time.
    let earlier = [Change("m", 3, 1, 5), Change("m", 3, 2, 10), End("m", 3, 2, 10)];
    assert_eq!(of(&[&long, &earlier, &[Change("m", 2, 1, 40)]]).consistent(), exactly(before(5)));
    assert_eq!(of(&[&long, &earlier, &[Change("m", 2, 1, 41)]]).consistent(), exactly(before(41)));
}

#[test]
fn an_update_that_becomes_two_events_is_one() {
    let mut both = commit(1, &[Change("a", 1, 1, 10), Change("a", 1, 2, 10), End("a", 1, 1, 10)]);
    both[0].event.operation = Some(Operation::Delete);
    both[1].event.operation = Some(Operation::Create);
    both[1].event.metadata = r#"{"moved_from":"1","source":{"name":"a"}}"#.into();
    let mut transactions = Transactions::default();
    observe(&mut transactions, &both[1..2]);
    assert_eq!(transactions.consistent(), roughly(before(10)));
    observe(&mut transactions, &both);
    assert_eq!(transactions.consistent(), exactly(at(10)));
    // A source that makes two itself counts two.
    both[1].event.metadata = r#"{"moved_from":"1","source":{"name":"a"},"headers":["__debezium.oldkey","{}"]}"#.into();
    let mut transactions = Transactions::default();
    observe(&mut transactions, &both[1..]);
    assert_eq!(transactions.consistent(), exactly(at(10)));
}

/// A record that was set aside, a table that is not read: the rest goes on, and is said not to be sure.
#[test]
fn one_that_never_becomes_whole_is_given_up() {
    let mut transactions = Transactions { capacity: Capacity(80), ..Transactions::default() };
    for number in 1..=200 {
        let time = i64::from(number);
        let told = [Change("a", number, 1, time), End("a", number, if number == 7 { 2 } else { 1 }, time)];
        observe(&mut transactions, &commit(number.into(), &told));
        let expected = match number {
            ..7 => exactly(at(time)),
            7..91 => exactly(before(7)),
            91.. => roughly(at(time)),
        };
        assert_eq!(transactions.consistent(), expected, "{number}");
    }
    // What was forgotten may come again, in part, and holds nothing up.
    observe(&mut transactions, &commit(201, &[Change("a", 7, 1, 7), Change("a", 3, 1, 3)]));
    assert_eq!(transactions.consistent(), roughly(at(200)));
    assert!(transactions.origins[0].transactions.len() <= 90);
}

/// A store may have any number of transactions when it is loaded.
#[test]
fn a_load_holds_no_more_than_is_remembered() {
    let mut transactions = Transactions { capacity: Capacity(80), ..Transactions::default() };
    let ends = (1..=2_000).map(|number| stored(End("a", number, 2, i64::from(number)), number.into(), 2));
    ends.for_each(|end| transactions.end(&end).unwrap());
    for part in 1..=2 {
        for number in 1..=2_000 {
            transactions.loaded(&stored(Change("a", number, part, i64::from(number)), number.into(), part));
            assert!(transactions.origins[0].transactions.len() <= 90);
        }
    }
    transactions.settle();
    assert_eq!(transactions.consistent(), exactly(at(2_000)));
}

/// A transaction topic that was switched on after many events tells nothing of those.
#[test]
fn what_came_long_before_the_first_end_is_not_waited_for() {
    let mut long = Vec::new();
    for number in 0..70_000_u32 {
        long.push(Change("a", number, 1, i64::from(number / 100)));
    }
    let next = [Change("a", 80_000, 1, 1_000), End("a", 80_000, 1, 1_000)];
    let commits: [&[Told]; 3] = [&long, &[Change("a", 70_001, 1, 700)], &next];
    let mut transactions = of(&commits);
    assert_eq!(transactions.consistent(), exactly(at(1_000)));
    observe(&mut transactions, &commit(9, &[Change("a", 69_999, 2, 699), End("a", 69_999, 2, 699)]));
    assert_eq!(transactions.consistent(), exactly(at(1_000)));
    let mut by_aggregate = Transactions::default();
    by_aggregate.end(&stored(next[1], 3, 1)).unwrap();
    let all = commits.iter().zip(1..).flat_map(|(told, version)| commit(version, told));
    all.for_each(|stored| by_aggregate.loaded(&stored));
    by_aggregate.settle();
    assert_eq!(by_aggregate.consistent(), exactly(at(1_000)));
}

#[test]
fn an_end_that_cannot_be_read_is_said() {
    let mut stored = commit(1, &[End("a", 1, 1, 10), Change("a", 1, 1, 10)]);
    stored[0].event.after = Some("[1]".into());
    let mut transactions = Transactions::default();
    assert!(transactions.end(&stored[0]).is_err());
    events(&mut transactions, &stored);
    assert_eq!(transactions.consistent(), roughly(before(10)), "the rest is taken in");
}

/// PostgreSQL counts transactions on from where the backup was.
#[test]
fn a_restored_database_gives_numbers_again() {
    let whole = [Change("a", 7, 1, 10), Change("a", 7, 2, 10), End("a", 7, 2, 10)];
    let later = RESTORED + 5;
    let in_part = [Change("a", 7, 1, later), End("a", 7, 3, later)];
    let rest = [Change("a", 7, 2, later), Change("a", 7, 3, later)];
    assert_eq!(of(&[&whole, &in_part]).consistent(), exactly(before(later)));
    assert_eq!(of(&[&whole, &in_part, &rest]).consistent(), exactly(at(later)));
    // The end may come before anything shows that the database was restored.
    assert_eq!(of(&[&whole, &in_part[1..], &in_part[..1]]).consistent(), exactly(before(later)));
    assert_eq!(of(&[&whole[2..], &in_part, &whole[..2]]).consistent(), exactly(before(later)));
}

/// What was on its way when the database was lost never comes.
#[test]
fn what_a_database_that_is_gone_left_in_part_holds_nothing_up() {
    let in_part = [Change("a", 1, 1, 10), End("a", 1, 1, 10), Change("a", 2, 1, 20), End("a", 2, 2, 20)];
    assert_eq!(of(&[&in_part]).consistent(), exactly(before(20)));
    let next = [Change("a", 2, 1, RESTORED), End("a", 2, 1, RESTORED)];
    assert_eq!(of(&[&in_part, &next]).consistent(), roughly(at(RESTORED)));
    // Unless it was only late.
    assert_eq!(of(&[&in_part, &next, &[Change("a", 2, 2, 20)]]).consistent(), exactly(at(RESTORED)));
}

/// It is noticed only after some events of the restored database were folded.
#[test]
fn what_was_taken_for_the_old_epoch_s_is_counted_in_the_new_one() {
    let time = RESTORED + 1;
    let told = [Change("a", 1, 1, 10), End("a", 1, 1, 10), Change("a", 2, 1, 20), End("a", 2, 2, 20)];
    let new = commit(2, &[Change("a", 2, 1, time), Change("a", 3, 1, time), End("a", 3, 1, time)]);
    let mut transactions = of(&[&told]);
    new.iter().for_each(|stored| transactions.end(stored).unwrap());
    new.iter().for_each(|stored| transactions.event(stored, 0));
    // Two are there of the old epoch's second transaction, but only one is its own.
    new.iter().for_each(|stored| transactions.take_back(stored, 0));
    assert_eq!(transactions.consistent(), exactly(before(20)));
    new.iter().for_each(|stored| transactions.event(stored, 1));
    assert_eq!(transactions.consistent(), roughly(before(time)));
    observe(&mut transactions, &commit(3, &[Change("a", 2, 2, 20), End("a", 2, 1, time)]));
    assert_eq!(transactions.consistent(), exactly(at(time)));
}

/// The whole of it again, from what was told and nothing else.
fn naive(told: &[Told]) -> Option<Consistent> {
    let told: BTreeSet<Told> = told.iter().copied().collect();
    let mut times: BTreeMap<(&str, u32, u32), Vec<i64>> = BTreeMap::new();
    let mut ends: BTreeMap<(&str, u32), BTreeMap<i64, u64>> = BTreeMap::new();
    for &one in &told {
        match one {
            Change(origin, transaction, _, time) => {
                times.entry((origin, transaction, epoch_of(at(time)))).or_default().push(time);
            }
            End(origin, transaction, events, ended_at) => {
                ends.entry((origin, transaction)).or_default().insert(ended_at, events);
            }
        }
    }
    let is_whole = |(origin, transaction, _): &(&str, u32, u32), times: &Vec<i64>| {
        let of_it = ends.get(&(*origin, *transaction));
        let end = of_it.and_then(|ends| ends.range(times.iter().max().unwrap()..).next());
        end.is_some_and(|(_, events)| *events == times.len() as u64)
    };
    let mut newest: BTreeMap<&str, (u32, i64)> = BTreeMap::new();
    for (&(origin, _, epoch), times) in &times {
        let (last, known) = newest.entry(origin).or_insert((0, i64::MIN));
        *last = epoch.max(*last);
        *known = times.iter().copied().max().unwrap().max(*known);
    }
    let has_ends = |origin: &str| ends.keys().any(|(of, _)| *of == origin);
    let is_known = |origin: &str| times.iter().any(|(id, times)| id.0 == origin && is_whole(id, times));
    let mut moment = Timestamp::from_micros(newest.values().map(|(_, newest)| newest).max()? * SECOND);
    let mut estimated = false;
    for (&origin, &(last, newest)) in &newest {
        if !is_known(origin) {
            moment = moment.min(before(newest));
            estimated = true;
        }
        for (id, times) in times.iter().filter(|(id, _)| id.0 == origin && has_ends(origin)) {
            match (is_whole(id, times), id.2 == last) {
                (true, _) => {}
                (false, true) => moment = moment.min(before(*times.iter().min().unwrap())),
                (false, false) => estimated = true,
            }
        }
    }
    while let Some(begin) = times.iter().filter(|(id, _)| has_ends(id.0)).find_map(|(_, times)| {
        let (least, greatest) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        (at(*least) <= moment && moment < at(*greatest)).then_some(*least)
    }) {
        moment = before(begin);
    }
    Some(Consistent { at: moment, estimated })
}

/// Transactions of up to four events, some without an end; each event of a time of its own where the origin is "m". Some
/// are of the time after the databases were restored, and have numbers that others had.
fn streams() -> impl Strategy<Value = Vec<Told>> {
    let of_epoch = |most| {
        let transaction = (0..3_usize, 1..5_u32, 0..40_i64, prop::collection::vec(0..9_i64, 4), 0..8_u8);
        prop::collection::vec(transaction, 0..most)
    };
    (of_epoch(25), prop_oneof![of_epoch(1), of_epoch(25)]).prop_map(|(first, second)| {
        let mut told = Vec::new();
        // No end of the second epoch may pass for one of the first that has not come yet.
        let mut counts: BTreeMap<(usize, u32), u32> = BTreeMap::new();
        for (transactions, begin) in [(first, 0), (second, RESTORED)] {
            for ((origin, events, time, later, end), number) in transactions.into_iter().zip(1..) {
                let events =
                    *counts.entry((origin, number)).and_modify(|count| *count = events.max(*count)).or_insert(events);
                let (origin, time) = (["a", "m", "silent"][origin], begin + time);
                let time_of = |event: u32| if origin == "m" { time + later[event as usize - 1] } else { time };
                told.extend((1..=events).map(|event| Change(origin, number, event, time_of(event))));
                if end > 0 && origin != "silent" {
                    told.push(End(origin, number, events.into(), time + 9));
                }
            }
        }
        told
    })
}

proptest! {
    /// In any order, in any batches, with some of it twice, some of it missing, with restarts; and aggregate by aggregate.
    #[test]
    fn what_is_known_depends_on_what_was_read_alone(
        told in streams().prop_flat_map(|told| {
            let again = prop::sample::subsequence(told.clone(), 0..=told.len());
            (Just(told), again).prop_map(|(told, again)| [told, again].concat()).prop_shuffle()
        }),
        cut in 0.0..1.0_f64,
        sizes in prop::collection::vec(1..9_usize, 1..6),
        restart in 1..4_usize,
    ) {
        let told = &told[..(told.len() as f64 * cut).ceil() as usize];
        let mut transactions = Transactions::default();
        let mut written = BTreeMap::new();
        let mut rest = told;
        let mut read = Vec::new();
        let mut versions = Vec::new();
        for (turn, size) in sizes.iter().cycle().enumerate() {
            if rest.is_empty() {
                break;
            }
            let (next, after) = rest.split_at(rest.len().min(*size));
            rest = after;
            read.extend_from_slice(next);
            let read_now = commit(turn as u64 + 1, next);
            observe(&mut transactions, &read_now);
            versions.extend(read_now);
            prop_assert_eq!(transactions.consistent(), naive(&read));
            if turn % restart == 0 {
                transactions = restarted(&mut written, &mut transactions);
                prop_assert_eq!(transactions.consistent(), naive(&read));
            }
        }
        let mut by_aggregate = Transactions::default();
        versions.iter().for_each(|stored| by_aggregate.end(stored).unwrap());
        versions.sort_by_key(|stored| (stored.event.aggregate_type.clone(), stored.event.id));
        events(&mut by_aggregate, &versions);
        prop_assert_eq!(by_aggregate.consistent(), naive(told));
        // What is written is the same as well.
        let mut of_one = BTreeMap::new();
        restarted(&mut of_one, &mut by_aggregate);
        restarted(&mut written, &mut transactions);
        prop_assert_eq!(of_one, written);
    }
}
