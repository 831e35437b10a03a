//! Record headers.

use std::borrow::Cow;

use memchr::memmem;

/// The headers of a record, in either of the forms in which they come.
#[derive(Debug, Clone, Copy, Default)]
pub enum Headers<'a> {
    /// None.
    #[default]
    None,
    /// As `kcat -J` prints them: a JSON array of name, value, name, value.
    Json(&'a str),
    /// As Kafka gives them.
    List(&'a [(&'a str, Option<&'a [u8]>)]),
}

impl<'a> Headers<'a> {
    /// As a JSON array of name, value, name, value; bytes that are no text with replacement characters.
    pub fn to_json(&self) -> Option<Cow<'a, str>> {
        match *self {
            Self::None => None,
            Self::Json(json) => Some(Cow::Borrowed(json)),
            Self::List(headers) => {
                let flat: Vec<Option<Cow<'_, str>>> = headers
                    .iter()
                    .flat_map(|(name, value)| [Some(Cow::Borrowed(*name)), value.map(String::from_utf8_lossy)])
                    .collect();
                Some(Cow::Owned(serde_json::to_string(&flat).expect("texts are always JSON")))
            }
        }
    }

    /// The text of the first header of this name.
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        match *self {
            Self::None => None,
            Self::Json(json) => {
                // Most records do not have the header that is looked for, and most of a header array is the same always.
                memmem::find(json.as_bytes(), name.as_bytes())?;
                let mut flat = serde_json::from_str::<Vec<Option<String>>>(json).ok()?.into_iter();
                while let (Some(found), Some(value)) = (flat.next(), flat.next()) {
                    if found.as_deref() == Some(name) {
                        return value.map(Cow::Owned);
                    }
                }
                None
            }
            Self::List(headers) => {
                let (_, value) = headers.iter().find(|(found, _)| *found == name)?;
                std::str::from_utf8((*value)?).ok().map(Cow::Borrowed)
            }
        }
    }
}

/// The struct text of a key header as JSON: it does not escape control characters.
pub(crate) fn struct_text(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte < b' ') {
        return Cow::Borrowed(text);
    }
    let mut json = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if char < ' ' {
            json.push_str(&format!("\\u{:04x}", u32::from(char)));
        } else {
            json.push(char);
        }
    }
    Cow::Owned(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let json = Headers::Json(r#"["a","1","b",null,"a","2","c","x\u0001\""]"#);
        let list = Headers::List(&[("a", Some(b"1")), ("b", None), ("a", Some(b"2")), ("c", Some(b"x\x01\""))]);
        for headers in [json, list] {
            assert_eq!(headers.get("a").as_deref(), Some("1"));
            assert_eq!(headers.get("b"), None);
            assert_eq!(headers.get("c").as_deref(), Some("x\u{1}\""));
            assert_eq!(headers.get("1"), None);
            assert_eq!(headers.to_json(), json.to_json());
        }
        assert_eq!(Headers::Json("[1]").get("1"), None);
        assert!(Headers::None.to_json().is_none());
    }

    #[test]
    fn control_characters_of_struct_text_are_escaped() {
        assert_eq!(struct_text("{\"a\":\"x\u{1}\ny\"}"), "{\"a\":\"x\\u0001\\u000ay\"}");
        assert_eq!(struct_text("{\"a\":1}"), "{\"a\":1}");
    }
}
