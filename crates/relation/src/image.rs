//! Images: whether two show the same, and how one is made of what an event gave and what was there before.

use std::{borrow::Cow, collections::BTreeMap};

use deltafold_event::{RawMembers, Row, unescaped};

use crate::Given;

/// Whether two images show the same: the same columns that are not null with the same values, and the same mark
/// of being incomplete. How values and names are written does not matter.
pub(crate) fn same(one: Option<&Row>, other: Option<&Row>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.incomplete == other.incomplete && same_json(&one.json, &other.json),
        _ => false,
    }
}

fn same_json(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    // Most rows of an aggregate have their members in one order, and most that differ do so in a value that is
    // seen to: then no member is looked at twice.
    let (mut ones, mut others) = (RawMembers::new(one), RawMembers::new(other));
    loop {
        match (ones.next(), others.next()) {
            (Some((name, value)), Some((other_name, other_value))) if name == other_name => {
                if value != other_value && !same_value(value, other_value) {
                    return false;
                }
            }
            (None, None) => return true,
            _ => return same_members(one, other),
        }
    }
}

/// The same for rows whose members are not in one order.
fn same_members(one: &str, other: &str) -> bool {
    let shown = |json| -> BTreeMap<Cow<'_, str>, &str> {
        RawMembers::new(json)
            .filter(|(_, value)| *value != "null")
            .map(|(name, value)| (unescaped(name), value))
            .collect()
    };
    let (ones, others) = (shown(one), shown(other));
    ones.len() == others.len()
        && ones.iter().zip(&others).all(|((name, value), (other_name, other_value))| {
            name == other_name && (value == other_value || same_value(value, other_value))
        })
}

/// Whether two raw values that are written differently are the same.
fn same_value(one: &str, other: &str) -> bool {
    let kind = |value: &str| value.as_bytes().first().copied();
    match (kind(one), kind(other)) {
        (Some(b'"'), Some(b'"')) => (one.contains('\\') || other.contains('\\')) && same_parsed(one, other),
        (Some(b'-' | b'0'..=b'9'), Some(b'-' | b'0'..=b'9')) => same_number(one, other),
        (Some(b'['), Some(b'[')) | (Some(b'{'), Some(b'{')) => same_parsed(one, other),
        _ => false,
    }
}

fn same_parsed(one: &str, other: &str) -> bool {
    let parse = |value| serde_json::from_str::<serde_json::Value>(value).ok();
    match (parse(one), parse(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// Whole numbers are what their digits say; with a fraction or an exponent both are doubles.
fn same_number(one: &str, other: &str) -> bool {
    let is_whole = |number: &str| !number.contains(['.', 'e', 'E']);
    if is_whole(one) && is_whole(other) {
        return false;
    }
    match (one.parse::<f64>(), other.parse::<f64>()) {
        // Bits, so that -0.0 and 0.0, which print differently, differ.
        (Ok(one), Ok(other)) => one.to_bits() == other.to_bits(),
        _ => false,
    }
}

/// The row of an event that left values out: they come from `source`. One that is not there stays out, and the
/// row is incomplete.
pub(crate) fn compose(given: &Given, source: Option<&Row>) -> Row {
    let mut json = given.json.clone();
    let mut incomplete = false;
    for column in &given.unchanged {
        match source.and_then(|source| value_of(&source.json, column)) {
            Some(value) => push_member(&mut json, column, value),
            None => incomplete = true,
        }
    }
    Row { json, incomplete }
}

/// The raw value of a column, if the row has it.
pub(crate) fn value_of<'a>(json: &'a str, column: &str) -> Option<&'a str> {
    RawMembers::new(json).find(|(name, _)| unescaped(name) == column).map(|(_, value)| value)
}

/// Adds a member at the end of an object.
pub(crate) fn push_member(json: &mut String, name: &str, value: &str) {
    let end = json.trim_end().len();
    json.truncate(end);
    let closing = json.pop();
    debug_assert_eq!(closing, Some('}'), "a row is an object");
    let inner = json.trim_end().len();
    json.truncate(inner);
    if !json.ends_with('{') {
        json.push(',');
    }
    json.push_str(&serde_json::to_string(name).expect("text is always JSON"));
    json.push(':');
    json.push_str(value);
    json.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same_text(one: &str, other: &str) -> bool {
        let (there, back) = (same_json(one, other), same_json(other, one));
        assert_eq!(there, back, "{one} {other}");
        there
    }

    #[test]
    fn how_a_row_is_written_does_not_matter() {
        assert!(same_text(r#"{"a":1,"b":"x"}"#, r#"{ "b" : "x", "a":1 }"#));
        assert!(same_text(r#"{"a":1,"b":null}"#, r#"{"a":1}"#));
        assert!(same_text(r#"{"b":null,"a":1}"#, r#"{"a":1}"#));
        assert!(same_text(r#"{"a":"\u0041/\/"}"#, r#"{"a":"A\//"}"#));
        assert!(same_text(r#"{"\u0061":1}"#, r#"{"a":1}"#));
        assert!(same_text(r#"{"a":1.50,"b":1e2}"#, r#"{"a":1.5,"b":100.0}"#));
        assert!(same_text(r#"{"a":[1, 2],"b":{"x":1,"y":2}}"#, r#"{"a":[1,2],"b":{"y":2,"x":1}}"#));
    }

    #[test]
    fn what_it_says_does() {
        assert!(!same_text(r#"{"a":1}"#, r#"{"a":2}"#));
        assert!(!same_text(r#"{"a":1}"#, r#"{"a":"1"}"#));
        assert!(!same_text(r#"{"a":null}"#, r#"{"a":false}"#));
        assert!(!same_text(r#"{"a":"1.10"}"#, r#"{"a":"1.1"}"#));
        assert!(!same_text(r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#));
        assert!(!same_text(r#"{"a":0.0}"#, r#"{"a":-0.0}"#));
        assert!(!same_text(r#"{"a":1,"b":null}"#, r#"{"b":1,"a":null}"#));
        assert!(!same_text(r#"{"a":1}"#, r#"{"a":1,"b":2}"#));
        let incomplete = Row { incomplete: true, ..Row::new("{}") };
        assert!(!same(Some(&incomplete), Some(&Row::new("{}"))));
        assert!(!same(None, Some(&Row::new("{}"))));
        assert!(same(None, None));
    }

    #[test]
    fn unchanged_values_come_from_the_source_or_are_unknown() {
        let given = Given { json: r#"{"id":1}"#.into(), unchanged: vec!["a\"b".into(), "gone".into()] };
        let source = Row::new(r#"{"a\"b":[1],"id":0}"#);
        assert_eq!(compose(&given, Some(&source)), Row { json: r#"{"id":1,"a\"b":[1]}"#.into(), incomplete: true });
        let nothing_given = Given { json: "{ } ".into(), unchanged: vec!["id".into()] };
        assert_eq!(compose(&nothing_given, Some(&source)), Row::new(r#"{"id":0}"#));
        assert_eq!(compose(&nothing_given, None), Row { json: "{ } ".into(), incomplete: true });
    }
}
