//! One line of the stream: key, envelope and source block as Debezium 3.5 writes them for PostgreSQL without schemas.

use super::row::push;

/// Where and when the log says a change stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Position of the change.
    pub(super) lsn: u64,
    /// End of the transaction that committed before.
    pub(super) last_commit_lsn: u64,
    pub(super) transaction: u64,
    /// Commit time.
    pub(super) occurred_us: i64,
}

/// How a snapshot row or a log event says what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Snapshot {
    No,
    Initial(&'static str),
    Incremental,
}

/// The parts of a line; `before` and `after` are JSON.
pub(super) struct Line<'a> {
    pub(super) table: &'static str,
    pub(super) key: Option<u64>,
    pub(super) op: char,
    pub(super) before: &'a str,
    pub(super) after: &'a str,
    pub(super) place: Place,
    pub(super) snapshot: Snapshot,
    /// Of a key update: the header that names the other key.
    pub(super) moved: Option<Moved>,
    /// The connector's clock, in µs: what differs when an event is sent again.
    pub(super) sent_us: i64,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Moved {
    To(u64),
    From(u64),
}

impl Line<'_> {
    pub(super) fn to_text(&self) -> String {
        let mut text = String::with_capacity(1_100);
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        write_key(self.key, text);
        if let Some(moved) = self.moved {
            write_header(moved, text);
        }
        push(text, format_args!(",\"value\":{{\"before\":{},\"after\":{},\"source\":", self.before, self.after));
        self.write_source(text);
        let us = self.sent_us;
        push(
            text,
            format_args!(
                ",\"transaction\":null,\"op\":\"{}\",\"ts_ms\":{},\"ts_us\":{us},\"ts_ns\":{us}000}}}}\n",
                self.op,
                us / 1000
            ),
        );
    }

    fn write_source(&self, text: &mut String) {
        let Place { lsn, last_commit_lsn, transaction, occurred_us: us } = self.place;
        let snapshot = match self.snapshot {
            Snapshot::No => "false",
            Snapshot::Initial(word) => word,
            Snapshot::Incremental => "incremental",
        };
        push(
            text,
            format_args!(
                "{{\"version\":\"3.5.0.Final\",\"connector\":\"postgresql\",\"name\":\"shop\",\"ts_ms\":{},",
                us / 1000
            ),
        );
        push(
            text,
            format_args!(
                "\"snapshot\":\"{snapshot}\",\"db\":\"shop\",\"sequence\":\"[\\\"{last_commit_lsn}\\\",\\\"{lsn}\\\"]\","
            ),
        );
        push(
            text,
            format_args!("\"ts_us\":{us},\"ts_ns\":{us}000,\"schema\":\"public\",\"table\":\"{}\",", self.table),
        );
        if self.snapshot == Snapshot::Incremental {
            text.push_str("\"txId\":null,\"lsn\":null,");
        } else {
            push(text, format_args!("\"txId\":{transaction},\"lsn\":{lsn},"));
        }
        text.push_str("\"xmin\":null,\"origin\":null,\"origin_lsn\":null}");
    }
}

/// A record without a value, as it follows a delete.
pub(super) fn write_tombstone(key: u64, moved: Option<Moved>, text: &mut String) {
    write_key(Some(key), text);
    if let Some(moved) = moved {
        write_header(moved, text);
    }
    text.push_str(",\"value\":null}\n");
}

fn write_key(key: Option<u64>, text: &mut String) {
    match key {
        Some(id) => push(text, format_args!("{{\"key\":{{\"id\":{id}}}")),
        None => text.push_str("{\"key\":null"),
    }
}

fn write_header(moved: Moved, text: &mut String) {
    let (name, id) = match moved {
        Moved::To(id) => ("newkey", id),
        Moved::From(id) => ("oldkey", id),
    };
    push(text, format_args!(",\"headers\":[\"__debezium.{name}\",\"{{\\\"id\\\":{id}}}\"]"));
}

/// Line number `number` of those that nothing can be made of, each kind in turn.
pub(super) fn write_poison(number: u64, line: &str, out: &mut Vec<u8>) {
    let bytes = line.trim_end().as_bytes();
    match number % 4 {
        0 => out.extend(&bytes[..bytes.len() * 2 / 3]),
        1 => {
            let middle = bytes.len() / 2;
            out.extend(&bytes[..middle]);
            out.extend([0xff, 0xfe]);
            out.extend(&bytes[middle..]);
        }
        // An update of a table with a key, without one.
        2 => out.extend(
            [&b"{\"key\":null"[..], &bytes[line.find(",\"value\"").expect("every line has a value")..]].concat(),
        ),
        _ => out.extend(b"Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space"),
    }
    out.push(b'\n');
}
