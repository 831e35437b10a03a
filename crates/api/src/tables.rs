//! Where lists are planned and run: DataFusion over the views' tables.

use std::{fmt, sync::Arc};

use arrow::datatypes::DataType;
use datafusion::{
    catalog::TableProvider,
    common::Column,
    dataframe::DataFrame,
    execution::{
        context::SessionContext,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::GreedyMemoryPool,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::Expr,
    prelude::SessionConfig,
};
use deltafold_view::{At, MirrorTable, Reader};

use crate::{errors::ApiError, model::ViewModel};

/// The engine. Cheap to clone; clones share the memory that sorting may take.
#[derive(Clone)]
pub(crate) struct Tables {
    context: Arc<SessionContext>,
}

impl Tables {
    /// An engine that holds at most so many bytes.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub(crate) fn new(memory_bytes: usize) -> Result<Self, ApiError> {
        let runtime: RuntimeEnv = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes)))
            // A page is sorted in memory or refused.
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build()
            .map_err(|error| ApiError::internal("query engine", error))?;
        // One partition: a view is one stream, and requests run beside each other.
        let config = SessionConfig::new().with_target_partitions(1).with_information_schema(false);
        Ok(Self { context: Arc::new(SessionContext::new_with_config_rt(config, Arc::new(runtime))) })
    }

    /// A view at a moment; if keys are given, only those of its rows.
    ///
    /// # Errors
    /// When it cannot be planned.
    pub(crate) fn view(
        &self,
        view: &ViewModel,
        reader: Reader,
        at: At,
        keys: Option<Vec<String>>,
    ) -> Result<Table, ApiError> {
        let table = MirrorTable::new(reader, view.columns().to_vec(), at).with_key(&view.info.key);
        let table = match keys {
            Some(keys) => table.only(keys),
            None => table,
        };
        let columns = view.columns().iter().map(|column| {
            let name = table.field(&column.name).expect("the table has the view's columns");
            Expr::Column(Column::new_unqualified(name))
        });
        let columns = columns.collect();
        let types = table.schema().fields().iter().map(|field| field.data_type().clone()).collect();
        let frame = self.context.read_table(Arc::new(table)).map_err(engine)?;
        Ok(Table { frame, columns, types })
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").finish_non_exhaustive()
    }
}

/// A view at a moment, to be filtered and ordered.
pub(crate) struct Table {
    /// Its rows.
    pub(crate) frame: DataFrame,
    /// The view's columns, in its order.
    pub(crate) columns: Vec<Expr>,
    /// Their types, in the same order; those of hidden columns follow.
    pub(crate) types: Vec<DataType>,
}

impl Table {
    /// The rows that a filter leaves.
    ///
    /// # Errors
    /// When it cannot be planned.
    pub(crate) fn filtered(self, filter: Option<Expr>) -> Result<DataFrame, ApiError> {
        match filter {
            Some(filter) => self.frame.filter(filter).map_err(engine),
            None => Ok(self.frame),
        }
    }
}

/// An error of the engine.
pub(crate) fn engine(error: datafusion::error::DataFusionError) -> ApiError {
    use datafusion::error::DataFusionError;
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => ApiError::Memory,
        _ => ApiError::internal("list", error),
    }
}
