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
            // What only leaves out columns on the way does not matter.
            let (input, exprs) = match columns_of(input) {
                Some((below, columns)) => (below, all_described_with(exprs, |index| columns[index])?),
                None => (&**input, all_described(exprs)?),
            };
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

/// Expressions, without the names of columns. How DataFusion writes them leaves out parentheses and quotes: behind each comes
/// how many parts everything in it has, and what literals stand there.
pub(super) fn all_described(exprs: &[Arc<dyn PhysicalExpr>]) -> Result<String> {
    all_described_with(exprs, |index| index)
}

fn all_described_with(exprs: &[Arc<dyn PhysicalExpr>], column_of: impl Fn(usize) -> usize) -> Result<String> {
    let mut text = String::from("[");
    for expr in exprs {
        let unnamed = Arc::clone(expr).transform(|expr| {
            Ok(match expr.downcast_ref::<Column>() {
                Some(column) => {
                    let unnamed: Arc<dyn PhysicalExpr> = Arc::new(Column::new("", column_of(column.index())));
                    Transformed::yes(unnamed)
                }
                None => Transformed::no(expr),
            })
        })?;
        _ = write!(text, "{}", unnamed.data);
        unnamed.data.apply(|expr| {
            match expr.downcast_ref::<Literal>() {
                Some(literal) => _ = write!(text, " {:?} {}", literal.value(), literal.value().data_type()),
                None => _ = write!(text, " {}", expr.children().len()),
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        text.push_str(", ");
    }
    text.push(']');
    Ok(text)
}

/// Where an operator gives nothing but columns of another one: that, and the numbers of the columns there.
fn columns_of(operator: &Operator) -> Option<(&Operator, Vec<usize>)> {
    let Operator::Map { input, exprs, .. } = operator else { return None };
    let columns = exprs.iter().map(|expr| expr.downcast_ref::<Column>().map(Column::index));
    Some((input, columns.collect::<Option<Vec<usize>>>()?))
}

fn columns(schema: &SchemaRef, are_named: bool) -> String {
    let column = |field: &Arc<arrow::datatypes::Field>| match are_named {
        true => format!("{:?} {}", field.name(), field.data_type()),
        false => field.data_type().to_string(),
    };
    format!("({})", schema.fields().iter().map(column).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use deltafold_event::ColumnType;

    use super::super::Fold;
    use crate::{Definition, Relation, Relations, Statement};

    /// The rows that `query` gives, joined with the others by their id: what is arranged of it.
    fn arranged(query: &str) -> String {
        let column = |(name, column_type)| deltafold_event::Column { name: String::from(name), column_type };
        let columns = ["id", "a", "b", "c"].map(|name| (name, ColumnType::BigInt)).into_iter();
        let columns = columns.chain([("d", ColumnType::Text)]).map(column).collect::<Vec<_>>();
        let relation = || Relation::new(columns.clone(), vec!["id".to_owned()]);
        let relations: Relations = ["t", "u"].map(|name| (name.to_owned(), relation())).into_iter().collect();
        let sql = format!(
            "CREATE MATERIALIZED VIEW v WITH (key = 'id') AS SELECT u.id, q.x FROM u JOIN ({query}) AS q ON q.id = u.id"
        );
        let statement = Statement::parse("v.sql", &sql).expect("it is right");
        let fold =
            Fold::new(&Definition::check(&statement, &relations).expect("it is right")).expect("it can be folded");
        fold.arrangements().last().expect("both sides are of relations").of.clone()
    }

    #[test]
    fn what_differs_is_told_apart() {
        let all = [
            "SELECT id, a AS x FROM t",
            "SELECT id, b AS x FROM t",
            "SELECT id, a - b - c AS x FROM t",
            "SELECT id, a - (b - c) AS x FROM t",
            "SELECT id, a AS x FROM t WHERE d IN ('a', 'b', 'c', 'd, e')",
            "SELECT id, a AS x FROM t WHERE d IN ('a', 'b', 'c, d', 'e')",
            "SELECT id, a AS x FROM t WHERE NOT (d = 'a' AND b = 1)",
            "SELECT id, a AS x FROM t WHERE NOT d = 'a' AND b = 1",
        ];
        let arranged = all.map(arranged);
        for (at, one) in arranged.iter().enumerate() {
            for (other, of) in arranged.iter().enumerate().skip(at + 1) {
                assert_ne!(one, of, "{}\n{}", all[at], all[other]);
            }
        }
    }

    #[test]
    fn names_on_the_way_do_not_matter() {
        let one = arranged("SELECT id, a + b AS x FROM t WHERE c > 1");
        assert_eq!(one, arranged("SELECT s.id, s.a + s.b AS x FROM t AS s WHERE s.c > 1"));
    }
}
