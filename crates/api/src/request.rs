//! A request as it comes: JSON with `query`, `variables`, `operationName` and `extensions`.

use async_graphql::{Name, Value, Variables};
use deltafold_event::Position;
use serde_json::Value as Json;

use crate::{errors::ApiError, scalars, values};

/// A request, its parts told apart.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// The text.
    pub(crate) query: String,
    /// The variables.
    pub(crate) variables: Variables,
    /// The operation to run.
    pub(crate) operation_name: Option<String>,
    /// `extensions.deltafold.minPosition`.
    pub(crate) min_position: Option<Position>,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn parse(request: Json) -> Result<Self, ApiError> {
        let bad = |message: &str| ApiError::BadRequest(message.to_owned());
        let Json::Object(mut parts) = request else {
            return Err(bad("the request must be one JSON object with \"query\"; batches are not taken"));
        };
        let query = match parts.remove("query") {
            Some(Json::String(query)) => query,
            Some(_) => return Err(bad("query: expected a string")),
            None => return Err(bad("query: the request has none")),
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
        Ok(Self { query, variables, operation_name, min_position: min_position(&extensions)? })
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
        let request = Request::parse(json!({
            "query": "{a}",
            "variables": {"n": 1.5, "big": 12345678901234567890123_u128},
            "operationName": "",
            "extensions": {"deltafold": {"minPosition": "7"}}
        }))
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
        let shown = |request: Json| Request::parse(request).unwrap_err().to_string();
        assert_eq!(shown(json!({})), "query: the request has none");
        assert!(shown(json!([{"query": "{a}"}])).contains("batches are not taken"));
        assert_eq!(shown(json!({"query": "{a}", "variables": []})), "variables: expected an object");
        assert_eq!(
            shown(json!({"query": "{a}", "extensions": {"deltafold": {"minPosition": -1}}})),
            "extensions.deltafold.minPosition: expected a Position: a whole number that is not negative, found -1"
        );
    }
}
