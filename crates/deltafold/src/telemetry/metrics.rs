//! Metrics, for Prometheus: the recorder behind the macros that the crates call, and what each of their metrics means.

use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use metrics_util::MetricKindMask;

/// How often samples are put into their buckets: in between they are kept one by one.
const UPKEEP: Duration = Duration::from_secs(5);

/// Gauges that nobody has set for so long are not shown any more. All are set before each look at them, but those of what
/// is gone: a partition that another instance reads now.
const FORGOTTEN: Duration = Duration::from_secs(60);

const READ: &str = "deltafold_read_duration_seconds";
/// From a seek in memory to a request that is about to be given up.
const READ_BUCKETS: [f64; 16] =
    [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

const COMMIT: &str = "deltafold_commit_duration_seconds";
/// From a fast disk's sync to an object store that is overloaded.
const COMMIT_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The process's metrics.
#[derive(Clone)]
pub(crate) struct Metrics {
    recorded: PrometheusHandle,
    process: Collector,
}

impl Metrics {
    /// Begins to record. Before what records is made: it looks up once where to.
    pub(crate) fn install() -> anyhow::Result<Self> {
        let recorded = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(READ.to_owned()), &READ_BUCKETS)?
            .set_buckets_for_metric(Matcher::Full(COMMIT.to_owned()), &COMMIT_BUCKETS)?
            .idle_timeout(MetricKindMask::GAUGE, Some(FORGOTTEN))
            .install_recorder()?;
        let process = Collector::default();
        process.describe();
        describe();
        Ok(Self { recorded, process })
    }

    /// All of them, as Prometheus reads them.
    pub(crate) fn render(&self) -> String {
        self.process.collect();
        self.recorded.render()
    }

    /// Keeps what is recorded small; does not end.
    pub(crate) async fn upkeep(&self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.recorded.run_upkeep();
        }
    }
}

/// Says what each metric means. Those of a kind that has not happened yet are not shown.
fn describe() {
    describe_counter!(
        "deltafold_events_appended_total",
        Unit::Count,
        "Events that this process has made durable, by source."
    );
    describe_counter!(
        "deltafold_dead_letters_total",
        Unit::Count,
        "Records that this process has set aside because they could not become events, by source."
    );
    describe_histogram!(
        COMMIT,
        Unit::Seconds,
        "How long it took to make a commit of events durable: its data file and its log entry, written and synced."
    );
    describe_gauge!(
        "deltafold_credentials_unreadable",
        Unit::Count,
        "1 for a file of tokens or keys that cannot be read, or has a mistake: what it said before stays in force."
    );
    describe_gauge!(
        "deltafold_source_lag_records",
        Unit::Count,
        "Records of a partition that have not been read yet, by source, topic and partition."
    );
    describe_gauge!(
        "deltafold_source_uncommitted_records",
        Unit::Count,
        "Records of a partition that nobody may read before a producer's transaction ends, by source, topic and \
         partition."
    );
    describe_gauge!(
        "deltafold_source_hindered",
        Unit::Count,
        "1 for a source that cannot be read: no broker answers, or the brokers refuse our credentials."
    );
    describe_gauge!(
        "deltafold_source_partition_stopped",
        Unit::Count,
        "1 for a partition that waits for a person: its records were lost before they were read, or its topic was \
         made again."
    );
    describe_gauge!(
        "deltafold_projection_lag_seconds",
        Unit::Seconds,
        "How long ago a projection held all that the store held: 0 while it does, NaN until something was folded \
         since the start."
    );
    describe_gauge!(
        "deltafold_position",
        Unit::Count,
        "The position up to which the views are folded, which is what responses are answered from."
    );
    describe_histogram!(
        READ,
        Unit::Seconds,
        "How long a read took from its request's parsing to its result, by kind: by_key, list, aggregate, diff, history, events, other."
    );
    describe_gauge!(
        "deltafold_origin_suspect",
        Unit::Count,
        "1 for an origin whose database seems to have been restored or replaced, and is held; 0 for any other."
    );
}
