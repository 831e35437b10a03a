//! A request as it comes: JSON with `query`, `variables`, `operationName` and `extensions`, or by GET the same in the
//! query of its address.

use std::sync::Arc;

use async_graphql::{Name, Value, Variables};
use deltafold_event::Position;
use serde_json::Value as Json;

use crate::{errors::ApiError, persisted::Asked, scalars, values};

/// A request, its parts told apart.
#[derive(Debug)]
pub(crate) struct Request {
    /// The text.
    pub(crate) query: Arc<str>,
    /// The variables.
    pub(crate) variables: Variables,
    /// The operation to run.
    pub(crate) operation_name: Option<String>,
    /// `extensions.deltafold.minPosition`.
    pub(crate) min_position: Option<Position>,
    /// `extensions.deltafold.explain`: whether the answer tells how it was found.
    pub(crate) explain: bool,
    /// Whether it must not change anything.
    pub(crate) reads_only: bool,
}

impl Request {
    /// Reads a request; `text` has the texts that are known.
    ///
    /// # Errors
    /// When it is none, or its text is not known.
    pub(crate) fn parse(
        request: Json,
        text: impl FnOnce(Asked) -> Result<Arc<str>, ApiError>,
    ) -> Result<Self, ApiError> {
        let bad = |message: &str| ApiError::BadRequest(message.to_owned());
        let Json::Object(mut parts) = request else {
            return Err(bad("a request is a JSON object with \"query\""));
        };
        let variables = match parts.remove("variables") {
            None | Some(Json::Null) => Variables::default(),
            Some(Json::Object(members)) => {
                let mut variables = Variables::default();
                for (name, value) in members {
                    variables.insert(Name::new(name), values::of_json(value));
                }
                variables
            }
            Some(_) => return Err(bad("variables: expected an object")),
        };
        let operation_name = match parts.remove("operationName") {
            None | Some(Json::Null) => None,
            Some(Json::String(name)) if name.is_empty() => None,
            Some(Json::String(name)) => Some(name),
            Some(_) => return Err(bad("operationName: expected a string")),
        };
        let extensions = match parts.remove("extensions") {
            None | Some(Json::Null) => Json::Null,
            Some(extensions @ Json::Object(_)) => extensions,
            Some(_) => return Err(bad("extensions: expected an object")),
        };
        let query = match parts.remove("query") {
            Some(Json::String(query)) => Some(query),
            None | Some(Json::Null) => None,
            Some(_) => return Err(bad("query: expected a string")),
        };
        let query = text(asked(query, parts.remove("documentId"), &extensions)?)?;
        let min_position = min_position(&extensions)?;
        let explain = explain(&extensions)?;
        Ok(Self { query, variables, operation_name, min_position, explain, reads_only: false })
    }

    /// Reads the parameters of a GET, of which the composite ones are JSON.
    ///
    /// # Errors
    /// When they are none of a request.
    pub(crate) fn of_parameters(
        parameters: impl IntoIterator<Item = (String, String)>,
        text: impl FnOnce(Asked) -> Result<Arc<str>, ApiError>,
    ) -> Result<Self, ApiError> {
        let mut parts = serde_json::Map::new();
        for (name, value) in parameters {
            let value = match name.as_str() {
                "variables" | "extensions" if value.is_empty() => Json::Null,
                "variables" | "extensions" => serde_json::from_str(&value)
                    .map_err(|error| ApiError::BadRequest(format!("{name}: expected JSON: {error}")))?,
                _ => Json::String(value),
            };
            parts.insert(name, value);
        }
        Ok(Self { reads_only: true, ..Self::parse(Json::Object(parts), text)? })
    }
}

/// What is to be answered: a text, or one that is known. `documentId` is of the GraphQL-over-HTTP drafts,
/// `persistedQuery` Apollo's.
fn asked(query: Option<String>, id: Option<Json>, extensions: &Json) -> Result<Asked, ApiError> {
    let bad = |message: &str| ApiError::BadRequest(message.to_owned());
    let told = match (id, extensions.get("persistedQuery")) {
        (Some(Json::String(id)), _) if query.is_none() => {
            Some(id.strip_prefix("sha256:").map_or_else(|| id.clone(), str::to_owned))
        }
        (Some(Json::String(_)), _) => return Err(bad("documentId: expected it without query")),
        (Some(_), _) => return Err(bad("documentId: expected a string")),
        (None, Some(known)) => match (known.get("version").and_then(Json::as_u64), known.get("sha256Hash")) {
            (Some(1), Some(Json::String(hash))) => Some(hash.to_ascii_lowercase()),
            _ => return Err(bad("extensions.persistedQuery: expected {\"version\": 1, \"sha256Hash\": \"…\"}")),
        },
        (None, None) => None,
    };
    match (query, told) {
        (Some(query), Some(hash)) => Ok(Asked::Told(hash, query)),
        (Some(query), None) => Ok(Asked::Text(query)),
        (None, Some(known)) => Ok(Asked::Known(known)),
        (None, None) => Err(bad("query: the request has none")),
    }
}

fn explain(extensions: &Json) -> Result<bool, ApiError> {
    match extensions.get("deltafold").and_then(|ours| ours.get("explain")) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(explain)) => Ok(*explain),
        Some(other) => Err(ApiError::input("extensions.deltafold.explain", "true or false", other.to_string())),
    }
}

fn min_position(extensions: &Json) -> Result<Option<Position>, ApiError> {
    let Some(given) = extensions.get("deltafold").and_then(|ours| ours.get("minPosition")) else { return Ok(None) };
    let value = values::of_json(given.clone());
    if value == Value::Null {
        return Ok(None);
    }
    scalars::position(&value).map(Some).ok_or_else(|| {
        ApiError::input(
            "extensions.deltafold.minPosition",
            "a Position: a whole number that is not negative",
            given.to_string(),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let request = Request::parse(
            json!({
                "query": "{a}",
                "variables": {"n": 1.5, "big": 12345678901234567890123_u128},
                "operationName": "",
                "extensions": {"deltafold": {"minPosition": "7"}}
            }),
            Asked::into_text,
        )
        .unwrap();
        assert_eq!(request.min_position, Some(Position::from_i64(7).unwrap()));
        assert_eq!(request.operation_name, None);
        let variables: Vec<String> = request.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(variables.len(), 2);
        assert!(variables.contains(&"n=1.5".to_owned()), "{variables:?}");
        assert!(variables.contains(&"big=12345678901234567890123".to_owned()), "{variables:?}");
    }

    #[test]
    fn what_is_no_request_is_told_why() {
        let shown = |request: Json| Request::parse(request, Asked::into_text).unwrap_err().to_string();
        assert_eq!(shown(json!({})), "query: the request has none");
        assert_eq!(shown(json!("{a}")), "a request is a JSON object with \"query\"");
        assert_eq!(shown(json!({"query": null})), "query: the request has none");
        assert_eq!(shown(json!({"query": "{a}", "documentId": "b"})), "documentId: expected it without query");
        assert!(
            shown(json!({"extensions": {"persistedQuery": {"version": 2}}})).starts_with("extensions.persistedQuery")
        );
        assert_eq!(shown(json!({"query": "{a}", "variables": []})), "variables: expected an object");
        assert_eq!(
            shown(json!({"query": "{a}", "extensions": {"deltafold": {"minPosition": -1}}})),
            "extensions.deltafold.minPosition: expected a Position: a whole number that is not negative, found -1"
        );
    }

    #[test]
    fn texts_may_be_known_by_something_else() {
        let asked = |request: Json| {
            let mut found = None;
            let parsed = Request::parse(request, |asked| {
                found = Some(asked);
                Ok("".into())
            });
            parsed.map(|_| found.expect("it was asked for")).unwrap()
        };
        let persisted = json!({"persistedQuery": {"version": 1, "sha256Hash": "A1"}});
        assert_eq!(asked(json!({ "extensions": persisted })), Asked::Known("a1".to_owned()));
        assert_eq!(
            asked(json!({ "query": "{a}", "extensions": persisted })),
            Asked::Told("a1".to_owned(), "{a}".to_owned())
        );
        assert_eq!(asked(json!({ "documentId": "sha256:a1" })), Asked::Known("a1".to_owned()));
        assert_eq!(asked(json!({ "documentId": "OrdersPage" })), Asked::Known("OrdersPage".to_owned()));
    }

    #[test]
    fn parameters_of_an_address_are_the_same_in_parts() {
        let of = |parameters: &[(&str, &str)]| {
            let owned = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Request::of_parameters(owned, Asked::into_text)
        };
        let request = of(&[("query", "{a}"), ("variables", r#"{"n": 1}"#), ("extensions", "")]).unwrap();
        assert!(request.reads_only);
        assert_eq!(request.variables.len(), 1);
        let wrong = of(&[("query", "{a}"), ("variables", "{n}")]).unwrap_err().to_string();
        assert!(wrong.starts_with("variables: expected JSON: "), "{wrong}");
    }
}
