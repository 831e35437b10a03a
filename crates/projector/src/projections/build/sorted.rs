//! Changes sorted by key and moment, in partitions by key: DataFusion's exchange and its sort, which spills to disk what
//! is too much for the memory.

use std::{path::Path, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{DataFusionError, Result},
    execution::{
        SendableRecordBatchStream, TaskContext,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::FairSpillPool,
        runtime_env::RuntimeEnvBuilder,
    },
    physical_expr::{LexOrdering, Partitioning, PhysicalSortExpr, expressions::col},
    physical_plan::{
        ExecutionPlan,
        repartition::RepartitionExec,
        sorts::sort::SortExec,
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use deltafold_projection::{KEY, MOMENT};
use deltafold_view::WriteError;

use crate::ProjectorError;

/// How much of what is sorted is held in memory, in bytes.
const IN_MEMORY: usize = 512 << 20;

/// Sorts what several sources give. All of one key comes in one partition. In the context of a runtime.
pub(super) fn sorted(
    schema: &SchemaRef,
    sources: Vec<Arc<dyn PartitionStream>>,
    partitions: usize,
    scratch: &Path,
) -> Result<Vec<SendableRecordBatchStream>> {
    let read = StreamingTableExec::try_new(schema.clone(), sources, None, [], false, None)?;
    let (key, moment) = (col(KEY, schema)?, col(MOMENT, schema)?);
    let by_key = RepartitionExec::try_new(Arc::new(read), Partitioning::Hash(vec![Arc::clone(&key)], partitions))?;
    let order = LexOrdering::from([PhysicalSortExpr::new_default(key), PhysicalSortExpr::new_default(moment)]);
    let sorted = SortExec::new(order, Arc::new(by_key)).with_preserve_partitioning(true);
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![scratch.to_owned()]))
        .with_max_temp_directory_size(u64::MAX);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(IN_MEMORY)))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    let context = Arc::new(TaskContext::default().with_runtime(runtime));
    (0..partitions).map(|partition| sorted.execute(partition, Arc::clone(&context))).collect()
}

/// What a failed sort means to those who wait for it.
pub(super) fn broken(error: &DataFusionError) -> ProjectorError {
    match error.find_root() {
        DataFusionError::IoError(error) => {
            WriteError::Io(std::io::Error::new(error.kind(), format!("sorting on disk: {error}"))).into()
        }
        other => ProjectorError::Sort(other.to_string()),
    }
}
