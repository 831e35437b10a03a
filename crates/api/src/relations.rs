//! Relations between views: from a row to the one that it names by its key, and back to all that name it.
//!
//! To one row is a seek. The rows that name others are read for all rows of a list at once ([`children`]); where an
//! index has their order, by a walk of it for each. All of it is of the moment that the list is of.

use std::sync::Arc;

use async_graphql::{
    Name, Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, TypeRef},
};
use datafusion::common::ScalarValue;
use deltafold_event::{aggregate_id, coerce};

use crate::{
    by_key,
    filter::scalar,
    list::{List, children},
    model::ViewModel,
    names::quoted,
    order, page,
    reading::Reading,
    row::RowNode,
    values::into_canonical,
};

/// A relation as it is declared: columns of one view name the key of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredRelation {
    /// The view whose rows name others.
    pub view: String,
    /// The field of its rows that gives the named one.
    pub name: String,
    /// The view whose rows are named.
    pub to: String,
    /// The columns that name it, in the order of its key's.
    pub by: Vec<String>,
    /// The field of the named rows that gives those that name them, if there is to be one.
    pub inverse: Option<String>,
}

/// A relation between views that there are.
#[derive(Debug)]
pub(crate) struct Relation {
    /// Whose rows name others.
    pub(crate) from: Arc<ViewModel>,
    /// Whose rows are named.
    pub(crate) to: Arc<ViewModel>,
    /// The columns that name them, as indices, in the order of the key's.
    pub(crate) by: Vec<usize>,
    /// The field of rows of `from`.
    pub(crate) name: String,
    /// The field of rows of `to`.
    pub(crate) inverse: Option<String>,
}

impl Relation {
    /// Those of the declared relations whose views and columns there are.
    pub(crate) fn of(declared: &[DeclaredRelation], views: &[Arc<ViewModel>]) -> Vec<Arc<Self>> {
        // By row type: fields that are taken.
        let mut taken: Vec<(String, String)> = Vec::new();
        for view in views {
            let ours = view.names.columns.iter().map(String::as_str).chain(["_version", "_history"]);
            taken.extend(ours.map(|name| (view.names.row.clone(), name.to_owned())));
        }
        let mut free = |view: &ViewModel, name: &str| {
            let mut field = (view.names.row.clone(), name.to_owned());
            while taken.contains(&field) {
                field.1.push('_');
            }
            taken.push(field.clone());
            field.1
        };
        let mut found = Vec::new();
        for relation in declared {
            let named = |name: &str| views.iter().find(|view| *view.info.name == *name).cloned();
            let (Some(from), Some(to)) = (named(&relation.view), named(&relation.to)) else { continue };
            let by: Option<Vec<usize>> = relation.by.iter().map(|column| from.column(column)).collect();
            let Some(by) = by.filter(|by| !by.is_empty() && by.len() == to.key.len()) else {
                tracing::warn!(
                    view = relation.view,
                    relation = relation.name,
                    by = ?relation.by,
                    to = relation.to,
                    key = ?to.info.key,
                    "a relation has to wait: there are no such columns yet, or they are not as many as the key has"
                );
                continue;
            };
            let name = free(&from, &relation.name);
            let inverse = relation.inverse.as_ref().map(|inverse| free(&to, inverse));
            found.push(Arc::new(Self { from, to, by, name, inverse }));
        }
        found
    }

    /// The aggregate id of the row that a row names; none where it names none.
    pub(crate) fn named_by(&self, row: &RowNode) -> Option<String> {
        let part = |(&column, &key): (&usize, &usize)| {
            let value = coerce(&serde_json::from_str(row.raw(column)?).ok()?, self.to.type_of(key))?;
            (!value.is_null()).then(|| value.to_string())
        };
        let parts: Vec<String> = self.by.iter().zip(&self.to.key).map(part).collect::<Option<_>>()?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        aggregate_id(&parts)
    }

    /// Its key, to be compared with others.
    pub(crate) fn named_compared(&self, row: &RowNode) -> Option<Vec<ScalarValue>> {
        let texts: Vec<&str> = self.by.iter().map(|&column| row.raw(column)).collect::<Option<_>>()?;
        self.compared(texts.into_iter())
    }

    /// The key that values are, each as JSON, to be compared with others; none where they are none.
    pub(crate) fn compared<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Option<Vec<ScalarValue>> {
        let part = |(text, &key): (&str, &usize)| {
            let key = self.to.type_of(key);
            scalar(key, &coerce(&serde_json::from_str(text).ok()?, key)?)
        };
        texts.zip(&self.to.key).map(part).collect()
    }

    /// Likewise the key of a row that is named.
    pub(crate) fn key_compared(&self, parent: &Parent) -> Option<Vec<ScalarValue>> {
        let part = |(value, &key): (&Value, &usize)| {
            let key = self.to.type_of(key);
            scalar(key, &into_canonical(value, key)?)
        };
        parent.key.as_ref()?.iter().zip(&self.to.key).map(part).collect()
    }

    /// The filter of the rows that name one of some: of one exactly those; of several whose keys have more than one column
    /// maybe more.
    pub(crate) fn naming<'p>(&self, parents: impl Iterator<Item = &'p Parent>) -> Value {
        // What a column cannot hold, none of its rows names.
        let fits = |key: &&Vec<Value>| {
            self.by.iter().zip(*key).all(|(&column, value)| into_canonical(value, self.from.type_of(column)).is_some())
        };
        let keys: Vec<&Vec<Value>> = parents.filter_map(|parent| parent.key.as_ref()).filter(fits).collect();
        let of_column = |(at, &column): (usize, &usize)| {
            let values = keys.iter().map(|key| key[at].clone()).collect();
            let one_of = Value::Object([(Name::new("_in"), Value::List(values))].into_iter().collect());
            (Name::new(&self.from.names.columns[column]), one_of)
        };
        Value::Object(self.by.iter().enumerate().map(of_column).collect())
    }

    /// The values of a row's key; none where it has none.
    pub(crate) fn key_of(&self, row: &RowNode) -> Option<Vec<Value>> {
        let value = |&column: &usize| row.value(column).ok().filter(|value| *value != Value::Null);
        self.to.key.iter().map(value).collect()
    }
}

/// The fields of a view's rows that give others.
pub(crate) fn fields(view: &Arc<ViewModel>, relations: &[Arc<Relation>]) -> Vec<Field> {
    let to_one = relations.iter().filter(|relation| Arc::ptr_eq(&relation.from, view)).map(to_one);
    let to_many = relations.iter().filter(|relation| Arc::ptr_eq(&relation.to, view)).filter_map(to_many);
    to_one.chain(to_many).collect()
}

fn to_one(relation: &Arc<Relation>) -> Field {
    let columns: Vec<String> = relation.by.iter().map(|&at| relation.from.columns()[at].name.clone()).collect();
    let description = format!(
        "The row of {} that {} names; null if there is none.",
        quoted(&relation.to.info.name),
        columns.join(", ")
    );
    let relation = relation.clone();
    let path: Arc<str> = format!("{}.{}", relation.from.names.row, relation.name).into();
    Field::new(relation.name.clone(), TypeRef::named(&relation.to.names.row), move |ctx| {
        let Some(row) = ctx.parent_value.downcast_ref::<RowNode>() else { return FieldFuture::Value(None) };
        match relation.named_by(row) {
            Some(key) => by_key::at_moment(&relation.to, &path, key, row.moment, ctx),
            None => FieldFuture::Value(None),
        }
    })
    .description(description)
}

fn to_many(relation: &Arc<Relation>) -> Option<Field> {
    let name = relation.inverse.clone()?;
    let path: Arc<str> = format!("{}.{name}", relation.to.names.row).into();
    let of = relation.clone();
    let names = &relation.from.names;
    let mut field = Field::new(&name, TypeRef::named_nn(names.connection()), move |ctx| {
        let (relation, path) = (of.clone(), path.clone());
        FieldFuture::new(async move {
            let row = ctx.parent_value.try_downcast_ref::<RowNode>()?;
            let read = async || {
                let reading = Reading::of(ctx.ctx);
                let parent = Parent { id: row.version.key.clone(), key: relation.key_of(row) };
                let list = List::of_parent(&relation, path.clone(), &ctx, row.moment, &parent)?;
                reading.enter(&relation.from, list.moment(), &path).await?;
                children::read(relation, list, parent, reading).await
            };
            read().await.map(|node| Some(FieldValue::owned_any(node))).map_err(|error| error.into_graphql(&ctx))
        })
    })
    .description(format!("The rows of {} that name this one.", quoted(&relation.from.info.name)))
    .argument(
        InputValue::new("where", TypeRef::named(names.filter())).description("Which of them; all, if not given."),
    );
    if order::has_order(&relation.from) {
        field = field.argument(
            InputValue::new("orderBy", TypeRef::named_nn_list(names.order()))
                .description("In which order; by key, if not given."),
        );
    }
    Some(page::arguments(field))
}

/// A row that others name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parent {
    /// Its aggregate id.
    pub(crate) id: Box<str>,
    /// The values of its key; none where it has none, so that nothing names it.
    pub(crate) key: Option<Vec<Value>>,
}
