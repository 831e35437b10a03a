//! Which right an operation needs. It is asked for before anything else is looked at, so that whoever lacks it learns
//! nothing of what there is, and long before anything is resolved.
//!
//! A mutation's root field is in [`MUTATIONS`] with its right, or the schema is not built. Its resolver finds who asks
//! by [`Principal::of`].

use async_graphql::{
    parser::types::{ExecutableDocument, OperationDefinition, OperationType},
    registry::{MetaType, Registry},
};

use crate::{
    auth::{Principal, Right},
    documents::root_fields,
    errors::ApiError,
};

/// The root fields of mutations, each with the right that it needs.
const MUTATIONS: &[(&str, Right)] = &[
    ("appendEvents", Right::Append),
    ("retryDeadLetters", Right::Append),
    ("discardDeadLetters", Right::Admin),
    ("newEpoch", Right::Admin),
    ("rebuildProjection", Right::Admin),
    ("cancelRebuild", Right::Admin),
    ("swapProjection", Right::Admin),
    ("undoRebuild", Right::Admin),
    ("pauseProjection", Right::Admin),
    ("resumeProjection", Right::Admin),
    ("skipEvent", Right::Admin),
];

/// Checks that an operation may be run by who asks for it.
///
/// # Errors
/// When a right is missing.
pub(crate) fn check(
    principal: &Principal,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
) -> Result<(), ApiError> {
    let forbidden = |what: &str, needs: &'static str| {
        let (what, name) = (what.to_owned(), principal.name().to_owned());
        Err(ApiError::Forbidden { what, needs, name })
    };
    match operation.ty {
        OperationType::Query | OperationType::Subscription if principal.may(Right::Read) => Ok(()),
        OperationType::Query => forbidden("a query", Right::Read.name()),
        OperationType::Subscription => forbidden("a subscription", Right::Read.name()),
        // Whoever may not change anything is not told what could be changed.
        OperationType::Mutation if !principal.may(Right::Append) => forbidden("a mutation", "append or admin"),
        OperationType::Mutation => {
            // All of them, before the first is run. Names that there are not are the validation's.
            for field in root_fields(document, operation) {
                let name = field.name.node.as_str();
                if let Some(right) = right_of(name).filter(|right| !principal.may(*right)) {
                    return forbidden(&format!("the mutation \"{name}\""), right.name());
                }
            }
            Ok(())
        }
    }
}

fn right_of(mutation: &str) -> Option<Right> {
    MUTATIONS.iter().find(|(name, _)| *name == mutation).map(|(_, right)| *right)
}

/// Checks that a schema has no mutation that anybody could run.
///
/// # Errors
/// When one has no right declared for it.
pub(crate) fn check_schema(registry: &Registry) -> Result<(), ApiError> {
    let mutations = registry.mutation_type.as_ref().and_then(|name| registry.types.get(name));
    let Some(MetaType::Object { fields, .. }) = mutations else { return Ok(()) };
    match fields.keys().find(|name| right_of(name).is_none()) {
        Some(name) => Err(ApiError::internal("schema", format!("the mutation {name} declares no right"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{
        dynamic::{Field, FieldFuture, Object, Schema, TypeRef},
        parser::parse_query,
    };

    use super::*;
    use crate::auth::Rights;

    fn told(rights: &str, query: &str) -> String {
        let rights: Rights = rights.parse().unwrap_or_default();
        let document = parse_query(query).unwrap();
        let operation = &document.operations.iter().next().unwrap().1.node;
        match check(&Principal::with_token("ci", rights).unwrap(), &document, operation) {
            Ok(()) => "ok".to_owned(),
            Err(error) => format!("{}: {error}", error.code()),
        }
    }

    #[test]
    fn each_kind_of_operation_needs_its_right() {
        assert_eq!(told("read", "{ anything }"), "ok");
        assert_eq!(
            told("append", "{ anything }"),
            "FORBIDDEN: a query needs the right read, which \"ci\" does not have"
        );
        assert_eq!(
            told("append", "subscription { anything }"),
            "FORBIDDEN: a subscription needs the right read, which \"ci\" does not have"
        );
        assert_eq!(
            told("read", "mutation { anything }"),
            "FORBIDDEN: a mutation needs the right append or admin, which \"ci\" does not have"
        );
        assert_eq!(told("", "mutation { appendEvents }"), told("read", "mutation { anything }"));
        assert_eq!(told("append", "mutation { anything }"), "ok");
        assert_eq!(told("admin", "{ anything }"), "ok");
    }

    #[test]
    fn every_mutation_of_an_operation_is_allowed_or_none_is_run() {
        let refused = "FORBIDDEN: the mutation \"newEpoch\" needs the right admin, which \"ci\" does not have";
        assert_eq!(told("append", "mutation { appendEvents }"), "ok");
        assert_eq!(told("read,append", "mutation { a: appendEvents harmless: newEpoch }"), refused);
        assert_eq!(told("append", "mutation { ...f } fragment f on M { ...f ... on M { newEpoch } }"), refused);
        assert_eq!(told("admin", "mutation { appendEvents newEpoch }"), "ok");
    }

    #[test]
    fn a_schema_declares_the_right_of_each_mutation() {
        let schema = |mutation: &str| {
            let field = |name: &str| Field::new(name, TypeRef::named("Int"), |_| FieldFuture::Value(None));
            let (query, mutations) = (Object::new("Query").field(field("a")), Object::new("M").field(field(mutation)));
            Schema::build("Query", Some("M"), None).register(query).register(mutations).finish().unwrap()
        };
        assert_eq!(check_schema(schema("newEpoch").registry()), Ok(()));
        assert!(check_schema(schema("dropEverything").registry()).is_err());
    }
}
