//! From a checked plan to operators.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    compute::SortOptions,
    datatypes::{DataType, Schema, SchemaRef},
    row::{RowConverter, SortField},
};
use datafusion::{
    common::{DFSchema, Result, ScalarValue, not_impl_err},
    execution::context::ExecutionProps,
    logical_expr::{
        Distinct, Expr, LogicalPlan,
        expr::{AggregateFunction, NullTreatment, Sort},
        physical_planning_context::PhysicalPlanningContext,
    },
    physical_expr::{PhysicalExpr, create_physical_expr},
};

use super::{
    group::{Additive, Call, Group, Kind, Ordered, Shape},
    operator::Operator,
};

/// Makes operators of plans.
#[derive(Default)]
pub(crate) struct Planner {
    /// The relations that they are over, by name, and their numbers.
    pub(crate) relations: BTreeMap<String, usize>,
    groups: u16,
}

impl Planner {
    pub(crate) fn operator(&mut self, plan: &LogicalPlan) -> Result<Operator> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let next = self.relations.len();
                let relation = *self.relations.entry(scan.table_name.to_string()).or_insert(next);
                let all = || (0..scan.source.schema().fields().len()).collect();
                let columns = scan.projection.clone().unwrap_or_else(all);
                let scanned = Operator::Scan { relation, columns, schema: schema(&scan.projected_schema) };
                match scan.filters.iter().cloned().reduce(Expr::and) {
                    Some(condition) => filtered(scanned, &condition, plan),
                    None => Ok(scanned),
                }
            }
            LogicalPlan::SubqueryAlias(alias) => self.operator(&alias.input),
            LogicalPlan::Filter(filter) => {
                let input = self.operator(&filter.input)?;
                filtered(input, &filter.predicate, &filter.input)
            }
            LogicalPlan::Projection(projection) => {
                let input = Box::new(self.operator(&projection.input)?);
                let exprs = physical(&projection.expr, projection.input.schema())?;
                Ok(Operator::Map { input, exprs, schema: schema(&projection.schema) })
            }
            LogicalPlan::Union(union) => {
                let inputs = union.inputs.iter().map(|input| self.operator(input)).collect::<Result<_>>()?;
                Ok(Operator::Union { inputs, schema: nullable(&schema(&union.schema)) })
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
                self.group(input, &columns, &[], &schema(input.schema()))
            }
            LogicalPlan::Aggregate(aggregate) => {
                self.group(&aggregate.input, &aggregate.group_expr, &aggregate.aggr_expr, &schema(&aggregate.schema))
            }
            other => not_impl_err!("{} cannot be maintained", other.display()),
        }
    }

    fn group(&mut self, input: &LogicalPlan, by: &[Expr], calls: &[Expr], schema: &SchemaRef) -> Result<Operator> {
        let operator = self.groups;
        self.groups += 1;
        let fields = by.iter().map(|expr| Ok(SortField::new(data_type(expr, input.schema())?)));
        let fields: Vec<SortField> = fields.collect::<Result<_>>()?;
        let converter = if fields.is_empty() { None } else { Some(RowConverter::new(fields)?) };
        let group = Group {
            operator,
            by: physical(by, input.schema())?,
            converter,
            calls: calls.iter().map(|expr| call(expr, input.schema())).collect::<Result<_>>()?,
            schema: nullable(schema),
        };
        Ok(Operator::Group { input: Box::new(self.operator(input)?), group })
    }
}

fn filtered(input: Operator, condition: &Expr, of: &LogicalPlan) -> Result<Operator> {
    let condition = one(condition, of.schema())?;
    Ok(Operator::Filter { input: Box::new(input), condition })
}

/// What an aggregate is kept as.
fn call(expr: &Expr, input: &DFSchema) -> Result<Call> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = without_alias(expr) else {
        return not_impl_err!("{expr} cannot be maintained");
    };
    let filter = params.filter.as_ref().map(|filter| one(filter, input)).transpose()?;
    let [value, ..] = &params.args[..] else { return not_impl_err!("{expr} is of nothing") };
    let distinct = params.distinct;
    let of_type = data_type(value, input)?;
    let additive = |additive| {
        let scale = match of_type {
            DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => scale,
            _ => 0,
        };
        Ok(Call { kind: Kind::Additive(additive, scale), of: vec![one(value, input)?], filter: filter.clone() })
    };
    let ordered = |shape, order: Vec<(&Expr, SortOptions)>, skips_nulls| {
        let fields =
            order.iter().map(|(expr, options)| Ok(SortField::new_with_options(data_type(expr, input)?, *options)));
        let converter = RowConverter::new(fields.collect::<Result<_>>()?)?;
        let of = order.iter().map(|(expr, _)| one(expr, input)).collect::<Result<_>>()?;
        Ok(Call { kind: Kind::Ordered(Ordered { shape, converter, skips_nulls }), of, filter: filter.clone() })
    };
    let upwards = SortOptions { descending: false, nulls_first: false };
    let downwards = SortOptions { descending: true, nulls_first: true };
    let by = |sort: &Sort| SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first };
    // What it is ordered by, then the value itself: so the order is whole.
    let order = || params.order_by.iter().map(|sort| (&sort.expr, by(sort))).chain([(value, upwards)]).collect();
    let turned = || {
        let turn =
            |options: SortOptions| SortOptions { descending: !options.descending, nulls_first: !options.nulls_first };
        params.order_by.iter().map(|sort| (&sort.expr, turn(by(sort)))).chain([(value, downwards)]).collect()
    };
    let ignores_nulls = params.null_treatment == Some(NullTreatment::IgnoreNulls);
    match (func.name(), distinct) {
        ("count", false) => additive(Additive::Count),
        ("sum", false) => additive(Additive::Sum),
        ("avg", false) => additive(Additive::Average),
        ("bool_and", _) => additive(Additive::And),
        ("bool_or", _) => additive(Additive::Or),
        ("count", true) => ordered(Shape::Distinct, vec![(value, upwards)], true),
        ("min", _) => ordered(Shape::First, vec![(value, upwards)], true),
        ("max", _) => ordered(Shape::First, vec![(value, downwards)], true),
        ("first_value", _) => ordered(Shape::First, order(), ignores_nulls),
        ("last_value", _) => ordered(Shape::First, turned(), ignores_nulls),
        ("array_agg", distinct) => ordered(Shape::Array { distinct }, order(), ignores_nulls),
        ("string_agg", distinct) => {
            let separator = match params.args.get(1) {
                Some(Expr::Literal(separator, _)) => text(separator),
                _ => return not_impl_err!("string_agg() with anything but a text between its values"),
            };
            ordered(Shape::Text { distinct, separator }, order(), true)
        }
        (name, true) => not_impl_err!("{name}(DISTINCT …) cannot be maintained"),
        (name, false) => not_impl_err!("{name}() cannot be maintained"),
    }
}

fn text(literal: &ScalarValue) -> String {
    literal.try_as_str().flatten().unwrap_or_default().to_owned()
}

fn without_alias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => without_alias(&alias.expr),
        other => other,
    }
}

fn data_type(expr: &Expr, input: &DFSchema) -> Result<DataType> {
    use datafusion::logical_expr::ExprSchemable;
    expr.get_type(input)
}

fn physical(exprs: &[Expr], input: &DFSchema) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
    exprs.iter().map(|expr| one(expr, input)).collect()
}

fn one(expr: &Expr, input: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    create_physical_expr(expr, input, &ExecutionProps::new(), &PhysicalPlanningContext::default())
}

fn schema(of: &DFSchema) -> SchemaRef {
    nullable(of.inner())
}

/// What is said to be never null is not relied on: a batch may have a row that is on its way out.
fn nullable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
