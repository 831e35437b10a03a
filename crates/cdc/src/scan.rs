//! The one walk over JSON that checks it: strictly RFC 8259, without recursion and without building anything.
//!
//! Deeper than the limit, escapes that mean no character, and anything after the value are faults as well, so that
//! whoever reads what is stored later does not stumble over it.

use crate::unescape::{STRIDE, escape_length, plain_bytes};

/// What is wrong with a text, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It ends inside the value.
    End,
    /// Something else should stand here.
    Unexpected(usize),
    /// An escape here means no character.
    Escape(usize),
    /// One array or object too many is open here.
    Deep(usize),
}

/// A place in a text.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// How deep values may be nested; never above 128, one bit for each level.
    depth: usize,
}

impl<'a> Scanner<'a> {
    /// At the start of a text; `depth` is how deep its arrays and objects may be nested, at most 128.
    pub(crate) fn new(text: &'a str, depth: usize) -> Self {
        Self { text, at: 0, depth: depth.min(128) }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// What is left of the text.
    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The next byte that is no space.
    pub(crate) fn peek(&mut self) -> Result<u8, Fault> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return Ok(byte),
                None => return Err(Fault::End),
            }
        }
    }

    /// Steps over this sign.
    pub(crate) fn expect(&mut self, sign: u8) -> Result<(), Fault> {
        if self.peek()? != sign {
            return Err(Fault::Unexpected(self.at));
        }
        self.at += 1;
        Ok(())
    }

    /// Steps over one of two signs; whether it was the first.
    pub(crate) fn either(&mut self, first: u8, second: u8) -> Result<bool, Fault> {
        let found = self.peek()?;
        if found != first && found != second {
            return Err(Fault::Unexpected(self.at));
        }
        self.at += 1;
        Ok(found == first)
    }

    /// That nothing but spaces follows.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Err(_) => Ok(()),
            Ok(_) => Err(Fault::Unexpected(self.at)),
        }
    }

    /// The raw string that comes next, and a colon: a member's name.
    pub(crate) fn name(&mut self) -> Result<&'a str, Fault> {
        if self.peek()? != b'"' {
            return Err(Fault::Unexpected(self.at));
        }
        let start = self.at;
        self.string()?;
        let name = &self.text[start..self.at];
        self.expect(b':')?;
        Ok(name)
    }

    /// The raw value that comes next, of any kind.
    pub(crate) fn value(&mut self) -> Result<&'a str, Fault> {
        self.peek()?;
        let start = self.at;
        // The kinds of what is open, the innermost in the lowest bit: 1 for an object.
        let mut open: u128 = 0;
        let mut level = 0_usize;
        loop {
            match self.peek()? {
                b'"' => self.string()?,
                sign @ (b'{' | b'[') => {
                    if level == self.depth {
                        return Err(Fault::Deep(self.at));
                    }
                    self.at += 1;
                    if self.peek()? != sign + 2 {
                        level += 1;
                        open = open << 1 | u128::from(sign == b'{');
                        if sign == b'{' {
                            self.name()?;
                        }
                        continue;
                    }
                    self.at += 1;
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => return Err(Fault::Unexpected(self.at)),
            }
            loop {
                if level == 0 {
                    return Ok(&self.text[start..self.at]);
                }
                let in_object = open & 1 == 1;
                if self.either(b',', if in_object { b'}' } else { b']' })? {
                    if in_object {
                        self.name()?;
                    }
                    break;
                }
                level -= 1;
                open >>= 1;
            }
        }
    }

    /// Steps over the string whose opening quote is here.
    fn string(&mut self) -> Result<(), Fault> {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        loop {
            match bytes.get(at..).and_then(|rest| rest.first_chunk::<STRIDE>()) {
                Some(stride) => {
                    let plain = plain_bytes(*stride);
                    at += plain;
                    if plain == STRIDE {
                        continue;
                    }
                }
                None => {
                    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
                    let rest = bytes.get(at..).ok_or(Fault::End)?;
                    at += rest.iter().position(is_special).ok_or(Fault::End)?;
                }
            }
            match bytes[at] {
                b'"' => {
                    self.at = at + 1;
                    return Ok(());
                }
                b'\\' => at += escape_length(bytes, at).ok_or_else(|| escape_fault(bytes, at))?,
                _ => return Err(Fault::Unexpected(at)),
            }
        }
    }

    fn literal(&mut self, literal: &str) -> Result<(), Fault> {
        let rest = self.rest();
        if rest.starts_with(literal) {
            self.at += literal.len();
            return Ok(());
        }
        Err(if literal.starts_with(rest) { Fault::End } else { Fault::Unexpected(self.at) })
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit and all that follow.
    fn digits(&mut self) -> Result<(), Fault> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        if count == 0 {
            return Err(if rest.is_empty() { Fault::End } else { Fault::Unexpected(self.at) });
        }
        self.at += count;
        Ok(())
    }
}

/// An escape that the end of the text cut off is not a wrong one.
fn escape_fault(bytes: &[u8], at: usize) -> Fault {
    let rest = &bytes[at..];
    let is_cut = rest.len() < 2 || rest[1] == b'u' && rest.len() < 12 && rest[2..].iter().all(|byte| *byte != b'"');
    if is_cut { Fault::End } else { Fault::Escape(at) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(text: &str, depth: usize) -> Result<&str, Fault> {
        let mut scanner = Scanner::new(text, depth);
        let value = scanner.value()?;
        scanner.end()?;
        Ok(value)
    }

    #[test]
    fn values_of_every_kind() {
        for text in [
            "0",
            "-0",
            "1.5e-3",
            "1E+9",
            "true",
            "false",
            "null",
            "\"\"",
            "\"a\\\"\\u00e4\\ud83d\\ude00é\"",
            "[]",
            "{}",
            "[[],{}]",
            r#"{"a":[1,{"b":null}],"c":"d"}"#,
            " [ 1 , 2 ] ",
            r#"{ "a" : { } }"#,
        ] {
            assert_eq!(scan(text, 8), Ok(text.trim()), "{text}");
        }
    }

    #[test]
    fn faults_say_where() {
        for (text, fault) in [
            ("", Fault::End),
            ("{\"a\":1", Fault::End),
            ("tru", Fault::End),
            ("-", Fault::End),
            ("1.", Fault::End),
            ("\"a\\", Fault::End),
            ("\"a\\u12", Fault::End),
            ("\"a\\ud83d", Fault::End),
            ("[1 2]", Fault::Unexpected(3)),
            ("{\"a\" 1}", Fault::Unexpected(5)),
            ("{a:1}", Fault::Unexpected(1)),
            ("[1,]", Fault::Unexpected(3)),
            ("{\"a\":1,}", Fault::Unexpected(7)),
            ("[1}", Fault::Unexpected(2)),
            ("01", Fault::Unexpected(1)),
            ("1 2", Fault::Unexpected(2)),
            ("trux", Fault::Unexpected(0)),
            ("\"a\nb\"", Fault::Unexpected(2)),
            ("\"\\x\"", Fault::Escape(1)),
            ("\"\\uZZZZ\"", Fault::Escape(1)),
            ("\"\\ud83d\"", Fault::Escape(1)),
            ("\"\\ude00\\ud83d\"", Fault::Escape(1)),
            ("[[[[]]]]", Fault::Deep(3)),
        ] {
            assert_eq!(scan(text, 3), Err(fault), "{text}");
        }
    }

    #[test]
    fn depth_is_limited_without_recursion() {
        let nested = |depth: usize| format!("{}{}", "[{\"a\":".repeat(depth / 2) + "1", "}]".repeat(depth / 2));
        assert!(scan(&nested(126), 126).is_ok());
        assert!(scan(&nested(128), 128).is_ok());
        assert!(matches!(scan(&nested(128), 127), Err(Fault::Deep(_))));
        assert!(matches!(scan(&nested(10_000_000), 1_000), Err(Fault::Deep(_))));
    }

    /// Texts that are almost JSON.
    fn almost_json() -> impl Strategy<Value = String> {
        let token = prop_oneof![
            "[\\[\\]{}:,]",
            "\"[a-cé\\\\\"]{0,12}\"",
            "\"[ab]\":",
            "-?[0-9]{1,3}(\\.[0-9]+)?([eE][+-]?[0-9]+)?",
            "true|false|null",
            "\"\\\\(u[0-9a-f]{4}|[\"\\\\/bfnrt]|ud83d\\\\ude00)\"",
            "[ \n\t]",
            "[0-9.eE+-]{1,3}",
        ];
        proptest::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            (-1e9..1e9_f64).prop_map(Into::into),
            "\\PC{0,20}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                proptest::collection::hash_map("\\PC{0,12}", inner, 0..6)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Value>()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_same_texts_are_json_as_for_serde_json(text in almost_json()) {
            let expected = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            prop_assert_eq!(scan(&text, 100).is_ok(), expected, "{}", text);
        }

        #[test]
        fn whatever_is_json_is_taken_and_whatever_is_cut_is_at_its_end(value in json(), pretty in any::<bool>(), cut in any::<prop::sample::Index>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(scan(&text, 100), Ok(text.as_str()));
            let mut cut = cut.index(text.len());
            while !text.is_char_boundary(cut) {
                cut -= 1;
            }
            if value.is_object() || value.is_array() || value.is_string() {
                prop_assert_eq!(scan(&text[..cut], 100), Err(Fault::End));
            }
        }
    }
}
