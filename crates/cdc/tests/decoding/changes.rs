//! What events say.

use deltafold_cdc::{Headers, Ignored, TableName};
use deltafold_event::{Metadata, Operation, SourcePosition};

use super::support::{decode_with, decoder, envelope, event, line, mariadb, postgres, record};

#[test]
fn a_change_keeps_everything() {
    let source = postgres("orders", "");
    let value = envelope("u", r#"{"id": 7}"#, r#"{"id": 7, "x":1.50}"#, &source);
    let headers = Headers::Json(r#"["a","b"]"#);
    let (decoded, _) = decode_with(&mut decoder(&[]), &record(Some(r#"{"id":7}"#), &value, headers)).unwrap();
    let found = &decoded[0].event;
    assert_eq!((&*found.aggregate_type, found.aggregate_id.as_deref()), ("orders", Some("7")));
    assert_eq!((found.operation, &*found.event_type), (Some(Operation::Update), "updated"));
    assert_eq!(
        (found.before.as_deref(), found.after.as_deref()),
        (Some(r#"{"id": 7}"#), Some(r#"{"id": 7, "x":1.50}"#))
    );
    assert_eq!(found.source_position, Some(SourcePosition::postgres(26_492_464)));
    assert_eq!(found.transaction_id.as_deref(), Some("730"));
    assert_eq!(found.occurred_at.as_micros(), 1_790_582_400_029_070);
    assert_eq!((&*found.coordinates.source, &*found.coordinates.topic), ("file", "t"));
    assert_eq!((found.coordinates.partition, found.coordinates.offset), (1, 17));
    let metadata = Metadata::parse(&found.metadata).unwrap();
    assert_eq!(metadata.source.map(|raw| raw.get()), Some(source.as_str()));
    assert_eq!(metadata.key.map(|raw| raw.get()), Some(r#"{"id":7}"#));
    assert_eq!(metadata.headers.map(|raw| raw.get()), Some(r#"["a","b"]"#));
    assert!(!metadata.whole_before);
    let table =
        TableName { server: "shop".into(), database: "shop".into(), schema: "public".into(), table: "orders".into() };
    assert_eq!(*decoded[0].table, table);
    let schema = decoded[0].schema.as_ref().unwrap();
    assert_eq!(
        (schema.key(), schema.connect(), schema.connector()),
        (&["id".to_owned()][..], None, Some("postgresql"))
    );
    assert_eq!(found.schema_id, Some(schema.id()));
}

#[test]
fn a_schema_is_given_once() {
    let mut decoder = decoder(&[]);
    let mut new = |table: &str, key: &str| {
        let value = envelope("c", "null", "{}", &postgres(table, ""));
        let (decoded, _) = decode_with(&mut decoder, &record(Some(key), &value, Headers::None)).unwrap();
        decoded[0].schema.is_some()
    };
    assert!(new("a", r#"{"id":1}"#));
    assert!(!new("a", r#"{"id":2}"#));
    assert!(!new("b", r#"{"id":2}"#), "another table, but the same shape");
    assert!(new("a", r#"{"id":4,"lvl":"L7"}"#), "the key's columns were altered");
}

#[test]
fn mariadb_has_binlog_positions_and_whole_rows_before() {
    let found = event(Some(r#"{"id":7}"#), &envelope("u", r#"{"id":7}"#, r#"{"id":7}"#, &mariadb("orders")));
    assert_eq!(found.source_position, Some(SourcePosition::binlog(5_401, "mysql-bin.000012", 4_711, 2)));
    assert_eq!(found.transaction_id.as_deref(), Some("0-5401-641"));
    assert_eq!(found.occurred_at.as_micros(), 1_790_582_400_000_000);
    assert!(Metadata::parse(&found.metadata).unwrap().whole_before);
}

#[test]
fn rows_of_snapshots_have_no_position_whatever_the_source_block_says() {
    for (op, snapshot) in
        [("r", "\"first\""), ("r", "\"incremental\""), ("r", "\"false\""), ("c", "\"true\""), ("c", "true")]
    {
        let source = postgres("orders", "").replace(r#""snapshot":"false""#, &format!(r#""snapshot":{snapshot}"#));
        let found = event(Some(r#"{"id":7}"#), &envelope(op, "null", r#"{"id":7}"#, &source));
        assert_eq!((found.operation, &*found.event_type), (Some(Operation::Read), "snapshot"));
        assert_eq!(found.source_position, None, "{op} {snapshot}");
    }
}

#[test]
fn an_incremental_snapshot_row_has_nulls_where_log_events_have_numbers() {
    let source = postgres("orders", "").replace("730", "null").replace(r#""lsn":26492464"#, r#""lsn":null"#);
    let found = event(Some(r#"{"id":7}"#), &envelope("r", "null", r#"{"id":7}"#, &source));
    assert_eq!(found.transaction_id, None);
}

#[test]
fn a_truncate_is_of_the_table() {
    let found = event(None, &envelope("t", "null", "null", &postgres("orders", "")));
    assert_eq!((found.aggregate_id, found.schema_id), (None, None));
    assert_eq!((found.operation, &*found.event_type), (Some(Operation::Truncate), "truncated"));
    assert_eq!(found.source_position, Some(SourcePosition::postgres(26_492_464)));
}

#[test]
fn a_logical_message_is_an_event_of_its_prefix() {
    let source = postgres("", "").replace("730", "null");
    let value =
        format!(r#"{{"op":"m","ts_ms":1,"source":{source},"message":{{"prefix":"audit","content":"eyJhIjoxfQ=="}}}}"#);
    let (decoded, _) =
        decode_with(&mut decoder(&[]), &record(Some(r#"{"prefix":"audit"}"#), &value, Headers::None)).unwrap();
    let found = &decoded[0].event;
    assert_eq!(
        (&*found.aggregate_type, found.aggregate_id.as_deref(), &*found.event_type),
        ("message", Some("audit"), "audit")
    );
    assert_eq!((found.operation, found.after.as_deref(), found.before.as_deref()), (None, Some(r#"{"a":1}"#), None));
    assert_eq!(found.source_position, Some(SourcePosition::postgres(26_492_464)));
    assert_eq!((&found.transaction_id, &found.schema_id), (&None, &None));
    assert_eq!(*decoded[0].table, TableName::default());
}

#[test]
fn times_are_taken_as_finely_as_they_are_given() {
    let at = |from: &str, to: &str| {
        let source = postgres("orders", "").replace(r#""ts_us":1790582400029070"#, from).replace("1790582400029,", to);
        event(Some(r#"{"id":7}"#), &envelope("c", "null", "{}", &source)).occurred_at.as_micros()
    };
    assert_eq!(at(r#""ts_us":5"#, "9,"), 5);
    assert_eq!(at(r#""ts_ns":-1"#, "9,"), -1);
    assert_eq!(at(r#""x":1"#, "9,"), 9_000);
    assert_eq!(at(r#""x":1"#, "null,"), 1_795_263_674_711_000, "the envelope's");
}

#[test]
fn an_update_without_any_change_is_an_event() {
    let row = r#"{"id":7}"#;
    assert_eq!(&*event(Some(row), &envelope("u", row, row, &postgres("t", ""))).event_type, "updated");
}

#[test]
fn columns_may_bear_any_name() {
    let row = r#"{"id":7,"op":"d","before":1,"schema":{},"payload":2,"a.b":3,"source":null,"ts_ms":1}"#;
    let found = event(Some(r#"{"op":"x","payload":2}"#), &envelope("c", "null", row, &postgres("Odd Näme.x", "")));
    assert_eq!((&*found.aggregate_type, found.aggregate_id.as_deref()), ("Odd Näme.x", Some(r#"["x",2]"#)));
    assert_eq!(found.after.as_deref(), Some(row));
}

#[test]
fn what_holds_no_event_is_ignored_by_its_shape() {
    for (value, ignored) in [
        ("", Ignored::Tombstone),
        ("null", Ignored::Tombstone),
        (r#"{"schema":null,"payload":null}"#, Ignored::Tombstone),
        (r#"{"schema":{"type":"struct"},"payload":{"ts_ms":1}}"#, Ignored::Heartbeat),
        (r#"{"ts_ms":1795263674711}"#, Ignored::Heartbeat),
        (
            r#"{"status":"END","id":"5519:97039368","event_count":2,"data_collections":[],"ts_ms":1}"#,
            Ignored::Transaction,
        ),
        (
            r#"{"source":{"connector":"mariadb"},"databaseName":"d","ddl":"ALTER TABLE t","tableChanges":[]}"#,
            Ignored::SchemaChange,
        ),
    ] {
        let found = decode_with(&mut decoder(&[]), &record(None, value, Headers::None));
        assert_eq!(found, Ok((vec![], Some(ignored))), "{value}");
    }
    assert_eq!(
        line(br#"{"topic":"t","partition":0,"offset":1,"key":"{\"id\":1}","payload":null}"#),
        Ok((vec![], Some(Ignored::Tombstone)))
    );
}

#[test]
fn connectors_we_know_nothing_of_are_taken_by_arrival() {
    let source = postgres("t", "").replace("postgresql", "vitess");
    let found = event(Some(r#"{"id":7}"#), &envelope("c", "null", r#"{"id":7}"#, &source));
    assert_eq!((found.source_position, found.operation), (None, Some(Operation::Create)));
}
