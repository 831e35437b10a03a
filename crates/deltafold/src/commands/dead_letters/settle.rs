//! `deltafold dead-letters retry` and `discard`

use clap::{Args, builder::NonEmptyStringValueParser};
use deltafold_ingest::{LetterFailure, LetterSelection, SettleSummary, discard_dead_letters, retry_dead_letters};
use serde_json::{Value, json};

use super::which::Which;
use crate::{
    answers::Answers,
    cli::DeclaredKeys,
    config::Flags,
    context::Context,
    exit::{Exit, Failure},
    failures::OrExit,
    output,
};

/// Who asks, where nobody has to say who they are.
const LOCAL: &str = "local";
/// Dead letters that a server is asked to settle at once.
const PAGE: usize = 500;

#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    keys: DeclaredKeys,
}

#[derive(Debug, Args)]
pub(crate) struct Discard {
    #[command(flatten)]
    which: Which,
    /// Why; it stays on record
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    reason: String,
}

impl Retry {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let summary = match context.url() {
            Some(_) if !self.keys.is_empty() => {
                let message = "--key has no meaning here: a server retries with the configuration it was started with";
                return Err(Failure::new(Exit::Usage, message).into());
            }
            Some(_) => of_server(context, &self.which, Field::Retry, None).await?,
            None => self.of_data(context).await?,
        };
        report(&summary, "retried", context.json())?;
        if summary.settled == 0 && summary.failed > 0 {
            let message = "none of them can be decoded as it is configured now: they stay dead letters";
            return Err(Failure::new(Exit::Failed, message).into());
        }
        Ok(())
    }

    async fn of_data(&self, context: &Context) -> anyhow::Result<SettleSummary> {
        let mut flags = Flags::default();
        self.keys.set(&mut flags);
        let config = context.config(&flags)?.config;
        let store = context.open_existing_store().await?;
        let (selection, decoder) = (self.which.selection(), move |source: &str| config.decoder_of(source));
        Ok(retry_dead_letters(&store, &selection, u64::MAX, decoder, LOCAL).await.or_exit()?)
    }
}

impl Discard {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let summary = match context.url() {
            Some(_) => of_server(context, &self.which, Field::Discard, Some(&self.reason)).await?,
            None => {
                let store = context.open_existing_store().await?;
                let selection: LetterSelection = self.which.selection();
                discard_dead_letters(&store, &selection, u64::MAX, &self.reason, LOCAL).await.or_exit()?
            }
        };
        report(&summary, "discarded", context.json())
    }
}

/// What a server is asked to do.
#[derive(Debug, Clone, Copy)]
enum Field {
    Retry,
    Discard,
}

impl Field {
    fn document(self) -> String {
        let (name, declared, given) = match self {
            Self::Retry => ("retryDeadLetters", "", ""),
            Self::Discard => ("discardDeadLetters", "$reason: String!, ", "reason: $reason, "),
        };
        format!(
            "mutation ({declared}$numbers: [Int!], $all: Boolean, $source: String, $topic: String, $code: String, \
             $first: Int, $after: Int) {{
               settled: {name}({given}numbers: $numbers, all: $all, source: $source, topic: $topic, code: $code, \
             first: $first, after: $after) {{
                 settled events failed failures {{ number code reason }} position stoppedAt
               }}
             }}"
        )
    }
}

/// Some at a time, until there are no more.
async fn of_server(
    context: &Context,
    which: &Which,
    field: Field,
    reason: Option<&str>,
) -> anyhow::Result<SettleSummary> {
    let (answers, document) = (Answers::open(context).await?, field.document());
    let mut variables = which.variables();
    variables["first"] = PAGE.into();
    if let Some(reason) = reason {
        variables["reason"] = reason.into();
    }
    let mut total = SettleSummary::default();
    if let Some(chunks) = which.chunks(PAGE) {
        for numbers in chunks {
            variables["numbers"] = numbers.into();
            total += summary(&answers.data(&document, variables.clone()).await?["settled"]);
        }
        return Ok(total);
    }
    loop {
        total += summary(&answers.data(&document, variables.clone()).await?["settled"]);
        match total.stopped_at {
            Some(after) => variables["after"] = after.into(),
            None => return Ok(total),
        }
    }
}

fn summary(said: &Value) -> SettleSummary {
    let number = |part: &str| said[part].as_u64().unwrap_or_default();
    let failure = |failure: &Value| LetterFailure {
        number: failure["number"].as_u64().unwrap_or_default(),
        code: output::shown(&failure["code"]),
        reason: output::shown(&failure["reason"]),
    };
    SettleSummary {
        settled: number("settled"),
        events: number("events"),
        failed: number("failed"),
        failures: said["failures"].as_array().into_iter().flatten().map(failure).collect(),
        position: said["position"].as_str().and_then(|position| position.parse().ok()),
        stopped_at: said["stoppedAt"].as_u64(),
    }
}

fn report(summary: &SettleSummary, done: &str, as_json: bool) -> anyhow::Result<()> {
    let is_retry = done == "retried";
    if as_json {
        let mut document = json!({ done: summary.settled });
        if is_retry {
            let failure = |failure: &LetterFailure| json!({ "number": failure.number, "code": failure.code, "reason": failure.reason });
            document["events"] = summary.events.into();
            document["failed"] = summary.failed.into();
            document["failures"] = summary.failures.iter().map(failure).collect();
        }
        document["position"] = summary.position.map(|position| position.to_string()).into();
        return output::json(&document);
    }
    output::line(format_args!("{done:<10} {}", output::count(summary.settled)))?;
    if is_retry {
        output::line(format_args!("events     {}", output::count(summary.events)))?;
        output::line(format_args!("still dead {}", output::count(summary.failed)))?;
        if !summary.failures.is_empty() {
            let mut table = output::table(&["number", "code", "reason"]);
            for failure in &summary.failures {
                table.add_row([failure.number.to_string(), failure.code.clone(), failure.reason.clone()]);
            }
            output::print_table(&table)?;
        }
        let untold = summary.failed - summary.failures.len() as u64;
        if untold > 0 {
            output::line(format_args!("… and {} more", output::count(untold)))?;
        }
    }
    Ok(())
}
