//! Who answers a command: a data directory, or a server.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{
    config::Flags,
    context::{Context, TOKEN, TOKEN_FILE},
    definitions,
    engine::Engine,
    exit::{Exit, Failure},
    kafka_statuses::KafkaStatuses,
};

/// Who answers GraphQL documents. Both give the same.
pub(crate) enum Answers {
    /// The data directory, opened here, folded up to what was in the store then.
    Here(Engine),
    /// A running server.
    Server { client: reqwest::Client, endpoint: String, token: Option<String> },
}

impl Answers {
    /// The server that `--url` names, or else the data directory.
    pub(crate) async fn open(context: &Context) -> anyhow::Result<Self> {
        if let Some(url) = context.url() {
            let endpoint = format!("{}/graphql", url.trim_end_matches('/'));
            return Ok(Self::Server { client: reqwest::Client::new(), endpoint, token: context.token()? });
        }
        let loaded = context.config(&Flags::default())?;
        let store = context.open_existing_store().await?;
        let engine =
            Engine::start(&loaded.config.index.of(&context.data()), &store, &loaded.config, KafkaStatuses::default())
                .await?;
        if let Some(definitions) = definitions::of(&loaded.config)? {
            engine.define(&definitions).await?;
        }
        engine.caught_up().await?;
        engine.built().await?;
        Ok(Self::Here(engine))
    }

    /// The whole response to a document.
    pub(crate) async fn response(&self, document: &str, variables: Value) -> anyhow::Result<Value> {
        let request = json!({ "query": document, "variables": variables });
        match self {
            Self::Here(engine) => Ok(engine.execute(request).await),
            Self::Server { client, endpoint, token } => {
                let unavailable = |error: reqwest::Error| {
                    let error = error.without_url();
                    Failure::new(
                        Exit::Unavailable,
                        format!("{endpoint} does not answer: {:#}", anyhow::Error::from(error)),
                    )
                };
                let mut request = client.post(endpoint).json(&request);
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                let response = request.send().await.map_err(unavailable)?;
                let status = response.status();
                let text = response.text().await.map_err(unavailable)?;
                if status == reqwest::StatusCode::UNAUTHORIZED {
                    return Err(unauthenticated(endpoint, token.is_some(), &text).into());
                }
                serde_json::from_str(&text).with_context(|| {
                    format!("{endpoint} answered {status}, and not with JSON: is it a deltafold server?")
                })
            }
        }
    }

    /// The data of a document that a command asks for; an error in the response is the command's.
    pub(crate) async fn data(&self, document: &str, variables: Value) -> anyhow::Result<Value> {
        let mut response = self.response(document, variables).await?;
        match failure(&response) {
            Some(failure) => Err(failure.into()),
            None => Ok(response["data"].take()),
        }
    }

    /// Waits until what was ordered is done, where it is done here; a server does it in its own time.
    pub(crate) async fn settled(&self) -> anyhow::Result<()> {
        if let Self::Here(engine) = self {
            engine.caught_up().await?;
            engine.built().await?;
        }
        Ok(())
    }

    /// Lets go of the data directory.
    pub(crate) async fn close(self) {
        if let Self::Here(engine) = self {
            engine.stop().await;
        }
    }
}

/// What to do about a server that wants another token, or one at all.
fn unauthenticated(endpoint: &str, had_token: bool, body: &str) -> Failure {
    let response: Value = serde_json::from_str(body).unwrap_or_default();
    let why = match (had_token, response["errors"][0]["message"].as_str()) {
        (true, Some(told)) => format!("refuses the token ({told})"),
        (true, None) => "refuses the token".to_owned(),
        (false, _) => "wants a token".to_owned(),
    };
    let message = format!("{endpoint} {why}: set {TOKEN} or {TOKEN_FILE}, or name a file with --token-file");
    Failure::new(Exit::Failed, message)
}

/// What a response with errors means for the command that asked.
pub(crate) fn failure(response: &Value) -> Option<Failure> {
    let errors = response["errors"].as_array().filter(|errors| !errors.is_empty())?;
    let message = |error: &Value| error["message"].as_str().unwrap_or("an error without a message").to_owned();
    let exit = match errors[0]["extensions"]["code"].as_str() {
        Some("UNKNOWN_NAME" | "NOT_FOUND") => Exit::NotFound,
        Some("CONFLICT") => Exit::Conflict,
        Some("BAD_REQUEST" | "GRAPHQL_PARSE_FAILED" | "GRAPHQL_VALIDATION_FAILED" | "BAD_INPUT" | "BAD_CURSOR") => {
            Exit::Usage
        }
        Some("POSITION_AHEAD" | "POSITION_NOT_REACHED" | "TIMEOUT" | "UNAVAILABLE") => Exit::Unavailable,
        _ => Exit::Failed,
    };
    Some(Failure::new(exit, errors.iter().map(message).collect::<Vec<_>>().join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_s_code_decides_how_the_command_ends() {
        let response = |code: &str| json!({ "errors": [{ "message": "no", "extensions": { "code": code } }] });
        let exit = |code| failure(&response(code)).map(|failure| failure.exit);
        assert_eq!(exit("UNKNOWN_NAME"), Some(Exit::NotFound));
        assert_eq!(exit("BAD_INPUT"), Some(Exit::Usage));
        assert_eq!(exit("CONFLICT"), Some(Exit::Conflict));
        assert_eq!(exit("INTERNAL"), Some(Exit::Failed));
        assert_eq!(failure(&json!({ "data": {} })).map(|failure| failure.exit), None);
    }
}
