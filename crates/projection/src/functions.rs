//! The names that definitions may use, as DataFusion's planner asks for them.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    common::{Result, TableReference, plan_err},
    config::ConfigOptions,
    datasource::{default_table_source::DefaultTableSource, empty::EmptyTable},
    execution::{SessionState, SessionStateBuilder},
    logical_expr::{
        AggregateUDF, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, Volatility, WindowUDF,
        planner::{ContextProvider, ExprPlanner},
    },
};

use crate::{
    nearest::{did_you_mean, list},
    relations::Relations,
};

/// The aggregates that are exact under retraction.
const AGGREGATES: [&str; 11] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "bool_and",
    "bool_or",
    "string_agg",
    "array_agg",
    "first_value",
    "last_value",
];

/// Relations and functions by their names.
pub(crate) struct Names<'r> {
    relations: &'r Relations,
    state: SessionState,
}

impl<'r> Names<'r> {
    pub(crate) fn new(relations: &'r Relations) -> Self {
        let mut state = SessionStateBuilder::new().with_default_features().build();
        datafusion_functions_json::register_all(&mut state).expect("a session takes functions under new names");
        Self { relations, state }
    }

    /// Gives a plan the types that its functions and operators want.
    pub(crate) fn analyzed(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        self.state.analyzer().execute_and_check(plan, self.state.config_options(), |_, _| {})
    }

    /// Why a function that a definition names cannot be used, if it cannot.
    pub(crate) fn refuse(&self, name: &str) -> Option<String> {
        if let Some(function) = self.state.scalar_functions().get(name) {
            let is_fixed = function.signature().volatility == Volatility::Immutable;
            return (!is_fixed).then(|| {
                format!(
                    "{name}() does not always give the same for the same row: expected what depends on the row only, as \
                     its times"
                )
            });
        }
        if self.get_aggregate_meta(name).is_some() {
            return None;
        }
        let known = self.state.scalar_functions().keys().map(String::as_str).chain(AGGREGATES);
        Some(match self.state.aggregate_functions().contains_key(name) {
            true => format!("{name}() cannot be maintained: expected one of {}", list(AGGREGATES)),
            false => format!("there is no function {name}{}", did_you_mean(name, known)),
        })
    }
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        match self.relations.named(name.schema(), name.table()) {
            Some(relation) => {
                let table = EmptyTable::new(Arc::clone(&relation.schema));
                Ok(Arc::new(DefaultTableSource::new(Arc::new(table))))
            }
            None => plan_err!("there is no relation {name}"),
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        let function = self.state.aggregate_functions().get(name)?;
        let is_called = |known: &str| function.name() == known || function.aliases().iter().any(|alias| alias == known);
        AGGREGATES.into_iter().any(is_called).then(|| Arc::clone(function))
    }

    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        AGGREGATES.map(str::to_owned).to_vec()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
