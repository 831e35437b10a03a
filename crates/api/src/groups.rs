//! Counts, sums, averages and extremes over a view's rows, all of them or by group.
//!
//! Only what a request selects is computed, all of it in one plan.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int64Type,
};
use async_graphql::{
    SelectionField, Value,
    dynamic::{Enum, EnumItem, Field, FieldFuture, FieldValue, InputValue, Object, ResolverContext, TypeRef},
};
use datafusion::{
    functions_aggregate::expr_fn::{avg, count, count_distinct, first_value, max, min, sum},
    logical_expr::{Expr, cast, lit},
};
use deltafold_event::{
    Column, ColumnType,
    arrays::{data_type, write_json},
};

use crate::{
    as_of::{self, AsOf},
    errors::{ApiError, nearest},
    filter, indexed,
    limits::exceeded,
    model::ViewModel,
    names::quoted,
    reading::Reading,
    row,
    tables::engine,
    values,
};

/// What can be computed of one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Sum,
    Avg,
    Min,
    Max,
}

impl Function {
    const ALL: [Self; 4] = [Self::Sum, Self::Avg, Self::Min, Self::Max];

    /// The field it is asked for by.
    fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Sum => "Sums; null where there is no value. Exact, but for floats.",
            Self::Avg => "Averages of the values that are not null; null where there is none.",
            Self::Min => "The smallest values; null where there is none. NaN is greater than every number.",
            Self::Max => "The greatest values; null where there is none. NaN is greater than every number.",
        }
    }

    /// The type of its value; none where the column does not have it.
    fn of(self, column: &ColumnType) -> Option<ColumnType> {
        match (self, column) {
            (Self::Sum, ColumnType::Int) => Some(ColumnType::BigInt),
            // As many as one likes of 64 bits each.
            (Self::Sum, ColumnType::BigInt) => Some(ColumnType::Decimal(Some((38, 0)))),
            (Self::Avg, ColumnType::Int | ColumnType::BigInt) => Some(ColumnType::Float),
            (Self::Sum | Self::Avg, ColumnType::Float | ColumnType::Decimal(_)) => Some(column.clone()),
            (Self::Sum | Self::Avg, _) => None,
            (Self::Min | Self::Max, column) => filter::is_comparable(column).then(|| column.clone()),
        }
    }

    fn expression(self, column: &Expr, column_type: &ColumnType) -> Expr {
        let column = column.clone();
        match (self, column_type) {
            (Self::Sum, ColumnType::BigInt) => sum(cast(column, data_type(&ColumnType::Decimal(Some((38, 0)))))),
            // With room for the digits that more rows add.
            (Self::Sum, ColumnType::Decimal(_)) => sum(cast(column, roomy(column_type))),
            (Self::Avg, ColumnType::Decimal(_)) => avg(cast(column, roomy(column_type))),
            // Not a number is greater than every number, as in an order: DataFusion's own depend on which row comes first.
            (Self::Min, ColumnType::Float) => first_value(column.clone(), vec![column.sort(true, false)]),
            (Self::Max, ColumnType::Float) => first_value(column.clone(), vec![column.sort(false, false)]),
            (Self::Sum, _) => sum(column),
            (Self::Avg, _) => avg(column),
            (Self::Min, _) => min(column),
            (Self::Max, _) => max(column),
        }
    }
}

/// The widest decimal with the digits after the point that a column has.
fn roomy(column_type: &ColumnType) -> arrow::datatypes::DataType {
    use arrow::datatypes::{DECIMAL256_MAX_PRECISION, DataType};
    match data_type(column_type) {
        DataType::Decimal128(_, scale) => DataType::Decimal256(DECIMAL256_MAX_PRECISION, scale),
        other => other,
    }
}

/// One value of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// A column that it was grouped by.
    Group(usize),
    /// Its rows, or those with a value in a column, or how many different values that has.
    Count(Option<usize>, bool),
    /// A function of a column.
    Of(Function, usize),
}

/// One group, computed.
struct GroupNode {
    view: Arc<ViewModel>,
    wanted: Arc<[Wanted]>,
    values: Vec<Value>,
    is_grouped: bool,
}

impl GroupNode {
    fn value(&self, wanted: Wanted) -> Result<Value, ApiError> {
        match self.wanted.iter().position(|known| *known == wanted) {
            Some(index) => Ok(self.values[index].clone()),
            None => Err(ApiError::internal("group", format!("{wanted:?} was not computed"))),
        }
    }
}

/// The root field.
pub(crate) fn field(view: &Arc<ViewModel>) -> Field {
    let of = view.clone();
    let names = &view.names;
    let mut field = Field::new(names.aggregate(), TypeRef::named_nn_list_nn(names.aggregate_type("")), move |ctx| {
        let view = of.clone();
        FieldFuture::new(async move {
            let groups = read(&view, &ctx).await.map_err(|error| error.into_graphql(&ctx))?;
            Ok(Some(FieldValue::list(groups.into_iter().map(FieldValue::owned_any))))
        })
    })
    .description(format!(
        "Counts, sums and the like over rows of {}: without groupBy one of all of them, else one for each group, in the \
         order of its columns.",
        quoted(&view.info.name)
    ))
    .argument(InputValue::new("where", TypeRef::named(names.filter())).description("Which rows; all, if not given."));
    if has_groups(view) {
        field = field.argument(
            InputValue::new("groupBy", TypeRef::named_nn_list(names.group_by()))
                .description("The columns whose values make a group."),
        );
    }
    field.argument(as_of::argument())
}

/// The columns that rows can be grouped by; empty where there is none.
pub(crate) fn group_by(view: &ViewModel) -> Option<Enum> {
    let description = format!("The columns of {} that rows can be grouped by.", quoted(&view.info.name));
    let of = Enum::new(view.names.group_by()).description(description);
    has_groups(view).then(|| groupable(view).fold(of, |of, (_, name)| of.item(EnumItem::new(name))))
}

/// The types that go with the field.
pub(crate) fn objects(view: &Arc<ViewModel>) -> Vec<Object> {
    let names = &view.names;
    let mut group = Object::new(names.aggregate_type(""))
        .description(format!("A group of rows of {}, or all of them.", quoted(&view.info.name)));
    let mut others = Vec::new();

    let mut count = Field::new("count", TypeRef::named_nn(TypeRef::INT), |ctx| {
        resolve(&ctx, |group| {
            let of = |name: &str| ctx.args.get(name).map(|value| value.as_value().clone());
            group.value(counted(&group.view, of("of").as_ref(), of("distinct").as_ref()))
        })
    })
    .description("How many rows; with a column, how many have a value there.");
    if has_groups(view) {
        count =
            count.argument(InputValue::new("of", TypeRef::named(names.group_by())).description("A column.")).argument(
                InputValue::new("distinct", TypeRef::named(TypeRef::BOOLEAN))
                    .description("Whether equal values of that column count once."),
            );
        let mut by = Object::new(names.aggregate_type("Group")).description("What a group's rows have in common.");
        for (index, name) in groupable(view) {
            let of = row::output_type(view.type_of(index));
            by = by.field(Field::new(name, of, move |ctx| resolve(&ctx, |group| group.value(Wanted::Group(index)))));
        }
        others.push(by);
        let by = Field::new("group", TypeRef::named(names.aggregate_type("Group")), |ctx| {
            let group = ctx.parent_value.downcast_ref::<GroupNode>().filter(|group| group.is_grouped);
            FieldFuture::Value(group.map(|group| FieldValue::borrowed_any(group)))
        });
        group = group.field(by.description("The values that make the group; null without groupBy."));
    }
    group = group.field(count);

    for function in Function::ALL {
        let columns = view.columns().iter().zip(&names.columns).enumerate();
        let fields: Vec<Field> = columns
            .filter_map(|(index, (column, name))| {
                let of = row::output_type(&function.of(&column.column_type)?);
                let wanted = Wanted::Of(function, index);
                Some(Field::new(name, of, move |ctx| resolve(&ctx, |group| group.value(wanted))))
            })
            .collect();
        if fields.is_empty() {
            continue;
        }
        let type_name = names.aggregate_type(pascal(function));
        let field = Field::new(function.name(), TypeRef::named_nn(&type_name), |ctx| {
            let group = ctx.parent_value.downcast_ref::<GroupNode>();
            FieldFuture::Value(group.map(|group| FieldValue::borrowed_any(group)))
        });
        group = group.field(field.description(function.description()));
        others.push(fields.into_iter().fold(Object::new(type_name), Object::field));
    }
    others.push(group);
    others
}

fn pascal(function: Function) -> &'static str {
    match function {
        Function::Sum => "Sum",
        Function::Avg => "Avg",
        Function::Min => "Min",
        Function::Max => "Max",
    }
}

fn groupable(view: &ViewModel) -> impl Iterator<Item = (usize, &str)> {
    let columns = view.columns().iter().zip(&view.names.columns).enumerate();
    columns
        .filter(|(_, (column, _))| !matches!(column.column_type, ColumnType::Json | ColumnType::List(_)))
        .map(|(index, (_, name))| (index, name.as_str()))
}

fn has_groups(view: &ViewModel) -> bool {
    groupable(view).next().is_some()
}

fn resolve<'a>(ctx: &ResolverContext<'a>, of: impl FnOnce(&GroupNode) -> Result<Value, ApiError>) -> FieldFuture<'a> {
    let Some(group) = ctx.parent_value.downcast_ref::<GroupNode>() else { return FieldFuture::Value(None) };
    match of(group) {
        Ok(value) => FieldFuture::from_value(Some(value)),
        Err(error) => error.into_field(ctx),
    }
}

/// The column that an enum's value names.
fn column(view: &ViewModel, given: &Value) -> Option<usize> {
    let name = match given {
        Value::Enum(name) => name.as_str(),
        Value::String(name) => name,
        _ => return None,
    };
    groupable(view).find(|(_, known)| *known == name).map(|(index, _)| index)
}

fn counted(view: &ViewModel, of: Option<&Value>, distinct: Option<&Value>) -> Wanted {
    let of = of.and_then(|given| column(view, given));
    Wanted::Count(of, of.is_some() && distinct == Some(&Value::Boolean(true)))
}

/// What a request selects of each group, beside what makes it.
fn selected(view: &ViewModel, field: SelectionField<'_>, grouped: &[Wanted]) -> Result<Vec<Wanted>, ApiError> {
    let mut wanted = Vec::new();
    let index = |name: &str| view.names.columns.iter().position(|known| known == name);
    for part in field.selection_set() {
        let function = Function::ALL.into_iter().find(|function| function.name() == part.name());
        if let Some(function) = function {
            let columns = part.selection_set().filter_map(|column| index(column.name()));
            wanted.extend(columns.map(|column| Wanted::Of(function, column)));
        } else if part.name() == "count" {
            let arguments = part.arguments().unwrap_or_default();
            let of = |name: &str| arguments.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            wanted.push(counted(view, of("of"), of("distinct")));
        } else if part.name() == "group" && !grouped.is_empty() {
            let mut columns = part.selection_set();
            let is_other = |name: &str| index(name).is_some_and(|column| !grouped.contains(&Wanted::Group(column)));
            if let Some(other) = columns.find(|column| is_other(column.name())) {
                let path = format!("{}.group", view.names.aggregate());
                return Err(ApiError::input(path, "columns that groupBy names", other.name()));
            }
        }
    }
    Ok(wanted)
}

async fn read(view: &Arc<ViewModel>, ctx: &ResolverContext<'_>) -> Result<Vec<GroupNode>, ApiError> {
    let reading = Reading::of(ctx.ctx);
    let path = view.names.aggregate();
    let moment = AsOf::of(&ctx.args, "asOf", &path)?.resolve(reading).await?;
    reading.enter(view, moment, &path).await?;

    let asked = ctx.args.get("groupBy").map(|value| value.as_value().clone());
    let grouped = match &asked {
        None | Some(Value::Null) => &[],
        Some(Value::List(columns)) => columns.as_slice(),
        Some(single) => std::slice::from_ref(single),
    };
    let mut wanted: Vec<Wanted> = Vec::new();
    for given in grouped {
        let column = column(view, given).ok_or_else(|| ApiError::BadInput {
            path: format!("{path}.groupBy"),
            expected: format!("a column of {}", view.names.group_by()),
            found: given.to_string(),
            nearest: nearest(&given.to_string(), groupable(view).map(|(_, name)| name)),
        })?;
        if !wanted.contains(&Wanted::Group(column)) {
            wanted.push(Wanted::Group(column));
        }
    }
    let groups = wanted.len();
    for one in selected(view, ctx.ctx.field(), &wanted)? {
        if !wanted.contains(&one) {
            wanted.push(one);
        }
    }
    if wanted.len() == groups {
        // A plan has to compute something.
        wanted.push(Wanted::Count(None, false));
    }

    let filter = ctx.args.get("where").map_or(Value::Null, |value| value.as_value().clone());
    let keys = indexed::keys(view, reading, moment, &filter, &path).await?;
    let (table, filter) = filter::applied(view, reading, moment, &filter, &path, keys)?;
    let expressions: Vec<Expr> = wanted
        .iter()
        .enumerate()
        .map(|(index, one)| {
            let expression = match *one {
                Wanted::Group(column) => table.columns[column].clone(),
                Wanted::Count(None, _) => count(lit(1)),
                Wanted::Count(Some(column), false) => count(table.columns[column].clone()),
                Wanted::Count(Some(column), true) => count_distinct(table.columns[column].clone()),
                Wanted::Of(function, column) => function.expression(&table.columns[column], view.type_of(column)),
            };
            expression.alias(format!("c{index}"))
        })
        .collect();
    let of_group =
        |index: usize| Expr::Column(datafusion::common::Column::new_unqualified(format!("c{index}"))).sort(true, false);
    let mut frame = table.frame;
    if let Some(filter) = filter {
        frame = frame.filter(filter).map_err(engine)?;
    }
    let (by, of) = expressions.split_at(groups);
    let most = reading.limits.groups;
    let frame = frame
        .aggregate(by.to_vec(), of.to_vec())
        .and_then(|frame| frame.limit(0, Some(most + 1)))
        .and_then(|frame| match groups {
            0 => Ok(frame),
            _ => frame.sort((0..groups).map(of_group).collect()),
        })
        .map_err(engine)?;
    reading.explain_frame(&path, &frame).await?;
    let _place = reading.place_for_scan(moment.at).await?;
    let batches = frame.collect().await.map_err(engine)?;
    if batches.iter().map(RecordBatch::num_rows).sum::<usize>() > most {
        return Err(exceeded("groups", most, "more"));
    }

    let types: Vec<Option<Column>> = wanted.iter().map(|one| named_type(view, *one)).collect();
    let wanted: Arc<[Wanted]> = wanted.into();
    let mut nodes = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let mut text = String::new();
            let values = batch.columns().iter().zip(&types).map(|(array, of)| {
                let Some(column) = of else { return Ok(array.as_primitive::<Int64Type>().value(row).into()) };
                text.clear();
                write_json(&mut text, array, row, &column.column_type);
                values::of_column(&text, column)
            });
            let values = values.collect::<Result<_, _>>()?;
            let is_grouped = groups > 0;
            nodes.push(GroupNode { view: view.clone(), wanted: wanted.clone(), values, is_grouped });
        }
    }
    Ok(nodes)
}

/// The type of a value, under the name that an error would tell; none of a count.
fn named_type(view: &ViewModel, wanted: Wanted) -> Option<Column> {
    let (column, column_type) = match wanted {
        Wanted::Count(..) => return None,
        Wanted::Group(column) => (column, view.type_of(column).clone()),
        Wanted::Of(function, column) => {
            (column, function.of(view.type_of(column)).expect("the schema has only what a column has"))
        }
    };
    Some(Column { name: view.columns()[column].name.clone(), column_type })
}
