//! Lists of the rows that name others: those of all rows of a page are read at once.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::{Arc, Weak},
};

use arrow::{array::AsArray, datatypes::Int64Type};
use async_graphql::dataloader::Loader;
use datafusion::{
    common::{Column, ScalarValue},
    functions_aggregate::expr_fn::count,
    functions_window::expr_fn::row_number,
    logical_expr::{Expr, ExprFunctionExt, Operator, lit},
};
use deltafold_event::{ColumnType, arrays::write_json};

use super::{List, ListNode};
use crate::{
    errors::ApiError,
    filter, indexed, order,
    reading::Reading,
    relations::{Parent, Relation},
    row::RowNode,
    tables::{Table, engine},
};

/// Reads lists of children for a request.
pub(crate) struct Children(pub(crate) Weak<Reading>);

/// A list of children, by whose they are and what is asked for of them.
#[derive(Clone)]
struct Child {
    relation: Arc<Relation>,
    list: Arc<List>,
    parent: Arc<Parent>,
}

impl Child {
    fn is_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.relation, &other.relation) && self.list.is_like(&other.list)
    }
}

impl PartialEq for Child {
    fn eq(&self, other: &Self) -> bool {
        self.parent.id == other.parent.id && self.is_like(other)
    }
}

impl Eq for Child {}

impl Hash for Child {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parent.id.hash(state);
    }
}

/// Reads the rows that name one, with those of other rows that are asked for now.
///
/// # Errors
/// When they cannot be read.
pub(crate) async fn read(
    relation: Arc<Relation>,
    list: List,
    parent: Parent,
    reading: &Arc<Reading>,
) -> Result<ListNode, ApiError> {
    let list = Arc::new(list);
    if list.goes_on() {
        return list.read(reading).await;
    }
    let child = Child { relation, list, parent: Arc::new(parent) };
    let found = reading.children().load_one(child).await?;
    found.unwrap_or_else(|| Err(ApiError::internal("children", "some were not read")))
}

impl Loader<Child> for Children {
    /// Each list fails alone.
    type Value = Result<ListNode, ApiError>;
    type Error = ApiError;

    async fn load(&self, children: &[Child]) -> Result<HashMap<Child, Self::Value>, ApiError> {
        let reading = self.0.upgrade().ok_or_else(|| ApiError::internal("children", "nobody waits for them"))?;
        let mut alike: Vec<Vec<&Child>> = Vec::new();
        for child in children {
            match alike.iter_mut().find(|some| some[0].is_like(child)) {
                Some(some) => some.push(child),
                None => alike.push(vec![child]),
            }
        }
        let mut found = HashMap::with_capacity(children.len());
        for some in alike {
            if let [child] = some[..] {
                found.insert(child.clone(), child.list.clone().read(&reading).await);
                continue;
            }
            match (Together { children: &some, reading: &reading }).lists().await {
                Ok(lists) => found.extend(some.into_iter().cloned().zip(lists.into_iter().map(Ok))),
                Err(error) => found.extend(some.into_iter().map(|child| (child.clone(), Err(error.clone())))),
            }
        }
        Ok(found)
    }
}

/// The same list of several parents.
struct Together<'a> {
    children: &'a [&'a Child],
    reading: &'a Reading,
}

/// By the key of the parent.
type ByKey<T> = HashMap<Vec<ScalarValue>, T>;

/// Where a row stands among those that name the same.
const NUMBER: &str = "_number";

impl Together<'_> {
    fn list(&self) -> &List {
        &self.children[0].list
    }

    fn relation(&self) -> &Relation {
        &self.children[0].relation
    }

    /// The list of each.
    async fn lists(&self) -> Result<Vec<ListNode>, ApiError> {
        let (mut rows, counts) = (self.rows().await?, self.counts().await?);
        let list = |child: &&Child| {
            let key = child.relation.key_compared(&child.parent).unwrap_or_default();
            let rows = rows.remove(&key).unwrap_or_default();
            let count = counts.as_ref().map(|counts| counts.get(&key).copied().unwrap_or(0));
            child.list.clone().node(rows, self.reading, count)
        };
        Ok(self.children.iter().map(list).collect())
    }

    /// The rows of each parent's page and one more, by its key.
    async fn rows(&self) -> Result<ByKey<Vec<RowNode>>, ApiError> {
        let list = self.list();
        if !list.reads_rows() {
            return Ok(HashMap::new());
        }
        if let Some(rows) = self.rows_by_index().await? {
            return Ok(rows);
        }
        let (table, filter) = self.filtered().await?;
        let (sort, by) = (list.order.sort(&table.columns, list.page.backward), self.by(&table));
        let number = Expr::Column(Column::new_unqualified(NUMBER));
        let numbered = row_number().partition_by(by).order_by(sort).build().map_err(engine)?.alias(NUMBER);
        let frame = table.filtered(filter)?.window(vec![numbered]).map_err(engine)?;
        let frame = frame.filter(number.clone().lt_eq(lit(list.page.size as u64 + 1))).map_err(engine)?;
        let frame = frame.sort(vec![number.sort(true, false)]).map_err(engine)?;
        let _place = self.reading.place_for_scan(list.moment.at).await?;
        self.reading.explain_frame(&list.path, &frame).await?;
        let mut rows: ByKey<Vec<RowNode>> = HashMap::new();
        for row in list.rows(self.reading, order::keys(frame).await?)? {
            if let Some(parent) = self.relation().named_compared(&row) {
                rows.entry(parent).or_default().push(row);
            }
        }
        Ok(rows)
    }

    /// Likewise by an index that has the order, each on its own; none where none has, or one is too far to be found.
    async fn rows_by_index(&self) -> Result<Option<ByKey<Vec<RowNode>>>, ApiError> {
        let mut rows = HashMap::with_capacity(self.children.len());
        for Child { list, parent, relation } in self.children {
            let Some(key) = relation.key_compared(parent) else { continue };
            let Some(keys) = list.keys_by_index(self.reading).await? else { return Ok(None) };
            rows.insert(key, list.rows(self.reading, keys)?);
        }
        Ok(Some(rows))
    }

    /// How many rows each parent has, by its key, if that is asked for.
    async fn counts(&self) -> Result<Option<ByKey<usize>>, ApiError> {
        let list = self.list();
        if !list.wants_count {
            return Ok(None);
        }
        let (table, filter) = self.filtered().await?;
        let by = self.by(&table);
        let types: Vec<&ColumnType> = self.relation().by.iter().map(|&column| list.view.type_of(column)).collect();
        let number = Expr::Column(Column::new_unqualified(NUMBER));
        let all = vec![count(lit(1)).alias(NUMBER)];
        let frame = table.filtered(filter)?.aggregate(by.clone(), all).map_err(engine)?;
        let frame = frame.select(by.into_iter().chain([number]).collect::<Vec<_>>()).map_err(engine)?;
        let _place = self.reading.place_for_scan(list.moment.at).await?;
        self.reading.explain_frame(&format!("{}.totalCount", list.path), &frame).await?;
        let mut counts = HashMap::new();
        for batch in frame.collect().await.map_err(engine)? {
            let numbers = batch.column(types.len()).as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let texts = types.iter().enumerate().map(|(column, of)| {
                    let mut text = String::new();
                    write_json(&mut text, batch.column(column), row, of);
                    text
                });
                let texts: Vec<String> = texts.collect();
                if let Some(parent) = self.relation().compared(texts.iter().map(String::as_str)) {
                    counts.insert(parent, numbers.value(row) as usize);
                }
            }
        }
        Ok(Some(counts))
    }

    /// The table of the rows that name one of the parents, and what else is asked for of them.
    async fn filtered(&self) -> Result<(Table, Option<Expr>), ApiError> {
        let (list, relation) = (self.list(), self.relation());
        let within = relation.naming(self.children.iter().map(|child| &*child.parent));
        let all = filter::both(&within, &list.filter);
        let keys = indexed::keys(&list.view, self.reading, list.moment, &all, &list.path).await?;
        let (table, filter) = filter::applied(&list.view, self.reading, list.moment, &list.filter, &list.path, keys)?;
        let within = filter::ours(&list.view, &table, &within, &list.path)?;
        let all = filter::joined(filter.into_iter().chain(within).collect(), Operator::And);
        Ok((table, all))
    }

    /// The columns by which rows name others.
    fn by(&self, table: &Table) -> Vec<Expr> {
        self.relation().by.iter().map(|&column| table.columns[column].clone()).collect()
    }
}
