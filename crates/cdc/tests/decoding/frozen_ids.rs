//! Frozen: an id that changes would make every known event a new one. Computed by a Python of a dozen lines (hashlib,
//! uuid, xxhash) from the bytes that `deltafold_event::Identity` documents.

use super::support::{envelope, event, mariadb, postgres};

#[test]
fn of_postgres() {
    let value = envelope("u", "null", r#"{"id":7,"status":"paid"}"#, &postgres("orders", ""));
    assert_eq!(event(Some(r#"{"id":7}"#), &value).id.to_string(), "206c684a-e3cb-59c2-a2d2-ff4ebc3b4b94");
}

#[test]
fn of_mariadb() {
    let value = envelope("d", r#"{"id":7,"status":"paid"}"#, "null", &mariadb("orders"));
    assert_eq!(event(Some(r#"{"id":7}"#), &value).id.to_string(), "9e6a308a-8198-5458-9ca2-0bd92f2b8c34");
}

#[test]
fn of_a_truncate() {
    let value = envelope("t", "null", "null", &postgres("orders", ""));
    assert_eq!(event(None, &value).id.to_string(), "bbe5d1fd-80b0-5122-afb8-524eb947af37");
}

#[test]
fn of_a_snapshot_row() {
    let value = envelope("r", "null", r#"{"id":7}"#, &postgres("orders", r#","snapshot":"first""#));
    assert_eq!(event(Some(r#"{"id":7}"#), &value).id.to_string(), "73454143-4bfa-507c-b5fe-85685644efde");
}

#[test]
fn of_a_logical_message() {
    let source = postgres("", "");
    let value = format!(r#"{{"op":"m","source":{source},"message":{{"prefix":"audit","content":"aGVsbG8="}}}}"#);
    assert_eq!(event(Some(r#"{"prefix":"audit"}"#), &value).id.to_string(), "daf3e302-5cd5-5ec7-a2c9-cae777aabe85");
}
