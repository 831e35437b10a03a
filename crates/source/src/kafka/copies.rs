//! Copies of dead letters in a topic, for those who look there.
//!
//! The table of dead letters is what counts. A copy is sent once its letter is durable there, and again until a broker
//! has it, so that it may come twice; it waits in a queue with an end, and what does not fit, or no broker takes in five
//! minutes, or waits when the process dies, is not copied. Nothing waits for a copy.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rdkafka::{
    ClientContext,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer},
};

use super::{KafkaError, KafkaOptions, KafkaStatus, token};

/// How long copies under way may take when the source ends.
const DRAIN: Duration = Duration::from_secs(5);

/// Sends copies of dead letters to the topic that a source names for them.
pub struct LetterCopies {
    topic: String,
    status: Arc<KafkaStatus>,
    producer: ThreadedProducer<Deliveries>,
}

/// What is copied.
#[derive(Debug, Clone, Copy)]
pub struct LetterCopy<'a> {
    /// The topic that it was read from.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub value: Option<&'a [u8]>,
    /// The record's headers: a JSON array of name, value, name, value; empty text when there are none.
    pub headers: &'a str,
    /// A stable name of the reason.
    pub code: &'a str,
    /// The reason.
    pub reason: &'a str,
}

impl LetterCopies {
    /// For a source; none if it names no topic for copies.
    ///
    /// # Errors
    /// When the options are not such as librdkafka takes.
    pub fn connect(options: &KafkaOptions, status: Arc<KafkaStatus>) -> Result<Option<Self>, KafkaError> {
        let Some(topic) = options.dead_letter_topic.clone() else { return Ok(None) };
        let deliveries = Deliveries { status: Arc::clone(&status), token_file: options.token_file.clone() };
        let producer = options.producer_config()?.create_with_context(deliveries);
        let producer = producer.map_err(|error| KafkaError::of_setup(&options.name, error))?;
        Ok(Some(Self { topic, status, producer }))
    }

    /// Hands a copy on. Does not wait.
    pub fn send(&self, letter: &LetterCopy<'_>) {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).headers(headers(letter));
        if let Some(key) = letter.key {
            record = record.key(key);
        }
        if let Some(value) = letter.value {
            record = record.payload(value);
        }
        if let Err((error, _)) = self.producer.send(record) {
            self.status.copy_failed(&error);
        }
    }
}

impl Drop for LetterCopies {
    fn drop(&mut self) {
        if let Err(error) = self.producer.flush(DRAIN) {
            tracing::warn!(source = self.status.source(), %error, "some dead letters were not copied before the end");
        }
    }
}

/// The record's own, then where it was read and why it is here.
fn headers(letter: &LetterCopy<'_>) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new();
    let mut own = serde_json::from_str::<Vec<Option<String>>>(letter.headers).unwrap_or_default().into_iter();
    while let (Some(key), Some(value)) = (own.next(), own.next()) {
        let key = key.unwrap_or_default();
        headers = headers.insert(Header { key: &key, value: value.as_deref() });
    }
    let (partition, offset) = (letter.partition.to_string(), letter.offset.to_string());
    [
        ("deltafold.code", letter.code),
        ("deltafold.reason", letter.reason),
        ("deltafold.topic", letter.topic),
        ("deltafold.partition", &partition),
        ("deltafold.offset", &offset),
    ]
    .into_iter()
    .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

/// What librdkafka tells of copies.
struct Deliveries {
    status: Arc<KafkaStatus>,
    token_file: Option<PathBuf>,
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        match delivered {
            Ok(_) => self.status.copied(),
            Err((error, _)) => self.status.copy_failed(error),
        }
    }
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(source = self.status.source(), facility, "{message}");
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        // The consumer says the same of brokers that are away.
        tracing::debug!(source = self.status.source(), %error, reason, "librdkafka");
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        Ok(token::of_file(self.token_file.as_deref())?)
    }
}
