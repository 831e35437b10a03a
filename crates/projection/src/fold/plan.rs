//! From a checked plan to operators.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    compute::SortOptions,
    datatypes::{DataType, Field, Schema, SchemaRef},
    row::{RowConverter, SortField},
};
use datafusion::{
    common::{DFSchema, JoinType, NullEquality, Result, ScalarValue, not_impl_err},
    execution::context::ExecutionProps,
    logical_expr::{
        self, Distinct, Expr, LogicalPlan,
        expr::{AggregateFunction, NullTreatment, Sort},
        lit,
        physical_planning_context::PhysicalPlanningContext,
    },
    physical_expr::{PhysicalExpr, create_physical_expr},
};

use super::{
    arrangement::{Arrangement, all_described, described},
    group::{Additive, Call, Group, Kind, Ordered, Shape},
    join::{self, Join, Side},
    operator::Operator,
};
use crate::joined;

/// Makes operators of plans.
#[derive(Default)]
pub(crate) struct Planner {
    /// The relations that they are over, by name, and their numbers.
    pub(crate) relations: BTreeMap<String, usize>,
    /// How many there are that remember something.
    operators: u16,
    pub(crate) arrangements: Vec<Arrangement>,
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
            LogicalPlan::Join(join) => self.join(join),
            other => not_impl_err!("{} cannot be maintained", other.display()),
        }
    }

    fn next(&mut self) -> u16 {
        let next = self.operators;
        self.operators += 1;
        next
    }

    fn join(&mut self, join: &logical_expr::Join) -> Result<Operator> {
        let kind = match join.join_type {
            JoinType::Inner => join::Kind::Inner,
            JoinType::Left => join::Kind::Left,
            JoinType::LeftSemi => join::Kind::Semi,
            JoinType::LeftAnti => join::Kind::Anti,
            JoinType::LeftMark => join::Kind::Mark,
            other => return not_impl_err!("{other} JOIN cannot be maintained"),
        };
        // What nothing has to be equal for belongs to all.
        let always = || (lit(true), lit(true));
        let on = if join.on.is_empty() { vec![always()] } else { join.on.clone() };
        let (on_left, on_right): (Vec<Expr>, Vec<Expr>) = on.into_iter().unzip();
        let (of_left, of_right) = (join.left.schema(), join.right.schema());
        let fields = on_left.iter().map(|expr| Ok(SortField::new(data_type(expr, of_left)?)));
        let fields: Vec<SortField> = fields.collect::<Result<_>>()?;
        for (one, other) in on_left.iter().zip(&on_right) {
            let types = (data_type(one, of_left)?, data_type(other, of_right)?);
            if types.0 != types.1 {
                return not_impl_err!("{one} = {other} compares {} with {}", types.0, types.1);
            }
        }
        let conditions = joined::conditions(join);
        let (can_match, beyond) = if kind == join::Kind::Inner { (None, conditions) } else { (conditions, None) };
        let can_match = can_match.map(|condition| one(&condition, of_left)).transpose()?;
        let left = self.side(&join.left, &on_left)?;
        let right = self.side(&join.right, &on_right)?;
        let existence = match kind {
            join::Kind::Inner => None,
            _ => Some(Group {
                operator: self.next(),
                by: physical(&on_right, of_right)?,
                converter: Some(RowConverter::new(fields.clone())?),
                calls: Vec::new(),
                schema: keys_schema(&on_right, of_right)?,
            }),
        };
        let nulls_match = join.null_equality == NullEquality::NullEqualsNull;
        self.arrange("rows", &left.input, (left.operator, &left.key), can_match.as_ref(), nulls_match)?;
        if matches!(kind, join::Kind::Inner | join::Kind::Left) {
            self.arrange("rows", &right.input, (right.operator, &right.key), None, nulls_match)?;
        }
        if let Some(group) = &existence {
            self.arrange("how many", &right.input, (group.operator, &group.by), None, nulls_match)?;
        }
        let operator = Operator::Join(Box::new(Join {
            kind,
            left,
            right,
            can_match,
            keys: RowConverter::new(fields)?,
            rest: self.next(),
            nulls_match,
            existence,
            schema: schema(&join.schema),
        }));
        match beyond {
            Some(condition) => {
                Ok(Operator::Filter { input: Box::new(operator), condition: one(&condition, &join.schema)? })
            }
            None => Ok(operator),
        }
    }

    /// Notes that an operator remembers rows by a key, those for which a condition is true, if others can share it.
    fn arrange(
        &mut self,
        kind: &str,
        input: &Operator,
        (operator, key): (u16, &[Arc<dyn PhysicalExpr>]),
        condition: Option<&Arc<dyn PhysicalExpr>>,
        nulls_match: bool,
    ) -> Result<()> {
        let Some(of) = described(input, &self.relations)? else { return Ok(()) };
        let (key, condition) = (all_described(key)?, all_described(condition.map_or(&[], std::slice::from_ref))?);
        let nulls = if nulls_match { " with nulls" } else { "" };
        let of = format!("{kind} of {of} where {condition} by {key}{nulls}");
        self.arrangements.push(Arrangement { operator, of });
        Ok(())
    }

    fn side(&mut self, input: &LogicalPlan, on: &[Expr]) -> Result<Side> {
        let fields = input.schema().fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let fields: Vec<SortField> = fields.collect();
        let rows = if fields.is_empty() { None } else { Some(RowConverter::new(fields)?) };
        let (operator, key) = (self.next(), physical(on, input.schema())?);
        Ok(Side { input: Box::new(self.operator(input)?), operator, key, rows })
    }

    fn group(&mut self, input: &LogicalPlan, by: &[Expr], calls: &[Expr], schema: &SchemaRef) -> Result<Operator> {
        let operator = self.next();
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

/// The columns of what has to be equal in a join.
fn keys_schema(on: &[Expr], input: &DFSchema) -> Result<SchemaRef> {
    let field = |(at, expr): (usize, &Expr)| Ok(Field::new(format!("key {at}"), data_type(expr, input)?, true));
    Ok(Arc::new(Schema::new(on.iter().enumerate().map(field).collect::<Result<Vec<_>>>()?)))
}

fn schema(of: &DFSchema) -> SchemaRef {
    nullable(of.inner())
}

/// What is said to be never null is not relied on: a batch may have a row that is on its way out.
fn nullable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
