//! Changes sorted by key and moment, in partitions by key: DataFusion's exchange and its sort, which spills to disk what
//! is too much for the memory.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, UInt64Array},
    datatypes::SchemaRef,
};
use datafusion::{
    common::{DataFusionError, Result, hash_utils::create_hashes},
    execution::{
        SendableRecordBatchStream, TaskContext,
        config::SessionConfig,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::FairSpillPool,
        runtime_env::RuntimeEnvBuilder,
    },
    physical_expr::{LexOrdering, Partitioning, PhysicalSortExpr, expressions::col},
    physical_plan::{
        ExecutionPlan,
        repartition::{REPARTITION_RANDOM_STATE, RepartitionExec},
        sorts::sort::SortExec,
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use deltafold_event::Position;
use deltafold_projection::{KEY_HASH, ORDER, keyed_hash};
use deltafold_view::WriteError;

use super::{super::record::Failed, Stopped};

/// How much of what is sorted is held in memory, in bytes.
const IN_MEMORY: usize = 512 << 20;
/// How many changes come at once. Their rows may be long.
const ROWS: usize = 2_048;

/// Sorts what several sources give. All of one key comes in one partition. In the context of a runtime.
pub(super) fn sorted(
    schema: &SchemaRef,
    sources: Vec<Arc<dyn PartitionStream>>,
    partitions: usize,
    scratch: &Path,
) -> Result<Vec<SendableRecordBatchStream>> {
    let read = StreamingTableExec::try_new(schema.clone(), sources, None, [], false, None)?;
    let by_key = Partitioning::Hash(vec![col(KEY_HASH, schema)?], partitions);
    let by_key = RepartitionExec::try_new(Arc::new(read), by_key)?;
    let order = LexOrdering::new([PhysicalSortExpr::new_default(col(ORDER, schema)?)]).expect("there is a column");
    let sorted = SortExec::new(order, Arc::new(by_key)).with_preserve_partitioning(true);
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![scratch.to_owned()]))
        .with_max_temp_directory_size(u64::MAX);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(IN_MEMORY)))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    let config = SessionConfig::new().with_batch_size(ROWS);
    let context = Arc::new(TaskContext::default().with_session_config(config).with_runtime(runtime));
    (0..partitions).map(|partition| sorted.execute(partition, Arc::clone(&context))).collect()
}

/// What tells whether another version of the program puts keys into the same partitions, and changes into the same
/// order: some hashes.
pub(super) fn hashes() -> u64 {
    let probes = UInt64Array::from_iter_values((0..64_u64).map(|probe| keyed_hash(&probe.to_be_bytes())));
    let ours = probes.values().to_vec();
    let probes: ArrayRef = Arc::new(probes);
    let mut of_partitions = vec![0; probes.len()];
    create_hashes([&probes], REPARTITION_RANDOM_STATE.random_state(), &mut of_partitions).expect("they can be hashed");
    of_partitions.into_iter().chain(ours).fold(0, |sum, hash| sum.rotate_left(5) ^ hash)
}

/// What a failed sort means: a disk that refuses stops all that is written, anything else this build.
pub(super) fn stopped(error: &DataFusionError, until: Position) -> Stopped {
    match error.find_root() {
        DataFusionError::IoError(error) => {
            let error = std::io::Error::new(error.kind(), format!("sorting on disk: {error}"));
            Stopped::Broken(WriteError::Io(error).into())
        }
        other => {
            let what = format!("what it is built from cannot be sorted: {other}");
            Stopped::Failed(Failed { event: None, before: until, what })
        }
    }
}
