//! Reading the configuration.

use std::path::{Path, PathBuf};

use deltafold_api::Limits;
use figment::{
    Figment, Metadata, Profile, Provider, Source,
    error::Kind,
    providers::{Env, Format, Toml},
    value::{Dict, Map, Tag, Value},
};

use super::{Config, ConfigError, kafka::is_secret, keys::unknown_keys, model::SourceKind};

/// The prefix of environment variables that configure.
const PREFIX: &str = "DELTAFOLD_";
/// Read when it is there and no other file was named.
const DEFAULT_FILE: &str = "deltafold.toml";
/// The keys of values that are not shown, and what is shown instead.
const SECRETS: &[&str] = &["http.jwt.secret"];
const HIDDEN: &str = "\"…\"";

/// What the command line sets: a flag, the key it stands for, and its value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags(Vec<(&'static str, String, Value)>);

impl Flags {
    /// Adds one.
    pub(crate) fn set(&mut self, flag: &'static str, key: impl Into<String>, value: impl Into<Value>) {
        self.0.push((flag, key.into(), value.into()));
    }
}

/// A configuration, with where its values came from.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) settings: Vec<Setting>,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// With dots.
    pub(crate) key: String,
    /// As TOML.
    pub(crate) value: String,
    /// `default`, a file, an environment variable, a flag.
    pub(crate) from: String,
}

/// Reads everything that configures.
///
/// # Errors
/// Everything that is wrong, not only the first.
pub(crate) fn load(file: Option<&Path>, flags: &Flags) -> Result<Loaded, Vec<ConfigError>> {
    let path = match file {
        Some(path) if !path.exists() => return Err(vec![ConfigError::NoFile(path.to_owned())]),
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
    };
    let mut figment = Figment::from(Defaults);
    if let Some(path) = path {
        figment = figment.merge(Toml::file_exact(path));
    }
    figment = figment.merge(Env::prefixed(PREFIX).filter(|key| key.as_str().contains("__")).split("__"));
    for (flag, key, value) in &flags.0 {
        figment = figment.merge(Flag { flag, key, value });
    }
    read(&figment)
}

fn read(figment: &Figment) -> Result<Loaded, Vec<ConfigError>> {
    let data = figment.data().map_err(|error| error.into_iter().map(|error| syntax(&error)).collect::<Vec<_>>())?;
    let dict = data.get(&Profile::Default).cloned().unwrap_or_default();
    let unknown: Vec<_> = unknown_keys(&dict)
        .into_iter()
        .map(|unknown| ConfigError::UnknownKey {
            from: from(figment.get_metadata(unknown.tag), &unknown.key),
            key: unknown.key,
            nearest: unknown.nearest,
        })
        .collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let config: Config = figment
        .extract()
        .map_err(|error| error.into_iter().map(|error| wrong_value(figment, error)).collect::<Vec<_>>())?;
    check(figment, &config)?;
    let mut settings = Vec::new();
    list(figment, &mut Vec::new(), &dict, &mut settings);
    Ok(Loaded { config, settings })
}

/// What types alone cannot say.
fn check(figment: &Figment, config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut errors = Vec::new();
    if let Some(jwt) = config.http.jwt.as_ref().filter(|jwt| jwt.keys().len() != 1) {
        let (key, found) = ("http.jwt", jwt.keys().len());
        let what = format!(
            "tokens are checked by one of jwks_file, secret, secret_file and public_key_file, and {found} of them are set"
        );
        let from = from(figment.find_metadata(key), key);
        errors.push(ConfigError::Value { from, key: key.to_owned(), what });
    }
    let limits = &config.http.limits;
    if limits.page_default > limits.page_max {
        let key = "http.limits.page_default";
        let what = format!("it is {}, and more than http.limits.page_max, {}", limits.page_default, limits.page_max);
        errors.push(ConfigError::Value { from: from(figment.find_metadata(key), key), key: key.to_owned(), what });
    }
    for (name, source) in &config.sources {
        if source.kind == SourceKind::Kafka {
            let missing = [("brokers", source.kafka.brokers.is_none()), ("topics", source.kafka.topics.is_empty())];
            for (setting, _) in missing.into_iter().filter(|(_, is_missing)| *is_missing) {
                let key = format!("sources.{name}.{setting}");
                errors.push(ConfigError::Missing {
                    key,
                    what: "a source of kind \"kafka\" names the brokers (\"host:port\") and the topics to read"
                        .to_owned(),
                });
            }
        }
        let from = || "configuration".to_owned();
        let dead_letter_topic = || format!("sources.{name}.dead_letter_topic");
        if let Some(what) = source.kafka.wrong_dead_letter_topic() {
            errors.push(ConfigError::Value { from: from(), key: dead_letter_topic(), what: what.to_owned() });
        } else if source.kafka.dead_letter_topic.is_some() && source.kind != SourceKind::Kafka {
            let what = "only a source of kind \"kafka\" copies its dead letters to a topic".to_owned();
            errors.push(ConfigError::Value { from: from(), key: dead_letter_topic(), what });
        }
        if name.contains('/') || name == "file" {
            let from = from();
            let what = "a source's name has no slash in it, and is not \"file\", which stands for files".to_owned();
            errors.push(ConfigError::Value { from, key: format!("sources.{name}"), what });
        }
        if source.kind == SourceKind::Files && source.files.is_empty() {
            let key = format!("sources.{name}.files");
            errors.push(ConfigError::Missing {
                key,
                what: "a source of kind \"files\" names the files to read".to_owned(),
            });
        }
    }
    for (name, aggregate) in &config.aggregates.types {
        if aggregate.key.as_ref().is_some_and(Vec::is_empty) {
            let key = format!("aggregates.{name}.key");
            errors.push(ConfigError::Missing { key, what: "a key has at least one column".to_owned() });
        }
    }
    for (name, view) in &config.views {
        for (key, what) in view.problems() {
            let key = format!("views.{name}.{key}");
            errors.push(ConfigError::Value { from: from(figment.find_metadata(&key), &key), key, what });
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Without the lines of the file that the parser quotes behind a bar: any of them may hold a secret.
fn syntax(error: &figment::Error) -> ConfigError {
    let text = error.kind.to_string();
    let is_quoted = |line: &&str| line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|');
    let said: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !is_quoted(line) && !line.is_empty()).collect();
    ConfigError::Syntax { from: from(error.metadata.as_ref(), ""), what: said.join(": ") }
}

fn wrong_value(figment: &Figment, error: figment::Error) -> ConfigError {
    let key = error.path.join(".");
    match error.kind {
        Kind::MissingField(name) => {
            let key =
                [key.as_str(), &name].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(".");
            ConfigError::Missing { key, what: "it has no default".to_owned() }
        }
        kind => {
            let metadata = error.metadata.as_ref().or_else(|| figment.find_metadata(&key));
            let what = match kind {
                Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) if may_hold_secret(&key) => {
                    format!("expected {expected}, found something else")
                }
                kind => kind.to_string(),
            };
            ConfigError::Value { from: from(metadata, &key), key, what }
        }
    }
}

/// Whether what was found at a key may be a secret, or hold one. For what a source is told the path may end at its name.
fn may_hold_secret(key: &str) -> bool {
    let is_above =
        |secret: &&str| secret.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let mut parts = key.split('.');
    let is_of_properties = parts.next() == Some("sources") && parts.nth(1).is_none_or(|part| part == "properties");
    key.is_empty() || SECRETS.iter().any(is_above) || is_of_properties
}

/// Every value below `dict`, tables of them as their members.
fn list(figment: &Figment, path: &mut Vec<String>, dict: &Dict, settings: &mut Vec<Setting>) {
    for (name, value) in dict {
        path.push(name.clone());
        match value {
            Value::Dict(_, inner) => list(figment, path, inner, settings),
            _ => {
                let key = path.join(".");
                let from = from(figment.get_metadata(value.tag()), &key);
                let is_secret = SECRETS.contains(&key.as_str()) || is_secret(&key);
                let value = if is_secret { HIDDEN.to_owned() } else { as_toml(value) };
                settings.push(Setting { value, from, key });
            }
        }
        path.pop();
    }
}

fn as_toml(value: &Value) -> String {
    toml::Value::try_from(value).map_or_else(|_| format!("{value:?}"), |value| value.to_string())
}

/// Where a value came from, for a person.
fn from(metadata: Option<&Metadata>, key: &str) -> String {
    match metadata {
        Some(Metadata { source: Some(Source::File(path)), .. }) => {
            let here = std::env::current_dir().unwrap_or_default();
            path.strip_prefix(here).unwrap_or(path).display().to_string()
        }
        Some(metadata) if metadata.name.contains("environment") => {
            format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
        }
        Some(metadata) => metadata.name.to_string(),
        None => "default".to_owned(),
    }
}

/// What holds when nothing is configured.
struct Defaults;

impl Provider for Defaults {
    fn metadata(&self) -> Metadata {
        Metadata::named("default")
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        let http = Dict::from([
            ("listen".to_owned(), Value::from("127.0.0.1:8080")),
            ("introspection".to_owned(), Value::from(true)),
            ("limits".to_owned(), Value::serialize(Limits::default())?),
        ]);
        let dict = nested("aggregates.name", Value::from("{table}"))
            .into_iter()
            .chain(nested("projections.dir", Value::from("projections")))
            .chain([("http".to_owned(), Value::from(http))])
            .collect();
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

struct Flag<'a> {
    flag: &'static str,
    key: &'a str,
    value: &'a Value,
}

impl Provider for Flag<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.flag)
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, nested(self.key, self.value.clone()))]))
    }
}

/// A value at a key with dots.
fn nested(key: &str, value: Value) -> Dict {
    let (first, rest) = match key.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (key, None),
    };
    let value = match rest {
        Some(rest) => Value::Dict(Tag::Default, nested(rest, value)),
        None => value,
    };
    Dict::from([(first.to_owned(), value)])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Http;

    fn loaded(toml: &str, flags: &Flags) -> Result<Loaded, Vec<ConfigError>> {
        let mut figment = Figment::from(Defaults).merge(Toml::string(toml));
        for (flag, key, value) in &flags.0 {
            figment = figment.merge(Flag { flag, key, value });
        }
        read(&figment)
    }

    fn errors(toml: &str) -> Vec<String> {
        loaded(toml, &Flags::default()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_relation_names_columns_and_fields() {
        let of = |inverse: &str| {
            format!("[views.orders.relations.customer]\nto = \"customers\"\nby = [\"customer_id\"]\n{inverse}")
        };
        let [relation] = &loaded(&of("inverse = \"orders\""), &Flags::default()).unwrap().config.relations()[..] else {
            panic!("one relation")
        };
        assert_eq!((&*relation.view, &*relation.name, &*relation.to), ("orders", "customer", "customers"));
        assert_eq!((&relation.by[..], relation.inverse.as_deref()), (&["customer_id".to_owned()][..], Some("orders")));
        let [error] = &errors(&of("inverse = \"all orders\""))[..] else { panic!("one error") };
        assert!(error.starts_with("TOML source string: views.orders.relations.customer: \"all orders\": "), "{error}");
        let [error] = &errors("[views.orders.relations.customer]\nto = \"customers\"\nby = []\n")[..] else {
            panic!("one error")
        };
        assert!(
            error.ends_with("views.orders.relations.customer.by: a relation goes by one column at least"),
            "{error}"
        );
    }

    #[test]
    fn an_index_names_columns_each_once() {
        let indexes = loaded("[views.orders]\nindexes = [\"total\", [\"country\", \"total\"]]\n", &Flags::default());
        let wanted = indexes.unwrap().config.projector().indexes;
        assert_eq!(wanted["orders"], [vec!["total"], vec!["country", "total"]]);
        assert_eq!(
            errors("[views.orders]\nindexes = [[], [\"total\", \"total\"]]\n"),
            [
                "TOML source string: views.orders.indexes: an index has no columns",
                "TOML source string: views.orders.indexes: an index names total twice"
            ]
        );
        let [error] = &errors("[views.orders]\nindexes = [1]\n")[..] else { panic!("one error") };
        assert!(error.ends_with("expected the name of a column, or a list of names"), "{error}");
    }

    #[test]
    fn every_value_says_where_it_came_from() {
        let mut flags = Flags::default();
        flags.set("flag --listen", "http.listen", "127.0.0.1:0");
        let loaded =
            loaded("[aggregates.orders]\nkey = [\"id\"]\ncolumns = { total = \"decimal(12,2)\" }\n", &flags).unwrap();
        let is_limit = |setting: &&Setting| setting.key.starts_with("http.limits.");
        let shown = loaded.settings.iter().filter(|setting| !is_limit(setting) || setting.key.contains("page"));
        let shown: Vec<_> = shown.map(|s| format!("{} = {}  # {}", s.key, s.value, s.from)).collect();
        assert_eq!(
            shown,
            [
                "aggregates.name = \"{table}\"  # default",
                "aggregates.orders.columns.total = \"decimal(12,2)\"  # TOML source string",
                "aggregates.orders.key = [\"id\"]  # TOML source string",
                "http.introspection = true  # default",
                "http.limits.page_default = 50  # default",
                "http.limits.page_max = 1000  # default",
                "http.listen = \"127.0.0.1:0\"  # flag --listen",
                "projections.dir = \"projections\"  # default",
            ]
        );
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        assert_eq!(
            errors("[http]\nlisen = \"x\"\n[aggregates]\nnmae = \"x\"\n[source.shop]\nkind = \"files\"\n"),
            [
                "TOML source string: there is no key aggregates.nmae; the nearest is aggregates.name",
                "TOML source string: there is no key http.lisen; the nearest is http.listen",
                "TOML source string: there is no key source; the nearest is sources",
            ]
        );
        assert_eq!(
            errors("[aggregates.orders]\nkeys = [\"id\"]\n"),
            ["TOML source string: there is no key aggregates.orders.keys; the nearest is aggregates.orders.key"]
        );
    }

    #[test]
    fn a_value_that_does_not_fit_says_what_was_expected() {
        assert_eq!(
            errors("[aggregates.orders]\nkey = \"id\"\n"),
            ["TOML source string: aggregates.orders.key: invalid type: found string \"id\", expected a sequence"]
        );
        let [error] = &errors("[aggregates.orders.columns]\ntotal = \"decimel\"\n")[..] else { panic!("one error") };
        assert!(error.starts_with("TOML source string: aggregates.orders.columns.total: "), "{error}");
        assert!(errors("[http]\nlisten = \"8080\"\n")[0].contains("http.listen: invalid socket address"));
        assert!(errors("[http\n")[0].contains("line 1"));
    }

    #[test]
    fn limits_are_set_by_the_names_that_errors_tell() {
        let loaded = loaded("[http.limits]\ntimeout_ms = 5000\ngroups = 10\n", &Flags::default()).unwrap();
        let limits = loaded.config.http.limits;
        let expected = Limits { timeout: Duration::from_secs(5), groups: 10, ..Limits::default() };
        assert_eq!(limits, expected);
        assert_eq!(
            errors("[http.limits]\ntimeout = 5\n"),
            ["TOML source string: there is no key http.limits.timeout; the nearest is http.limits.timeout_ms"]
        );
        assert_eq!(
            errors("[http.limits]\npage_max = 10\n"),
            ["default: http.limits.page_default: it is 50, and more than http.limits.page_max, 10"]
        );
        assert!(errors("[http.limits]\ndepth = -1\n")[0].contains("http.limits.depth: "));
    }

    #[test]
    fn tokens_are_checked_by_one_kind_of_key() {
        let counted = |found: usize| {
            format!(
                "TOML source string: http.jwt: tokens are checked by one of jwks_file, secret, secret_file and \
                 public_key_file, and {found} of them are set"
            )
        };
        assert_eq!(errors("[http.jwt]\nissuer = \"us\"\n"), [counted(0)]);
        let halved: Http = toml::from_str("listen = \"127.0.0.1:0\"\n[jwt]\nissuer = \"us\"\n").unwrap();
        assert!(halved.auth().is_some(), "what is configured by halves lets nobody in");
        assert_eq!(errors("[http.jwt]\njwks_file = \"a\"\nsecret_file = \"b\"\n"), [counted(2)]);
        assert_eq!(
            errors("[http]\ntoken_file = \"a\"\n[http.jwt]\naudiense = \"a\"\n"),
            [
                "TOML source string: there is no key http.jwt.audiense; the nearest is http.jwt.audience",
                "TOML source string: there is no key http.token_file; the nearest is http.tokens_file",
            ]
        );
    }

    #[test]
    fn a_secret_is_taken_but_not_shown() {
        let secret = "0123456789abcdef0123456789abcdef";
        let loaded = loaded(&format!("[http.jwt]\nsecret = \"{secret}\"\n"), &Flags::default()).unwrap();
        let shown = loaded.settings.iter().find(|setting| setting.key == "http.jwt.secret");
        assert_eq!(shown.map(|setting| setting.value.as_str()), Some("\"…\""));
        assert!(loaded.config.http.auth().is_some());
        assert!(!format!("{loaded:?}").contains(secret));
        assert_eq!(
            errors("[http.jwt]\nsecret = \"short\"\n"),
            ["TOML source string: http.jwt.secret: expected a secret of at least 32 bytes, found 5"]
        );
    }

    #[test]
    fn errors_do_not_tell_secrets() {
        let secret = "0123456789abcdef0123456789abcdef";
        for toml in [
            // Written wrong: on the line of the secret, after it, and within it.
            "[http.jwt]\nsecret = \"SECRET\n",
            "[http.jwt]\nsecret = SECRET\n",
            "[http.jwt]\nsecret = 'SECRET' issuer = 'us'\n",
            "[http.jwt]\nsecret = \"\"\"SECRET\\q\nSECRET\"\"\"\n",
            "[http.jwt]\nsecret = \"SECRET\"\nsecret = \"SECRET\"\n",
            // Written as something else than a text, or at another place.
            "[http.jwt]\nsecret = [\"SECRET\"]\n",
            "[http]\njwt = \"SECRET\"\n",
            "http = \"SECRET\"\n",
            "[sources.shop]\nkind = \"kafka\"\nproperties = \"sasl.password=SECRET\"\n",
            "[sources.shop]\nkind = \"kafka\"\nproperties.\"sasl.password\" = [\"SECRET\"]\n",
            "sources = \"SECRET\"\n",
        ] {
            let told = errors(&toml.replace("SECRET", secret)).join("\n");
            assert!(!told.contains(secret) && !told.is_empty(), "{toml}: {told}");
        }
        let number = errors("[http.jwt]\nsecret = 123456789012\n").join("\n");
        assert!(number.contains("http.jwt.secret: expected") && !number.contains("1234"), "{number}");
        let [syntax] = &errors("[http]\nlisten = \"a\" b\n")[..] else { panic!("one error") };
        assert!(syntax.contains("line 2, column 14: ") && !syntax.contains('\n'), "{syntax}");
    }

    #[test]
    fn a_source_of_files_names_them() {
        assert_eq!(
            errors("[sources.shop]\nkind = \"files\"\n"),
            ["sources.shop.files is not set: a source of kind \"files\" names the files to read"]
        );
    }
}
