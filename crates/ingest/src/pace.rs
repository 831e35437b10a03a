//! Which partitions are ahead of the others.
//!
//! Partitions are read side by side, and a group of a projection may have half of its changes in each: a partition that
//! is weeks ahead of another would make every change of the other a late one. So, as long as there is something to catch
//! up on, those that are ahead wait (`fold.md`, "Folding").
//!
//! The ends of transactions count like changes: whoever follows transactions remembers ends whose changes were not read
//! yet, and changes whose ends were not, but not any number of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use deltafold_event::Timestamp;
use deltafold_source::{KafkaState, Reading, TopicPartition};

/// This far ahead of the slowest, by the source's time, a partition is held.
const MOST_AHEAD: Duration = Duration::from_secs(60);
/// Once it is not further ahead than this, it is let go: letting go costs a fetch.
const AGAIN_AT: Duration = Duration::from_secs(30);

/// How far each partition was read, by the source's time.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    newest: Mutex<BTreeMap<TopicPartition, Timestamp>>,
}

impl Pace {
    /// A change of this time was read, or a transaction's end.
    pub(crate) fn reached(&self, partition: &TopicPartition, time: Timestamp) {
        let mut newest = self.newest();
        match newest.get_mut(partition) {
            Some(known) => *known = time.max(*known),
            None => {
                newest.insert(partition.clone(), time);
            }
        }
    }

    /// Those that are to be held. A partition of which no change was seen yet holds nobody up: it may hold none.
    pub(crate) fn ahead(&self, state: &KafkaState) -> BTreeSet<TopicPartition> {
        let newest = self.newest();
        let has_more = |partition: &TopicPartition| {
            let state = state.partitions.get(partition);
            state.is_some_and(|state| !state.reading.is_stopped() && state.lag().is_some_and(|lag| lag > 0))
        };
        let Some(slowest) = newest.iter().filter(|(partition, _)| has_more(partition)).map(|(_, time)| *time).min()
        else {
            return BTreeSet::new();
        };
        let is_ahead = |partition: &TopicPartition, time: Timestamp| {
            let is_held = state.partitions.get(partition).is_some_and(|state| state.reading == Reading::Ahead);
            let most = if is_held { AGAIN_AT } else { MOST_AHEAD };
            time.as_micros().saturating_sub(slowest.as_micros()) > most.as_micros() as i64
        };
        newest
            .iter()
            .filter(|(partition, time)| state.partitions.contains_key(*partition) && is_ahead(partition, **time))
            .map(|(partition, _)| partition.clone())
            .collect()
    }

    fn newest(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Timestamp>> {
        self.newest.lock().expect("nothing panics while it holds the times")
    }
}

#[cfg(test)]
mod tests {
    use deltafold_source::PartitionState;

    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition: number }
    }

    /// Partitions with their lags, and whether each is held.
    fn state(partitions: &[(u8, bool)]) -> KafkaState {
        let state = |(lag, is_held): &(u8, bool)| PartitionState {
            end: Some(i64::from(*lag)),
            reading: if *is_held { Reading::Ahead } else { Reading::Reading },
            ..PartitionState::default()
        };
        let partitions = (0..).map(partition).zip(partitions.iter().map(state)).collect();
        KafkaState { partitions, ..KafkaState::default() }
    }

    fn held(pace: &Pace, partitions: &[(u8, bool)]) -> Vec<i32> {
        pace.ahead(&state(partitions)).into_iter().map(|partition| partition.partition).collect()
    }

    #[test]
    fn who_is_a_minute_ahead_waits_for_those_that_have_more_to_read() {
        let pace = Pace::default();
        let second = |second: i64| Timestamp::from_micros(second * 1_000_000);
        for (number, at) in [(0, 0), (1, 61), (2, 59)] {
            pace.reached(&partition(number), second(at));
        }
        assert_eq!(held(&pace, &[(5, false), (5, false), (5, false)]), [1]);
        // The slowest is at its end: there is nothing to wait for.
        assert_eq!(held(&pace, &[(0, false), (5, false), (5, false)]), [0; 0]);
        // Once held, it is let go a little later, not at every record.
        pace.reached(&partition(0), second(20));
        assert_eq!(held(&pace, &[(5, false), (5, true), (5, false)]), [1]);
        assert_eq!(held(&pace, &[(5, false), (5, false), (5, false)]), [0; 0]);
        pace.reached(&partition(0), second(31));
        assert_eq!(held(&pace, &[(5, false), (5, true), (5, false)]), [0; 0]);
    }

    #[test]
    fn a_partition_without_changes_holds_nobody_up() {
        let pace = Pace::default();
        pace.reached(&partition(0), Timestamp::from_micros(0));
        pace.reached(&partition(1), Timestamp::from_micros(3_600_000_000));
        assert_eq!(held(&pace, &[(0, false), (5, false), (5, false)]), [0; 0]);
    }
}
