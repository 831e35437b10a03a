//! The schema wrapper.

use deltafold_cdc::Headers;

use super::support::{decode_with, decoder, envelope, moved, postgres, record, refused};

const DECIMAL: &str = r#""type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1"#;

fn schema(fields: &str) -> String {
    let row = |name: &str| {
        format!(r#"{{"type":"struct","fields":[{fields}],"optional":true,"name":"t.Value","field":"{name}"}}"#)
    };
    format!(
        r#"{{"type":"struct","fields":[{},{},{{"type":"string","optional":false,"field":"op"}}],"optional":false,"name":"t.Envelope"}}"#,
        row("before"),
        row("after")
    )
}

fn wrapped(schema: &str, payload: &str) -> String {
    format!(r#"{{"schema":{schema},"payload":{payload}}}"#)
}

#[test]
fn key_and_value_are_wrapped_independently() {
    let fields = format!(r#"{{{DECIMAL},"parameters":{{"scale":"2"}},"field":"price"}}"#);
    let key_schema = format!(r#"{{"type":"struct","fields":[{fields}],"optional":false,"name":"t.Key"}}"#);
    let (key, wrapped_key) = (r#"{"price":"D5Y="}"#, wrapped(&key_schema, r#"{"price":"D5Y="}"#));
    let value = envelope("c", "null", r#"{"price":"D5Y="}"#, &postgres("t", ""));
    let wrapped_value = wrapped(&schema(&fields), &value);
    for (key, value, id, has_schema) in [
        (key, &value, "D5Y=", false),
        (&wrapped_key, &value, "39.90", false),
        (key, &wrapped_value, "39.90", true),
        (&wrapped_key, &wrapped_value, "39.90", true),
    ] {
        let (decoded, _) = decode_with(&mut decoder(&[]), &record(Some(key), value, Headers::None)).unwrap();
        assert_eq!(decoded[0].event.aggregate_id.as_deref(), Some(id));
        assert_eq!(decoded[0].event.after.as_deref(), Some(r#"{"price":"D5Y="}"#), "rows stay as given");
        let schema = decoded[0].schema.as_ref().unwrap();
        assert_eq!(schema.connect().is_some(), has_schema);
        if let Some(connect) = schema.connect() {
            assert!(
                connect.starts_with(r#"{"type":"struct","fields":[{"type":"bytes""#)
                    && connect.ends_with(r#""field":"after"}"#)
            );
            assert_eq!(schema.columns().unwrap().unwrap()[0].name(), "price");
        }
    }
}

#[test]
fn wrapped_and_plain_are_the_same_event() {
    let value = envelope("c", "null", r#"{"id":1}"#, &postgres("t", ""));
    let ids: Vec<_> =
        [value.clone(), wrapped(&schema(r#"{"type":"int32","field":"id"}"#), &value), wrapped("null", &value)]
            .iter()
            .map(|value| {
                let (decoded, _) =
                    decode_with(&mut decoder(&[]), &record(Some(r#"{"id":1}"#), value, Headers::None)).unwrap();
                decoded[0].event.id
            })
            .collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn key_headers_are_plain_even_where_schemas_are_on() {
    let fields = format!(r#"{{{DECIMAL},"parameters":{{"scale":"2"}},"field":"price"}}"#);
    let value = wrapped(&schema(&fields), &envelope("c", "null", r#"{"price":"D5Y="}"#, &postgres("t", "")));
    let headers = Headers::Json(r#"["__debezium.oldkey","{\"price\":12.50}"]"#);
    let (decoded, _) = decode_with(&mut decoder(&[]), &record(Some(r#"{"price":"D5Y="}"#), &value, headers)).unwrap();
    assert_eq!(moved(&decoded[0].event), (Some("12.50".into()), None));
}

#[test]
fn a_new_schema_is_noticed() {
    let mut decoder = decoder(&[]);
    let mut id = |fields: &str| {
        let value = wrapped(&schema(fields), &envelope("c", "null", "{}", &postgres("t", "")));
        let (decoded, _) = decode_with(&mut decoder, &record(Some(r#"{"id":1}"#), &value, Headers::None)).unwrap();
        (decoded[0].event.schema_id.clone(), decoded[0].schema.is_some())
    };
    let one = id(r#"{"type":"int32","field":"id"}"#);
    let two = id(r#"{"type":"int32","field":"id"},{"type":"string","field":"new"}"#);
    let again = id(r#"{"type":"int32","field":"id"}"#);
    assert!(one.1 && two.1 && !again.1);
    assert!(one.0 != two.0 && one.0 == again.0);
}

#[test]
fn a_decimal_without_scale_is_refused() {
    let value = wrapped(
        &schema(&format!(r#"{{{DECIMAL},"field":"total"}}"#)),
        &envelope("c", "null", "{}", &postgres("t", "")),
    );
    let reason = refused(&[], Some(r#"{"id":1}"#), &value);
    assert!(reason.starts_with("decimal_without_scale: column total is a Decimal"), "{reason}");
    let value = wrapped("{\"fields\":[{\"field\":\"after\"}]}", &envelope("c", "null", "{}", &postgres("t", "")));
    assert!(refused(&[], Some(r#"{"id":1}"#), &value).starts_with("invalid_schema: "));
}
