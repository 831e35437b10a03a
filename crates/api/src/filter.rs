//! `where`: from a filter to a DataFusion expression.
//!
//! Comparisons follow SQL: a comparison with a null value is neither true nor false, and rows count only where the
//! whole is true.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{
    Name, Value,
    dynamic::{InputObject, InputValue, TypeRef},
    indexmap::IndexMap,
};
use datafusion::{
    common::ScalarValue,
    functions_nested::expr_fn::array_has,
    logical_expr::{BinaryExpr, Expr, Operator, ScalarUDF, expr::Like, lit, not, try_cast, when},
};
use datafusion_functions_json::udfs as json;
use deltafold_event::{ColumnType, arrays::data_type};
use deltafold_view::literal;

use crate::{
    errors::{ApiError, shown},
    limits::{Limits, exceeded},
    model::ViewModel,
    names::quoted,
    reading::{Moment, Reading},
    scalars,
    tables::{Table, engine},
    values,
};

/// Which operators a kind of column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Texts: all of them.
    Text,
    /// What has an order.
    Ordered,
    /// What has none.
    Equal,
    /// JSON and arrays.
    Opaque,
}

fn kind(column_type: &ColumnType) -> Kind {
    match column_type {
        ColumnType::Text => Kind::Text,
        ColumnType::Boolean | ColumnType::Bytes => Kind::Equal,
        ColumnType::Json | ColumnType::List(_) => Kind::Opaque,
        _ => Kind::Ordered,
    }
}

/// The type of a column's filter.
fn type_name(column_type: &ColumnType) -> String {
    match column_type {
        ColumnType::List(element) => format!("{}ListFilter", scalars::of_type(element)),
        other => format!("{}Filter", scalars::of_type(other)),
    }
}

/// The filter type of a view.
pub(crate) fn view_input(view: &ViewModel) -> InputObject {
    let name = view.names.filter();
    let mut input = InputObject::new(&name)
        .description(format!("Which rows of {}: those that satisfy every part.", quoted(&view.info.name)));
    for (column, graphql) in view.columns().iter().zip(&view.names.columns) {
        input = input.field(InputValue::new(graphql, TypeRef::named(type_name(&column.column_type))));
    }
    input
        .field(InputValue::new("_and", TypeRef::named_nn_list(&name)).description("All of these."))
        .field(InputValue::new("_or", TypeRef::named_nn_list(&name)).description("At least one of these."))
        .field(InputValue::new("_not", TypeRef::named(&name)).description("Not this."))
}

/// The filter types of all kinds of columns, each once.
pub(crate) fn column_inputs<'a>(types: impl Iterator<Item = &'a ColumnType>) -> Vec<InputObject> {
    let mut inputs = BTreeMap::new();
    for column_type in types {
        inputs.entry(type_name(column_type)).or_insert_with(|| column_input(column_type));
        if *column_type == ColumnType::Json {
            inputs.entry(PLACE.to_owned()).or_insert_with(place_input);
            for (_, of_place) in PLACE_VALUES {
                inputs.entry(type_name(&of_place)).or_insert_with(|| column_input(&of_place));
            }
        }
    }
    inputs.into_values().collect()
}

/// The filter type of a place in JSON.
const PLACE: &str = "JSONPlaceFilter";

/// What may stand there, each with the type that it is compared as.
const PLACE_VALUES: [(&str, ColumnType); 3] =
    [("string", ColumnType::Text), ("number", ColumnType::Decimal(None)), ("boolean", ColumnType::Boolean)];

/// How deep a place may be.
const PLACE_DEPTH: usize = 16;

fn place_input() -> InputObject {
    let input = InputObject::new(PLACE)
        .description("What stands at a place in JSON. A value of another kind, like none at all, is as null.")
        .field(
            InputValue::new("path", TypeRef::named_nn_list_nn(TypeRef::STRING))
                .description("The names of members from the outside in; in an array, an index from 0."),
        );
    let input = PLACE_VALUES
        .iter()
        .fold(input, |input, (name, of)| input.field(InputValue::new(*name, TypeRef::named(type_name(of)))));
    input.field(
        InputValue::new("isNull", TypeRef::named(TypeRef::BOOLEAN))
            .description("Whether nothing or null stands there."),
    )
}

/// Whether elements of a type can be looked for.
fn has_equality(element: &ColumnType) -> bool {
    kind(element) != Kind::Opaque
}

fn column_input(column_type: &ColumnType) -> InputObject {
    let scalar = scalars::of_type(column_type);
    let one = |name: &str| InputValue::new(name, TypeRef::named(scalar));
    let many = |name: &str| InputValue::new(name, TypeRef::named_nn_list(scalar));
    let mut input = InputObject::new(type_name(column_type));
    let kind = kind(column_type);
    if kind != Kind::Opaque {
        input = input.field(one("_eq")).field(one("_neq"));
    }
    if is_comparable(column_type) {
        input = input.field(one("_gt")).field(one("_gte")).field(one("_lt")).field(one("_lte"));
    }
    if kind != Kind::Opaque {
        input = input.field(many("_in")).field(many("_nin"));
    }
    if let ColumnType::List(element) = column_type
        && has_equality(element)
    {
        let one = InputValue::new("_contains", TypeRef::named(scalars::of_type(element)));
        input = input.field(one.description("One of its elements is this."));
    }
    if *column_type == ColumnType::Json {
        let places = InputValue::new("_at", TypeRef::named_nn_list(PLACE));
        input = input.field(places.description("What stands at places in it: all of these."));
    }
    if kind == Kind::Text {
        let pattern = |name: &str, what: &str| {
            InputValue::new(name, TypeRef::named(TypeRef::STRING))
                .description(format!("A pattern: % is any text, _ any letter; {what}."))
        };
        input = input
            .field(pattern("_like", "upper and lower case differ"))
            .field(pattern("_ilike", "upper and lower case are the same"));
    }
    input.field(InputValue::new("_isNull", TypeRef::named(TypeRef::BOOLEAN)))
}

/// Whether values of a type are smaller or greater than each other.
pub(crate) fn is_comparable(column_type: &ColumnType) -> bool {
    matches!(kind(column_type), Kind::Text | Kind::Ordered)
}

/// A view's table at a moment, and the expression of the filter of a field over it; if keys are given, only of those rows.
///
/// # Errors
/// Those of [`expression`], and when the table cannot be planned.
pub(crate) fn applied(
    view: &ViewModel,
    reading: &Reading,
    moment: Moment,
    filter: &Value,
    field: &str,
    keys: Option<Vec<String>>,
) -> Result<(Table, Option<Expr>), ApiError> {
    let table = reading.tables.view(view, reading.reader(view, moment.at.position), moment.at, keys)?;
    let filter = expression(view, &table.columns, filter, &reading.limits, &format!("{field}.where"))?;
    Ok((table, filter))
}

/// The filter that is both of two; null filters nothing out.
pub(crate) fn both(one: &Value, other: &Value) -> Value {
    match (one, other) {
        (Value::Null, only) | (only, Value::Null) => only.clone(),
        (one, other) => {
            let both = Value::List(vec![one.clone(), other.clone()]);
            Value::Object([(Name::new("_and"), both)].into_iter().collect())
        }
    }
}

/// The expression of a filter that is ours, as large as it may be; none where it filters nothing out.
///
/// # Errors
/// When a value does not fit its column.
pub(crate) fn ours(view: &ViewModel, table: &Table, filter: &Value, path: &str) -> Result<Option<Expr>, ApiError> {
    let limits = Limits { filter_size: usize::MAX, ..Limits::default() };
    expression(view, &table.columns, filter, &limits, path)
}

/// The expression of a filter; none where it filters nothing out.
///
/// # Errors
/// When a value does not fit its column, or the filter is too large.
fn expression(
    view: &ViewModel,
    columns: &[Expr],
    filter: &Value,
    limits: &Limits,
    path: &str,
) -> Result<Option<Expr>, ApiError> {
    let mut builder = Builder { view, columns, limits, size: 0 };
    builder.filter(filter, path, 1)
}

struct Builder<'a> {
    view: &'a ViewModel,
    columns: &'a [Expr],
    limits: &'a Limits,
    size: usize,
}

impl Builder<'_> {
    fn filter(&mut self, filter: &Value, path: &str, depth: usize) -> Result<Option<Expr>, ApiError> {
        if depth > self.limits.filter_depth {
            let max = self.limits.filter_depth as u64;
            return Err(ApiError::Limit { limit: "filter_depth", max, found: "more".into() });
        }
        let Value::Object(parts) = filter else { return Ok(None) };
        let mut all = Vec::new();
        for (name, value) in parts {
            let path = format!("{path}.{name}");
            if *value == Value::Null {
                continue;
            }
            match name.as_str() {
                "_and" => all.extend(self.filters(value, &path, depth)?.into_iter().flatten()),
                "_or" => {
                    let any = self.filters(value, &path, depth)?;
                    // A member that filters nothing out makes the whole do so.
                    if any.iter().all(Option::is_some) {
                        all.push(
                            joined(any.into_iter().flatten().collect(), Operator::Or).unwrap_or_else(|| lit(false)),
                        );
                    }
                }
                "_not" => all.push(match self.filter(value, &path, depth + 1)? {
                    Some(inner) => not(inner),
                    None => lit(false),
                }),
                column => {
                    let index = self.view.names.columns.iter().position(|known| known == column);
                    let Some(index) = index else {
                        return Err(ApiError::input(path, format!("a field of {}", self.view.names.filter()), column));
                    };
                    all.extend(self.comparisons(index, value, &path)?);
                }
            }
        }
        Ok(joined(all, Operator::And))
    }

    fn filters(&mut self, value: &Value, path: &str, depth: usize) -> Result<Vec<Option<Expr>>, ApiError> {
        as_list(value)
            .iter()
            .enumerate()
            .map(|(index, filter)| self.filter(filter, &format!("{path}[{index}]"), depth + 1))
            .collect()
    }

    fn comparisons(&mut self, index: usize, comparisons: &Value, path: &str) -> Result<Vec<Expr>, ApiError> {
        let Value::Object(comparisons) = comparisons else { return Ok(Vec::new()) };
        let view = self.view;
        self.each(&self.columns[index].clone(), view.type_of(index), comparisons, path)
    }

    /// Comparisons with one value.
    fn each(
        &mut self,
        column: &Expr,
        column_type: &ColumnType,
        comparisons: &IndexMap<Name, Value>,
        path: &str,
    ) -> Result<Vec<Expr>, ApiError> {
        let one = |(operator, value): (&Name, &Value)| {
            self.comparison(column.clone(), column_type, operator, value, &format!("{path}.{operator}"))
        };
        comparisons.iter().map(one).collect()
    }

    fn comparison(
        &mut self,
        column: Expr,
        column_type: &ColumnType,
        operator: &str,
        value: &Value,
        path: &str,
    ) -> Result<Expr, ApiError> {
        if *value == Value::Null {
            return Err(ApiError::input(path, "a value; for null there is _isNull", "null"));
        }
        let compare = |operator: Operator, value: Expr| {
            Expr::BinaryExpr(BinaryExpr::new(Box::new(column.clone()), operator, Box::new(value)))
        };
        let ordinary = match operator {
            "_eq" => Some(Operator::Eq),
            "_neq" => Some(Operator::NotEq),
            "_gt" => Some(Operator::Gt),
            "_gte" => Some(Operator::GtEq),
            "_lt" => Some(Operator::Lt),
            "_lte" => Some(Operator::LtEq),
            _ => None,
        };
        if let Some(operator) = ordinary {
            return Ok(compare(operator, self.literal(column_type, value, path)?));
        }
        match operator {
            "_in" | "_nin" => {
                let values = as_list(value).iter().enumerate().map(|(place, value)| {
                    if *value == Value::Null {
                        return Err(ApiError::input(
                            format!("{path}[{place}]"),
                            "a value; for null there is _isNull",
                            "null",
                        ));
                    }
                    self.literal(column_type, value, &format!("{path}[{place}]"))
                });
                Ok(column.clone().in_list(values.collect::<Result<_, _>>()?, operator == "_nin"))
            }
            "_like" | "_ilike" => {
                let pattern = self.literal(column_type, value, path)?;
                Ok(Expr::Like(Like::new(false, Box::new(column), Box::new(pattern), None, operator == "_ilike")))
            }
            "_isNull" => {
                self.count()?;
                Ok(if *value == Value::Boolean(true) { column.is_null() } else { column.is_not_null() })
            }
            "_contains" if let ColumnType::List(element) = column_type => {
                Ok(array_has(column, self.literal(element, value, path)?))
            }
            "_at" => {
                let mut all = Vec::new();
                for (number, place) in as_list(value).iter().enumerate() {
                    all.extend(self.place(&column, place, &format!("{path}[{number}]"))?);
                }
                Ok(joined(all, Operator::And).unwrap_or_else(|| lit(true)))
            }
            _ => Err(ApiError::input(path, format!("an operator of {}", type_name(column_type)), operator)),
        }
    }

    /// What is to stand at a place in a JSON column.
    fn place(&mut self, column: &Expr, place: &Value, path: &str) -> Result<Vec<Expr>, ApiError> {
        let Value::Object(parts) = place else { return Ok(Vec::new()) };
        let steps: Vec<&str> = as_list(parts.get("path").unwrap_or(&Value::Null))
            .iter()
            .filter_map(|step| if let Value::String(step) = step { Some(step.as_str()) } else { None })
            .collect();
        if steps.is_empty() {
            return Err(ApiError::input(format!("{path}.path"), "a name at least", "none"));
        }
        if steps.len() > PLACE_DEPTH {
            return Err(exceeded("filter_depth", PLACE_DEPTH, steps.len()));
        }
        let steps: Vec<Expr> = [column.clone()].into_iter().chain(steps.into_iter().map(step)).collect();
        let found = |function: fn() -> Arc<ScalarUDF>| function().call(steps.clone());
        let mut all = Vec::new();
        for (name, value) in parts {
            let path = format!("{path}.{name}");
            let (value_of, column_type) = match name.as_str() {
                "string" => (found(json::json_get_str_udf), ColumnType::Text),
                "boolean" => (found(json::json_get_bool_udf), ColumnType::Boolean),
                "number" => {
                    // Through its text, digit by digit; a text that looks like a number is none.
                    let decimal = try_cast(found(json::json_as_text_udf), data_type(&ColumnType::Decimal(None)));
                    let is_text = found(json::json_get_str_udf).is_not_null();
                    let number = when(is_text, lit(ScalarValue::Null)).otherwise(decimal).map_err(engine)?;
                    (number, ColumnType::Decimal(None))
                }
                "isNull" if *value == Value::Null => continue,
                "isNull" => {
                    self.count()?;
                    let text = found(json::json_as_text_udf);
                    all.push(if *value == Value::Boolean(true) { text.is_null() } else { text.is_not_null() });
                    continue;
                }
                _ => continue,
            };
            if let Value::Object(comparisons) = value {
                all.extend(self.each(&value_of, &column_type, comparisons, &path)?);
            }
        }
        Ok(all)
    }

    fn literal(&mut self, column_type: &ColumnType, value: &Value, path: &str) -> Result<Expr, ApiError> {
        self.count()?;
        values::into_canonical(value, column_type)
            .and_then(|value| scalar(column_type, &value))
            .map(|scalar| Expr::Literal(scalar, None))
            .ok_or_else(|| ApiError::input(path, format!("a value of type {column_type}"), shown(value)))
    }

    fn count(&mut self) -> Result<(), ApiError> {
        self.size += 1;
        if self.size > self.limits.filter_size {
            let max = self.limits.filter_size as u64;
            return Err(ApiError::Limit { limit: "filter_size", max, found: "more".into() });
        }
        Ok(())
    }
}

/// A step into JSON: an index, where it is one, else a name.
fn step(step: &str) -> Expr {
    match step.parse::<u64>() {
        Ok(index) if index.to_string() == step => lit(index),
        _ => lit(step),
    }
}

/// A canonical value, to compare with a column; none when it is null or not of the type.
pub(crate) fn scalar(column_type: &ColumnType, value: &serde_json::Value) -> Option<ScalarValue> {
    literal(column_type, value).filter(|scalar| !scalar.is_null())
}

/// A list, or the one value that stands for a list of it.
pub(crate) fn as_list(value: &Value) -> &[Value] {
    match value {
        Value::List(values) => values,
        single => std::slice::from_ref(single),
    }
}

/// Conditions joined as a balanced tree: planners walk expressions recursively.
pub(crate) fn joined(mut parts: Vec<Expr>, operator: Operator) -> Option<Expr> {
    while parts.len() > 1 {
        let mut pairs = parts.into_iter();
        let mut next = Vec::new();
        while let Some(left) = pairs.next() {
            next.push(match pairs.next() {
                Some(right) => Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right))),
                None => left,
            });
        }
        parts = next;
    }
    parts.pop()
}
