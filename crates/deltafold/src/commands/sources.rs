//! `deltafold sources [list | new-epoch]`

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use deltafold_event::control;
use deltafold_ingest::FileMark;
use serde_json::{Value, json};

use crate::{
    answers::Answers,
    context::Context,
    failures::OrExit,
    output::{self, shown},
};

const FILES: &str = "{ sources { files { id name bytes lines events recordedAt } } }";

const ORIGINS: &str = "{ sources { name kind hindrance unknownTopics deletedTopics lettersNotCopied
  partitions { topic partition nextOffset lag state problem }
  origins { id status epoch unverified
  suspect { epoch held reason position recordedAt source topic partition offset occurredAt } } } }";

const NEW_EPOCH: &str = "mutation ($source: String!, $reason: String!) {
  newEpoch(source: $source, reason: $reason) { origin epoch position }
}";

#[derive(Debug, Args)]
pub(crate) struct Sources {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One line for each file, each source of topics, and each database that events come from
    List,
    /// Let a database go on that was restored or replaced
    NewEpoch(NewEpoch),
}

#[derive(Debug, Args)]
struct NewEpoch {
    /// The database, as `sources list` names it; its server's name or its source's will do
    name: String,
    /// Why: it stays on record
    #[arg(long)]
    reason: String,
}

impl Sources {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self.what.unwrap_or(What::List) {
            What::List => list(context).await,
            What::NewEpoch(new_epoch) => new_epoch.run(context).await,
        }
    }
}

impl NewEpoch {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let answers = Answers::open(context).await?;
        let data = answers.data(NEW_EPOCH, json!({ "source": self.name, "reason": self.reason })).await;
        answers.close().await;
        let begun = data?["newEpoch"].take();
        if context.json() {
            return output::json(&begun);
        }
        let [origin, epoch, position] = ["origin", "epoch", "position"].map(|part| shown(&begun[part]));
        Ok(output::line(format_args!(
            "{origin} goes on in epoch {epoch}: what was held counts from position {position}"
        ))?)
    }
}

async fn list(context: &Context) -> anyhow::Result<()> {
    let Listed { files, topics, origins } = match context.url() {
        Some(_) => of_server(context).await?,
        None => of_data(context).await?,
    };
    if context.json() {
        return files.iter().chain(&topics).chain(&origins).try_for_each(output::json);
    }
    if !files.is_empty() || (topics.is_empty() && origins.is_empty()) {
        print_files(&files)?;
    }
    if !topics.is_empty() {
        print_topics(&topics)?;
    }
    if !origins.is_empty() {
        print_origins(&origins)?;
    }
    Ok(())
}

fn print_files(files: &[Value]) -> anyhow::Result<()> {
    let mut table = output::table(&["source", "name", "lines", "bytes", "events", "read at"]);
    for file in files {
        let [lines, bytes, events] =
            ["lines", "bytes", "events"].map(|part| file[part].as_u64().map(output::count).unwrap_or_default());
        let [id, name, read_at] = ["id", "name", "readAt"].map(|part| shown(&file[part]));
        table.add_row([id, name, lines, bytes, events, read_at]);
    }
    Ok(output::print_table(&table)?)
}

fn print_topics(topics: &[Value]) -> anyhow::Result<()> {
    let mut table = output::table(&["source", "topics", "partitions", "lag", "problems"]);
    for source in topics {
        let partitions = source["partitions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names: BTreeSet<String> = partitions.iter().map(|partition| shown(&partition["topic"])).collect();
        // Of partitions that another process reads nothing is known but how far they came.
        let lags: Vec<u64> = partitions.iter().filter_map(|partition| partition["lag"].as_u64()).collect();
        let lag = if lags.is_empty() { String::new() } else { output::count(lags.iter().sum()) };
        let [topics, partitions] = [names.len(), partitions.len()].map(|count| output::count(count as u64));
        table.add_row([shown(&source["source"]), topics, partitions, lag, problems(source).join("\n")]);
    }
    Ok(output::print_table(&table)?)
}

fn problems(source: &Value) -> Vec<String> {
    let list = |name: &str| source[name].as_array().into_iter().flatten();
    let mut found: Vec<String> = source["hindrance"].as_str().into_iter().map(str::to_owned).collect();
    found.extend(list("unknownTopics").map(|topic| format!("there is no topic {}", shown(topic))));
    found.extend(list("deletedTopics").map(|topic| format!("the topic {} was deleted", shown(topic))));
    found.extend(list("partitions").filter(|partition| !partition["problem"].is_null()).map(|partition| {
        let [topic, number, problem] = ["topic", "partition", "problem"].map(|part| shown(&partition[part]));
        format!("{topic}/{number}: {problem}")
    }));
    let not_copied = source["lettersNotCopied"].as_u64().filter(|count| *count > 0);
    found.extend(not_copied.map(|count| format!("{} dead letters could not be copied", output::count(count))));
    found
}

fn print_origins(origins: &[Value]) -> anyhow::Result<()> {
    let mut table = output::table(&["origin", "sources", "status", "epoch", "held", "since"]);
    for origin in origins {
        let sources: Vec<String> = origin["sources"].as_array().into_iter().flatten().map(shown).collect();
        let unverified = if origin["unverified"] == true { " (unverified)" } else { "" };
        let epoch = format!("{}{unverified}", shown(&origin["epoch"]));
        let suspect = &origin["suspect"];
        let held = suspect["held"].as_u64().map(output::count).unwrap_or_default();
        let since = match suspect {
            Value::Null => String::new(),
            suspect => format!("position {}: {}", shown(&suspect["position"]), shown(&suspect["reason"])),
        };
        table.add_row([shown(&origin["origin"]), sources.join(", "), shown(&origin["status"]), epoch, held, since]);
    }
    Ok(output::print_table(&table)?)
}

/// A document for each thing that is listed.
struct Listed {
    files: Vec<Value>,
    topics: Vec<Value>,
    origins: Vec<Value>,
}

async fn of_data(context: &Context) -> anyhow::Result<Listed> {
    let store = context.open_existing_store().await?;
    let mut files = BTreeMap::new();
    for stored in store.control(control::FILE).await.or_exit()? {
        let (Some(id), Ok(mark)) = (stored.event.aggregate_id.clone(), FileMark::of(&stored.event)) else { continue };
        let file = json!({
            "id": id,
            "name": mark.name,
            "bytes": mark.mark.bytes,
            "lines": mark.mark.lines,
            "events": mark.events,
            "readAt": stored.recorded_at.to_string(),
        });
        files.insert(id, file);
    }
    let has_topics = store.offsets().keys().any(|app_id| !app_id.starts_with("file/"));
    drop(store);
    let (mut topics, mut origins) = (Vec::new(), Vec::new());
    // What is known of databases is folded from events; of files the store alone can tell.
    if has_topics {
        let answers = Answers::open(context).await?;
        let data = answers.data(ORIGINS, json!({})).await;
        answers.close().await;
        let data = data?;
        (topics, origins) = (topics_of(&data), origins_of(&data));
    }
    Ok(Listed { files: files.into_values().collect(), topics, origins })
}

/// The same from what a server says, where 64-bit numbers are texts.
async fn of_server(context: &Context) -> anyhow::Result<Listed> {
    let answers = Answers::open(context).await?;
    let data = answers.data(FILES, json!({})).await?;
    let sources = data["sources"].as_array().map(Vec::as_slice).unwrap_or_default();
    let files = sources.iter().flat_map(|source| source["files"].as_array().map(Vec::as_slice).unwrap_or_default());
    let document = |file: &Value| {
        json!({
            "id": file["id"],
            "name": file["name"],
            "bytes": number(&file["bytes"]),
            "lines": number(&file["lines"]),
            "events": number(&file["events"]),
            "readAt": file["recordedAt"],
        })
    };
    let files = files.map(document).collect();
    let data = answers.data(ORIGINS, json!({})).await?;
    Ok(Listed { files, topics: topics_of(&data), origins: origins_of(&data) })
}

/// The sources of topics of a response.
fn topics_of(data: &Value) -> Vec<Value> {
    let sources = data["sources"].as_array().into_iter().flatten().filter(|source| source["kind"] == "kafka");
    let document = |source: &Value| {
        let partitions = source["partitions"].as_array().into_iter().flatten().map(|partition| {
            let mut partition = partition.clone();
            for part in ["nextOffset", "lag"] {
                if let Some(digits) = number(&partition[part]) {
                    partition[part] = digits.into();
                }
            }
            partition
        });
        json!({
            "source": source["name"],
            "hindrance": source["hindrance"],
            "unknownTopics": source["unknownTopics"],
            "deletedTopics": source["deletedTopics"],
            "lettersNotCopied": number(&source["lettersNotCopied"]),
            "partitions": partitions.collect::<Vec<_>>(),
        })
    };
    sources.map(document).collect()
}

/// The origins of a response, each once, with the sources that it comes through.
fn origins_of(data: &Value) -> Vec<Value> {
    let mut origins: BTreeMap<String, Value> = BTreeMap::new();
    for source in data["sources"].as_array().into_iter().flatten() {
        for origin in source["origins"].as_array().into_iter().flatten() {
            let listed = origins.entry(shown(&origin["id"])).or_insert_with(|| {
                let mut suspect = origin["suspect"].clone();
                for part in ["held", "offset"] {
                    if let Some(digits) = number(&suspect[part]) {
                        suspect[part] = digits.into();
                    }
                }
                json!({
                    "origin": origin["id"],
                    "sources": [],
                    "status": origin["status"],
                    "epoch": origin["epoch"],
                    "unverified": origin["unverified"],
                    "suspect": suspect,
                })
            });
            if let Some(sources) = listed["sources"].as_array_mut() {
                sources.push(source["name"].clone());
            }
        }
    }
    origins.into_values().collect()
}

fn number(value: &Value) -> Option<u64> {
    value.as_str().and_then(|digits| digits.parse::<u64>().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_of_topics_is_listed_with_its_problems() {
        let partition = |number: u32, lag: &str, problem: Option<&str>| json!({ "topic": "shop.orders", "partition": number, "nextOffset": "7", "lag": lag, "state": "reading", "problem": problem });
        let source = json!({
            "name": "shop", "kind": "kafka", "hindrance": "no broker can be reached", "unknownTopics": ["shop.x"],
            "deletedTopics": [], "lettersNotCopied": "2",
            "partitions": [partition(0, "3", None), partition(1, "4", Some("retention ran past us"))],
        });
        let listed = topics_of(&json!({ "sources": [source, { "name": "file", "kind": "files" }] }));
        let [listed] = listed.as_slice() else { panic!("{listed:?}") };
        assert_eq!((&listed["partitions"][0]["lag"], &listed["partitions"][1]["nextOffset"]), (&json!(3), &json!(7)));
        assert_eq!(
            problems(listed),
            [
                "no broker can be reached",
                "there is no topic shop.x",
                "shop.orders/1: retention ran past us",
                "2 dead letters could not be copied",
            ]
        );
    }

    #[test]
    fn an_origin_is_listed_once_with_all_its_sources() {
        let suspect = json!({ "epoch": 1, "held": "12", "offset": "7", "position": "99", "reason": "it" });
        let origin = json!({ "id": "postgresql/shop", "status": "suspect", "epoch": 0, "unverified": false, "suspect": suspect });
        let source = |name: &str| json!({ "name": name, "origins": [origin] });
        let listed = origins_of(&json!({ "sources": [source("a"), source("b"), { "name": "file", "origins": [] }] }));
        let [listed] = listed.as_slice() else { panic!("{listed:?}") };
        assert_eq!(listed["sources"], json!(["a", "b"]));
        assert_eq!((&listed["suspect"]["held"], &listed["suspect"]["position"]), (&json!(12), &json!("99")));
    }
}
