//! What can end a Kafka source.

/// Why a source of topics cannot be read at all. What passes by itself, a broker that is away for a while, is no
/// error: [`super::KafkaStatus`] tells of it.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// A property that librdkafka does not take, or we do not.
    #[error("sources.{source_name}.properties: \"{property}\": {reason}")]
    Property {
        /// The source.
        source_name: String,
        /// The property.
        property: String,
        /// What is wrong with it.
        reason: String,
    },
    /// librdkafka cannot be set up so.
    #[error("sources.{source_name}: the Kafka client cannot be set up: {reason}")]
    Client {
        /// The source.
        source_name: String,
        /// What librdkafka says.
        reason: String,
    },
    /// The client cannot go on: another one has its `instance`, for example.
    #[error("sources.{source_name}: the Kafka client cannot go on: {reason}")]
    Fatal {
        /// The source.
        source_name: String,
        /// What librdkafka says.
        reason: String,
    },
}

impl KafkaError {
    /// What librdkafka says of a configuration.
    pub(crate) fn of_setup(source_name: &str, error: rdkafka::error::KafkaError) -> Self {
        let source_name = source_name.to_owned();
        match error {
            rdkafka::error::KafkaError::ClientConfig(_, reason, property, _) => {
                Self::Property { source_name, property, reason }
            }
            other => Self::Client { source_name, reason: other.to_string() },
        }
    }
}
