//! `deltafold projections check [FILE…]`

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use deltafold_event::{Column, ColumnType};
use deltafold_projection::{Definition, Problem, Relation, Relations, Statement};
use serde_json::{Value, json};

use crate::{
    answers::Answers,
    config::Flags,
    context::Context,
    definitions::{is_definition, unreadable},
    exit::{Exit, Failure},
    output,
};

const DOCUMENT: &str = "{ projections { name kind key { name } columns { name type } } }";

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Definitions; all of `projections.dir` where none is named
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Check {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let files = match self.files.is_empty() {
            true => definitions(&context.config(&Flags::default())?.config.projections.dir)?,
            false => self.files,
        };
        let answers = Answers::open(context).await?;
        let data = answers.data(DOCUMENT, json!({})).await;
        answers.close().await;
        let relations = relations(&data?)?;
        let mut problems = Vec::new();
        for file in &files {
            let name = file.display().to_string();
            let text = fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
            match checked(&name, &text, &relations) {
                Ok((statement, definition)) => show(context, &name, &statement, &definition)?,
                Err(problem) if context.json() => {
                    output::json(&json!({
                        "file": name, "ok": false, "line": problem.place.line, "column": problem.place.column,
                        "error": problem.what,
                    }))?;
                    problems.push(problem);
                }
                Err(problem) => problems.push(problem),
            }
        }
        match problems.is_empty() {
            true => Ok(()),
            false => {
                let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
                Err(Failure::new(Exit::Usage, lines.join("\n")).into())
            }
        }
    }
}

/// The files of a folder, by name.
fn definitions(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut files: Vec<PathBuf> = entries.map_err(|error| unreadable(folder, &error))?;
    files.retain(|path| is_definition(path));
    files.sort();
    match files.is_empty() {
        true => Err(Failure::new(Exit::NotFound, format!("there is no definition (*.sql) in {}", folder.display()))),
        false => Ok(files),
    }
}

fn checked(file: &str, text: &str, relations: &Relations) -> Result<(Statement, Definition), Problem> {
    let statement = Statement::parse(file, text)?;
    let definition = Definition::check(&statement, relations)?;
    Ok((statement, definition))
}

/// What the mirrors say of the relations.
fn relations(data: &Value) -> anyhow::Result<Relations> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mirrors = list(&data["projections"]).into_iter().filter(|view| view["kind"] == "mirror");
    mirrors
        .map(|view| {
            let typed = |column: &Value| {
                let column_type: ColumnType = text(&column["type"]).parse()?;
                Ok(Column { name: text(&column["name"]), column_type })
            };
            let columns: Vec<_> = list(&view["columns"]).iter().map(typed).collect::<anyhow::Result<_>>()?;
            let key = list(&view["key"]).iter().map(|column| text(&column["name"])).collect();
            Ok((text(&view["name"]), Relation::new(columns, key)))
        })
        .collect()
}

fn show(context: &Context, file: &str, statement: &Statement, definition: &Definition) -> anyhow::Result<()> {
    let columns = definition.columns();
    if context.json() {
        let columns: Vec<Value> = columns
            .iter()
            .map(|column| {
                let column_type = column.column_type.to_string();
                json!({ "name": column.name, "type": column_type, "nullable": column.is_nullable })
            })
            .collect();
        return output::json(&json!({
            "file": file, "ok": true, "name": definition.name(), "question": statement.question(),
            "key": definition.key(), "sources": definition.sources(), "steps": definition.steps(),
            "state": definition.state(), "columns": columns,
        }));
    }
    let question = statement.question().map(|question| format!(": {question}")).unwrap_or_default();
    output::line(format_args!("{}{question}", definition.name()))?;
    output::line(format_args!("  key      {}", definition.key().join(", ")))?;
    output::line(format_args!("  over     {}", definition.sources().join(", ")))?;
    output::line(format_args!("  kept by  {}", definition.steps().join("; ")))?;
    for state in definition.state() {
        output::line(format_args!("  state    {state}"))?;
    }
    let widest = columns.iter().map(|column| column.name.chars().count()).max().unwrap_or_default();
    for column in columns {
        let null = if column.is_nullable { "" } else { ", never null" };
        output::line(format_args!("  column   {:widest$}  {}{null}", column.name, column.column_type))?;
    }
    Ok(())
}
