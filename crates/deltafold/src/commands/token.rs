//! `deltafold token NAME`

use clap::Args;
use deltafold_api::{NewToken, Rights};
use serde_json::json;

use crate::{
    context::Context,
    exit::{Exit, Failure},
    output,
};

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// Who is to have it: one word, which is written into the events that they make
    name: String,
    /// What it allows: read, append and admin, separated by commas; admin allows all
    #[arg(long, default_value = "read")]
    rights: Rights,
}

impl Token {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let made = NewToken::make(&self.name, self.rights).map_err(|error| Failure::new(Exit::Usage, error))?;
        if context.json() {
            return output::json(&json!({ "token": made.token, "line": made.line }));
        }
        output::line(format_args!("token  {}\nline   {}", made.token, made.line))?;
        tracing::info!("the token is not kept: give it to {}, and add the line to http.tokens_file", self.name);
        Ok(())
    }
}
