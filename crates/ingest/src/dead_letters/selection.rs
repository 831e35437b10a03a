//! Which dead letters to settle.

use std::ops::RangeInclusive;

use deltafold_store::{DeadLetterFilter, LetterState};

/// Which dead letters to settle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetterSelection {
    /// Those with these numbers. Each must be there, and open.
    Numbers(Vec<RangeInclusive<u64>>),
    /// All that are open, or those among them with these parts.
    Open {
        /// Of this source only.
        source: Option<String>,
        /// Of this topic only.
        topic: Option<String>,
        /// With this code only.
        code: Option<String>,
        /// Numbers greater than this one only.
        after: Option<u64>,
    },
}

impl LetterSelection {
    /// All that are open.
    pub fn all() -> Self {
        Self::Open { source: None, topic: None, code: None, after: None }
    }

    /// Whether each of them was named.
    pub(super) fn is_named(&self) -> bool {
        matches!(self, Self::Numbers(_))
    }

    /// The numbers that were named.
    pub(super) fn numbers(&self) -> &[RangeInclusive<u64>] {
        match self {
            Self::Numbers(numbers) => numbers,
            Self::Open { .. } => &[],
        }
    }

    /// One after the other, by number.
    pub(super) fn filters(&self) -> Vec<DeadLetterFilter> {
        match self {
            Self::Open { source, topic, code, after } => vec![DeadLetterFilter {
                source: source.clone(),
                topic: topic.clone(),
                code: code.clone(),
                after: *after,
                state: Some(LetterState::Open),
                ..DeadLetterFilter::default()
            }],
            Self::Numbers(numbers) => {
                let filter = |range: RangeInclusive<u64>| DeadLetterFilter {
                    after: Some(range.start().saturating_sub(1)),
                    to: Some(*range.end()),
                    ..DeadLetterFilter::default()
                };
                disjoint(numbers.clone()).into_iter().map(filter).collect()
            }
        }
    }
}

/// The same numbers, ascending, each once.
fn disjoint(mut ranges: Vec<RangeInclusive<u64>>) -> Vec<RangeInclusive<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| *range.start());
    let mut merged: Vec<RangeInclusive<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "what somebody may type")]
    fn numbers_are_taken_once_and_ascending() {
        assert_eq!(disjoint(vec![7..=9, 1..=1, 2..=3, 8..=12, 5..=4]), [1..=3, 7..=12]);
    }
}
