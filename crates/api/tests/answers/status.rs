//! What there is, and how far it has come.

use serde_json::json;

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
    assert!(shop.api.is_ready());
}
