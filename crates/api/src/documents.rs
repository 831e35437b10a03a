//! Documents that were parsed before: parsing is most of what a small request costs.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use async_graphql::{
    Positioned, Variables,
    parser::{
        parse_query,
        types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
    },
};

use crate::{
    errors::ApiError,
    inputs,
    limits::Limits,
    measures::ReadKind,
    schema::Built,
    shape::{Shape, has_conditions},
};

/// A parsed document that is within the limits, as far as its text tells.
#[derive(Debug)]
pub(crate) struct Document {
    /// What it says.
    pub(crate) parsed: ExecutableDocument,
    /// Whether the sizes of its pages are in its variables, so that its cost is each request's.
    varies: bool,
    /// Whether the schema's validation has passed.
    valid: AtomicBool,
    /// The shape of its responses, where there is only one.
    shape: Option<OnceLock<Arc<Shape>>>,
    /// What kind of read each of its operations is, in their order.
    kinds: Vec<ReadKind>,
}

/// Documents by schema and text. When it is full it starts over: what is in use comes back with its next request.
#[derive(Debug)]
pub(crate) struct Documents {
    known: Mutex<Known>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Known {
    documents: HashMap<Box<str>, Arc<Document>>,
    schema: u64,
    bytes: usize,
}

/// A document takes about so many times its text.
const BYTES_PER_LETTER: usize = 16;

/// Parses a text, and asks whether it is permitted before anything else is looked at.
///
/// # Errors
/// When it is beyond a limit of texts, not GraphQL, or not permitted.
pub(crate) fn permitted(
    limits: &Limits,
    query: &str,
    permit: impl FnOnce(&ExecutableDocument) -> Result<(), ApiError>,
) -> Result<ExecutableDocument, ApiError> {
    limits.check_text(query)?;
    let parsed = parse_query(query).map_err(|error| ApiError::Parse(told(&error)))?;
    permit(&parsed)?;
    Ok(parsed)
}

impl Documents {
    /// A cache that takes about so many bytes.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { known: Mutex::default(), max_bytes }
    }

    /// The document of a text, checked against the limits and the schema's input types; `permit` says first whether
    /// it may be run.
    ///
    /// # Errors
    /// When it is not GraphQL, not permitted, beyond a limit, or has a value that does not fit.
    pub(crate) fn get(
        &self,
        built: &Built,
        limits: &Limits,
        query: &str,
        permit: impl FnOnce(&ExecutableDocument) -> Result<(), ApiError>,
    ) -> Result<Arc<Document>, ApiError> {
        {
            let mut known = self.lock();
            if known.schema != built.number {
                *known = Known { schema: built.number, ..Known::default() };
            }
            if let Some(document) = known.documents.get(query).cloned() {
                drop(known);
                return permit(&document.parsed).map(|()| document);
            }
        }
        let parsed = permitted(limits, query, permit)?;
        let registry = built.strict.registry();
        limits.check_document(registry, &parsed, &Variables::default())?;
        inputs::check_document(registry, &parsed)?;
        let varies = parsed.operations.iter().any(|(_, operation)| !operation.node.variable_definitions.is_empty());
        let shape = (parsed.operations.iter().count() == 1 && !has_conditions(&parsed)).then(OnceLock::new);
        let kind = |(_, operation): (_, &Positioned<OperationDefinition>)| built.kinds.of(&parsed, &operation.node);
        let kinds = parsed.operations.iter().map(kind).collect();
        let document = Arc::new(Document { parsed, varies, valid: AtomicBool::new(false), shape, kinds });

        let bytes = query.len() * BYTES_PER_LETTER;
        let mut known = self.lock();
        if known.schema == built.number && bytes <= self.max_bytes {
            if known.bytes + bytes > self.max_bytes {
                *known = Known { schema: known.schema, ..Known::default() };
            }
            known.bytes += bytes;
            known.documents.insert(query.into(), document.clone());
        }
        Ok(document)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().expect("no holder of this lock panics")
    }
}

/// A parser's error in one line: where, and of its picture of the text the last line, which says what.
fn told(error: &async_graphql::parser::Error) -> String {
    let message = error.to_string();
    let what = message.lines().last().unwrap_or_default().trim_start_matches([' ', '=']);
    match error.positions().next() {
        Some(position) => format!("line {}, column {}: {what}", position.line, position.column),
        None => message,
    }
}

/// The operation of a document that a request names, or the only one, and its number.
///
/// # Errors
/// When there is none of that name, or several without one.
pub(crate) fn operation<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<(usize, &'a OperationDefinition), ApiError> {
    let mut operations = document.operations.iter().enumerate();
    let found = match name {
        Some(name) => operations.find(|(_, (known, _))| known.is_some_and(|known| known == name)),
        None => match (operations.next(), operations.next()) {
            (only, None) => only,
            _ => None,
        },
    };
    found.map(|(number, (_, operation))| (number, &operation.node)).ok_or_else(|| {
        ApiError::BadRequest(match name {
            Some(name) => format!("operationName: the query has no operation named \"{name}\""),
            None => "operationName: the query has several operations; name the one to run".to_owned(),
        })
    })
}

/// The operation of a document that has this number.
pub(crate) fn operation_at(document: &ExecutableDocument, number: usize) -> &OperationDefinition {
    let (_, operation) = document.operations.iter().nth(number).expect("the number is of one of them");
    &operation.node
}

/// The fields at the root of an operation, those of fragments too.
pub(crate) fn root_fields<'a>(document: &'a ExecutableDocument, operation: &'a OperationDefinition) -> Vec<&'a Field> {
    let (mut fields, mut spread) = (Vec::new(), HashSet::new());
    let mut pending: Vec<&SelectionSet> = vec![&operation.selection_set.node];
    while let Some(selection) = pending.pop() {
        for item in &selection.items {
            match &item.node {
                Selection::Field(field) => fields.push(&field.node),
                Selection::InlineFragment(fragment) => pending.push(&fragment.node.selection_set.node),
                Selection::FragmentSpread(fragment) => {
                    let name = fragment.node.fragment_name.node.as_str();
                    // Spread once more it has nothing new, even if by itself.
                    if let Some(fragment) = document.fragments.get(name).filter(|_| spread.insert(name)) {
                        pending.push(&fragment.node.selection_set.node);
                    }
                }
            }
        }
    }
    fields
}

impl Document {
    /// What kind of read an operation is.
    pub(crate) fn kind(&self, number: usize) -> ReadKind {
        self.kinds[number]
    }

    /// Checks what depends on a request's variables: their types, and the cost of the pages they ask for.
    ///
    /// # Errors
    /// When a variable does not fit, or the cost is beyond its limit.
    pub(crate) fn check_variables(
        &self,
        built: &Built,
        limits: &Limits,
        operation: &OperationDefinition,
        variables: &Variables,
    ) -> Result<(), ApiError> {
        if !self.varies {
            return Ok(());
        }
        let registry = built.strict.registry();
        inputs::check_variables(registry, operation, variables)?;
        limits.check_document(registry, &self.parsed, variables)
    }

    /// The shape of the response to an operation with these variables.
    pub(crate) fn shape(&self, built: &Built, operation: &OperationDefinition, variables: &Variables) -> Arc<Shape> {
        let make = || Arc::new(Shape::of(built.strict.registry(), &self.parsed, operation, variables));
        match &self.shape {
            Some(shape) => shape.get_or_init(make).clone(),
            None => make(),
        }
    }

    /// Whether the schema's validation has passed.
    pub(crate) fn is_valid(&self) -> bool {
        self.valid.load(Ordering::Relaxed)
    }

    /// Notes that it has.
    pub(crate) fn set_valid(&self) {
        self.valid.store(true, Ordering::Relaxed);
    }
}
