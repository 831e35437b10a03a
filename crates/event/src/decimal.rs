//! Exact decimal digits.

/// The largest scale or exponent that is written out: PostgreSQL's numeric has up to 131,072 digits before the
/// point and 16,383 after it. Beyond, zeros would only fill memory.
const MAX_ZEROS: i64 = 140_000;

/// The digits of a big-endian two's complement number with so many of them after the point, as Kafka Connect's
/// Decimal and Debezium's `VariableScaleDecimal` write it.
pub(crate) fn from_bytes(bytes: &[u8], scale: i64) -> Option<String> {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let digits = if bytes.len() <= 16 {
        let mut wide = [if negative { 0xFF } else { 0 }; 16];
        wide[16 - bytes.len()..].copy_from_slice(bytes);
        i128::from_be_bytes(wide).unsigned_abs().to_string()
    } else {
        magnitude_digits(bytes, negative)
    };
    place_point(negative, &digits, scale)
}

/// The digits of a magnitude of any length, by repeated division of its 32-bit limbs by 10⁹.
fn magnitude_digits(bytes: &[u8], negative: bool) -> String {
    let flip = if negative { 0xFF } else { 0 };
    let mut limbs: Vec<u32> =
        bytes.rchunks(4).map(|chunk| chunk.iter().fold(0, |limb, byte| (limb << 8) | u32::from(byte ^ flip))).collect();
    if negative {
        for limb in &mut limbs {
            let (sum, carry) = limb.overflowing_add(1);
            *limb = sum;
            if !carry {
                break;
            }
        }
    }
    let mut groups = Vec::new();
    while limbs.last().is_some() {
        let mut rest = 0_u64;
        for limb in limbs.iter_mut().rev() {
            let value = (rest << 32) | u64::from(*limb);
            *limb = (value / 1_000_000_000) as u32;
            rest = value % 1_000_000_000;
        }
        groups.push(rest);
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
    }
    let mut digits = groups.pop().unwrap_or(0).to_string();
    for group in groups.iter().rev() {
        digits.push_str(&format!("{group:09}"));
    }
    digits
}

/// Digits with the point at its place: `scale` of them stand after it; a negative scale adds zeros.
fn place_point(negative: bool, digits: &str, scale: i64) -> Option<String> {
    if scale.abs() > MAX_ZEROS {
        return None;
    }
    let negative = negative && digits.bytes().any(|digit| digit != b'0');
    let mut out = String::with_capacity(digits.len() + scale.unsigned_abs() as usize + 3);
    if negative {
        out.push('-');
    }
    if scale <= 0 {
        out.push_str(digits);
        if digits != "0" {
            out.extend(std::iter::repeat_n('0', scale.unsigned_abs() as usize));
        }
        return Some(out);
    }
    let scale = scale as usize;
    if digits.len() > scale {
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        out.extend([whole, ".", fraction]);
    } else {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', scale - digits.len()));
        out.push_str(digits);
    }
    Some(out)
}

/// A number's text as plain digits: exponents are written out, a plus sign and leading zeros go, zeros after the point
/// stay. None when the text is no number.
pub(crate) fn from_text(text: &str) -> Option<String> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse::<i64>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = || whole.bytes().chain(fraction.bytes());
    if whole.is_empty() && fraction.is_empty() || !all().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = all().map(char::from).skip_while(|&digit| digit == '0').collect();
    let digits = if digits.is_empty() { "0" } else { &digits };
    place_point(negative, digits, (fraction.len() as i64).checked_sub(exponent)?)
}

/// The canonical text of a numeric that is not finite, in any of its spellings.
pub(crate) fn special(text: &str) -> Option<&'static str> {
    match text {
        "NaN" | "NAN" => Some("NaN"),
        "Infinity" | "POSITIVE_INFINITY" => Some("Infinity"),
        "-Infinity" | "NEGATIVE_INFINITY" => Some("-Infinity"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_and_sign() {
        for (bytes, scale, digits) in [
            (&[0x0F, 0x96][..], 2, "39.90"),
            (&[], 2, "0.00"),
            (&[0xFF], 2, "-0.01"),
            (&[0x0B], 1, "1.1"),
            (&[0x80], 0, "-128"),
            (&[0x05], -2, "500"),
            (&[0x00], -2, "0"),
        ] {
            assert_eq!(from_bytes(bytes, scale).as_deref(), Some(digits));
        }
        assert_eq!(from_bytes(&[1], 2_000_000_000), None);
    }

    #[test]
    fn long_numbers_agree_with_short_ones() {
        for number in [0_i128, 1, -1, 999_999_999, -1_000_000_000, i128::MAX, i128::MIN] {
            let mut bytes = vec![if number < 0 { 0xFF } else { 0 }; 5];
            bytes.extend_from_slice(&number.to_be_bytes());
            assert_eq!(from_bytes(&bytes, 0), Some(number.to_string()));
        }
        let mut power = vec![1];
        power.extend([0; 20]);
        assert_eq!(from_bytes(&power, 0).as_deref(), Some("1461501637330902918203684832716283019655932542976"));
    }

    #[test]
    fn texts_become_plain_digits() {
        for (text, digits) in [
            ("39.90", "39.90"),
            ("-0.0", "0.0"),
            ("1e3", "1000"),
            ("1.5E-3", "0.0015"),
            ("+007", "7"),
            (".5", "0.5"),
            ("0", "0"),
            ("12E+1", "120"),
        ] {
            assert_eq!(from_text(text).as_deref(), Some(digits), "{text}");
        }
        for text in ["", "-", ".", "1.2.3", "abc", "1e", "0x1", "1e999999999"] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }
}
