//! No input makes the decoder panic.

use deltafold_cdc::{Decoder, DecoderConfig, Headers, LineHome, LineReader, Record};
use proptest::prelude::*;

use super::support::{decoder, envelope, mariadb, postgres};

fn feed(bytes: &[u8]) {
    let mut lines = LineReader::default();
    let mut decoders = [Decoder::new(DecoderConfig::default()), decoder(&[("t", &["id", "x"])])];
    for decoder in &mut decoders {
        if let Ok(record) = lines.read(bytes, LineHome { topic: "f", line: 1 }) {
            let mut decoded = Vec::new();
            let outcome = decoder.decode(&record, &mut decoded);
            assert_eq!(decoded.is_empty(), !matches!(outcome, Ok(None)));
            if let Err(error) = outcome {
                assert!(!error.code().is_empty() && !error.to_string().is_empty());
            }
        }
    }
}

/// Valid lines, of which pieces are changed.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let source = prop_oneof![Just(postgres("t", "")), Just(mariadb("t")), Just("{}".to_owned())];
    let row = prop_oneof![
        Just("null".to_owned()),
        Just(r#"{"id":1,"x":"__debezium_unavailable_value"}"#.to_owned()),
        "\\{\"id\":[0-9tfn\"\\[\\]{}]{0,6}\\}",
    ];
    let wrap = prop_oneof![Just(0_u8), Just(1), Just(2), Just(3)];
    ("[cudrtmx]", row.clone(), row, source, wrap).prop_map(|(op, before, after, source, wrap)| {
        let value = envelope(&op, &before, &after, &source);
        match wrap {
            0 => value,
            1 => format!(r#"{{"key":{{"id":1}},"value":{value}}}"#),
            2 => format!(r#"{{"schema":{{"type":"struct","fields":[{{"field":"after"}}]}},"payload":{value}}}"#),
            _ => {
                let payload = serde_json::to_string(&value).unwrap();
                format!(r#"{{"topic":"t","partition":0,"offset":5,"headers":["__debezium.oldkey","x"],"key":"{{\"id\":1}}","payload":{payload}}}"#)
            }
        }
        .into_bytes()
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        feed(&bytes);
        let record = Record {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            key: Some(&bytes),
            value: Some(&bytes),
            headers: Headers::List(&[("__debezium.oldkey", Some(&bytes))]),
        };
        let _ = Decoder::new(DecoderConfig::default()).decode(&record, &mut Vec::new());
    }

    #[test]
    fn damaged_lines(line in line(), damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut in any::<prop::sample::Index>()) {
        feed(&line);
        let mut damaged = line.clone();
        for (place, byte) in damage {
            let place = place.index(damaged.len());
            damaged[place] = byte;
        }
        feed(&damaged);
        feed(&damaged[..cut.index(damaged.len())]);
    }
}
