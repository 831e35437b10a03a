//! Sums of floats that do not depend on the order.

use num_bigint::BigInt;
use serde::{Deserialize, Serialize};

/// A sum of floats, exactly: `mantissa × 2^exponent`, and what is no number counted apart.
///
/// What was added and taken away again leaves no trace: equal sums are equal in their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct ExactSum {
    #[serde(with = "as_bytes")]
    mantissa: BigInt,
    exponent: i32,
    nans: i64,
    infinities: i64,
    negative_infinities: i64,
}

impl ExactSum {
    /// Adds a number so many times; takes it away where they are fewer than none.
    pub(crate) fn add(&mut self, number: f64, times: i64) {
        if number.is_nan() {
            self.nans += times;
        } else if number.is_infinite() {
            let count = if number > 0.0 { &mut self.infinities } else { &mut self.negative_infinities };
            *count += times;
        } else {
            // IEEE 754: 52 bits of fraction below an implicit one, unless the exponent is the lowest.
            let bits = number.to_bits();
            let (biased, fraction) = ((bits >> 52 & 0x7FF) as i32, (bits & ((1 << 52) - 1)) as i64);
            let (mantissa, exponent) = match biased {
                0 => (fraction, -1_074),
                _ => (fraction | 1 << 52, biased - 1_075),
            };
            let signed = if bits >> 63 == 1 { -mantissa } else { mantissa };
            self.add_scaled(BigInt::from(i128::from(signed) * i128::from(times)), exponent);
        }
    }

    /// Adds another sum.
    pub(crate) fn add_sum(&mut self, other: &Self) {
        self.add_scaled(other.mantissa.clone(), other.exponent);
        self.nans += other.nans;
        self.infinities += other.infinities;
        self.negative_infinities += other.negative_infinities;
    }

    fn add_scaled(&mut self, mut mantissa: BigInt, exponent: i32) {
        let finer = self.exponent.min(exponent);
        mantissa <<= exponent.abs_diff(finer);
        self.mantissa <<= self.exponent.abs_diff(finer);
        self.mantissa += mantissa;
        let zeros = self.mantissa.trailing_zeros();
        self.mantissa >>= zeros.unwrap_or(0);
        // Fewer zeros than the bits of two doubles.
        self.exponent = zeros.map_or(0, |zeros| finer + zeros as i32);
    }

    /// The nearest float.
    pub(crate) fn to_f64(&self) -> f64 {
        match (self.nans, self.infinities, self.negative_infinities) {
            (0, 0, 0) => {}
            (0, _, 0) => return f64::INFINITY,
            (0, 0, _) => return f64::NEG_INFINITY,
            _ => return f64::NAN,
        }
        // The 64 highest bits, the last of which stands for all below it, are rounded once.
        let shift = self.mantissa.bits().saturating_sub(64);
        let magnitude = self.mantissa.magnitude();
        let highest = magnitude >> shift;
        let is_cut = &highest << shift != *magnitude;
        let highest = highest.iter_u64_digits().next().unwrap_or(0) | u64::from(is_cut);
        let exponent = self.exponent + shift as i32;
        // In two steps: neither factor may be beyond what a float can be.
        let number = highest as f64 * 2_f64.powi(exponent / 2) * 2_f64.powi(exponent - exponent / 2);
        if self.mantissa.sign() == num_bigint::Sign::Minus { -number } else { number }
    }
}

mod as_bytes {
    use num_bigint::BigInt;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &BigInt, serializer: S) -> Result<S::Ok, S::Error> {
        number.to_signed_bytes_le().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BigInt, D::Error> {
        Ok(BigInt::from_signed_bytes_le(&Vec::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(numbers: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        numbers.iter().for_each(|&number| sum.add(number, 1));
        sum
    }

    #[test]
    fn a_sum_is_rounded_once() {
        assert_eq!(sum(&[0.1, 0.2, 0.3]).to_f64(), 0.6);
        assert_eq!(sum(&[1e308, 1e308, -1e308]).to_f64(), 1e308);
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]).to_f64(), 2.0);
        assert_eq!(sum(&[f64::MIN_POSITIVE / 4.0, 0.0]).to_f64(), f64::MIN_POSITIVE / 4.0);
        assert_eq!(sum(&[-1.5, 0.25]).to_f64(), -1.25);
        assert_eq!(sum(&[f64::MAX, f64::MAX]).to_f64(), f64::INFINITY);
        // Half-way between two floats, and a little more.
        assert_eq!(sum(&[9_007_199_254_740_992.0, 1.0]).to_f64(), 9_007_199_254_740_992.0);
        assert_eq!(sum(&[9_007_199_254_740_992.0, 1.0, 1e-30]).to_f64(), 9_007_199_254_740_994.0);
    }

    #[test]
    fn what_is_taken_away_leaves_no_trace() {
        let mut left = sum(&[0.1, 7e200, f64::NAN, f64::INFINITY]);
        for gone in [7e200, f64::NAN, f64::INFINITY] {
            left.add(gone, -1);
        }
        assert_eq!(left, sum(&[0.1]));
        left.add(0.1, -1);
        assert_eq!(left, ExactSum::default());
        assert_eq!(left.to_f64(), 0.0);
    }

    #[test]
    fn what_is_no_number_wins() {
        assert_eq!(sum(&[1.0, f64::NEG_INFINITY]).to_f64(), f64::NEG_INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).to_f64().is_nan());
    }
}
