//! What there is, and how far it has come.

use std::sync::Arc;

use deltafold_api::{Api, Limits, Options, PartitionState, SourceState};
use deltafold_projector::{Catalog, Failure};
use deltafold_view::ViewStore;
use serde_json::json;
use tokio::sync::watch;

use crate::shop::Shop;

#[tokio::test]
async fn projections_show_their_names() {
    let shop = Shop::with_orders().await;
    let data = shop
        .data(
            "{ projection(name: \"orders\") { name kind status lagMs generation rows typeName listField byKeyField historyStart error
                 key { name field scalar } columns { name field type graphqlType } } missing: projection(name: \"x\") { name } }",
        )
        .await;
    let mut projection = data["projection"].clone();
    let columns = projection["columns"].take();
    let find = |name: &str| columns.as_array().unwrap().iter().find(|column| column["name"] == name).unwrap().clone();
    assert_eq!(
        find("total"),
        json!({ "name": "total", "field": "total", "type": "decimal(10,2)", "graphqlType": "Decimal" })
    );
    assert_eq!(find("tags")["graphqlType"], "[String]");
    assert_eq!(
        projection,
        json!({
            "name": "orders", "kind": "mirror", "status": "live", "lagMs": 0, "generation": 1, "rows": "3",
            "typeName": "Orders", "listField": "orders", "byKeyField": "ordersByKey",
            "historyStart": "2026-11-21T10:00:00.000000Z", "error": null,
            "key": [{ "name": "id", "field": "id", "scalar": "Int" }], "columns": null
        })
    );
    assert_eq!(data["missing"], json!(null));
}

#[tokio::test]
async fn the_store_counts_what_it_holds() {
    let shop = Shop::with_orders().await;
    let response =
        shop.ask("{ store { events deadLetters position } sources { name } deadLetters { nodes { code } } }").await;
    let data = &response["data"];
    assert_eq!((&data["store"]["events"], &data["store"]["deadLetters"]), (&json!("8"), &json!("0")));
    assert_eq!(data["store"]["position"], response["extensions"]["deltafold"]["position"]);
    assert_eq!((&data["sources"], &data["deadLetters"]["nodes"]), (&json!([]), &json!([])));
    let readiness = shop.api.readiness().await;
    assert_eq!((readiness.is_ready(), readiness.to_string().as_str()), (true, "ok"));
}

#[tokio::test]
async fn sources_show_how_they_are_read() {
    let read = |partition, lag, problem: Option<&str>| PartitionState {
        topic: "shop.public.orders".to_owned(),
        partition,
        next: 7,
        lag,
        uncommitted: 4,
        state: if problem.is_some() { "data_lost" } else { "reading" },
        problem: problem.map(str::to_owned),
    };
    let state = SourceState {
        name: "shop".to_owned(),
        hindrance: Some("no broker can be reached".to_owned()),
        unknown_topics: vec!["shop.public.x".to_owned()],
        partitions: vec![read(0, Some(3), None), read(1, None, Some("retention ran past us"))],
        letters_copied: 2,
        ..SourceState::default()
    };
    let shop = Shop::fed_by(Limits::default(), vec![state]).await;
    let data = shop
        .data(
            "{ sources { name kind hindrance unknownTopics deletedTopics lettersCopied lettersNotCopied
                 partitions { topic partition nextOffset lag uncommitted state problem } } }",
        )
        .await;
    assert_eq!(
        data["sources"],
        json!([{
            "name": "shop", "kind": "kafka", "hindrance": "no broker can be reached",
            "unknownTopics": ["shop.public.x"], "deletedTopics": [], "lettersCopied": "2", "lettersNotCopied": "0",
            "partitions": [
                { "topic": "shop.public.orders", "partition": 0, "nextOffset": "7", "lag": "3", "uncommitted": "4",
                  "state": "reading", "problem": null },
                { "topic": "shop.public.orders", "partition": 1, "nextOffset": "7", "lag": null, "uncommitted": "4",
                  "state": "data_lost", "problem": "retention ran past us" },
            ],
        }])
    );
    let readiness = shop.api.readiness().await;
    assert!(readiness.is_ready());
    assert_eq!(
        readiness.to_string(),
        "ok\nsource shop: no broker can be reached\nsource shop: there is no topic shop.public.x\n\
         source shop: shop.public.orders/1: retention ran past us"
    );
}

#[tokio::test]
async fn it_is_not_ready_while_the_views_catch_up() {
    let shop = Shop::with_orders().await;
    let dir = tempfile::tempdir().unwrap();
    let views = ViewStore::open(&dir.path().join("index"), deltafold_view::Options::default()).unwrap();
    let (folded, catalog) = watch::channel(Arc::new(Catalog::default()));
    let api =
        Api::new(shop.store.clone(), views, catalog, shop.operator.clone(), Arc::new(Vec::new()), Options::default())
            .unwrap();
    let readiness = api.readiness().await;
    assert!(!readiness.is_ready());
    assert!(readiness.to_string().starts_with("catching up: the views are folded up to position 0 of "), "{readiness}");

    // What is folded while it is asked counts.
    let checkpoint = shop.store.high_water_mark();
    let (readiness, _) = tokio::join!(api.readiness(), async {
        folded.send_replace(Arc::new(Catalog { checkpoint, ..Catalog::default() }))
    });
    assert!(readiness.is_ready(), "{readiness}");

    let failure = Some(Failure { what: "the disk is full".into(), is_disk: true });
    folded.send_replace(Arc::new(Catalog { checkpoint, failure, ..Catalog::default() }));
    assert_eq!(api.readiness().await.to_string(), "folding has stopped; the server's log says why");
}
