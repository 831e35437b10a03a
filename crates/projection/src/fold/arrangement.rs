//! What is remembered by a key and hangs on nothing but the rows of relations: several folds can share it.
//!
//! It is told apart by what it is of: the relations with the columns that are read, the conditions, what is made of the
//! rows, and what has to be equal. How columns are called on the way does not matter, so that it is left out.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    physical_expr::{
        PhysicalExpr,
        expressions::{Column, Literal},
    },
};

use super::operator::Operator;

/// Rows by a key as an operator remembers them, after what differential dataflow calls so. Of folds that are given the
/// same changes, those that have one of the same rows by the same key remember the same of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrangement {
    /// The operator that remembers it, as [`super::operator_of`] gives it.
    pub operator: u16,
    /// What it is of, in text.
    pub of: String,
}

/// What an operator gives, in text; none: it hangs on more than the row that it is given. `relations`: their numbers.
pub(super) fn described(operator: &Operator, relations: &BTreeMap<String, usize>) -> Result<Option<String>> {
    Ok(match operator {
        Operator::Scan { relation, schema, .. } => {
            let name = relations.iter().find(|(_, number)| *number == relation).map(|(name, _)| name);
            name.map(|name| format!("{name:?}{}", columns(schema, true)))
        }
        Operator::Filter { input, condition } => {
            let condition = all_described(std::slice::from_ref(condition))?;
            described(input, relations)?.map(|input| format!("{input} where {condition}"))
        }
        Operator::Map { input, exprs, schema } => {
            let exprs = all_described(exprs)?;
            described(input, relations)?.map(|input| format!("{input} as {exprs}{}", columns(schema, false)))
        }
        Operator::Union { inputs, schema } => {
            let inputs = inputs.iter().map(|input| described(input, relations));
            let inputs = inputs.collect::<Result<Option<Vec<String>>>>()?;
            inputs.map(|inputs| format!("({}){}", inputs.join(") and ("), columns(schema, false)))
        }
        Operator::Group { .. } | Operator::Join(_) => None,
    })
}

/// Expressions, without the names of columns and with the types of what stands in them.
pub(super) fn all_described(exprs: &[Arc<dyn PhysicalExpr>]) -> Result<String> {
    let mut text = String::from("[");
    for expr in exprs {
        let unnamed = Arc::clone(expr).transform(|expr| {
            Ok(match expr.downcast_ref::<Column>() {
                Some(column) => Transformed::yes(Arc::new(Column::new("", column.index())) as Arc<dyn PhysicalExpr>),
                None => Transformed::no(expr),
            })
        })?;
        _ = write!(text, "{}", unnamed.data);
        unnamed.data.apply(|expr| {
            if let Some(literal) = expr.downcast_ref::<Literal>() {
                _ = write!(text, " {}", literal.value().data_type());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        text.push_str(", ");
    }
    text.push(']');
    Ok(text)
}

fn columns(schema: &SchemaRef, are_named: bool) -> String {
    let column = |field: &Arc<arrow::datatypes::Field>| match are_named {
        true => format!("{:?} {}", field.name(), field.data_type()),
        false => field.data_type().to_string(),
    };
    format!("({})", schema.fields().iter().map(column).collect::<Vec<_>>().join(", "))
}
