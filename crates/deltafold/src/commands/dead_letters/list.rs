//! `deltafold dead-letters list`

use clap::{Args, ValueEnum};
use comfy_table::Table;
use deltafold_store::{DeadLetterFilter, LetterState};
use serde_json::{Value, json};

use super::document::{FIELDS, of_response, of_store, place};
use crate::{
    answers::Answers,
    context::Context,
    failures::OrExit,
    output::{self, shown},
};

/// Dead letters asked of a server at once.
const PAGE: usize = 500;
/// Bytes of dead letters read at once.
const PAGE_BYTES: usize = 16 << 20;

#[derive(Debug, Default, Args)]
pub(crate) struct List {
    /// Only of this source
    #[arg(long)]
    source: Option<String>,
    /// Only of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only with this code
    #[arg(long)]
    code: Option<String>,
    /// Only those that stand so
    #[arg(long, value_enum, default_value = "open", conflicts_with = "all")]
    state: State,
    /// Those that were retried or discarded, too
    #[arg(long)]
    all: bool,
    /// Only after this number
    #[arg(long, value_name = "N")]
    after: Option<u64>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum State {
    #[default]
    Open,
    Retried,
    Discarded,
}

impl State {
    fn of_store(self) -> LetterState {
        match self {
            Self::Open => LetterState::Open,
            Self::Retried => LetterState::Retried,
            Self::Discarded => LetterState::Discarded,
        }
    }
}

impl List {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let mut list = if context.json() { Printed::Json } else { Printed::table() };
        match context.url() {
            Some(_) => self.of_server(context, &mut list).await?,
            None => self.of_data(context, &mut list).await?,
        }
        list.end()
    }

    fn state(&self) -> Option<LetterState> {
        (!self.all).then(|| self.state.of_store())
    }

    async fn of_data(&self, context: &Context, list: &mut Printed) -> anyhow::Result<()> {
        let store = context.open_existing_store().await?;
        let mut filter = DeadLetterFilter {
            source: self.source.clone(),
            topic: self.topic.clone(),
            code: self.code.clone(),
            state: self.state(),
            after: self.after,
            bytes: Some(PAGE_BYTES),
            ..DeadLetterFilter::default()
        };
        let mut left = self.limit.unwrap_or(usize::MAX);
        while left > 0 {
            filter.limit = Some(left);
            let letters = store.dead_letters(&filter).await.or_exit()?;
            let Some(last) = letters.last() else { break };
            (filter.after, left) = (Some(last.number), left - letters.len());
            letters.iter().try_for_each(|letter| list.add(of_store(letter)))?;
        }
        Ok(())
    }

    async fn of_server(&self, context: &Context, list: &mut Printed) -> anyhow::Result<()> {
        let document = format!(
            "query ($where: DeadLetterFilter, $first: Int!, $after: String) {{
              deadLetters(where: $where, first: $first, after: $after) {{
                nodes {{ {FIELDS} }}
                pageInfo {{ hasNextPage endCursor }}
              }}
            }}"
        );
        let answers = Answers::open(context).await?;
        let mut filter = json!({});
        for (part, wanted) in [("source", &self.source), ("topic", &self.topic), ("code", &self.code)] {
            if let Some(wanted) = wanted {
                filter[part] = json!({ "_eq": wanted });
            }
        }
        if let Some(state) = self.state() {
            filter["state"] = json!({ "_eq": state.name().to_uppercase() });
        }
        let mut left = self.limit.unwrap_or(usize::MAX);
        let mut cursor = Value::Null;
        while left > 0 {
            let variables = json!({ "where": filter, "first": PAGE, "after": cursor });
            let mut data = answers.data(&document, variables).await?;
            let page = data["deadLetters"]["nodes"].as_array_mut().map(std::mem::take).unwrap_or_default();
            let letters = page.into_iter().map(of_response);
            for letter in letters.filter(|letter| letter["number"].as_u64() > self.after).take(left) {
                list.add(letter)?;
                left -= 1;
            }
            let page_info = &data["deadLetters"]["pageInfo"];
            if page_info["hasNextPage"] != true {
                break;
            }
            cursor = page_info["endCursor"].clone();
        }
        Ok(())
    }
}

/// A list on its way out: documents as they come, a table at the end.
enum Printed {
    Json,
    Table(Table),
}

impl Printed {
    fn table() -> Self {
        Self::Table(output::table(&["number", "state", "place", "code", "reason"]))
    }

    fn add(&mut self, letter: Value) -> anyhow::Result<()> {
        match self {
            Self::Json => output::json(&letter)?,
            Self::Table(table) => {
                let [number, state, code, reason] =
                    ["number", "state", "code", "reason"].map(|part| shown(&letter[part]));
                table.add_row([number, state, place(&letter), code, reason]);
            }
        }
        Ok(())
    }

    fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Json => Ok(()),
            Self::Table(table) => Ok(output::print_table(&table)?),
        }
    }
}
