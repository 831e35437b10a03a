//! The functions that definitions may use, and what DataFusion needs to find them by name.

use std::{collections::HashMap, iter, sync::Arc};

use arrow::datatypes::DataType;
use datafusion::{
    common::{Result, TableReference, plan_err},
    config::ConfigOptions,
    datasource::default_table_source::DefaultTableSource,
    datasource::empty::EmptyTable,
    execution::SessionStateDefaults,
    logical_expr::{
        AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, Volatility, WindowUDF,
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

/// Finds relations and functions by their names.
pub(crate) struct Names<'r> {
    relations: &'r Relations,
    scalars: HashMap<String, Arc<ScalarUDF>>,
    aggregates: HashMap<String, Arc<AggregateUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    options: ConfigOptions,
}

impl<'r> Names<'r> {
    pub(crate) fn new(relations: &'r Relations) -> Self {
        let mut scalars = HashMap::new();
        for function in SessionStateDefaults::default_scalar_functions() {
            for name in iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
                scalars.insert(name.to_owned(), Arc::clone(&function));
            }
        }
        let mut aggregates = HashMap::new();
        for function in SessionStateDefaults::default_aggregate_functions() {
            for name in AGGREGATES.into_iter().filter(|name| is_called(&function, name)) {
                aggregates.insert(name.to_owned(), Arc::clone(&function));
            }
        }
        let (planners, options) = (SessionStateDefaults::default_expr_planners(), ConfigOptions::default());
        Self { relations, scalars, aggregates, planners, options }
    }

    /// Why a function that a definition names cannot be used, if it cannot.
    pub(crate) fn refuse(&self, name: &str) -> Option<String> {
        if let Some(function) = self.scalars.get(name) {
            let is_fixed = function.signature().volatility == Volatility::Immutable;
            return (!is_fixed).then(|| {
                format!(
                    "{name}() does not always give the same for the same row: expected what depends on the row only, as \
                     its times"
                )
            });
        }
        if self.aggregates.contains_key(name) {
            return None;
        }
        let known = self.scalars.keys().map(String::as_str).chain(AGGREGATES);
        let is_aggregate =
            SessionStateDefaults::default_aggregate_functions().iter().any(|other| is_called(other, name));
        Some(match is_aggregate {
            true => format!("{name}() cannot be maintained: expected one of {}", list(AGGREGATES)),
            false => format!("there is no function {name}{}", did_you_mean(name, known)),
        })
    }
}

fn is_called(function: &AggregateUDF, name: &str) -> bool {
    function.name() == name || function.aliases().iter().any(|alias| alias == name)
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        match self.relations.get(name.table()) {
            Some(relation) => {
                let table = EmptyTable::new(Arc::clone(&relation.schema));
                Ok(Arc::new(DefaultTableSource::new(Arc::new(table))))
            }
            None => plan_err!("there is no relation {name}"),
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.scalars.get(name).cloned()
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.aggregates.get(name).cloned()
    }

    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        self.scalars.keys().cloned().collect()
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
