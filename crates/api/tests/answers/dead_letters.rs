//! Dead letters: what is shown of them, and what mutations hand on.

use deltafold_api::{CommandError, LetterChoice, LetterFailure, Limits, Settled};
use deltafold_event::{EventId, Position, Timestamp};
use deltafold_store::{DeadLetter, Outcome};
use serde_json::json;

use crate::shop::{Shop, shown};

fn letter(offset: i64) -> DeadLetter {
    DeadLetter {
        source: "shop".into(),
        topic: "shop.public.orders".into(),
        partition: 0,
        offset,
        file: None,
        line: None,
        timestamp_ms: Some(1_790_582_400_123),
        key: Some(b"{}".to_vec()),
        value: Some(vec![b'{'; offset as usize]),
        headers: r#"["a","b"]"#.into(),
        code: ["no_key", "truncated_json"][offset as usize % 2].into(),
        reason: "because".into(),
        recorded_at: Timestamp::from_micros(0),
    }
}

/// Five letters, of which the second was retried and the third discarded.
async fn with_letters() -> Shop {
    let shop = Shop::open(Limits::default()).await;
    shop.store.append_dead_letters((1..=5).map(letter).collect(), Vec::new()).await.unwrap();
    let retried = Outcome::Retried { events: vec![EventId::from_bytes([1; 16])], ignored: None };
    let discarded = Outcome::Discarded { reason: "a test".into() };
    let now = Timestamp::from_micros(1);
    shop.append(vec![retried.event(2, &letter(2), "ops", now), discarded.event(3, &letter(3), "local", now)]).await;
    shop
}

#[tokio::test]
async fn letters_show_what_became_of_them() {
    let shop = with_letters().await;
    let fields = "number state settlement { by reason events ignored }";
    let data = shop.data(&format!("{{ deadLetters {{ nodes {{ {fields} }} }} }}")).await;
    let open = |number: u64| json!({ "number": number, "state": "OPEN", "settlement": null });
    let settled = |number: u64, state: &str, by: &str, reason: Option<&str>, events: &[&str]| {
        json!({
            "number": number, "state": state,
            "settlement": { "by": by, "reason": reason, "events": events, "ignored": null },
        })
    };
    let event = "01010101-0101-0101-0101-010101010101";
    assert_eq!(
        data["deadLetters"]["nodes"],
        json!([
            open(1),
            settled(2, "RETRIED", "ops", None, &[event]),
            settled(3, "DISCARDED", "local", Some("a test"), &[]),
            open(4),
            open(5),
        ])
    );
    let data = shop.data("{ deadLetter(number: 2) { id state timestamp headers key } }").await;
    assert_eq!(
        data["deadLetter"],
        json!({
            "id": letter(2).id().to_string(), "state": "RETRIED", "timestamp": "2026-09-28T08:00:00.123000Z",
            "headers": ["a", "b"], "key": "e30=",
        })
    );
    // What is on record of it is found by its id, too.
    let id = letter(2).id();
    let query = format!(
        "{{ events(where: {{aggregateType: {{_eq: \"$dead_letter\"}}, aggregateId: {{_eq: \"{id}\"}}}}) {{ nodes {{ eventType }} }} }}"
    );
    assert_eq!(shop.data(&query).await["events"]["nodes"], json!([{ "eventType": "retried" }]));
}

#[tokio::test]
async fn letters_are_listed_by_their_state_and_page_by_page() {
    let shop = with_letters().await;
    let numbers = async |arguments: &str| {
        let data = shop.data(&format!("{{ deadLetters({arguments}) {{ nodes {{ number }} }} }}")).await;
        let nodes = data["deadLetters"]["nodes"].as_array().unwrap().clone();
        nodes.iter().map(|node| node["number"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers("where: {state: {_eq: OPEN}}").await, [1, 4, 5]);
    assert_eq!(numbers("where: {state: {_eq: RETRIED}}").await, [2]);
    assert_eq!(numbers("where: {state: {_eq: DISCARDED}}, first: 1").await, [3]);
    assert_eq!(numbers("where: {state: {_eq: OPEN}, code: {_eq: \"truncated_json\"}}").await, [1, 5]);
    assert_eq!(numbers("where: {state: {_eq: OPEN}}, last: 2").await, [4, 5]);
    let query = "query ($after: String) { deadLetters(where: {state: {_eq: OPEN}}, first: 2, after: $after) {
        nodes { number } pageInfo { endCursor hasNextPage } } }";
    let first = shop.ask(query).await["data"]["deadLetters"].take();
    assert_eq!(first["pageInfo"]["hasNextPage"], json!(true));
    let second = shop.ask_with(query, json!({ "after": first["pageInfo"]["endCursor"] })).await;
    assert_eq!(second["data"]["deadLetters"]["nodes"], json!([{ "number": 5 }]));
    let errors = shop.errors("{ deadLetters(where: {state: {_eq: OPENED}}) { nodes { number } } }").await;
    assert!(errors.contains("expected one of OPEN, RETRIED, DISCARDED"), "{errors}");
}

#[tokio::test]
async fn mutations_hand_on_what_was_chosen_and_who_asks() {
    let shop = Shop::open(Limits::default()).await;
    let settled = Settled {
        settled: 2,
        events: 3,
        failed: 1,
        failures: vec![LetterFailure { number: 7, code: "no_key".into(), reason: "declare one".into() }],
        position: Some(Position::new(1, 2).unwrap()),
        stopped_at: Some(9),
    };
    *shop.operator.answer.lock().unwrap() = Some(Ok(settled));
    let data = shop
        .data(
            "mutation { retried: retryDeadLetters(code: \"no_key\", first: 3, after: 4) {
               settled events failed failures { number code reason } position stoppedAt
             } }",
        )
        .await;
    assert_eq!(
        data["retried"],
        json!({
            "settled": 2, "events": 3, "failed": 1, "position": Position::new(1, 2).unwrap().to_string(), "stoppedAt": 9,
            "failures": [{ "number": 7, "code": "no_key", "reason": "declare one" }],
        })
    );
    let query = "mutation ($numbers: [Int!]) {
      retryDeadLetters(all: true) { settled }
      discardDeadLetters(numbers: $numbers, reason: \"a test\") { settled stoppedAt position }
    }";
    let response = shop.ask_with(query, json!({ "numbers": [3, 5] })).await;
    assert_eq!(response["data"]["discardDeadLetters"], json!({ "settled": 0, "stoppedAt": null, "position": null }));
    let choice = |numbers: Option<Vec<u64>>, limit| LetterChoice { numbers, limit, ..LetterChoice::default() };
    let by_code = LetterChoice { code: Some("no_key".into()), after: Some(4), ..choice(None, 3) };
    assert_eq!(
        *shop.operator.asked.lock().unwrap(),
        [
            format!("local retries {by_code:?}"),
            format!("local retries {:?}", choice(None, 1_000)),
            format!("local discards {:?} because a test", choice(Some(vec![3, 5]), 1_000)),
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_done_has_its_code() {
    let shop = Shop::open(Limits::default()).await;
    for (error, expected) in [
        (CommandError::NotFound("there is no dead letter 9".into()), "NOT_FOUND: there is no dead letter 9"),
        (CommandError::Conflict("it was retried already".into()), "CONFLICT: it was retried already"),
        (CommandError::Unavailable("the disk is full".into()), "UNAVAILABLE: the disk is full"),
    ] {
        *shop.operator.answer.lock().unwrap() = Some(Err(error));
        let response = shop.ask("mutation { retryDeadLetters(numbers: [9]) { settled } }").await;
        assert_eq!(shown(&response), expected);
        assert_eq!(response["errors"][0]["path"], json!(["retryDeadLetters"]));
    }
    *shop.operator.answer.lock().unwrap() = Some(Err(CommandError::Failed("a secret".into())));
    let told = shop.errors("mutation { retryDeadLetters(all: true) { settled } }").await;
    assert!(told.starts_with("INTERNAL: ") && !told.contains("secret"), "{told}");

    shop.operator.asked.lock().unwrap().clear();
    for (mutation, expected) in [
        (
            "retryDeadLetters",
            "BAD_INPUT: retryDeadLetters: expected either numbers, or all or a source, topic or code, found neither",
        ),
        ("retryDeadLetters(numbers: [1], all: true)", "found both"),
        ("retryDeadLetters(numbers: [-1])", "expected numbers from 1"),
        ("retryDeadLetters(all: true, first: 5000)", "LIMIT_EXCEEDED: limit \"page_max\""),
        ("discardDeadLetters(all: true)", "BAD_INPUT: discardDeadLetters.reason: expected a String, found nothing"),
        ("discardDeadLetters(all: true, reason: \" \")", "expected a reason"),
        ("retryDeadLeters(all: true)", "GRAPHQL_VALIDATION_FAILED"),
    ] {
        let told = shop.errors(&format!("mutation {{ {mutation} {{ settled }} }}")).await;
        assert!(told.contains(expected), "{mutation}: {told}");
    }
    assert_eq!(*shop.operator.asked.lock().unwrap(), [""; 0]);
}
