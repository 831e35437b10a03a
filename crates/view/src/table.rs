//! A mirror as a table of DataFusion, as of a point in both times.
//!
//! The typed columns are there to be filtered, ordered and added up; who shows rows takes `_row`, the exact
//! canonical JSON. A value that its column's type cannot hold (`NaN` in a decimal, digits beyond the declared
//! scale) is null in the typed column.

mod filter;
mod literal;
mod rows;
mod schema;

use std::{fmt, sync::Arc};

use arrow::{
    compute::SortOptions,
    datatypes::{Schema, SchemaRef},
};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::Result,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_expr::{LexOrdering, PhysicalSortExpr, expressions::Column as ColumnExpr},
    physical_plan::{ExecutionPlan, streaming::StreamingTableExec},
};
use deltafold_event::Column;

use crate::{At, Reader};

pub use literal::literal;
pub use schema::hidden;

/// The rows of a mirror at one moment of the store and one point in both times.
///
/// Its columns are the view's, under their own names (one that bears the name of a [`hidden`] column gets an
/// underscore), then the hidden ones. Rows come in the order of `_key`. Equality with `_key`, `IN` and `>` on it,
/// and equality with a single key column ([`Self::with_key`]) become seeks; other filters run above the scan.
pub struct MirrorTable {
    reader: Reader,
    at: At,
    fields: Arc<[schema::Source]>,
    schema: SchemaRef,
    key: Option<String>,
    only: filter::Keys,
}

impl MirrorTable {
    /// The table of what `reader` shows at `at`.
    pub fn new(reader: Reader, columns: Vec<Column>, at: At) -> Self {
        let (fields, schema) = schema::of(columns);
        Self { reader, at, fields, schema, key: None, only: filter::Keys::All }
    }

    /// Says of which columns the key consists.
    #[must_use]
    pub fn with_key(mut self, columns: &[String]) -> Self {
        self.key = match columns {
            [column] => self.field(column).map(str::to_owned),
            _ => None,
        };
        self
    }

    /// Leaves out all rows but those with these keys.
    #[must_use]
    pub fn only(mut self, keys: Vec<String>) -> Self {
        self.only = filter::Keys::these(keys);
        self
    }

    /// The name in the table of a column of the view.
    pub fn field(&self, column: &str) -> Option<&str> {
        let index = self.fields.iter().position(|field| field.column() == Some(column))?;
        Some(self.schema.field(index).name())
    }
}

impl fmt::Debug for MirrorTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MirrorTable").field("reader", &self.reader).field("at", &self.at).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for MirrorTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters.iter().map(|filter| filter::support(filter, self.key.as_deref())).collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.fields.len()).collect();
        let projection = projection.unwrap_or(&all);
        let schema: SchemaRef = Arc::new(self.schema.project(projection)?);
        let rows = rows::Rows {
            reader: self.reader.clone(),
            at: self.at,
            fields: projection.iter().map(|&index| self.fields[index].clone()).collect(),
            schema: schema.clone(),
            keys: filter::keys(filters, self.key.as_deref()).and(self.only.clone()),
            limit,
        };
        let order = order_of(&schema);
        let plan = StreamingTableExec::try_new(schema, vec![Arc::new(rows)], None, order, false, limit)?;
        Ok(Arc::new(plan))
    }
}

/// Rows come by their keys' bytes, which is how text is compared.
fn order_of(schema: &Schema) -> Option<LexOrdering> {
    let (index, field) = schema.column_with_name(hidden::KEY)?;
    let options = SortOptions { descending: false, nulls_first: false };
    LexOrdering::new([PhysicalSortExpr::new(Arc::new(ColumnExpr::new(field.name(), index)), options)])
}
