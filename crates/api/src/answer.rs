//! A response as it goes out.

use async_graphql::{ServerError, Value};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{errors::ApiError, values};

/// A response: data where the request was run, errors where there are any, and where it stands.
#[derive(Debug)]
pub(crate) struct Answer {
    /// None where the request was not run at all; null where a failure came through to the top.
    data: Option<Value>,
    errors: Vec<ServerError>,
    /// `extensions.deltafold`.
    extension: Option<Value>,
    /// Where it will not change.
    entity_tag: Option<String>,
}

impl Answer {
    /// To a request that was run.
    pub(crate) fn run(data: Value, errors: Vec<ServerError>, extension: Value) -> Self {
        Self { data: Some(data), errors, extension: Some(extension), entity_tag: None }
    }

    /// To a request that was not.
    pub(crate) fn refused(errors: Vec<ServerError>) -> Self {
        Self { data: None, errors, extension: None, entity_tag: None }
    }

    /// With the tag it has as long as nothing went wrong.
    pub(crate) fn tagged(self, entity_tag: Option<String>) -> Self {
        let entity_tag = entity_tag.filter(|_| self.errors.is_empty());
        Self { entity_tag, ..self }
    }

    /// Its tag.
    pub(crate) fn entity_tag(&self) -> Option<&str> {
        self.entity_tag.as_deref()
    }

    /// What went wrong.
    pub(crate) fn errors(&self) -> &[ServerError] {
        &self.errors
    }

    /// The code of the first error, if the request was not run.
    pub(crate) fn refusal(&self) -> Option<&str> {
        if self.data.is_some() {
            return None;
        }
        let extensions = self.errors.first().and_then(|error| error.extensions.as_ref());
        match extensions.and_then(|extensions| extensions.get("code")) {
            Some(Value::String(code)) => Some(code),
            _ => Some(""),
        }
    }

    /// The JSON of it.
    pub(crate) fn into_json(self) -> serde_json::Value {
        let mut members = serde_json::Map::new();
        if let Some(data) = self.data {
            members.insert("data".to_owned(), values::into_json(data));
        }
        if !self.errors.is_empty() {
            let errors = self.errors.iter().map(|error| serde_json::to_value(error).unwrap_or_default());
            members.insert("errors".to_owned(), errors.collect());
        }
        if let Some(extension) = self.extension {
            let extensions = serde_json::json!({ "deltafold": values::into_json(extension) });
            members.insert("extensions".to_owned(), extensions);
        }
        serde_json::Value::Object(members)
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        Self::refused(vec![error.into_server()])
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(data) = &self.data {
            map.serialize_entry("data", data)?;
        }
        if !self.errors.is_empty() {
            map.serialize_entry("errors", &self.errors)?;
        }
        if let Some(extension) = &self.extension {
            map.serialize_entry("extensions", &Extensions { deltafold: extension })?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Extensions<'a> {
    deltafold: &'a Value,
}
