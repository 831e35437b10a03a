//! How many there are of something, over valid time.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
};
use smallvec::SmallVec;

/// By how many more there are from a moment on (microseconds), in the order of moments; never by none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Steps(SmallVec<[(i64, i64); 2]>);

// By hand, as a sequence: without a vector for each of the very many that are read and written with every change.
impl Serialize for Steps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Sequence)
    }
}

struct Sequence;

impl<'de> Visitor<'de> for Sequence {
    type Value = Steps;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("moments and weights")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Steps, A::Error> {
        let mut steps = SmallVec::new();
        while let Some(step) = sequence.next_element()? {
            steps.push(step);
        }
        Ok(Steps(steps))
    }
}

/// A stretch of time at the beginning of which there was nothing, and at the end, if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) steps: Steps,
    pub(crate) end: Option<i64>,
}

impl Steps {
    /// So many from a moment on.
    pub(crate) fn from_then(at: i64, weight: i64) -> Self {
        let mut steps = Self::default();
        steps.add(at, weight);
        steps
    }

    pub(crate) fn add(&mut self, at: i64, weight: i64) {
        let Self(steps) = self;
        // What comes is mostly later.
        let place = steps.iter().rposition(|(there, _)| *there <= at).map_or(0, |before| before + 1);
        if let Some(before) = place.checked_sub(1)
            && steps[before].0 == at
        {
            steps[before].1 += weight;
            if steps[before].1 == 0 {
                steps.remove(before);
            }
        } else if weight != 0 {
            steps.insert(place, (at, weight));
        }
    }

    pub(crate) fn plus(self, other: &Self) -> Self {
        self.plus_times(other, 1)
    }

    pub(crate) fn plus_times(mut self, other: &Self, times: i64) -> Self {
        other.0.iter().for_each(|(at, weight)| self.add(*at, times * *weight));
        self
    }

    /// One where there is any of it.
    pub(crate) fn any(&self) -> Self {
        let (mut any, mut count, mut is_any) = (Self::default(), 0, false);
        for (at, weight) in &self.0 {
            count += weight;
            if (count != 0) != is_any {
                is_any = count != 0;
                any.0.push((*at, if is_any { 1 } else { -1 }));
            }
        }
        any
    }

    /// One where there is none of it, none where there is one.
    pub(crate) fn inverted(&self) -> Self {
        let inverted = self.0.iter().map(|(at, weight)| (*at, -weight)).collect();
        Self(inverted).plus(&Self::from_then(i64::MIN, 1))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn first(&self) -> Option<i64> {
        self.0.first().map(|(at, _)| *at)
    }

    /// The stretches of time in which there is something.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = Stretch> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let mut sum = 0;
            let ends = rest.iter().position(|(_, weight)| {
                sum += weight;
                sum == 0
            });
            let (steps, after) = rest.split_at(ends.map_or(rest.len(), |last| last + 1));
            rest = after;
            let end = ends.and_then(|_| steps.last()).map(|(at, _)| *at);
            (!steps.is_empty()).then(|| Stretch { steps: Self(steps.into()), end })
        })
    }
}

/// How many pairs there are of two things, by how they differ from how many there were.
pub(crate) fn pairs((old, new): (&Steps, &Steps), (old_other, new_other): (&Steps, &Steps)) -> Steps {
    let all = [old, old_other, new, new_other];
    let mut next = [0; 4];
    let mut counts = [0_i64; 4];
    let (mut before, mut differences) = (0, SmallVec::new());
    loop {
        let moments = all.iter().zip(next).filter_map(|(Steps(steps), next)| steps.get(next).map(|(at, _)| *at));
        let Some(at) = moments.min() else { return Steps(differences) };
        for ((Steps(steps), next), count) in all.iter().zip(&mut next).zip(&mut counts) {
            while let Some((_, weight)) = steps.get(*next).filter(|(there, _)| *there == at) {
                *count += weight;
                *next += 1;
            }
        }
        let [old, old_other, new, new_other] = counts;
        let more = new * new_other - old * old_other;
        if more != before {
            differences.push((at, more - before));
            before = more;
        }
    }
}

impl<'s> IntoIterator for &'s Steps {
    type Item = &'s (i64, i64);
    type IntoIter = std::slice::Iter<'s, (i64, i64)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    fn any_steps() -> impl Strategy<Value = Steps> {
        collection::vec((0_i64..12, -2_i64..=2), 0..6).prop_map(|steps| {
            let mut all = Steps::default();
            steps.into_iter().for_each(|(at, weight)| all.add(at, weight));
            all
        })
    }

    fn at(Steps(steps): &Steps, moment: i64) -> i64 {
        steps.iter().filter(|(at, _)| *at <= moment).map(|(_, weight)| weight).sum()
    }

    proptest! {
        #[test]
        fn pairs_are_what_they_are_at_every_moment(
            old in any_steps(), new in any_steps(), old_other in any_steps(), new_other in any_steps(),
        ) {
            let differences = pairs((&old, &new), (&old_other, &new_other));
            for moment in 0..12 {
                let expected = at(&new, moment) * at(&new_other, moment) - at(&old, moment) * at(&old_other, moment);
                prop_assert_eq!(at(&differences, moment), expected);
            }
            prop_assert!(differences.0.is_sorted_by(|one, other| one.0 < other.0));
        }

        #[test]
        fn stretches_are_all_there_is(steps in any_steps()) {
            let stretches: Vec<Stretch> = steps.stretches().collect();
            let all = stretches.iter().fold(Steps::default(), |all, stretch| all.plus(&stretch.steps));
            prop_assert_eq!(&all, &steps);
            for Stretch { steps, end } in &stretches {
                let Steps(within) = steps;
                prop_assert!(within.iter().all(|(moment, _)| (at(steps, *moment) == 0) == (Some(*moment) == *end)));
            }
            prop_assert!(stretches.iter().rev().skip(1).all(|stretch| stretch.end.is_some()));
        }

        #[test]
        fn inverted_is_one_less(steps in any_steps()) {
            for moment in 0..12 {
                prop_assert_eq!(at(&steps.inverted(), moment), 1 - at(&steps, moment));
            }
        }
    }
}
