//! Rows as JSON text.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// A row in canonical JSON: an object whose members are the row's columns in the source's order, each value in
/// the form of [`crate::canonical_row`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Row {
    /// The object.
    pub json: String,
    /// Whether an unchanged value could not be found, so that it stands as null.
    pub incomplete: bool,
}

impl Row {
    /// A complete row.
    pub fn new(json: impl Into<String>) -> Self {
        Self { json: json.into(), incomplete: false }
    }
}

/// The members of a JSON object, in order, their values as raw text.
///
/// # Errors
/// When the text is not a JSON object.
pub fn members(json: &str) -> Result<Vec<(Cow<'_, str>, &RawValue)>, serde_json::Error> {
    serde_json::from_str::<Members<'_>>(json).map(|members| members.0)
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(map.size_hint().unwrap_or(16));
                while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                    members.push((name, map.next_value::<&'de RawValue>()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_order_and_raw_text() {
        let found = members(r#"{"b":1.00,"a \"x\"":[1, 2],"op":null}"#).unwrap();
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_ref(), value.get())).collect();
        assert_eq!(found, [("b", "1.00"), ("a \"x\"", "[1, 2]"), ("op", "null")]);
        assert!(members("[]").is_err());
    }
}
