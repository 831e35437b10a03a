//! `deltafold dead-letters [list | show N]`

use clap::{Args, Subcommand};
use deltafold_store::{DeadLetter, DeadLetterFilter};
use serde_json::{Value, json};

use crate::{
    context::Context,
    exit::{Exit, Failure},
    failures::OrExit,
    output,
};

#[derive(Debug, Args)]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One line for each
    List(List),
    /// One of them, whole
    Show {
        /// Its number in the list
        number: u64,
    },
}

#[derive(Debug, Default, Args)]
struct List {
    /// Only with this code
    #[arg(long)]
    code: Option<String>,
    /// Only after this number
    #[arg(long, value_name = "N")]
    after: Option<u64>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl DeadLetters {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.refuse_url("dead-letters")?;
        let store = context.open_existing_store().await?;
        match self.what.unwrap_or(What::List(List::default())) {
            What::List(List { code, after, limit }) => {
                let filter = DeadLetterFilter { code, after, limit, ..DeadLetterFilter::default() };
                list(&store.dead_letters(&filter).await.or_exit()?, context.json())
            }
            What::Show { number } => match store.dead_letter(number).await.or_exit()? {
                Some(letter) => show(number, &letter, context.json()),
                None => Err(Failure::new(Exit::NotFound, format!("there is no dead letter {number}")).into()),
            },
        }
    }
}

fn list(letters: &[(u64, DeadLetter)], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return letters.iter().try_for_each(|(number, letter)| output::json(&document(*number, letter)));
    }
    let mut table = output::table(&["number", "place", "code", "reason"]);
    for (number, letter) in letters {
        table.add_row([number.to_string(), place(letter), letter.code.clone(), letter.reason.clone()]);
    }
    Ok(output::print_table(&table)?)
}

fn show(number: u64, letter: &DeadLetter, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return output::json(&document(number, letter));
    }
    let text = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let parts = [
        ("number", Some(number.to_string())),
        ("place", Some(place(letter))),
        ("code", Some(letter.code.clone())),
        ("reason", Some(letter.reason.clone())),
        ("recorded", Some(letter.recorded_at.to_string())),
        ("headers", Some(letter.headers.clone()).filter(|headers| !headers.is_empty())),
        ("key", text(&letter.key)),
        ("value", text(&letter.value)),
    ];
    for (name, part) in parts {
        if let Some(part) = part {
            output::line(format_args!("{name:<9} {part}"))?;
        }
    }
    Ok(())
}

/// Where it came from: file and line, or topic, partition and offset.
fn place(letter: &DeadLetter) -> String {
    match (&letter.file, letter.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        _ => format!("{}/{}/{}@{}", letter.source, letter.topic, letter.partition, letter.offset),
    }
}

fn document(number: u64, letter: &DeadLetter) -> Value {
    // Bytes that are no text are shown as well as they can be; the table has them whole.
    let text = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(String::from_utf8_lossy).map(|text| json!(text));
    json!({
        "number": number,
        "source": letter.source,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "file": letter.file,
        "line": letter.line,
        "code": letter.code,
        "reason": letter.reason,
        "recordedAt": letter.recorded_at.to_string(),
        "headers": letter.headers,
        "key": text(&letter.key),
        "value": text(&letter.value),
    })
}
