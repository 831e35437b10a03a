//! Which partition.

use std::{fmt, sync::Arc};

/// A partition of a topic; prints as `topic/partition`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic, as Kafka calls it.
    pub topic: Arc<str>,
    /// Its number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// The id under which the store remembers how far it was read: `source/topic/partition`. Topic names hold no
    /// slash, so that it can be taken apart again from its end.
    pub fn app_id(&self, source: &str) -> String {
        format!("{source}/{self}")
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}
