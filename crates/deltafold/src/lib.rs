//! The binary: command line, configuration, wiring, telemetry, shutdown.
//!
//! | module | about |
//! |---|---|
//! | `cli`, `moment` | what is on the command line |
//! | `commands` | one command per file |
//! | `config` | flags over environment over file over defaults, with provenance |
//! | `context` | what commands share |
//! | `engine`, `server`, `answers` | the system in this process; over HTTP; whichever of the two answers a command |
//! | `operations` | what mutations do: the crates that the query API may not use |
//! | `kafka_statuses` | how the sources that this process reads are doing |
//! | `output`, `progress`, `telemetry` | stdout for results, stderr for the rest |
//! | `exit`, `failures`, `shutdown` | how a command ends |
//!
//! Nothing here knows Debezium, Delta, folding or GraphQL: that is for the other crates.

mod answers;
mod cli;
mod commands;
mod config;
mod context;
mod definitions;
mod engine;
mod event_schemas;
mod exit;
mod failures;
mod kafka_statuses;
mod moment;
mod operations;
mod output;
mod progress;
mod server;
mod serving;
mod shutdown;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cli::{Cli, Command},
    context::Context,
    exit::{Exit, exit_of},
};

/// Runs the command of the process's command line.
pub fn main() -> ExitCode {
    // Fault points as FAILPOINTS says, in builds that have any.
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    let cli = Cli::parse();
    telemetry::start(cli.global.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("the system gives no threads: {error}");
            return Exit::Unavailable.into();
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // stderr may be closed; there is nobody left to tell.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("error: {error:#}\n").as_bytes());
            exit_of(&error).into()
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let context = Context::new(cli.global);
    match cli.command {
        Command::Demo(command) => command.run(&context).await,
        Command::Run(command) => command.run(&context).await,
        Command::Ingest(command) => command.run(&context).await,
        Command::Serve(command) => command.run(&context).await,
        Command::Query(command) => command.run(&context).await,
        Command::Get(command) => command.run(&context).await,
        Command::History(command) => command.run(&context).await,
        Command::Diff(command) => command.run(&context).await,
        Command::Projections(command) => command.run(&context).await,
        Command::DeadLetters(command) => command.run(&context).await,
        Command::Sources(command) => command.run(&context).await,
        Command::Verify => commands::verify::run(&context).await,
        Command::Compact => commands::compact::run(&context).await,
        Command::Checkpoint => commands::checkpoint::run(&context).await,
        Command::Vacuum => commands::vacuum::run(&context).await,
        Command::Config(command) => command.run(&context),
        Command::Token(command) => command.run(&context),
        Command::Completions(command) => {
            command.run();
            Ok(())
        }
    }
}
