//! A database that is restored, from the outside.

use deltafold_event::{Event, Operation};
use deltafold_projector::Projector;
use deltafold_store::EventStore;
use deltafold_view::ViewStore;
use serde_json::{Value, json};

use crate::shop::{Shop, order, shown};

/// A change of an order, as a connector's run sent it to Kafka.
pub(crate) fn sent(run: u8, lsn: u64, id: i32, time: &str, status: &str) -> Event {
    let operation = if lsn == 10 { Operation::Create } else { Operation::Update };
    let mut event = order(operation, lsn, id, time, &json!({ "status": status }));
    let source = json!({
        "connector": "postgresql", "name": "shop", "snapshot": "false", "lsn": lsn,
        "sequence": json!([lsn.to_string(), lsn.to_string()]).to_string(),
    });
    let run = format!("01a1fe0d-b0b2-7651-b07f-1f9d7b7c86{run:02x}");
    let headers = json!(["__debezium.context.runId", run]);
    event.metadata = json!({ "source": source, "key": { "id": id }, "headers": headers }).to_string();
    event.transaction_id = Some(format!("{run}-{lsn}").into());
    event
}

/// An order was paid; then the database was restored from before that, and the order cancelled.
pub(crate) async fn restored() -> Shop {
    let shop = Shop::open(deltafold_api::Limits::default()).await;
    shop.append(vec![sent(1, 10, 1, "10:00:00", "new"), sent(1, 90, 1, "11:00:00", "paid")]).await;
    shop.append(vec![sent(2, 40, 1, "12:00:00", "cancelled")]).await;
    shop
}

const ORIGINS: &str = "{ sources { name origins { id connector server status epoch unverified
    suspect { epoch held reason topic partition offset occurredAt } } } }";

async fn status(shop: &Shop) -> Value {
    shop.data("{ ordersByKey(id: 1) { status } }").await["ordersByKey"]["status"].take()
}

#[tokio::test]
async fn what_is_held_is_shown_with_its_reason() {
    let shop = restored().await;
    assert_eq!(status(&shop).await, "paid");
    let data = shop.data(ORIGINS).await;
    let [source] = data["sources"].as_array().unwrap().as_slice() else { panic!("{data}") };
    assert_eq!(source["name"], "shop");
    let mut origin = source["origins"][0].clone();
    let reason = origin["suspect"]["reason"].take();
    assert_eq!(
        origin,
        json!({
            "id": "postgresql/shop", "connector": "postgresql", "server": "shop", "status": "suspect", "epoch": 0,
            "unverified": false,
            "suspect": {
                "epoch": 1, "held": "1", "reason": null, "topic": "shop.public.orders", "partition": 0, "offset": "40",
                "occurredAt": "2026-11-21T12:00:00.000000Z",
            }
        })
    );
    let reason = reason.as_str().unwrap();
    assert!(reason.contains("shop.public.orders/0, offset 40") && reason.contains("[90, 90]"), "{reason}");
    let readiness = shop.api.readiness().await;
    assert!(readiness.is_ready());
    let note = "ok\npostgresql/shop: 1 events are held: the event at shop.public.orders/0";
    assert!(readiness.to_string().starts_with(note), "{readiness}");
}

#[tokio::test]
async fn an_operator_lets_it_go_on() {
    let shop = restored().await;
    let document = "mutation { newEpoch(source: \"shop\", reason: \"restored from the backup of 10:30\") { origin epoch position } }";
    let mut data = shop.data(document).await;
    let begun = data["newEpoch"].take();
    assert_eq!((&begun["origin"], &begun["epoch"]), (&json!("postgresql/shop"), &json!(1)));
    shop.projector.caught_up().await.unwrap();
    assert_eq!(status(&shop).await, "cancelled");
    let position = begun["position"].as_str().unwrap().parse::<i64>().unwrap();
    let before = format!("{{ ordersByKey(id: 1, asOf: {{position: \"{}\"}}) {{ status }} }}", position - 1);
    assert_eq!(shop.data(&before).await["ordersByKey"]["status"], "paid");
    let data = shop.data(ORIGINS).await;
    let origin = &data["sources"][0]["origins"][0];
    assert_eq!((&origin["status"], &origin["epoch"], &origin["unverified"]), (&json!("live"), &json!(1), &json!(true)));
    assert_eq!(shop.api.readiness().await.to_string(), "ok");
    let again = shop.errors(document).await;
    assert_eq!(again, "CONFLICT: newEpoch.source: nothing is held of postgresql/shop: it is in epoch 1");
}

#[tokio::test]
async fn wrong_names_and_no_reasons_are_refused() {
    let shop = restored().await;
    let new_epoch = async |source: &str, reason: &str| {
        let document =
            "mutation ($source: String!, $reason: String!) { newEpoch(source: $source, reason: $reason) { epoch } }";
        shown(&shop.ask_with(document, json!({ "source": source, "reason": reason })).await)
    };
    let unknown = new_epoch("shpo", "x").await;
    assert_eq!(unknown, "UNKNOWN_NAME: newEpoch.source: there is no origin \"shpo\"; did you mean \"shop\"?");
    assert!(new_epoch("shop", " ").await.starts_with("BAD_INPUT: newEpoch.reason: expected why"));
}

/// `on_reset = "continue"`: the event that lets it go on is put on record by who folds it.
#[tokio::test]
async fn a_source_that_is_to_continue_does() {
    let dir = tempfile::tempdir().unwrap();
    let store = EventStore::open(dir.path(), deltafold_store::Options::default()).await.unwrap();
    let views = ViewStore::open(&dir.path().join("index"), deltafold_view::Options::default()).unwrap();
    let options = deltafold_projector::Options { continue_on_reset: ["shop".to_owned()].into(), ..Default::default() };
    let projector = Projector::start(store.clone(), views, options).await.unwrap();
    let mut events =
        vec![sent(1, 10, 1, "10:00:00", "new"), sent(1, 90, 1, "11:00:00", "paid"), sent(2, 40, 1, "12:00:00", "new")];
    events.iter_mut().for_each(|event| event.schema_id = None);
    store.append(deltafold_store::Append { events, offsets: Vec::new() }).await.unwrap();
    let mut catalog = projector.watch();
    let goes_on = |catalog: &std::sync::Arc<deltafold_projector::Catalog>| {
        catalog.origins.iter().any(|origin| origin.epoch == 1 && origin.suspect.is_none())
    };
    let limit = std::time::Duration::from_secs(20);
    tokio::time::timeout(limit, catalog.wait_for(goes_on)).await.unwrap().unwrap();
    let on_record = store.control(deltafold_event::control::SOURCE).await.unwrap();
    let [event] = on_record.as_slice() else { panic!("{on_record:?}") };
    assert_eq!((event.event.aggregate_id.as_deref(), &*event.event.event_type), (Some("postgresql/shop"), "new_epoch"));
    projector.stop().await;
}
