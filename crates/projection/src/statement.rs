//! The statement of a definition, before anything is known of what it is over.

use std::{path::Path, sync::Arc};

use datafusion::sql::sqlparser::{
    ast::{self, CreateTableOptions, CreateView, Expr, Ident, ObjectName, Query, Spanned, SqlOption, Value},
    dialect::PostgreSqlDialect,
    parser::{Parser, ParserError},
};

use crate::{
    nearest::{did_you_mean, list},
    problem::{Flaw, Place, Problem},
    supported,
};

/// What a file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub(crate) file: Arc<str>,
    pub(crate) name: Ident,
    /// The columns of the key, and where that is said.
    pub(crate) key: Vec<String>,
    pub(crate) key_place: Place,
    pub(crate) query: Box<Query>,
    question: Option<String>,
}

impl Statement {
    /// Reads a file's text. `file` is how messages name it; its last part has to be the view's name and `.sql`.
    ///
    /// # Errors
    /// When it is not SQL, not one statement of the right form, or says something that cannot be maintained.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        let file: Arc<str> = file.into();
        Self::read(&file, text).map_err(|flaw| flaw.in_file(&file, Place::START))
    }

    fn read(file: &Arc<str>, text: &str) -> Result<Self, Flaw> {
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, text).map_err(not_sql)?;
        if let Some(second) = statements.get(1) {
            return Err(Flaw::at(second.span(), "a second statement: a file holds one"));
        }
        let Some(statement) = statements.pop() else {
            return Err(Flaw { place: None, what: format!("no statement: expected {FORM}") });
        };
        let ast::Statement::CreateView(view) = statement else {
            let what = format!("expected {FORM}, found {}", first_words(&statement.to_string()));
            return Err(Flaw { place: None, what });
        };
        let name = name_of(&view)?;
        let stem = Path::new(&**file).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if name.value != stem {
            let what = format!("the view is called {name}, but its file {stem}.sql: a file bears the name of its view");
            return Err(Flaw::at(name.span, what));
        }
        plain(&view)?;
        let (key, key_place) = key_of(&view, &name)?;
        supported::query(&view.query)?;
        let question = text.lines().next().and_then(|line| line.strip_prefix("--"));
        let question =
            question.map(|line| line.split_once(':').map_or(line, |(_, question)| question).trim().to_owned());
        Ok(Self { file: Arc::clone(file), name, key, key_place, query: view.query, question })
    }

    /// The view's name.
    pub fn name(&self) -> &str {
        &self.name.value
    }

    /// What it answers: the comment in the first line, after a colon if there is one.
    pub fn question(&self) -> Option<&str> {
        self.question.as_deref()
    }
}

const FORM: &str = "CREATE MATERIALIZED VIEW name WITH (key = '…') AS SELECT …";

/// The parser says the place at the end of its message only.
fn not_sql(error: ParserError) -> Flaw {
    let (ParserError::ParserError(what) | ParserError::TokenizerError(what)) = &error else {
        return Flaw { place: None, what: "it is nested too deeply to be read".to_owned() };
    };
    let place = |what: &str| {
        let (what, at) = what.rsplit_once(" at Line: ")?;
        let (line, column) = at.split_once(", Column: ")?;
        Some((what.to_owned(), Place { line: line.parse().ok()?, column: column.parse().ok()? }))
    };
    match place(what) {
        Some((what, place)) => Flaw { place: Some(place), what: format!("not SQL: {}", lower_first(&what)) },
        None => Flaw { place: None, what: format!("not SQL: {}", lower_first(what)) },
    }
}

fn lower_first(text: &str) -> String {
    let mut signs = text.chars();
    signs.next().map(|first| first.to_lowercase().chain(signs).collect()).unwrap_or_default()
}

fn first_words(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().take(3).collect();
    format!("{} …", words.join(" "))
}

fn name_of(view: &CreateView) -> Result<Ident, Flaw> {
    let ObjectName(parts) = &view.name;
    match &parts[..] {
        [part] if let Some(name) = part.as_ident() => Ok(normal(name)),
        _ => Err(Flaw::at(view.name.span(), format!("{} has several parts: a view's name has one", view.name))),
    }
}

/// A name as SQL compares it: in lower case, unless it is quoted.
pub(crate) fn normal(name: &Ident) -> Ident {
    match name.quote_style {
        Some(_) => name.clone(),
        None => Ident { value: name.value.to_lowercase(), ..name.clone() },
    }
}

/// Nothing else is said of the view than what is understood.
fn plain(view: &CreateView) -> Result<(), Flaw> {
    let refused = |what: &str| Err(Flaw::at(view.name.span(), format!("{what} is not supported: expected {FORM}")));
    if !view.materialized {
        return refused("CREATE VIEW without MATERIALIZED");
    }
    if view.or_replace || view.or_alter {
        return refused("OR REPLACE (a changed file is a rebuild)");
    }
    if view.if_not_exists {
        return refused("IF NOT EXISTS");
    }
    if view.temporary {
        return refused("TEMPORARY");
    }
    if let [first, ..] = &view.columns[..] {
        let what = "a list of columns after the name is not supported: name them in SELECT, with AS";
        return Err(Flaw::at(first.name.span, what));
    }
    Ok(())
}

fn key_of(view: &CreateView, name: &Ident) -> Result<(Vec<String>, Place), Flaw> {
    let missing = || Flaw::at(name.span, format!("{name} has no key: say WITH (key = 'column, …') after its name"));
    let CreateTableOptions::With(options) = &view.options else { return Err(missing()) };
    let mut key = None;
    for option in options {
        let SqlOption::KeyValue { key: option_name, value } = option else {
            return Err(Flaw::at(option.span(), format!("{option}: expected key = 'column, …'")));
        };
        if normal(option_name).value != "key" {
            let near = did_you_mean(&option_name.value, ["key"]);
            return Err(Flaw::at(option_name.span, format!("there is no option {option_name}{near}")));
        }
        if key.is_some() {
            return Err(Flaw::at(option_name.span, "key is said twice"));
        }
        let text = match value {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) => Some(text),
                _ => None,
            },
            _ => None,
        };
        let Some(text) = text else {
            return Err(Flaw::at(value.span(), format!("key is {value}: expected a text, as 'customer_id'")));
        };
        let place = Flaw::at(option_name.span, "").place.unwrap_or(Place::START);
        key = Some((columns_of(text).map_err(|what| Flaw { place: Some(place), what })?, place));
    }
    key.ok_or_else(missing)
}

/// The columns that a key's text names.
fn columns_of(text: &str) -> Result<Vec<String>, String> {
    let dialect = PostgreSqlDialect {};
    let names = Parser::new(&dialect).try_with_sql(text).and_then(|mut parser| {
        let names = parser.parse_comma_separated(Parser::parse_identifier)?;
        parser.expect_token(&datafusion::sql::sqlparser::tokenizer::Token::EOF)?;
        Ok(names)
    });
    let names = names.map_err(|_| format!("key is '{text}': expected names of columns with commas between"))?;
    let names: Vec<String> = names.iter().map(|name| normal(name).value).collect();
    match names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        Some((_, twice)) => Err(format!("key names {twice} twice: {}", list(names.iter().map(String::as_str)))),
        None => Ok(names),
    }
}
