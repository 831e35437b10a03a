//! Whether what the store wants next is still there.

use super::{OnDataLoss, PartitionState, Reading};

/// Where a partition goes on that the store has read up to `expected`, and whose records lie from `oldest` up to
/// `end`.
pub(crate) fn resume(expected: i64, oldest: i64, end: i64, on_data_loss: OnDataLoss) -> PartitionState {
    let reading = if expected < oldest {
        Reading::Lost { expected, oldest }
    } else if expected > end {
        Reading::Replaced { expected, end }
    } else {
        Reading::Reading
    };
    match on_data_loss {
        OnDataLoss::Continue if reading.is_stopped() => {
            PartitionState { next: oldest, end: Some(end), ..PartitionState::default() }
        }
        _ => PartitionState { next: expected, end: Some(end), reading, ..PartitionState::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_that_ran_past_us_is_told_from_a_topic_that_was_made_again() {
        let stop = |expected| resume(expected, 10, 20, OnDataLoss::Stop);
        assert_eq!(stop(9).reading, Reading::Lost { expected: 9, oldest: 10 });
        assert_eq!(stop(21).reading, Reading::Replaced { expected: 21, end: 20 });
        for there in [10, 15, 20] {
            assert_eq!(stop(there), PartitionState { next: there, end: Some(20), ..PartitionState::default() });
        }
        for gone in [9, 21] {
            let going_on = resume(gone, 10, 20, OnDataLoss::Continue);
            assert_eq!((going_on.next, going_on.reading), (10, Reading::Reading));
        }
    }
}
