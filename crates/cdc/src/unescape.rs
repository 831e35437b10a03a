//! Escaped text of JSON strings.

/// Bytes that are copied at once.
pub(crate) const STRIDE: usize = 8;

/// Puts the text of a JSON string's inside into `out`, in place of what it held. None where an escape means no character,
/// or where a quote or a control character stands unescaped: then it was not a string's inside.
///
/// A change event inside a JSON string has an escaped quote every few bytes: the copy goes on a stride at a time and
/// starts again behind each escape, which is faster than a search for the next one and a copy of what lies between.
pub(crate) fn unescape(inner: &[u8], out: &mut Vec<u8>) -> Option<()> {
    // No escape is shorter than what it stands for; the stride may write beyond the end of the text.
    out.clear();
    out.resize(inner.len() + STRIDE, 0);
    let (mut read, mut written) = (0, 0);
    while let Some(stride) = inner[read..].first_chunk::<STRIDE>() {
        out[written..written + STRIDE].copy_from_slice(stride);
        let plain = plain_bytes(*stride);
        (read, written) = (read + plain, written + plain);
        if plain < STRIDE {
            (read, written) = escape(inner, read, out, written)?;
        }
    }
    while let Some(byte) = inner.get(read) {
        if is_special(*byte) {
            (read, written) = escape(inner, read, out, written)?;
        } else {
            out[written] = *byte;
            (read, written) = (read + 1, written + 1);
        }
    }
    out.truncate(written);
    Some(())
}

/// How many of these bytes come before the first special one, all eight looked at together: subtracting from each byte
/// sets its top bit where it was too small, and what that borrows from the bytes above matters no more.
pub(crate) fn plain_bytes(stride: [u8; STRIDE]) -> usize {
    const ONES: u64 = u64::MAX / 0xFF;
    const TOPS: u64 = ONES * 0x80;
    let bytes = u64::from_le_bytes(stride);
    let below = |bytes: u64, limit: u64| bytes.wrapping_sub(ONES * limit) & !bytes & TOPS;
    let equal = |sign: u8| below(bytes ^ (ONES * u64::from(sign)), 1);
    let special = below(bytes, u64::from(b' ')) | equal(b'"') | equal(b'\\');
    (special.trailing_zeros() / 8) as usize
}

fn is_special(byte: u8) -> bool {
    byte == b'\\' || byte == b'"' || byte < b' '
}

/// Writes what the escape at `read` stands for; where both go on.
fn escape(inner: &[u8], read: usize, out: &mut [u8], written: usize) -> Option<(usize, usize)> {
    if inner[read] != b'\\' {
        return None;
    }
    out[written] = match inner.get(read + 1)? {
        byte @ (b'"' | b'\\' | b'/') => *byte,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let (char, length) = escaped_char(inner, read)?;
            let text = char.encode_utf8(&mut out[written..written + 4]);
            return Some((read + length, written + text.len()));
        }
        _ => return None,
    };
    Some((read + 2, written + 1))
}

/// The character of the `\u` escape at `at`, or of two that make a pair, and the length of it all.
fn escaped_char(text: &[u8], at: usize) -> Option<(char, usize)> {
    match unit(text, at)? {
        high @ 0xD800..0xDC00 => {
            let low @ 0xDC00..0xE000 = unit(text, at + 6)? else { return None };
            char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)).map(|char| (char, 12))
        }
        single => char::from_u32(single).map(|char| (char, 6)),
    }
}

/// The length of the escape at `at`; none of one that means no character.
pub(crate) fn escape_length(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => escaped_char(text, at).map(|(_, length)| length),
        _ => None,
    }
}

fn unit(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unescaped(inner: &str) -> Option<String> {
        let mut out = b"what was there before".to_vec();
        unescape(inner.as_bytes(), &mut out)?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_escape() {
        let found = unescaped(r#"a\"\\\/\b\f\n\r\t\u0041\ud83d\ude00é"#);
        assert_eq!(found.as_deref(), Some("a\"\\/\u{8}\u{c}\n\r\tA😀é"));
        for wrong in [r"\", r"\x", r"\u12", r"\ud83d", r"\ud83dx", "a\"b", "a\nb", "0123456789abcdef\"0123456789abcdef"]
        {
            assert_eq!(unescaped(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_same_as_serde_json(text in "(\\PC|[\\x00-\\x20\"\\\\/]){0,80}") {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(unescaped(&json[1..json.len() - 1]), Some(text));
        }

        #[test]
        fn whatever_is_not_a_strings_inside_is_refused(inner in "[a\"\\\\u0dn8\n]{0,40}") {
            let expected = serde_json::from_str::<String>(&format!("\"{inner}\"")).ok();
            prop_assert_eq!(unescaped(&inner), expected);
        }
    }
}
