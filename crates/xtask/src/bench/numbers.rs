//! Medians with their ranges: machines are shared, so one number says little.

use std::fmt::{self, Display};

/// The measured values of one quantity over several runs, or over many requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    values: Vec<f64>,
}

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.values.push(value);
    }

    pub(crate) fn extend(&mut self, values: impl IntoIterator<Item = f64>) {
        self.values.extend(values);
    }

    pub(crate) fn into_values(self) -> Vec<f64> {
        self.values
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The value below which this share (0 to 1) of all lies; NaN of an empty series.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(index).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

/// `median (lowest–highest)`.
impl Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (self.quantile(0.0), self.quantile(1.0));
        write!(f, "{} ({}–{})", figure(self.median()), figure(low), figure(high))
    }
}

/// Three significant digits, thousands set apart.
pub(crate) fn figure(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    if value.abs() < 100.0 {
        let digits = if value.abs() < 1.0 { 3 } else { 2 };
        return format!("{value:.digits$}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_at_a_glance() {
        assert_eq!(
            [1_234_567.8, 1_234.0, 999.4, 12.345, 0.1234].map(figure),
            ["1,234,568", "1,234", "999", "12.35", "0.123"]
        );
    }

    #[test]
    fn quantiles_of_a_hundred_values() {
        let mut series = Series::default();
        series.extend((1..=100).rev().map(f64::from));
        assert_eq!([series.quantile(0.0), series.median(), series.quantile(0.99)], [1.0, 51.0, 100.0]);
    }
}
