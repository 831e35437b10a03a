//! The schema definition of a small catalog.

use crate::shop::Shop;

#[tokio::test]
async fn the_schema_of_the_orders() {
    let shop = Shop::with_orders().await;
    insta::assert_snapshot!(shop.api.sdl());
}

/// What GraphiQL and typed clients ask first.
#[tokio::test]
async fn introspection_answers() {
    let shop = Shop::with_orders().await;
    let data = shop
        .data(
            "{ __schema { queryType { name } types { name kind fields { name type { name kind ofType { name kind ofType { name ofType { name } } } } }
               inputFields { name } enumValues { name } } } }",
        )
        .await;
    let types = data["__schema"]["types"].as_array().unwrap();
    assert!(types.iter().any(|found| found["name"] == "OrdersFilter"));
}
