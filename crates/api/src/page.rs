//! Relay connections: pages of anything that has cursors.

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, Object, ObjectAccessor, TypeRef},
};

use crate::{errors::ApiError, limits::Limits};

/// Which page was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageArgs {
    /// How many.
    pub(crate) size: usize,
    /// Whether they are the last ones, rather than the first.
    pub(crate) backward: bool,
    /// The cursor to begin after.
    pub(crate) after: Option<String>,
    /// The cursor to end before.
    pub(crate) before: Option<String>,
}

/// The arguments of a connection.
pub(crate) fn arguments(field: Field) -> Field {
    field
        .argument(InputValue::new("first", TypeRef::named(TypeRef::INT)).description("The first so many."))
        .argument(InputValue::new("after", TypeRef::named(TypeRef::STRING)).description("Those after this cursor."))
        .argument(InputValue::new("last", TypeRef::named(TypeRef::INT)).description("The last so many."))
        .argument(InputValue::new("before", TypeRef::named(TypeRef::STRING)).description("Those before this cursor."))
}

impl PageArgs {
    /// Reads the arguments of [`arguments`].
    ///
    /// # Errors
    /// When they contradict each other or ask for too much.
    pub(crate) fn of(args: &ObjectAccessor<'_>, limits: &Limits, field: &str) -> Result<Self, ApiError> {
        let number = |name: &str| args.get(name).and_then(|value| value.i64().ok());
        let text = |name: &str| args.get(name).and_then(|value| value.string().ok().map(str::to_owned));
        let (first, last) = (number("first"), number("last"));
        if first.is_some() && last.is_some() {
            return Err(ApiError::input(field, "either first or last", "both"));
        }
        let path = if last.is_some() { format!("{field}.last") } else { format!("{field}.first") };
        Ok(Self {
            size: limits.page(first.or(last), &path)?,
            backward: last.is_some(),
            after: text("after"),
            before: text("before"),
        })
    }
}

/// A page of nodes.
pub(crate) struct Page<T> {
    /// Its nodes with their cursors.
    pub(crate) edges: Vec<Edge<T>>,
    /// Whether there are more after them.
    pub(crate) has_next: bool,
    /// Whether there are more before them.
    pub(crate) has_previous: bool,
}

/// A node with its cursor.
pub(crate) struct Edge<T> {
    /// The node.
    pub(crate) node: T,
    /// The cursor.
    pub(crate) cursor: String,
}

impl<T> Page<T> {
    /// The page of what was found in the direction of the page, one more than its size where there is more.
    pub(crate) fn new(mut found: Vec<Edge<T>>, page: &PageArgs) -> Self {
        let more = found.len() > page.size;
        found.truncate(page.size);
        if page.backward {
            found.reverse();
            Self { edges: found, has_next: page.before.is_some(), has_previous: more }
        } else {
            Self { edges: found, has_next: more, has_previous: page.after.is_some() }
        }
    }
}

/// What a connection's parent value gives its page by.
pub(crate) trait HasPage: Send + Sync + 'static {
    /// The nodes' type.
    type Node: Send + Sync + 'static;
    /// The page.
    fn page(&self) -> &Page<Self::Node>;
}

impl<T: Send + Sync + 'static> HasPage for Page<T> {
    type Node = T;

    fn page(&self) -> &Page<T> {
        self
    }
}

/// The connection type, without `totalCount`.
pub(crate) fn connection<C: HasPage>(name: &str, edge: &str, node: &str) -> Object {
    Object::new(name)
        .field(Field::new("edges", TypeRef::named_nn_list_nn(edge), |ctx| {
            let Some(connection) = ctx.parent_value.downcast_ref::<C>() else { return FieldFuture::Value(None) };
            let edges = connection.page().edges.iter().map(|edge| FieldValue::borrowed_any(edge));
            FieldFuture::Value(Some(FieldValue::list(edges)))
        }))
        .field(Field::new("nodes", TypeRef::named_nn_list_nn(node), |ctx| {
            let Some(connection) = ctx.parent_value.downcast_ref::<C>() else { return FieldFuture::Value(None) };
            let nodes = connection.page().edges.iter().map(|edge| FieldValue::borrowed_any(&edge.node));
            FieldFuture::Value(Some(FieldValue::list(nodes)))
        }))
        .field(Field::new("pageInfo", TypeRef::named_nn("PageInfo"), |ctx| {
            let Some(connection) = ctx.parent_value.downcast_ref::<C>() else { return FieldFuture::Value(None) };
            FieldFuture::Value(Some(FieldValue::owned_any(PageInfo::of(connection.page()))))
        }))
}

/// The edge type.
pub(crate) fn edge<T: Send + Sync + 'static>(name: &str, node: &str) -> Object {
    Object::new(name)
        .field(Field::new("node", TypeRef::named_nn(node), |ctx| {
            let edge = ctx.parent_value.downcast_ref::<Edge<T>>();
            FieldFuture::Value(edge.map(|edge| FieldValue::borrowed_any(&edge.node)))
        }))
        .field(Field::new("cursor", TypeRef::named_nn(TypeRef::STRING), |ctx| {
            let edge = ctx.parent_value.downcast_ref::<Edge<T>>();
            FieldFuture::from_value(edge.map(|edge| Value::from(edge.cursor.as_str())))
        }))
}

struct PageInfo {
    has_next: bool,
    has_previous: bool,
    start: Option<String>,
    end: Option<String>,
}

impl PageInfo {
    fn of<T>(page: &Page<T>) -> Self {
        Self {
            has_next: page.has_next,
            has_previous: page.has_previous,
            start: page.edges.first().map(|edge| edge.cursor.clone()),
            end: page.edges.last().map(|edge| edge.cursor.clone()),
        }
    }
}

/// `PageInfo`.
pub(crate) fn page_info() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&PageInfo) -> Option<Value>| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<PageInfo>().and_then(of))
        })
    };
    Object::new("PageInfo")
        .field(field("hasNextPage", TypeRef::named_nn(TypeRef::BOOLEAN), |page| Some(page.has_next.into())))
        .field(field("hasPreviousPage", TypeRef::named_nn(TypeRef::BOOLEAN), |page| Some(page.has_previous.into())))
        .field(field("startCursor", TypeRef::named(TypeRef::STRING), |page| page.start.clone().map(Value::from)))
        .field(field("endCursor", TypeRef::named(TypeRef::STRING), |page| page.end.clone().map(Value::from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(nodes: &[i32]) -> Vec<Edge<i32>> {
        nodes.iter().map(|&node| Edge { node, cursor: node.to_string() }).collect()
    }

    #[test]
    fn a_page_knows_what_lies_around_it() {
        let args = |backward, after: Option<&str>| PageArgs {
            size: 2,
            backward,
            after: after.map(str::to_owned),
            before: None,
        };
        let nodes = |page: &Page<i32>| page.edges.iter().map(|edge| edge.node).collect::<Vec<_>>();
        let first = Page::new(found(&[1, 2, 3]), &args(false, None));
        assert_eq!((nodes(&first), first.has_next, first.has_previous), (vec![1, 2], true, false));
        let next = Page::new(found(&[3]), &args(false, Some("2")));
        assert_eq!((nodes(&next), next.has_next, next.has_previous), (vec![3], false, true));
        let last = Page::new(found(&[3, 2, 1]), &args(true, None));
        assert_eq!((nodes(&last), last.has_next, last.has_previous), (vec![2, 3], false, true));
    }
}
