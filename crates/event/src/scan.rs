//! A quick walk over JSON that was checked before.

/// The members of a JSON object as raw text: names without their quotes, escapes left as they are. Ends early
/// where the text is not JSON after all; nothing is checked beyond what finding the ends takes.
#[derive(Debug, Clone)]
pub struct RawMembers<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> RawMembers<'a> {
    /// Of an object; of anything else there are none.
    pub fn new(json: &'a str) -> Self {
        let start = skip_space(json.as_bytes(), 0);
        let at = if json.as_bytes().get(start) == Some(&b'{') { start + 1 } else { json.len() };
        Self { json, at }
    }
}

impl<'a> Iterator for RawMembers<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.json.as_bytes();
        let mut at = skip_space(bytes, self.at);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        if bytes.get(at) != Some(&b'"') {
            self.at = bytes.len();
            return None;
        }
        let name_end = string_end(bytes, at)?;
        let name = self.json.get(at + 1..name_end - 1)?;
        let colon = skip_space(bytes, name_end);
        if bytes.get(colon) != Some(&b':') {
            return None;
        }
        let start = skip_space(bytes, colon + 1);
        let end = value_end(bytes, start)?;
        self.at = end;
        Some((name, self.json.get(start..end)?))
    }
}

/// The elements of a JSON array as raw text.
pub(crate) fn raw_elements(json: &str) -> Option<Vec<&str>> {
    let bytes = json.as_bytes();
    let mut at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'[') {
        return None;
    }
    let mut elements = Vec::new();
    at = skip_space(bytes, at + 1);
    while *bytes.get(at)? != b']' {
        let end = value_end(bytes, at)?;
        elements.push(json.get(at..end)?);
        at = skip_space(bytes, end);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
    }
    Some(elements)
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The place behind the closing quote of the string that begins at `at`. Most are short: eight bytes at a time find
/// their end soonest.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match bytes.get(at..)?.first_chunk::<8>() {
            Some(stride) => {
                let plain = plain_bytes(*stride);
                at += plain;
                if plain == stride.len() {
                    continue;
                }
            }
            None => at += bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\'))?,
        }
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// How many of these bytes come before the first quote or backslash, all eight looked at together: subtracting one
/// sets a byte's top bit where it was zero, and what that borrows from the bytes above matters no more.
fn plain_bytes(stride: [u8; 8]) -> usize {
    const ONES: u64 = u64::MAX / 0xFF;
    const TOPS: u64 = ONES * 0x80;
    let bytes = u64::from_le_bytes(stride);
    let equal = |sign: u8| {
        let difference = bytes ^ (ONES * u64::from(sign));
        difference.wrapping_sub(ONES) & !difference & TOPS
    };
    ((equal(b'"') | equal(b'\\')).trailing_zeros() / 8) as usize
}

fn value_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at),
        b'{' | b'[' => {
            let mut depth = 0_usize;
            loop {
                match bytes.get(at)? {
                    b'"' => {
                        at = string_end(bytes, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
        }
        _ => {
            let length = bytes[at..]
                .iter()
                .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'))
                .unwrap_or(bytes.len() - at);
            (length > 0).then_some(at + length)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_come_in_order_as_they_are_written() {
        let json = r#" { "a\"b" : [1,{"x":"]"}] ,"c":"\\","d":-1.5e3,"e":null,"f":{} } "#;
        let members: Vec<_> = RawMembers::new(json).collect();
        assert_eq!(
            members,
            [(r#"a\"b"#, r#"[1,{"x":"]"}]"#), ("c", r#""\\""#), ("d", "-1.5e3"), ("e", "null"), ("f", "{}")]
        );
        assert_eq!(raw_elements("[ 1, \"a,b\" ,[2],null]"), Some(vec!["1", "\"a,b\"", "[2]", "null"]));
        assert_eq!(raw_elements("[]"), Some(vec![]));
        assert_eq!(raw_elements("[1"), None);
    }

    proptest! {
        #[test]
        fn strings_end_where_their_quotes_do(inner in "([a-zé ]|\\\\[\"\\\\n]){0,40}", rest in "[,}\" a]{0,12}") {
            let json = format!("\"{inner}\"{rest}");
            prop_assert_eq!(string_end(json.as_bytes(), 0), Some(inner.len() + 2));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}\",:\\\\a1é ]{0,40}") {
            let _ = RawMembers::new(&text).count();
            let _ = raw_elements(&text);
        }
    }
}
