//! Aggregate ids.

use deltafold_cdc::Headers;

use super::support::{decode_with, decoder, envelope, event, mariadb, postgres, record, refused};

fn id_of(key: &str) -> String {
    event(Some(key), &envelope("c", "null", "{}", &postgres("t", ""))).aggregate_id.unwrap()
}

#[test]
fn one_column_is_its_text_and_several_are_an_array() {
    for (key, id) in [
        (r#"{"id":7}"#, "7"),
        (r#"{"id":-12.50}"#, "-12.50"),
        (r#"{"id":true}"#, "true"),
        (r#"{"sku":"LAM-100"}"#, "LAM-100"),
        (r#"{"sku":""}"#, ""),
        (r#"{"sku":"a\"bé\n"}"#, "a\"bé\n"),
        (r#"{"order_id":1,"line_no":2}"#, "[1,2]"),
        (r#"{"region":"eu","code":7}"#, r#"["eu",7]"#),
    ] {
        assert_eq!(id_of(key), id, "{key}");
    }
}

#[test]
fn a_declared_key_is_read_from_the_row() {
    let declared: &[(&str, &[&str])] = &[("orders", &["region", "code"])];
    let row = r#"{"code":7,"other":1,"region":"eu"}"#;
    for (op, before, after) in [("c", "null", row), ("u", "null", row), ("d", row, "null"), ("r", "null", row)] {
        for key in [None, Some(r#"{"partition":3}"#), Some("not json"), Some(r#"{"cut":"#)] {
            let value = envelope(op, before, after, &postgres("orders", ""));
            let (decoded, _) = decode_with(&mut decoder(declared), &record(key, &value, Headers::None)).unwrap();
            assert_eq!(decoded[0].event.aggregate_id.as_deref(), Some(r#"["eu",7]"#), "{op} {key:?}");
            assert_eq!(decoded[0].schema.as_ref().unwrap().key(), ["region", "code"]);
        }
    }
}

#[test]
fn a_declared_key_that_is_null_names_the_remedy() {
    let declared: &[(&str, &[&str])] = &[("orders", &["code"])];
    for (op, before, after) in [
        ("d", r#"{"id":1,"code":null}"#, "null"),
        ("d", r#"{"id":1}"#, "null"),
        ("d", "null", "null"),
        ("u", "null", r#"{"id":1,"code":null}"#),
    ] {
        let reason = refused(declared, Some(r#"{"id":1}"#), &envelope(op, before, after, &postgres("orders", "")));
        assert!(reason.starts_with("null_key: key column code of orders is "), "{reason}");
        assert!(reason.contains("REPLICA IDENTITY FULL"), "{reason}");
    }
}

/// Under the default identity PostgreSQL's deletes carry the primary key, and fill the other columns with null, a
/// default or a zero. A declared key of such columns would be the id of another aggregate.
#[test]
fn a_declared_key_that_was_only_filled_in_is_not_believed() {
    let declared: &[(&str, &[&str])] = &[("orders", &["code"])];
    let value = |row: &str, source: &str| envelope("d", row, "null", source);
    let source = postgres("orders", "");
    let reason = refused(declared, Some(r#"{"id":1}"#), &value(r#"{"id":1,"code":"","n":0,"x":null}"#, &source));
    assert!(reason.starts_with("null_key") && reason.contains("REPLICA IDENTITY FULL"), "{reason}");
    for (key, row, source) in [
        (Some(r#"{"id":1}"#), r#"{"id":1,"code":"","n":5}"#, &source),
        (Some(r#"{"code":""}"#), r#"{"id":null,"code":""}"#, &source),
        (None, r#"{"id":null,"code":""}"#, &source),
        (Some(r#"{"id":1}"#), r#"{"id":1,"code":""}"#, &mariadb("orders")),
    ] {
        let value = value(row, source);
        let (decoded, _) = decode_with(&mut decoder(declared), &record(key, &value, Headers::None)).unwrap();
        assert_eq!(decoded[0].event.aggregate_id.as_deref(), Some(""), "{row}");
    }
}

#[test]
fn a_record_without_a_usable_key_says_how_to_declare_one() {
    let value = envelope("c", "null", r#"{"id":1}"#, &postgres("orders", ""));
    for key in [None, Some(""), Some("null"), Some("{}"), Some(r#"{"schema":null,"payload":null}"#)] {
        assert_eq!(
            refused(&[], key, &value),
            "no_key: table public.orders has no key in its records, so its rows cannot be told apart: declare one with \
             [aggregates.orders] key = [\"…\"] (or --key orders=…)",
            "{key:?}"
        );
    }
    for key in ["7", "\"a\"", "abc", "[1]", r#"{"schema":{"type":"int32"},"payload":7}"#] {
        assert!(refused(&[], Some(key), &value).starts_with("key_not_an_object: "), "{key}");
    }
    assert!(refused(&[], Some(r#"{"id":null}"#), &value).starts_with("null_key: key column id of orders is null"));
    assert!(refused(&[], Some(r#"{"a":1,"id":null}"#), &value).starts_with("null_key: "));
}
