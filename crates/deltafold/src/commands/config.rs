//! `deltafold config [show | check]`

use clap::{Args, Subcommand};
use deltafold_api::Auth;
use serde_json::json;

use crate::{
    config::Flags,
    context::Context,
    event_schemas::EventSchemas,
    exit::{Exit, Failure},
    output,
};

#[derive(Debug, Args)]
pub(crate) struct ConfigCommand {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum What {
    /// Print each value with where it came from
    Show,
    /// Say what is wrong, if anything
    Check,
}

impl ConfigCommand {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let loaded = context.config(&Flags::default())?;
        let what = self.what.unwrap_or(What::Show);
        if let What::Check = what {
            if let Some(options) = loaded.config.http.auth() {
                Auth::open(options).map_err(|error| Failure::new(Exit::Usage, error))?;
            }
            loaded.config.http.operations().map_err(|error| Failure::new(Exit::Usage, error))?;
            EventSchemas::read(&loaded.config.aggregates).map_err(|error| Failure::new(Exit::Usage, error))?;
        }
        match what {
            What::Check if context.json() => output::json(&json!({ "ok": true }))?,
            What::Check => output::line("the configuration is in order")?,
            What::Show if context.json() => {
                for setting in &loaded.settings {
                    output::json(&json!({ "key": setting.key, "value": setting.value, "from": setting.from }))?;
                }
            }
            What::Show => {
                let width = |setting: &crate::config::Setting| setting.key.len() + setting.value.len() + 3;
                let widest = loaded.settings.iter().map(width).max().unwrap_or_default();
                for setting in &loaded.settings {
                    let padding = " ".repeat(widest - width(setting));
                    output::line(format_args!("{} = {}{padding}  # {}", setting.key, setting.value, setting.from))?;
                }
            }
        }
        Ok(())
    }
}
