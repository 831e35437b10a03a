//! The keys that there are.

use figment::value::{Dict, Value};

/// Every key; `*` is a name that the user chooses.
const KEYS: &[&str] = &[
    "http.listen",
    "http.allowed_hosts",
    "http.allowed_origins",
    "http.tokens_file",
    "http.jwt.jwks_file",
    "http.jwt.secret",
    "http.jwt.secret_file",
    "http.jwt.public_key_file",
    "http.jwt.issuer",
    "http.jwt.audience",
    "http.jwt.rights_claim",
    "http.introspection",
    "http.operations_file",
    "http.limits.page_default",
    "http.limits.page_max",
    "http.limits.groups",
    "http.limits.depth",
    "http.limits.fields",
    "http.limits.cost",
    "http.limits.aliases",
    "http.limits.directives",
    "http.limits.tokens",
    "http.limits.filter_depth",
    "http.limits.filter_size",
    "http.limits.aggregate_id_bytes",
    "http.limits.batch",
    "http.limits.body_bytes",
    "http.limits.timeout_ms",
    "http.limits.min_position_wait_ms",
    "http.limits.subscriptions",
    "http.limits.all_subscriptions",
    "http.limits.init_timeout_ms",
    "http.limits.send_timeout_ms",
    "http.limits.past_scans",
    "http.limits.memory_bytes",
    "index.dir",
    "sources.*.kind",
    "sources.*.files",
    "sources.*.follow",
    "sources.*.brokers",
    "sources.*.topics",
    "sources.*.format",
    "sources.*.group",
    "sources.*.instance",
    "sources.*.start",
    "sources.*.start.*",
    "sources.*.on_data_loss",
    "sources.*.on_reset",
    "sources.*.properties.*",
    "sources.*.token_file",
    "sources.*.dead_letter_topic",
    "aggregates.name",
    "aggregates.*.key",
    "aggregates.*.columns.*",
    "aggregates.*.events.*",
    "aggregates.*.outbox",
    "aggregates.*.outbox.*",
    "projections.dir",
    "projections.keep_removed",
    "views.*.indexes",
    "views.*.relations.*.to",
    "views.*.relations.*.by",
    "views.*.relations.*.inverse",
    "publish.*.tables",
    "publish.*.every",
];

/// A key that there is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownKey {
    /// As it was written, with dots.
    pub(crate) key: String,
    /// The nearest that there is.
    pub(crate) nearest: Option<String>,
    /// Of the value.
    pub(crate) tag: figment::value::Tag,
}

/// The keys of a configuration that are not known.
pub(crate) fn unknown_keys(dict: &Dict) -> Vec<UnknownKey> {
    let mut unknown = Vec::new();
    let rests: Vec<Vec<&str>> = KEYS.iter().map(|key| key.split('.').collect()).collect();
    walk(&mut Vec::new(), dict, &rests, &mut unknown);
    unknown
}

/// `rests` are the keys that may follow `path`.
fn walk(path: &mut Vec<String>, dict: &Dict, rests: &[Vec<&str>], unknown: &mut Vec<UnknownKey>) {
    for (name, value) in dict {
        path.push(name.clone());
        // What has a fixed name is never one that the user chose.
        let is_named = rests.iter().any(|rest| rest[0] == name);
        let here: Vec<_> = rests
            .iter()
            .filter(|rest| if is_named { rest[0] == name } else { rest[0] == "*" })
            .map(|rest| rest[1..].to_vec())
            .collect();
        let deeper: Vec<_> = here.iter().filter(|rest| !rest.is_empty()).cloned().collect();
        match value {
            Value::Dict(_, inner) if !deeper.is_empty() => walk(path, inner, &deeper, unknown),
            // A table where a value belongs is for the typed model to refuse.
            _ if here.iter().any(Vec::is_empty) => {}
            _ => unknown.push(UnknownKey { key: path.join("."), nearest: nearest(path, rests), tag: value.tag() }),
        }
        path.pop();
    }
}

fn nearest(path: &[String], rests: &[Vec<&str>]) -> Option<String> {
    let (name, before) = path.split_last().expect("the path has the name that is unknown");
    let candidate = rests
        .iter()
        .map(|rest| rest[0])
        .filter(|candidate| *candidate != "*")
        .max_by(|left, right| strsim::jaro_winkler(left, name).total_cmp(&strsim::jaro_winkler(right, name)))?;
    Some(before.iter().map(String::as_str).chain([candidate]).collect::<Vec<_>>().join("."))
}
