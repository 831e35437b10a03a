//! `deltafold dead-letters [list | show N]`

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::{Args, Subcommand};
use deltafold_store::{DeadLetter, DeadLetterFilter};
use serde_json::{Value, json};

use crate::{
    answers::Answers,
    context::Context,
    exit::{Exit, Failure},
    failures::OrExit,
    output::{self, shown},
};

/// Dead letters asked of a server at once.
const PAGE: u32 = 500;

const LIST: &str = "query ($where: DeadLetterFilter, $first: Int!, $after: String) {
  deadLetters(where: $where, first: $first, after: $after) {
    nodes { number source topic partition offset file line code reason recordedAt headers key valueText }
    pageInfo { hasNextPage endCursor }
  }
}";

const SHOW: &str = "query ($number: Int!) {
  deadLetter(number: $number) {
    number source topic partition offset file line code reason recordedAt headers key valueText
  }
}";

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
        match self.what.unwrap_or(What::List(List::default())) {
            What::List(list) => {
                let letters = match context.url() {
                    Some(_) => list.of_server(context).await?,
                    None => list.of_data(context).await?,
                };
                print_list(&letters, context.json())
            }
            What::Show { number } => {
                let letter = match context.url() {
                    Some(_) => {
                        let mut data = Answers::open(context).await?.data(SHOW, json!({ "number": number })).await?;
                        Some(data["deadLetter"].take()).filter(|letter| !letter.is_null()).map(of_response)
                    }
                    None => {
                        let store = context.open_existing_store().await?;
                        store.dead_letter(number).await.or_exit()?.map(|letter| document(number, &letter))
                    }
                };
                match letter {
                    Some(letter) => print_one(&letter, context.json()),
                    None => Err(Failure::new(Exit::NotFound, format!("there is no dead letter {number}")).into()),
                }
            }
        }
    }
}

impl List {
    async fn of_data(self, context: &Context) -> anyhow::Result<Vec<Value>> {
        let Self { code, after, limit } = self;
        let store = context.open_existing_store().await?;
        let filter = DeadLetterFilter { code, after, limit, ..DeadLetterFilter::default() };
        let letters = store.dead_letters(&filter).await.or_exit()?;
        Ok(letters.iter().map(|(number, letter)| document(*number, letter)).collect())
    }

    async fn of_server(self, context: &Context) -> anyhow::Result<Vec<Value>> {
        let answers = Answers::open(context).await?;
        let filter = self.code.map(|code| json!({ "code": { "_eq": code } }));
        let mut letters = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let mut data = answers.data(LIST, json!({ "where": filter, "first": PAGE, "after": cursor })).await?;
            let page = data["deadLetters"]["nodes"].as_array_mut().map(std::mem::take).unwrap_or_default();
            letters.extend(page.into_iter().map(of_response).filter(|letter| letter["number"].as_u64() > self.after));
            let limit = self.limit.unwrap_or(usize::MAX);
            let page_info = &data["deadLetters"]["pageInfo"];
            if letters.len() >= limit || page_info["hasNextPage"] != true {
                letters.truncate(limit);
                return Ok(letters);
            }
            cursor = page_info["endCursor"].clone();
        }
    }
}

fn print_list(letters: &[Value], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return letters.iter().try_for_each(output::json);
    }
    let mut table = output::table(&["number", "place", "code", "reason"]);
    for letter in letters {
        table.add_row([shown(&letter["number"]), place(letter), shown(&letter["code"]), shown(&letter["reason"])]);
    }
    Ok(output::print_table(&table)?)
}

fn print_one(letter: &Value, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return output::json(letter);
    }
    output::line(format_args!("number      {}", letter["number"]))?;
    output::line(format_args!("place       {}", place(letter)))?;
    for part in ["code", "reason", "recordedAt", "headers", "key", "value"] {
        if !letter[part].is_null() {
            output::line(format_args!("{part:<10}  {}", shown(&letter[part])))?;
        }
    }
    Ok(())
}

/// Where it came from: file and line, or topic, partition and offset.
fn place(letter: &Value) -> String {
    match (&letter["file"], &letter["line"]) {
        (Value::String(file), Value::Number(line)) => format!("{file}:{line}"),
        _ => {
            let [source, topic, partition, offset] =
                ["source", "topic", "partition", "offset"].map(|part| shown(&letter[part]));
            format!("{source}/{topic}/{partition}@{offset}")
        }
    }
}

/// A dead letter as this command prints it. Bytes that are no text are shown as well as they can be; the table has
/// them whole.
fn document(number: u64, letter: &DeadLetter) -> Value {
    let text = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
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
        "headers": serde_json::from_str::<Value>(&letter.headers).unwrap_or_default(),
        "key": text(&letter.key),
        "value": text(&letter.value),
    })
}

/// The same from what a server says, where 64-bit numbers and bytes are texts.
fn of_response(mut letter: Value) -> Value {
    for part in ["offset", "line"] {
        if let Some(number) = letter[part].as_str().and_then(|digits| digits.parse::<i64>().ok()) {
            letter[part] = number.into();
        }
    }
    if let Some(bytes) = letter["key"].as_str().and_then(|text| BASE64_STANDARD.decode(text).ok()) {
        letter["key"] = String::from_utf8_lossy(&bytes).into_owned().into();
    }
    let value = letter["valueText"].take();
    if let Some(letter) = letter.as_object_mut() {
        letter.remove("valueText");
        letter.insert("value".to_owned(), value);
    }
    letter
}

#[cfg(test)]
mod tests {
    use deltafold_event::Timestamp;

    use super::*;

    #[test]
    fn a_server_s_letter_is_printed_as_the_store_s() {
        let letter = DeadLetter {
            source: "file".into(),
            topic: "file/0123".into(),
            partition: 0,
            offset: 7,
            file: Some("orders.jsonl".into()),
            line: Some(7),
            key: Some(b"{}".to_vec()),
            value: Some(b"{".to_vec()),
            headers: "[\"a\",\"b\"]".into(),
            code: "invalid_json".into(),
            reason: "the line ends too early".into(),
            recorded_at: Timestamp::from_micros(0),
        };
        let response = json!({
            "number": 3, "source": "file", "topic": "file/0123", "partition": 0, "offset": "7", "file": "orders.jsonl",
            "line": "7", "code": "invalid_json", "reason": "the line ends too early",
            "recordedAt": "1970-01-01T00:00:00.000000Z", "headers": ["a", "b"], "key": "e30=", "valueText": "{",
        });
        assert_eq!(of_response(response).to_string(), document(3, &letter).to_string());
        assert_eq!(place(&document(3, &letter)), "orders.jsonl:7");
    }
}
