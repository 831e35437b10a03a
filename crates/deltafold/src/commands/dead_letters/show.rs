//! `deltafold dead-letters show N`

use clap::Args;
use serde_json::{Value, json};

use super::document::{FIELDS, of_response, of_store, place};
use crate::{
    answers::Answers,
    context::Context,
    exit::{Exit, Failure},
    failures::OrExit,
    output::{self, shown},
};

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Its number in the list
    number: u64,
}

impl Show {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let number = self.number;
        let letter = match context.url() {
            Some(_) => {
                let document = format!("query ($number: Int!) {{ deadLetter(number: $number) {{ {FIELDS} }} }}");
                let mut data = Answers::open(context).await?.data(&document, json!({ "number": number })).await?;
                Some(data["deadLetter"].take()).filter(|letter| !letter.is_null()).map(of_response)
            }
            None => context.open_existing_store().await?.dead_letter(number).await.or_exit()?.as_ref().map(of_store),
        };
        let Some(letter) = letter else {
            return Err(Failure::new(Exit::NotFound, format!("there is no dead letter {number}")).into());
        };
        if context.json() {
            return output::json(&letter);
        }
        print(&letter)
    }
}

fn print(letter: &Value) -> anyhow::Result<()> {
    let line = |name: &str, text: String| output::line(format_args!("{name:<11}  {text}"));
    line("number", shown(&letter["number"]))?;
    line("place", place(letter))?;
    line("state", shown(&letter["state"]))?;
    let settlement = &letter["settlement"];
    if !settlement.is_null() {
        let [at, by, position] = ["recordedAt", "by", "position"].map(|part| shown(&settlement[part]));
        line("  since", format!("{at}, by {by}, position {position}"))?;
        if !settlement["reason"].is_null() {
            line("  because", shown(&settlement["reason"]))?;
        }
        for event in settlement["events"].as_array().into_iter().flatten() {
            line("  event", shown(event))?;
        }
        if !settlement["ignored"].is_null() {
            line("  no event", shown(&settlement["ignored"]))?;
        }
    }
    for part in ["code", "reason", "timestamp", "recordedAt", "headers", "key", "keyBase64", "value", "valueBase64"] {
        let is_bytes_instead = letter.get(format!("{part}Base64")).is_some();
        if letter.get(part).is_some_and(|value| !value.is_null()) && !is_bytes_instead {
            line(part, shown(&letter[part]))?;
        }
    }
    Ok(())
}
