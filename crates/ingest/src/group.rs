//! Group commit.

use tokio::{sync::mpsc, time::Instant};

use crate::{options::GroupCommit, work::Work};

/// Collects what is decoded into groups until one of the limits is reached, and hands them on; ends with its input
/// or when nobody takes its groups any more.
pub(crate) async fn group(limits: GroupCommit, mut input: mpsc::Receiver<Work>, output: mpsc::Sender<Work>) {
    let mut next = input.recv().await;
    while let Some(mut group) = next.take() {
        let deadline = Instant::now() + limits.interval;
        let mut is_alone = true;
        // At the input's end and at the deadline alike, what there is goes out.
        while let Ok(Some(work)) = tokio::time::timeout_at(deadline, input.recv()).await {
            let events = group.events.len() + work.events.len();
            let is_full = events > limits.events || group.bytes + work.bytes > limits.bytes as u64;
            if is_full || !group.is_followed_by(&work) {
                next = Some(work);
                break;
            }
            if std::mem::take(&mut is_alone) && group.bytes > 0 {
                // Room for all that will fit, at once: a group that grows by doubling is copied as often.
                let likely = limits.bytes as u64 / group.bytes * group.events.len() as u64;
                group.events.reserve(limits.events.min(likely as usize).saturating_sub(group.events.len()));
            }
            group.append(work);
        }
        if output.send(group).await.is_err() {
            return;
        }
        if next.is_none() {
            next = input.recv().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn work(bytes: u64) -> Work {
        Work { bytes, ..Work::default() }
    }

    #[tokio::test]
    async fn groups_end_at_their_limits_and_at_the_input_s_end() {
        let limits = GroupCommit { interval: Duration::from_secs(3600), events: 10, bytes: 10 };
        let (decoded, input) = mpsc::channel(8);
        let (output, mut groups) = mpsc::channel(8);
        for bytes in [4, 6, 1, 30, 2] {
            decoded.send(work(bytes)).await.unwrap();
        }
        drop(decoded);
        group(limits, input, output).await;
        let mut sizes = Vec::new();
        while let Some(group) = groups.recv().await {
            sizes.push(group.bytes);
        }
        assert_eq!(sizes, [10, 1, 30, 2]);
    }

    #[tokio::test]
    async fn a_group_does_not_wait_for_its_limits_longer_than_its_interval() {
        let limits = GroupCommit { interval: Duration::from_millis(1), events: 10, bytes: 10 };
        let (decoded, input) = mpsc::channel(8);
        let (output, mut groups) = mpsc::channel(8);
        let grouping = tokio::spawn(group(limits, input, output));
        for _ in 0..3 {
            decoded.send(work(1)).await.unwrap();
            assert_eq!(groups.recv().await.unwrap().bytes, 1);
        }
        drop(decoded);
        grouping.await.unwrap();
    }
}
