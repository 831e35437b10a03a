//! `deltafold dead-letters [list | show N | retry … | discard …]`

mod document;
mod list;
mod settle;
mod show;
mod which;

use clap::{Args, Subcommand};

use self::{
    list::List,
    settle::{Discard, Retry},
    show::Show,
};
use crate::context::Context;

#[derive(Debug, Args)]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One line for each
    List(List),
    /// One of them, whole, with what became of it
    Show(Show),
    /// Decode them once more, as configured now, and append what they become
    Retry(Retry),
    /// Give them up: they stay on record, with the reason
    Discard(Discard),
}

impl DeadLetters {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self.what.unwrap_or_else(|| What::List(List::default())) {
            What::List(list) => list.run(context).await,
            What::Show(show) => show.run(context).await,
            What::Retry(retry) => retry.run(context).await,
            What::Discard(discard) => discard.run(context).await,
        }
    }
}
