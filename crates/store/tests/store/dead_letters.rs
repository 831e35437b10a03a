//! Dead letters: whole, numbered, once.

use deltafold_event::{EventId, Timestamp, control};
use deltafold_store::{
    Append, AppendError, Conflict, DeadLetter, DeadLetterFilter, EventStore, LetterState, Outcome, RecordedLetter,
};

use crate::support::*;

fn letter(number: u64) -> DeadLetter {
    DeadLetter {
        source: "file".into(),
        topic: format!("file/{}", number % 2),
        partition: 0,
        offset: number as i64,
        file: number.is_multiple_of(3).then(|| "orders.jsonl".into()),
        line: number.is_multiple_of(3).then_some(number + 1),
        timestamp_ms: (!number.is_multiple_of(3)).then_some(number as i64 * 1_000),
        key: number.is_multiple_of(2).then(|| vec![0, 159, 146, 150]),
        value: (number != 4).then(|| vec![b'{'; number as usize * 10]),
        headers: String::new(),
        code: ["json", "key"][number as usize % 2].into(),
        reason: format!("line {number} is not JSON: expected a value"),
        recorded_at: Timestamp::from_micros(number as i64),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_come_back_whole_under_numbers_that_stay() {
    let data = data();
    let store = open(&data, eager()).await;
    for commit in 0..5u64 {
        let expected = store.dead_letter_offset("app");
        let letters = (commit * 4..commit * 4 + 4).map(letter).collect();
        store.append_dead_letters(letters, vec![offset("app", expected, (commit as i64 + 1) * 4)]).await.unwrap();
    }
    store.compact().await.unwrap();
    for store in [store, open(&data, eager()).await] {
        assert_eq!((store.dead_letter_count(), store.dead_letter_offset("app")), (20, Some(20)));
        assert_eq!(store.offset("app"), None);
        let all = store.dead_letters(&DeadLetterFilter::default()).await.unwrap();
        let recorded = |number| RecordedLetter { number: number + 1, letter: letter(number), settlement: None };
        assert_eq!(all, (0..20).map(recorded).collect::<Vec<_>>());
        assert_eq!(store.dead_letter(7).await.unwrap(), Some(recorded(6)));
        assert_eq!(store.dead_letter(0).await.unwrap(), None);
        assert_eq!(store.dead_letter(21).await.unwrap(), None);
        let filter =
            DeadLetterFilter { code: Some("key".into()), after: Some(6), limit: Some(3), ..Default::default() };
        assert_eq!(numbers(&store, filter).await, [8, 10, 12]);
        let filter =
            DeadLetterFilter { after: Some(6), to: Some(11), topic: Some("file/0".into()), ..Default::default() };
        assert_eq!(numbers(&store, filter).await, [7, 9, 11]);
        assert_eq!(store.verify().await.unwrap().problems, []);
    }
}

async fn numbers(store: &EventStore, filter: DeadLetterFilter) -> Vec<u64> {
    store.dead_letters(&filter).await.unwrap().into_iter().map(|letter| letter.number).collect()
}

/// Some at a time, however little fits: all of them, each once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_read_some_bytes_at_a_time() {
    let data = data();
    let store = open(&data, eager()).await;
    for commit in 0..3u64 {
        let letters = (commit * 100..commit * 100 + 100).map(letter).collect();
        store.append_dead_letters(letters, Vec::new()).await.unwrap();
    }
    for bytes in [1, 5_000, 100_000, usize::MAX] {
        let mut filter = DeadLetterFilter { code: Some("key".into()), bytes: Some(bytes), ..Default::default() };
        let (mut all, mut pages) = (Vec::new(), 0);
        loop {
            let page = numbers(&store, filter.clone()).await;
            let Some(last) = page.last() else { break };
            filter.after = Some(*last);
            pages += 1;
            all.extend(page);
        }
        assert_eq!(all, (1..=150).map(|half| half * 2).collect::<Vec<_>>());
        assert!((bytes > 1) == (pages < 150), "{pages} pages of {bytes} bytes");
    }
}

/// What becomes of a letter can be said once, whichever process says it, and is found again after compaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_settled_by_one_event() {
    let data = data();
    let (store, other) = (open(&data, eager()).await, open(&data, eager()).await);
    store.append_dead_letters((0..20).map(letter).collect(), vec![offset("app", None, 20)]).await.unwrap();
    let retried = Outcome::Retried { events: vec![EventId::from_bytes([1; 16])], ignored: None };
    let discarded = Outcome::Discarded { reason: "a test".into() };
    let settle = |outcome: &Outcome, index: u64| {
        let mut events = events(index * 50..index * 50 + 50);
        events.push(outcome.event(index + 1, &letter(index), "ops", Timestamp::from_micros(0)));
        Append { events, offsets: Vec::new() }
    };
    for index in [4, 7, 11] {
        store.append(settle(&retried, index)).await.unwrap();
    }
    let second = other.append(settle(&discarded, 7)).await;
    let Err(AppendError::Conflict(Conflict::Claimed { aggregate_type, aggregate_id, .. })) = second else {
        panic!("{second:?}")
    };
    assert_eq!((aggregate_type.as_str(), aggregate_id), (control::DEAD_LETTER, letter(7).id().to_string()));
    other.append(settle(&discarded, 12)).await.unwrap();
    for store in [&store, &other] {
        store.refresh().await.unwrap();
    }

    let of = |state| DeadLetterFilter { state: Some(state), ..DeadLetterFilter::default() };
    for store in [store.clone(), other, open(&data, eager()).await] {
        assert_eq!(numbers(&store, of(LetterState::Retried)).await, [5, 8, 12]);
        assert_eq!(numbers(&store, of(LetterState::Discarded)).await, [13]);
        let limited = DeadLetterFilter { limit: Some(1), after: Some(5), ..of(LetterState::Retried) };
        assert_eq!(numbers(&store, limited).await, [8]);
        assert_eq!(numbers(&store, of(LetterState::Open)).await.len(), 16);
        assert_eq!(store.settled_letter_count(), 4);
        let found = store.dead_letter(13).await.unwrap().unwrap();
        let settlement = found.settlement.unwrap();
        assert_eq!((&settlement.outcome, settlement.by.as_str()), (&discarded, "ops"));
        assert_eq!(store.events_at(&[settlement.position]).await.unwrap()[0].event.event_type.as_ref(), "discarded");
        store.compact().await.unwrap();
        assert_eq!(store.verify().await.unwrap().problems, []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_of_a_batch_go_in_once() {
    let data = data();
    let (store, other) = (open(&data, eager()).await, open(&data, eager()).await);
    store.append_dead_letters(vec![letter(1)], vec![offset("app", None, 5)]).await.unwrap();
    let again = other.append_dead_letters(vec![letter(1)], vec![offset("app", None, 5)]).await;
    assert!(matches!(again, Err(AppendError::Conflict(_))), "{again:?}");
    assert_eq!(other.dead_letter_offset("app"), Some(5));
    assert_eq!(other.dead_letter_count(), 1);
}
