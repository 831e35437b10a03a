//! Dead letters: whole, numbered, once.

use deltafold_event::Timestamp;
use deltafold_store::{AppendError, DeadLetter, DeadLetterFilter};

use crate::support::*;

fn letter(number: u64) -> DeadLetter {
    DeadLetter {
        source: "file".into(),
        topic: format!("file/{}", number % 2),
        partition: 0,
        offset: number as i64,
        file: number.is_multiple_of(3).then(|| "orders.jsonl".into()),
        line: number.is_multiple_of(3).then_some(number + 1),
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
        assert_eq!(all, (0..20).map(|number| (number + 1, letter(number))).collect::<Vec<_>>());
        assert_eq!(store.dead_letter(7).await.unwrap(), Some(letter(6)));
        assert_eq!(store.dead_letter(0).await.unwrap(), None);
        assert_eq!(store.dead_letter(21).await.unwrap(), None);
        let filter =
            DeadLetterFilter { code: Some("key".into()), after: Some(6), limit: Some(3), ..Default::default() };
        let numbers: Vec<_> =
            store.dead_letters(&filter).await.unwrap().into_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [8, 10, 12]);
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
