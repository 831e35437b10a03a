//! Rows that get another key.

use deltafold_cdc::{Decoded, Headers};
use deltafold_event::Operation;

use super::support::{decode_with, decoder, envelope, mariadb, moved, postgres, record};

fn with_header(op: &str, key: &str, name: &str, header: &str) -> Decoded {
    let row = r#"{"id":1}"#;
    let (before, after) = if op == "d" { (row, "null") } else { ("null", row) };
    let value = envelope(op, before, after, &postgres("docs", ""));
    let headers = serde_json::to_string(&["__debezium.context.taskId", "0", name, header]).unwrap();
    let (mut decoded, _) = decode_with(&mut decoder(&[]), &record(Some(key), &value, Headers::Json(&headers))).unwrap();
    assert_eq!(decoded.len(), 1);
    decoded.remove(0)
}

#[test]
fn key_headers_tell_where_a_row_came_from_and_went_to() {
    let gone = with_header("d", r#"{"id":1}"#, "__debezium.newkey", r#"{"id":101}"#);
    assert_eq!(moved(&gone.event), (None, Some("101".into())));
    let come = with_header("c", r#"{"id":101}"#, "__debezium.oldkey", r#"{"id":1}"#);
    assert_eq!(moved(&come.event), (Some("1".into()), None));
}

#[test]
fn struct_text_with_control_characters_is_understood() {
    let come = with_header("c", r#"{"a":"x","b":2}"#, "__debezium.oldkey", "{\"a\":\"a\u{1}b\\\"\",\"b\":1}");
    assert_eq!(moved(&come.event), (Some(r#"["a\u0001b\"",1]"#.into()), None));
}

#[test]
fn a_header_that_says_nothing_costs_only_the_move() {
    for header in ["", "{", "7", "not json", r#"{"other":1}"#, r#"{"id":null}"#, r#"{"id":101}"#] {
        let come = with_header("c", r#"{"id":101}"#, "__debezium.oldkey", header);
        assert_eq!(moved(&come.event), (None, None), "{header}");
        assert_eq!(come.event.aggregate_id.as_deref(), Some("101"));
    }
}

#[test]
fn an_update_whose_whole_before_has_another_declared_key_is_a_move() {
    let (before, after) = (r#"{"id":1,"code":"a"}"#, r#"{"id":1,"code":"b"}"#);
    for source in [mariadb("orders"), postgres("orders", "")] {
        let value = envelope("u", before, after, &source);
        let mut decoder = decoder(&[("orders", &["code"])]);
        let (decoded, _) = decode_with(&mut decoder, &record(Some(r#"{"id":1}"#), &value, Headers::None)).unwrap();
        let [gone, come] = decoded.as_slice() else { panic!("two events: {decoded:?}") };
        assert_eq!((gone.event.operation, come.event.operation), (Some(Operation::Delete), Some(Operation::Create)));
        assert_eq!((gone.event.aggregate_id.as_deref(), come.event.aggregate_id.as_deref()), (Some("a"), Some("b")));
        assert_eq!((moved(&gone.event), moved(&come.event)), ((None, Some("b".into())), (Some("a".into()), None)));
        assert_eq!((gone.event.before.as_deref(), gone.event.after.as_deref()), (Some(before), None));
        assert_eq!((come.event.before.as_deref(), come.event.after.as_deref()), (None, Some(after)));
        assert_ne!(gone.event.id, come.event.id);
        assert_eq!(gone.event.source_position, come.event.source_position);
        assert!(gone.schema.is_some() && come.schema.is_none());
    }
}

#[test]
fn an_update_that_keeps_its_declared_key_is_one_event() {
    for before in ["null", r#"{"id":1,"code":"a","x":1}"#, r#"{"id":1,"code":null}"#] {
        let value = envelope("u", before, r#"{"id":1,"code":"a"}"#, &postgres("orders", ""));
        let mut decoder = decoder(&[("orders", &["code"])]);
        let (decoded, _) = decode_with(&mut decoder, &record(Some(r#"{"id":1}"#), &value, Headers::None)).unwrap();
        assert_eq!(decoded.len(), 1);
        assert_eq!(moved(&decoded[0].event), (None, None));
    }
}
