//! What can be wrong with a request, as its sender reads it.

use async_graphql::{
    ErrorExtensionValues, PathSegment, QueryPathSegment, ServerError, Value,
    dynamic::{FieldFuture, ResolverContext},
};
use deltafold_event::Position;

use crate::{auth::Refused, commands::CommandError};

/// Why a request, or a part of it, has no answer. Each has a stable code in `extensions.code`; the message names the
/// place, what was expected there and, where there is one, the nearest right name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// The body is not a GraphQL request.
    #[error("{0}")]
    BadRequest(String),
    /// A change was asked for by a method that must not make any.
    #[error("a mutation is sent by POST; GET reads only")]
    ReadsOnly,
    /// A query is named that nobody has told. Clients look for this very message.
    #[error("PersistedQueryNotFound")]
    NotPersisted,
    /// A query that is not on the list of those that are answered.
    #[error("this query is not among the operations that this server answers; see http.operations_file")]
    NotAllowed,
    /// There is no good token.
    #[error("{0}")]
    Unauthenticated(Refused),
    /// The token's rights do not go that far.
    #[error("{what} needs the right {needs}, which {name:?} does not have")]
    Forbidden {
        /// What was to be done.
        what: String,
        /// What it takes.
        needs: &'static str,
        /// Who wants to.
        name: String,
    },
    /// The query text is not GraphQL.
    #[error("{0}")]
    Parse(String),
    /// A value that does not fit where it stands.
    #[error("{path}: expected {expected}, found {found}{}", did_you_mean(.nearest.as_deref()))]
    BadInput {
        /// Where, as in `orders.where.total._gte`.
        path: String,
        /// What fits there.
        expected: String,
        /// What stands there.
        found: String,
        /// The nearest right name.
        nearest: Option<String>,
    },
    /// A name that there is not.
    #[error("{path}: there is no {kind} \"{name}\"{}", did_you_mean(.nearest.as_deref()))]
    UnknownName {
        /// Where, as in `aggregate.type`.
        path: String,
        /// What kind of thing it should name.
        kind: &'static str,
        /// The name.
        name: String,
        /// The nearest right name.
        nearest: Option<String>,
    },
    /// A cursor that this list did not give.
    #[error("{path}: this is no cursor of this list with this filter and order; take one from its pageInfo or edges")]
    BadCursor {
        /// Where, as in `orders.after`.
        path: String,
    },
    /// A position that has not been folded yet.
    #[error(
        "{path}: position {position} is ahead of {reached}, up to which the views are folded; \
         wait for it with extensions.deltafold.minPosition"
    )]
    PositionAhead {
        /// Where, as in `orders.asOf.position`.
        path: String,
        /// What was asked for.
        position: Position,
        /// What there is.
        reached: Position,
    },
    /// What was believed of a derived view at a position is not kept, and cannot be computed.
    #[error(
        "{path}: what {view} was believed to be at position {position} is not kept, and cannot be computed from the \
         mirrors: {what}; ask for a time instead"
    )]
    NotKept {
        /// Where, as in `ordersByStatus.asOf`.
        path: String,
        /// The view.
        view: String,
        /// What was asked for.
        position: Position,
        /// Why not.
        what: String,
    },
    /// What a view showed at a position is not kept, so that what has changed since cannot be told.
    #[error(
        "{path}: what {view} showed at position {position} is not kept; read it anew, and subscribe after the position \
         of that answer"
    )]
    NotFollowed {
        /// Where, as in `ordersChanged.after`.
        path: String,
        /// The view.
        view: String,
        /// What was asked for.
        position: Position,
    },
    /// `minPosition` was not reached in time.
    #[error(
        "extensions.deltafold.minPosition: {position} was not reached within {waited_ms} ms; \
         the views are folded up to {reached}"
    )]
    NotReached {
        /// What was asked for.
        position: Position,
        /// What there is.
        reached: Position,
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// A limit of this server.
    #[error("limit \"{limit}\" is {max}, and the request has {found}")]
    Limit {
        /// The limit's name, as in the configuration.
        limit: &'static str,
        /// What it allows.
        max: u64,
        /// What the request has: a number, or "more".
        found: String,
    },
    /// The lists that are being read need more memory than they may have.
    #[error(
        "limit \"memory_bytes\" is used up by the lists being read; ask for fewer rows or filter more, or try again"
    )]
    Memory,
    /// It took too long.
    #[error("limit \"timeout_ms\" is {limit_ms}, and the request took longer; ask for less or for fewer rows")]
    Timeout {
        /// The limit.
        limit_ms: u64,
    },
    /// A stored value that does not fit the type its column has now.
    #[error("column \"{column}\" holds {found}, which is no {expected}; declare the column with a type that fits")]
    Misfit {
        /// The column's name at its source.
        column: String,
        /// The column's type.
        expected: String,
        /// The value, shortened.
        found: String,
    },
    /// What was to be done was not.
    #[error(transparent)]
    Command(CommandError),
    /// Our fault: what it was is in the log.
    #[error("internal error; the server's log has the details under reference {reference}")]
    Internal {
        /// What the log has it under.
        reference: String,
    },
}

impl ApiError {
    /// The stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "BAD_REQUEST",
            Self::ReadsOnly => "METHOD_NOT_ALLOWED",
            Self::NotPersisted => "PERSISTED_QUERY_NOT_FOUND",
            Self::NotAllowed => "OPERATION_NOT_ALLOWED",
            Self::Unauthenticated(_) => "UNAUTHENTICATED",
            Self::Forbidden { .. } => "FORBIDDEN",
            Self::Parse(_) => "GRAPHQL_PARSE_FAILED",
            Self::BadInput { .. } => "BAD_INPUT",
            Self::UnknownName { .. } => "UNKNOWN_NAME",
            Self::BadCursor { .. } => "BAD_CURSOR",
            Self::PositionAhead { .. } => "POSITION_AHEAD",
            Self::NotKept { .. } | Self::NotFollowed { .. } => "POSITION_NOT_KEPT",
            Self::NotReached { .. } => "POSITION_NOT_REACHED",
            Self::Limit { .. } | Self::Memory => "LIMIT_EXCEEDED",
            Self::Timeout { .. } => "TIMEOUT",
            Self::Misfit { .. } => "VALUE_DOES_NOT_FIT",
            Self::Command(CommandError::NotFound(_)) => "NOT_FOUND",
            Self::Command(CommandError::Conflict(_) | CommandError::Revision { .. }) => "CONFLICT",
            Self::Command(CommandError::Invalid { .. }) => "BAD_INPUT",
            Self::Command(CommandError::Unavailable(_)) => "UNAVAILABLE",
            Self::Command(CommandError::Failed(_)) | Self::Internal { .. } => "INTERNAL",
        }
    }

    /// A wrong value.
    pub(crate) fn input(path: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::BadInput { path: path.into(), expected: expected.into(), found: found.into(), nearest: None }
    }

    /// Something that should not happen. The cause goes to the log, a reference to the sender.
    pub(crate) fn internal(what: &'static str, cause: impl std::fmt::Display) -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let reference = format!("{:x}-{number:x}", chrono::Utc::now().timestamp_millis());
        tracing::error!(%reference, what, %cause, "request failed");
        Self::Internal { reference }
    }

    /// What is to be changed is not as it has to be for that.
    pub(crate) fn conflict(message: String) -> Self {
        Self::Command(CommandError::Conflict(message))
    }

    /// Why a command was not done.
    pub(crate) fn of_command(error: CommandError) -> Self {
        match error {
            CommandError::Failed(message) => Self::internal("command", message),
            told => Self::Command(told),
        }
    }

    fn extensions(&self) -> ErrorExtensionValues {
        let mut values = ErrorExtensionValues::default();
        values.set("code", self.code());
        match self {
            Self::BadInput { path, expected, nearest, .. } => {
                values.set("field", path.as_str());
                values.set("expected", expected.as_str());
                if let Some(nearest) = nearest {
                    values.set("nearest", nearest.as_str());
                }
            }
            Self::UnknownName { path, nearest, .. } => {
                values.set("field", path.as_str());
                if let Some(nearest) = nearest {
                    values.set("nearest", nearest.as_str());
                }
            }
            Self::Command(CommandError::Revision { actual, .. }) => values.set("revision", *actual),
            Self::Command(CommandError::Invalid { path, .. })
            | Self::BadCursor { path }
            | Self::NotKept { path, .. }
            | Self::NotFollowed { path, .. } => {
                values.set("field", path.as_str());
            }
            Self::PositionAhead { reached, .. } | Self::NotReached { reached, .. } => {
                values.set("reached", reached.to_string());
            }
            Self::Limit { limit, max, .. } => {
                values.set("limit", *limit);
                values.set("max", *max);
            }
            Self::Memory => values.set("limit", "memory_bytes"),
            Self::Timeout { limit_ms } => {
                values.set("limit", "timeout_ms");
                values.set("max", *limit_ms);
            }
            Self::Forbidden { needs, .. } => values.set("needs", *needs),
            Self::BadRequest(_)
            | Self::ReadsOnly
            | Self::NotPersisted
            | Self::NotAllowed
            | Self::Unauthenticated(_)
            | Self::Parse(_)
            | Self::Misfit { .. }
            | Self::Command(_)
            | Self::Internal { .. } => {}
        }
        values
    }

    /// As the resolver of a field gives it.
    pub(crate) fn into_graphql(self, ctx: &ResolverContext<'_>) -> async_graphql::Error {
        let mut extensions = self.extensions();
        extensions.set(PATH, path_of(ctx));
        async_graphql::Error { extensions: Some(extensions), message: self.to_string(), source: None }
    }

    /// As a response that has nothing else lists it.
    pub(crate) fn into_server(self) -> ServerError {
        let mut error = ServerError::new(self.to_string(), None);
        error.extensions = Some(self.extensions());
        error
    }

    /// As the result of a synchronous resolver.
    pub(crate) fn into_field<'a>(self, ctx: &ResolverContext<'_>) -> FieldFuture<'a> {
        FieldFuture::Future(Box::pin(std::future::ready(Err(self.into_graphql(ctx)))))
    }
}

/// Where an error of ours keeps its path until [`settle`]: the executor drops the paths of what dynamic resolvers
/// return.
const PATH: &str = "path";

fn path_of(ctx: &ResolverContext<'_>) -> Value {
    let mut path = Vec::new();
    let mut next = ctx.ctx.path_node.as_ref();
    while let Some(node) = next {
        path.push(match node.segment {
            QueryPathSegment::Name(name) => Value::from(name),
            QueryPathSegment::Index(index) => Value::from(index),
        });
        next = node.parent;
    }
    path.reverse();
    Value::List(path)
}

/// Whether errors came before anything was run: what validation finds has neither path nor code.
pub(crate) fn are_of_validation(errors: &[ServerError]) -> bool {
    let has_code = |error: &ServerError| error.extensions.as_ref().is_some_and(|values| values.get("code").is_some());
    !errors.is_empty() && errors.iter().all(|error| error.path.is_empty() && !has_code(error))
}

/// Puts every error in its final form. Those of validation get a code; ours get their path back; whatever else
/// comes up in a resolver is our fault.
pub(crate) fn settle(errors: &mut Vec<ServerError>) {
    if are_of_validation(errors) {
        for error in &mut *errors {
            let mut values = ErrorExtensionValues::default();
            values.set("code", "GRAPHQL_VALIDATION_FAILED");
            error.extensions = Some(values);
        }
        errors.dedup();
        return;
    }
    for error in errors {
        match &mut error.extensions {
            Some(values) if values.get("code").is_some() => {
                if let Some(Value::List(path)) = values.get(PATH) {
                    error.path = path.iter().filter_map(segment).collect();
                }
                values.unset(PATH);
            }
            _ => {
                let ours = ApiError::internal("resolver", &error.message);
                error.message = ours.to_string();
                error.extensions = Some(ours.extensions());
                error.source = None;
            }
        }
    }
}

fn segment(value: &Value) -> Option<PathSegment> {
    match value {
        Value::String(name) => Some(PathSegment::Field(name.clone())),
        Value::Number(index) => Some(PathSegment::Index(usize::try_from(index.as_u64()?).ok()?)),
        _ => None,
    }
}

/// The name nearest to a wrong one, if any is near.
pub(crate) fn nearest<'a>(wrong: &str, right: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = wrong.to_lowercase();
    right
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= wrong.len().max(name.len()).div_ceil(3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name.to_owned())
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean \"{name}\"?"))
}

/// A value as an error shows it: short.
pub(crate) fn shown(value: &Value) -> String {
    shortened(&value.to_string())
}

/// A text as an error shows it: short.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let names = ["status", "total", "placedAt", "customerId"];
        assert_eq!(nearest("staus", names).as_deref(), Some("status"));
        assert_eq!(nearest("placed_at", names).as_deref(), Some("placedAt"));
        assert_eq!(nearest("Total", names).as_deref(), Some("total"));
        assert_eq!(nearest("weight", names), None);
    }

    #[test]
    fn what_is_our_fault_is_not_shown() {
        let mut error = ServerError::new("internal: \"Any\" is not of the expected type", None);
        error.path = vec![PathSegment::Field("orders".to_owned())];
        let mut errors = vec![error];
        settle(&mut errors);
        let mut invalid = vec![ServerError::new("Unknown field", None); 2];
        assert!(are_of_validation(&invalid));
        settle(&mut invalid);
        let code = |error: &ServerError| error.extensions.as_ref().and_then(|values| values.get("code").cloned());
        assert_eq!(code(&errors[0]), Some("INTERNAL".into()));
        assert!(errors[0].message.starts_with("internal error; the server's log"));
        assert_eq!((code(&invalid[0]), invalid.len()), (Some("GRAPHQL_VALIDATION_FAILED".into()), 1));
    }

    #[test]
    fn messages_name_place_expectation_and_nearest() {
        let errors = [
            ApiError::BadInput {
                path: "orders.where".into(),
                expected: "a field of OrdersFilter".into(),
                found: "\"staus\"".into(),
                nearest: Some("status".into()),
            },
            ApiError::UnknownName {
                path: "aggregate.type".into(),
                kind: "aggregate type",
                name: "ordrs".into(),
                nearest: Some("orders".into()),
            },
            ApiError::Limit { limit: "page_max", max: 1_000, found: "5000".into() },
            ApiError::BadCursor { path: "orders.after".into() },
        ];
        let shown: Vec<String> = errors.iter().map(|error| format!("{}: {error}", error.code())).collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        BAD_INPUT: orders.where: expected a field of OrdersFilter, found "staus"; did you mean "status"?
        UNKNOWN_NAME: aggregate.type: there is no aggregate type "ordrs"; did you mean "orders"?
        LIMIT_EXCEEDED: limit "page_max" is 1000, and the request has 5000
        BAD_CURSOR: orders.after: this is no cursor of this list with this filter and order; take one from its pageInfo or edges
        "#);
    }
}
