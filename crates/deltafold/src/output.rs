//! What goes to stdout.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use serde::Serialize;
use serde_json::Value;

/// Prints a line. A reader that went away (`| head`) is no error.
pub(crate) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints a document on one line.
pub(crate) fn json(document: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string(document)?)?)
}

/// Prints a document for people.
pub(crate) fn pretty(document: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string_pretty(document)?)?)
}

/// A table without rules, as wide as its content or the terminal.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    table
}

/// Prints a table.
pub(crate) fn print_table(table: &Table) -> io::Result<()> {
    line(table.trim_fmt())
}

/// A value as a person reads it: texts without quotes.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    }
}

/// The fields that became different, one per line: objects with `field`, `before` and `after`.
pub(crate) fn changes(indent: &str, changes: &[Value]) -> io::Result<()> {
    let widest = changes.iter().map(|change| shown(&change["field"]).chars().count()).max().unwrap_or_default();
    changes.iter().try_for_each(|change| {
        let [field, before, after] = ["field", "before", "after"].map(|part| shown(&change[part]));
        line(format_args!("{indent}{field:<widest$}  {before} → {after}"))
    })
}

/// 1234567 as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
