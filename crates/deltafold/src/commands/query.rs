//! `deltafold query 'GRAPHQL'`

use std::io::Read;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use crate::{
    answers::{Answers, failure},
    context::Context,
    exit::{Exit, Failure},
    output,
};

#[derive(Debug, Args)]
pub(crate) struct Query {
    /// The document; - reads it from stdin
    #[arg(value_name = "GRAPHQL")]
    document: String,
    /// Its variables, a JSON object
    #[arg(long, value_name = "JSON")]
    variables: Option<String>,
}

impl Query {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let variables: Value = match &self.variables {
            Some(text) => serde_json::from_str(text)
                .ok()
                .filter(Value::is_object)
                .ok_or_else(|| Failure::new(Exit::Usage, "--variables is not a JSON object"))?,
            None => json!({}),
        };
        let document = match self.document.as_str() {
            "-" => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("cannot read the document from stdin")?;
                text
            }
            _ => self.document,
        };
        let answers = Answers::open(context).await?;
        let response = answers.response(&document, variables).await;
        answers.close().await;
        let response = response?;
        if context.json() {
            output::json(&response)?;
        } else {
            output::pretty(&response)?;
        }
        match failure(&response) {
            Some(failure) => Err(failure.into()),
            None => Ok(()),
        }
    }
}
