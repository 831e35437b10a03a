//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use figment::value::{Tag, Value as Setting};

use crate::{
    commands::{
        completions::Completions, config::ConfigCommand, dead_letters::DeadLetters, demo::Demo, diff::Diff, get::Get,
        history::History, ingest::Ingest, projections::Projections, query::Query, run::Run, serve::Serve,
        sources::Sources, token::Token,
    },
    config::Flags,
};

/// Turns a stream of database changes into a time machine: every change is kept, and every view answers as of any
/// moment.
#[derive(Debug, Parser)]
#[command(name = "deltafold", version, arg_required_else_help = true, infer_subcommands = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// The data directory [default: ./data]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The configuration [default: deltafold.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Talk to a running server rather than open the data
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The file with the token that the server wants [default: DELTAFOLD_TOKEN_FILE; or the token itself in
    /// DELTAFOLD_TOKEN]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Print JSON: one document, or one per line where it streams
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more on stderr; twice for all there is
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole system in one process, fed with a recorded shop; prints what to try
    Demo(Demo),
    /// The whole system in one process, on deltafold.toml or its defaults
    Run(Run),
    /// Append what the configured sources have, or files of events until their end
    Ingest(Ingest),
    /// Fold what is appended, and answer
    Serve(Serve),
    /// Print the JSON response to a GraphQL document
    Query(Query),
    /// One row
    Get(Get),
    /// Every event of one aggregate, with what it changed
    History(History),
    /// What became different in one row between two moments
    Diff(Diff),
    /// The views: how far they are folded
    Projections(Projections),
    /// What could not become events, and why
    DeadLetters(DeadLetters),
    /// What events came from, and how far it was read
    Sources(Sources),
    /// Read the whole store and compare it with what its log says
    Verify,
    /// Merge small files of the store
    Compact,
    /// Write a checkpoint of the store's log
    Checkpoint,
    /// Remove files that nothing needs any more
    Vacuum,
    /// The configuration: every value with where it came from
    Config(ConfigCommand),
    /// Make a token for the server's tokens file
    Token(Token),
    /// A script that completes commands in a shell
    Completions(Completions),
}

/// Where to serve.
#[derive(Debug, Clone, Args)]
pub(crate) struct Listen {
    /// Serve HTTP here [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
}

impl Listen {
    /// Puts the flag above what is configured.
    pub(crate) fn set(&self, flags: &mut Flags) {
        if let Some(listen) = self.listen {
            flags.set("flag --listen", "http.listen", listen.to_string());
        }
    }
}

/// What a process that folds and answers is told.
#[derive(Debug, Clone, Args)]
pub(crate) struct Serves {
    #[command(flatten)]
    listen: Listen,
    /// Keep the index here; several processes that answer from one data directory have one each [default: index, in the
    /// data directory]
    #[arg(long, value_name = "DIR")]
    index: Option<PathBuf>,
}

impl Serves {
    /// Puts the flags above what is configured.
    pub(crate) fn set(&self, flags: &mut Flags) {
        self.listen.set(flags);
        if let Some(index) = &self.index {
            flags.set("flag --index", "index.dir", index.display().to_string());
        }
    }
}

/// Keys of types, for one command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DeclaredKeys {
    /// The columns of a type's key, where records have none or one that is not the row's
    #[arg(long, value_name = "TYPE=COLUMN[,COLUMN…]", value_parser = declared_key)]
    key: Vec<DeclaredKey>,
}

#[derive(Debug, Clone)]
struct DeclaredKey {
    aggregate_type: String,
    columns: Vec<String>,
}

fn declared_key(text: &str) -> Result<DeclaredKey, String> {
    let expected = || "expected TYPE=COLUMN or TYPE=COLUMN,COLUMN, as in orders=id".to_owned();
    let (aggregate_type, columns) = text.split_once('=').ok_or_else(expected)?;
    let columns: Vec<String> = columns.split(',').map(|column| column.trim().to_owned()).collect();
    if aggregate_type.is_empty() || columns.iter().any(String::is_empty) {
        return Err(expected());
    }
    Ok(DeclaredKey { aggregate_type: aggregate_type.to_owned(), columns })
}

impl DeclaredKeys {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.key.is_empty()
    }

    /// Puts them above what is configured.
    pub(crate) fn set(&self, flags: &mut Flags) {
        for key in &self.key {
            let columns = key.columns.iter().map(|column| Setting::from(column.as_str())).collect();
            let setting = format!("aggregates.{}.key", key.aggregate_type);
            flags.set("flag --key", setting, Setting::Array(Tag::Default, columns));
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
