//! `orderBy`: the order of a list, in which no two rows are equal.

use arrow::array::AsArray;
use async_graphql::{
    Value,
    dynamic::{Enum, EnumItem, InputObject, InputValue, TypeRef},
};
use datafusion::{
    common::ScalarValue,
    dataframe::DataFrame,
    logical_expr::{BinaryExpr, Expr, Operator, SortExpr, lit},
};
use deltafold_view::hidden;

use crate::{
    errors::ApiError,
    filter::{joined, scalar},
    model::ViewModel,
    names::quoted,
    row::RowNode,
    tables::{Table, engine},
};

/// A direction, and where nulls stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Direction {
    descending: bool,
    nulls_first: bool,
}

const DIRECTIONS: [(&str, Direction); 6] = [
    ("ASC", Direction { descending: false, nulls_first: false }),
    ("ASC_NULLS_FIRST", Direction { descending: false, nulls_first: true }),
    ("ASC_NULLS_LAST", Direction { descending: false, nulls_first: false }),
    ("DESC", Direction { descending: true, nulls_first: true }),
    ("DESC_NULLS_FIRST", Direction { descending: true, nulls_first: true }),
    ("DESC_NULLS_LAST", Direction { descending: true, nulls_first: false }),
];

const ASCENDING: Direction = DIRECTIONS[0].1;

/// The enum of directions.
pub(crate) fn directions() -> Enum {
    let description = "A direction. Without more said, nulls are greater than everything: last in ASC, first in DESC.";
    DIRECTIONS
        .iter()
        .fold(Enum::new("OrderDirection").description(description), |all, (name, _)| all.item(EnumItem::new(*name)))
}

/// The order type of a view: the columns that have an order.
pub(crate) fn view_input(view: &ViewModel) -> InputObject {
    let description = format!(
        "An order of {}: by each column named, in the order of naming; its key comes last.",
        quoted(&view.info.name)
    );
    let mut input = InputObject::new(view.names.order()).description(description);
    for (column, name) in view.columns().iter().zip(&view.names.columns) {
        if column.column_type.has_order() {
            input = input.field(InputValue::new(name, TypeRef::named("OrderDirection")));
        }
    }
    input
}

/// Whether a view has columns to order by.
pub(crate) fn has_order(view: &ViewModel) -> bool {
    view.columns().iter().any(|column| column.column_type.has_order())
}

/// An order in which no two rows are equal: by columns, and last by the aggregate id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// Columns, as indices, and their directions.
    terms: Vec<(usize, Direction)>,
}

/// Where a row stands in an order: the values of its columns, canonical, and its aggregate id.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    /// One for each term; null where the row has none, or one that the column cannot hold.
    pub(crate) values: Vec<serde_json::Value>,
    /// The aggregate id.
    pub(crate) key: String,
}

impl Order {
    /// The order that was asked for, then the key.
    pub(crate) fn of(view: &ViewModel, asked: Option<&Value>) -> Result<Self, ApiError> {
        let mut terms: Vec<(usize, Direction)> = Vec::new();
        let asked = match asked {
            Some(Value::List(objects)) => objects.as_slice(),
            Some(single) => std::slice::from_ref(single),
            None => &[],
        };
        for object in asked {
            let Value::Object(fields) = object else { continue };
            for (name, direction) in fields {
                let index = view.names.columns.iter().position(|known| known == name.as_str());
                let direction = match direction {
                    Value::Enum(given) => given.as_str(),
                    Value::String(given) => given,
                    _ => continue,
                };
                let direction = DIRECTIONS.iter().find(|(known, _)| *known == direction);
                // Both were checked against the schema.
                if let (Some(index), Some((_, direction))) = (index, direction)
                    && !terms.iter().any(|(known, _)| *known == index)
                {
                    terms.push((index, *direction));
                }
            }
        }
        for column in view.info.tie_break() {
            if !terms.iter().any(|(known, _)| *known == column) {
                terms.push((column, ASCENDING));
            }
        }
        Ok(Self { terms })
    }

    /// Its columns, as indices, with their directions; `backward` the other way round.
    pub(crate) fn terms(&self, backward: bool) -> Vec<(usize, deltafold_view::Direction)> {
        let term = |(column, direction): &(usize, Direction)| {
            let Direction { descending, nulls_first } = *direction;
            let (descending, nulls_first) = (descending != backward, nulls_first != backward);
            (*column, deltafold_view::Direction { descending, nulls_first })
        };
        self.terms.iter().map(term).collect()
    }

    /// What to sort by; `backward` the other way round.
    pub(crate) fn sort(&self, columns: &[Expr], backward: bool) -> Vec<SortExpr> {
        let terms = self.terms.iter().map(|(index, direction)| {
            columns[*index].clone().sort(direction.descending == backward, direction.nulls_first != backward)
        });
        terms.chain([key().sort(!backward, backward)]).collect()
    }

    /// Where a row stands.
    pub(crate) fn place(&self, row: &RowNode) -> Place {
        let value = |(index, _): &(usize, Direction)| {
            row.raw(*index).and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or(serde_json::Value::Null)
        };
        Place { values: self.terms.iter().map(value).collect(), key: row.version.key.to_string() }
    }

    /// Whether a place is one of this order.
    pub(crate) fn fits(&self, place: &Place) -> bool {
        place.values.len() == self.terms.len()
    }

    /// The rows that stand after a place; `backward` those before it.
    pub(crate) fn after(&self, view: &ViewModel, table: &Table, place: &Place, backward: bool) -> Expr {
        let mut alternatives = Vec::new();
        let mut equal: Vec<Expr> = Vec::new();
        for ((index, direction), value) in self.terms.iter().zip(&place.values) {
            let column = &table.columns[*index];
            // A number with more digits than its column holds is null there.
            let value = scalar(view.type_of(*index), value).filter(|value| value.data_type() == table.types[*index]);
            let nulls_first = direction.nulls_first != backward;
            let descending = direction.descending != backward;
            if let Some(beyond) = beyond(column, value.as_ref(), descending, nulls_first) {
                alternatives.push(joined(equal.iter().cloned().chain([beyond]).collect(), Operator::And));
            }
            equal.push(match value {
                Some(value) => column.clone().eq(Expr::Literal(value, None)),
                None => column.clone().is_null(),
            });
        }
        let operator = if backward { Operator::Lt } else { Operator::Gt };
        let id = ScalarValue::Utf8View(Some(place.key.clone()));
        equal.push(compare(&key(), operator, id));
        alternatives.push(joined(equal, Operator::And));
        joined(alternatives.into_iter().flatten().collect(), Operator::Or).unwrap_or_else(|| lit(true))
    }
}

/// What stands beyond a value of one column; none if nothing can.
fn beyond(column: &Expr, value: Option<&ScalarValue>, descending: bool, nulls_first: bool) -> Option<Expr> {
    let Some(value) = value else { return nulls_first.then(|| column.clone().is_not_null()) };
    let operator = if descending { Operator::Lt } else { Operator::Gt };
    let greater = compare(column, operator, value.clone());
    Some(if nulls_first { greater } else { greater.or(column.clone().is_null()) })
}

fn compare(column: &Expr, operator: Operator, value: ScalarValue) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(column.clone()), operator, Box::new(Expr::Literal(value, None))))
}

/// The aggregate ids of a plan's rows, in its order.
///
/// # Errors
/// When it cannot be run.
pub(crate) async fn keys(frame: DataFrame) -> Result<Vec<String>, ApiError> {
    let batches = frame.select(vec![key()]).map_err(engine)?.collect().await.map_err(engine)?;
    let keys = batches.iter().flat_map(|batch| batch.column(0).as_string_view().iter().flatten().map(str::to_owned));
    Ok(keys.collect())
}

/// The aggregate id's column.
pub(crate) fn key() -> Expr {
    Expr::Column(datafusion::common::Column::new_unqualified(hidden::KEY))
}
