//! The schema definition of a small catalog.

use crate::shop::Shop;

#[tokio::test]
async fn the_schema_of_the_orders() {
    let shop = Shop::with_orders().await;
    insta::assert_snapshot!(shop.api.sdl());
}

/// What GraphiQL and typed clients ask first, as graphql-js writes it.
const INTROSPECTION: &str = "
    query IntrospectionQuery {
      __schema {
        queryType { name } mutationType { name } subscriptionType { name }
        types { ...FullType }
        directives { name description locations args { ...InputValue } }
      }
    }
    fragment FullType on __Type {
      kind name description
      fields(includeDeprecated: true) {
        name description args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason
      }
      inputFields { ...InputValue }
      interfaces { ...TypeRef }
      enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
      possibleTypes { ...TypeRef }
    }
    fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
    fragment TypeRef on __Type {
      kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
        ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } }
    }";

#[tokio::test]
async fn introspection_answers() {
    let shop = Shop::with_orders().await;
    let data = shop.data(INTROSPECTION).await;
    let types = data["__schema"]["types"].as_array().unwrap();
    let filter = types.iter().find(|found| found["name"] == "OrdersFilter").unwrap();
    assert!(filter["inputFields"].as_array().unwrap().iter().any(|field| field["name"] == "_and"));
}
