//! How the Kafka sources that this process reads are doing, for whoever shows it.

use std::{collections::BTreeMap, sync::Arc};

use deltafold_api::{PartitionState, SourceState, Sources};
use deltafold_source::{KafkaState, KafkaStatus};

use crate::config::{Config, SourceKind};

/// A status for each Kafka source, by name. Cheap to clone; clones share everything. The default has none: for a process
/// that reads nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct KafkaStatuses(Arc<BTreeMap<String, Arc<KafkaStatus>>>);

impl KafkaStatuses {
    /// For the sources of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let sources = config.sources.iter().filter(|(_, source)| source.kind == SourceKind::Kafka);
        Self(Arc::new(sources.map(|(name, _)| (name.clone(), Arc::new(KafkaStatus::new(name)))).collect()))
    }

    /// That of a source.
    pub(crate) fn get(&self, source: &str) -> Option<Arc<KafkaStatus>> {
        self.0.get(source).cloned()
    }
}

impl Sources for KafkaStatuses {
    fn states(&self) -> Vec<SourceState> {
        self.0.iter().map(|(name, status)| shown(name.clone(), status.state())).collect()
    }
}

fn shown(name: String, state: KafkaState) -> SourceState {
    let partitions = state.partitions.into_iter().map(|(place, now)| PartitionState {
        topic: place.topic.to_string(),
        partition: place.partition,
        next: now.next,
        lag: now.lag(),
        uncommitted: now.uncommitted,
        state: now.reading.name(),
        problem: now.reading.is_stopped().then(|| now.reading.to_string()),
    });
    SourceState {
        name,
        hindrance: state.hindrance.map(|hindrance| hindrance.to_string()),
        unknown_topics: state.unknown_topics.into_iter().collect(),
        deleted_topics: state.deleted_topics.into_iter().collect(),
        partitions: partitions.collect(),
        letters_copied: state.copies.made,
        letters_not_copied: state.copies.failed,
    }
}
