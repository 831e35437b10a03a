//! What can be configured.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use deltafold_api::{AllowedOperations, AuthOptions, DeclaredRelation, JwtKey, JwtOptions, Limits, Secret};
use deltafold_cdc::{AggregateConfig, DecoderConfig, NameTemplate, OutboxColumns};
use deltafold_event::ColumnType;
use deltafold_projector::{Publication, PublisherOptions, Tables};
use deltafold_source::{Start, TopicPattern};
use serde::{Deserialize, Deserializer, de};

use super::views::View;

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Config {
    pub(crate) http: Http,
    #[serde(default)]
    pub(crate) index: Index,
    #[serde(default)]
    pub(crate) sources: BTreeMap<String, Source>,
    pub(crate) aggregates: Aggregates,
    pub(crate) projections: Projections,
    #[serde(default)]
    pub(crate) views: BTreeMap<String, View>,
    #[serde(default)]
    pub(crate) publish: BTreeMap<String, Publish>,
}

impl Config {
    /// How records of a source are decoded, whether it is still configured or not; `file` is the source of files.
    pub(crate) fn decoder_of(&self, source: &str) -> DecoderConfig {
        let format = self.sources.get(source).map(|source| source.format).unwrap_or_default();
        DecoderConfig { source: source.into(), ..self.aggregates.decoder(format) }
    }

    /// What the projector is told.
    pub(crate) fn projector(&self) -> deltafold_projector::Options {
        let goes_on = |(_, source): &(&String, &Source)| source.kafka.on_reset == OnReset::Continue;
        let defaults = deltafold_projector::Options::default();
        let keep_removed = self.projections.keep_removed.as_ref().map_or(defaults.keep_removed, |kept| kept.0.0);
        deltafold_projector::Options {
            declared: self.aggregates.declared(),
            keep_removed,
            indexes: self.views.iter().map(|(name, view)| (name.clone(), view.indexes())).collect(),
            continue_on_reset: self.sources.iter().filter(goes_on).map(|(name, _)| name.clone()).collect(),
            ..defaults
        }
    }
}

impl Config {
    /// Which views' rows name rows of others.
    pub(crate) fn relations(&self) -> Vec<DeclaredRelation> {
        self.views.iter().flat_map(|(name, view)| view.declared(name)).collect()
    }

    /// What the publisher is told, of a data directory; none where nothing is published.
    pub(crate) fn publisher(&self, data: &Path) -> Option<PublisherOptions> {
        let views = self.publish.iter().map(|(name, publish)| (name.clone(), publish.publication())).collect();
        let options = PublisherOptions { dir: data.join("views"), views, declared: self.aggregates.declared() };
        (!self.publish.is_empty()).then_some(options)
    }
}

/// `[publish.VIEW]`; `*` is every view that is not named.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Publish {
    #[serde(default)]
    tables: PublishedTables,
    every: Option<Parsed<Every>>,
}

/// As which tables a view is published.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PublishedTables {
    Off,
    Versions,
    Current,
    #[default]
    Both,
}

/// How often something is done, at most once a second.
#[derive(Debug, Clone, Copy)]
struct Every(Duration);

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let every = humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 1m or 30s"))?;
        if every < Duration::from_secs(1) { Err(format!("{text} is less than a second")) } else { Ok(Self(every)) }
    }
}

/// How often a view is published, if it is not said.
const PUBLISHED_EVERY: Duration = Duration::from_secs(60);

impl Publish {
    fn publication(&self) -> Publication {
        let tables = match self.tables {
            PublishedTables::Off => Tables::Off,
            PublishedTables::Versions => Tables::Versions,
            PublishedTables::Current => Tables::Current,
            PublishedTables::Both => Tables::Both,
        };
        let every = self.every.as_ref().map_or(PUBLISHED_EVERY, |every| every.0.0);
        Publication { tables, every }
    }
}

/// `[index]`
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Index {
    dir: Option<PathBuf>,
}

impl Index {
    /// Where the index of a data directory is.
    pub(crate) fn of(&self, data: &Path) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| data.join("index"))
    }
}

/// `[projections]`
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Projections {
    /// Where the definitions are.
    pub(crate) dir: PathBuf,
    /// For how long a view is shown whose definition was removed.
    keep_removed: Option<Parsed<Kept>>,
}

/// How long something is kept.
#[derive(Debug, Clone, Copy)]
struct Kept(Duration);

impl FromStr for Kept {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text).map(Self).map_err(|error| format!("{error}; write it like 7d or 12h"))
    }
}

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Http {
    pub(crate) listen: SocketAddr,
    #[serde(default)]
    pub(crate) allowed_hosts: Vec<String>,
    #[serde(default)]
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) tokens_file: Option<PathBuf>,
    pub(crate) jwt: Option<Jwt>,
    #[serde(default = "yes")]
    pub(crate) introspection: bool,
    pub(crate) operations_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) limits: Limits,
}

fn yes() -> bool {
    true
}

/// `[http.jwt]`
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Jwt {
    jwks_file: Option<PathBuf>,
    secret: Option<Parsed<Secret>>,
    secret_file: Option<PathBuf>,
    public_key_file: Option<PathBuf>,
    issuer: Option<String>,
    audience: Option<String>,
    rights_claim: Option<String>,
}

impl Jwt {
    /// What is set of what tokens can be checked by: it should be one.
    pub(crate) fn keys(&self) -> Vec<JwtKey> {
        [
            self.jwks_file.clone().map(JwtKey::JwksFile),
            self.secret.clone().map(|secret| JwtKey::Secret(secret.0)),
            self.secret_file.clone().map(JwtKey::SecretFile),
            self.public_key_file.clone().map(JwtKey::PublicKeyFile),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Http {
    /// Where tokens come from, if anything is configured. What is configured by halves counts: nobody can ask then, rather
    /// than everybody.
    pub(crate) fn auth(&self) -> Option<AuthOptions> {
        let jwt = self.jwt.as_ref().and_then(|jwt| {
            let rights_claim = jwt.rights_claim.clone().unwrap_or_else(|| JwtOptions::RIGHTS_CLAIM.to_owned());
            let (issuer, audience) = (jwt.issuer.clone(), jwt.audience.clone());
            Some(JwtOptions { key: jwt.keys().pop()?, issuer, audience, rights_claim })
        });
        let tokens_file = self.tokens_file.clone();
        (tokens_file.is_some() || self.jwt.is_some()).then_some(AuthOptions { tokens_file, jwt })
    }

    /// The operations that are answered, if they are listed.
    ///
    /// # Errors
    /// When their file is none.
    pub(crate) fn operations(&self) -> Result<Option<AllowedOperations>, String> {
        let Some(path) = &self.operations_file else { return Ok(None) };
        let told = |error: &dyn fmt::Display| format!("http.operations_file: {}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
        AllowedOperations::parse(&text).map(Some).map_err(|error| told(&error))
    }

    /// What the API is told.
    pub(crate) fn api(&self) -> deltafold_api::Options {
        deltafold_api::Options {
            limits: self.limits.clone(),
            introspection: self.introspection,
            allowed_hosts: self.allowed_hosts.clone(),
            allowed_origins: self.allowed_origins.clone(),
            ..Default::default()
        }
    }
}

/// `[sources.NAME]`
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Source {
    pub(crate) kind: SourceKind,
    #[serde(default)]
    pub(crate) format: Format,
    #[serde(default)]
    pub(crate) files: Vec<PathBuf>,
    #[serde(default)]
    pub(crate) follow: bool,
    #[serde(flatten)]
    pub(crate) kafka: Kafka,
}

/// Where a source's records come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SourceKind {
    /// Topics of a Kafka cluster.
    Kafka,
    /// Files of JSON Lines.
    Files,
}

/// What a source of kind "kafka" is told.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Kafka {
    pub(crate) brokers: Option<String>,
    #[serde(default)]
    pub(crate) topics: Vec<Parsed<TopicPattern>>,
    pub(crate) group: Option<String>,
    pub(crate) instance: Option<String>,
    #[serde(default)]
    pub(crate) start: StartAt,
    #[serde(default)]
    pub(crate) on_data_loss: OnDataLoss,
    #[serde(default)]
    pub(crate) on_reset: OnReset,
    #[serde(default)]
    pub(crate) properties: BTreeMap<String, Property>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) dead_letter_topic: Option<Parsed<TopicPattern>>,
}

/// Where partitions start that the store has not seen: a word or a time, or offsets by `topic/partition`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum StartAt {
    Text(Parsed<Start>),
    Offsets(BTreeMap<String, i64>),
}

impl Default for StartAt {
    fn default() -> Self {
        Self::Text(Parsed(Start::default()))
    }
}

/// What to do when records are gone that the store has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnDataLoss {
    /// Read the partition no further.
    #[default]
    Stop,
    /// Go on without them.
    Continue,
}

/// What to do when a database was restored or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnReset {
    /// Hold what it says until `sources new-epoch`.
    #[default]
    Hold,
    /// Go on in a new epoch.
    Continue,
}

/// A value of librdkafka's, which knows texts only.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Property {
    Flag(bool),
    Number(i64),
    Text(String),
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// Found out from each record.
    #[default]
    Auto,
    /// Debezium's envelope.
    Debezium,
}

/// `[aggregates]` and `[aggregates.TYPE]`
#[derive(Debug, Clone, Default)]
pub(crate) struct Aggregates {
    pub(crate) name: NameTemplate,
    pub(crate) types: BTreeMap<String, Aggregate>,
}

impl<'de> Deserialize<'de> for Aggregates {
    /// By hand: serde's own way of telling the name from the types forgets at which key an error was.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> de::Visitor<'de> for Table {
            type Value = Aggregates;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut aggregates = Aggregates::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key == "name" {
                        aggregates.name = map.next_value::<Parsed<NameTemplate>>()?.0;
                    } else {
                        aggregates.types.insert(key, map.next_value()?);
                    }
                }
                Ok(aggregates)
            }
        }
        deserializer.deserialize_map(Table)
    }
}

/// `[aggregates.TYPE]`
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Aggregate {
    pub(crate) key: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) columns: BTreeMap<String, Parsed<ColumnType>>,
    /// The JSON Schema of the payload of events that are appended, by event type.
    #[serde(default)]
    pub(crate) events: BTreeMap<String, PathBuf>,
    #[serde(default)]
    pub(crate) outbox: Outbox,
}

/// `[aggregates.TYPE] outbox`: true, or which of its columns are called otherwise than Debezium's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outbox(pub(crate) Option<OutboxColumns>);

impl<'de> Deserialize<'de> for Outbox {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TrueOrColumns;
        impl<'de> de::Visitor<'de> for TrueOrColumns {
            type Value = Outbox;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, or names of columns for id, aggregate_type, aggregate_id, event_type and payload")
            }

            fn visit_bool<E: de::Error>(self, is_one: bool) -> Result<Self::Value, E> {
                Ok(Outbox(is_one.then(OutboxColumns::default)))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut columns = OutboxColumns::default();
                while let Some(part) = map.next_key::<String>()? {
                    let column = match part.as_str() {
                        "id" => &mut columns.id,
                        "aggregate_type" => &mut columns.aggregate_type,
                        "aggregate_id" => &mut columns.aggregate_id,
                        "event_type" => &mut columns.event_type,
                        "payload" => &mut columns.payload,
                        other => {
                            let parts = &["id", "aggregate_type", "aggregate_id", "event_type", "payload"];
                            return Err(de::Error::unknown_field(other, parts));
                        }
                    };
                    *column = map.next_value()?;
                }
                Ok(Outbox(Some(columns)))
            }
        }
        deserializer.deserialize_any(TrueOrColumns)
    }
}

/// A value that is written as its text.
#[derive(Debug, Clone)]
pub(crate) struct Parsed<T>(pub(crate) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom)
    }
}

impl Aggregates {
    /// With nothing declared but that one of the types is an outbox.
    pub(crate) fn with_outbox(name: &str) -> Self {
        let outbox = Outbox(Some(OutboxColumns::default()));
        let types = BTreeMap::from([(name.to_owned(), Aggregate { outbox, ..Aggregate::default() })]);
        Self { types, ..Self::default() }
    }

    /// What the decoder of records in this format is told.
    pub(crate) fn decoder(&self, format: Format) -> DecoderConfig {
        // The one decoder there is recognises what it is given by its shape.
        let (Format::Auto | Format::Debezium) = format;
        let declared = |(name, aggregate): (&String, &Aggregate)| {
            (name.clone(), AggregateConfig { key: aggregate.key.clone(), outbox: aggregate.outbox.0.clone() })
        };
        DecoderConfig {
            name: self.name.clone(),
            aggregates: self.types.iter().map(declared).collect(),
            ..DecoderConfig::default()
        }
    }

    /// The declared types, by aggregate type and column.
    pub(crate) fn declared(&self) -> BTreeMap<String, BTreeMap<String, ColumnType>> {
        let columns = |aggregate: &Aggregate| {
            aggregate.columns.iter().map(|(column, declared)| (column.clone(), declared.0.clone())).collect()
        };
        self.types
            .iter()
            .filter(|(_, aggregate)| !aggregate.columns.is_empty())
            .map(|(name, aggregate)| (name.clone(), columns(aggregate)))
            .collect()
    }
}
