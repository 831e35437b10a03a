//! What can be configured.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use deltafold_api::{AuthOptions, JwtKey, JwtOptions, Secret};
use deltafold_cdc::{AggregateConfig, DecoderConfig, NameTemplate};
use deltafold_event::ColumnType;
use serde::{Deserialize, Deserializer, de};

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Config {
    pub(crate) http: Http,
    #[serde(default)]
    pub(crate) sources: BTreeMap<String, Source>,
    pub(crate) aggregates: Aggregates,
}

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Http {
    pub(crate) listen: SocketAddr,
    pub(crate) tokens_file: Option<PathBuf>,
    pub(crate) jwt: Option<Jwt>,
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
    /// Where tokens come from, if anything is configured.
    pub(crate) fn auth(&self) -> Option<AuthOptions> {
        let jwt = self.jwt.as_ref().and_then(|jwt| {
            let rights_claim = jwt.rights_claim.clone().unwrap_or_else(|| JwtOptions::RIGHTS_CLAIM.to_owned());
            let (issuer, audience) = (jwt.issuer.clone(), jwt.audience.clone());
            Some(JwtOptions { key: jwt.keys().pop()?, issuer, audience, rights_claim })
        });
        let tokens_file = self.tokens_file.clone();
        (tokens_file.is_some() || jwt.is_some()).then_some(AuthOptions { tokens_file, jwt })
    }
}

/// `[sources.NAME]`: only what this version acts on; the other keys are known, and kept for those that do.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Source {
    pub(crate) kind: SourceKind,
    #[serde(default)]
    pub(crate) files: Vec<PathBuf>,
    #[serde(default)]
    pub(crate) follow: bool,
    #[serde(default)]
    pub(crate) format: Format,
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
    /// What the decoder of records in this format is told.
    pub(crate) fn decoder(&self, format: Format) -> DecoderConfig {
        // The one decoder there is recognises what it is given by its shape.
        let (Format::Auto | Format::Debezium) = format;
        let declared = |(name, aggregate): (&String, &Aggregate)| {
            aggregate.key.clone().map(|key| (name.clone(), AggregateConfig { key: Some(key) }))
        };
        DecoderConfig {
            name: self.name.clone(),
            aggregates: self.types.iter().filter_map(declared).collect(),
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
