//! `deltafold ingest`

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use deltafold_cdc::DecoderConfig;
use deltafold_ingest::{Options, Summary, ingest_file, ingest_topics};
use deltafold_source::{KafkaOptions, KafkaStatus};
use deltafold_store::EventStore;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::DeclaredKeys,
    config::{Flags, Format, Loaded, SourceKind},
    context::Context,
    exit::{Exit, Failure},
    failures::OrExit,
    kafka_statuses::KafkaStatuses,
    output, progress, shutdown,
};

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    /// Append these files of JSON Lines (plain, gzip or zstd), and stop; without, the configured sources
    #[arg(long, value_name = "FILE", num_args = 1..)]
    file: Vec<PathBuf>,
    /// How records are written
    #[arg(long, value_enum, default_value = "auto", requires = "file")]
    format: Format,
    /// Wait at the end of the files for more, until Ctrl-C
    #[arg(long, requires = "file")]
    follow: bool,
    #[command(flatten)]
    keys: DeclaredKeys,
}

impl Ingest {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.refuse_url("ingest")?;
        let mut flags = Flags::default();
        self.keys.set(&mut flags);
        let loaded = context.config(&flags)?;
        if self.file.is_empty() && loaded.config.sources.is_empty() {
            let message =
                "no sources are configured: name files with --file, or write [sources.NAME] in deltafold.toml";
            return Err(Failure::new(Exit::Usage, message).into());
        }
        let cancel = shutdown::on_ctrl_c();
        let store = context.open_store().await?;
        let care = tokio::spawn({
            let (store, cancel) = (store.clone(), cancel.clone());
            async move { store.maintain(cancel).await }
        });
        let done = if self.file.is_empty() {
            configured(&store, &loaded, &KafkaStatuses::of(&loaded.config), &cancel).await
        } else {
            files(&store, &self, &loaded, &cancel).await
        };
        cancel.cancel();
        care.await?;
        let summary = done?;
        report(&summary, context.json())
    }
}

/// One after the other; side by side those that are followed, since none of them ends.
async fn files(
    store: &EventStore,
    command: &Ingest,
    loaded: &Loaded,
    cancel: &CancellationToken,
) -> Result<Summary, Failure> {
    let decoder = loaded.config.aggregates.decoder(command.format);
    let options = || Options { decoder: decoder.clone(), follow: command.follow, ..Options::default() };
    if command.follow {
        let inputs = command.file.iter().map(|path| Input::File(path.clone(), options())).collect();
        return side_by_side(store, inputs, cancel).await;
    }
    let mut total = Summary::default();
    for path in &command.file {
        total += one(store, path, &options(), cancel).await?;
    }
    Ok(total)
}

/// The sources of the configuration.
pub(crate) async fn configured(
    store: &EventStore,
    loaded: &Loaded,
    statuses: &KafkaStatuses,
    cancel: &CancellationToken,
) -> Result<Summary, Failure> {
    let mut inputs = Vec::new();
    for (name, source) in &loaded.config.sources {
        let decoder = loaded.config.aggregates.decoder(source.format);
        match source.kind {
            SourceKind::Kafka => {
                let topics = source.kafka.options(name, store.id())?;
                let decoder = DecoderConfig { source: name.as_str().into(), ..decoder };
                let options = Options { decoder, ..Options::default() };
                let status = statuses.get(name).unwrap_or_else(|| Arc::new(KafkaStatus::new(name)));
                inputs.push(Input::Topics(Box::new(topics), status, options));
            }
            SourceKind::Files => inputs.extend(source.files.iter().map(|path| {
                let options = Options { decoder: decoder.clone(), follow: source.follow, ..Options::default() };
                Input::File(path.clone(), options)
            })),
        }
    }
    side_by_side(store, inputs, cancel).await
}

/// What is read.
enum Input {
    File(PathBuf, Options),
    Topics(Box<KafkaOptions>, Arc<KafkaStatus>, Options),
}

async fn side_by_side(store: &EventStore, inputs: Vec<Input>, cancel: &CancellationToken) -> Result<Summary, Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    for input in inputs {
        let (store, cancel) = (store.clone(), cancel.clone());
        tasks.spawn(async move {
            match input {
                Input::File(path, options) => ingest_file(&store, &path, &options, cancel).await.or_exit(),
                Input::Topics(topics, status, options) => {
                    ingest_topics(&store, *topics, &options, status, cancel).await.or_exit()
                }
            }
        });
    }
    let mut total = Ok(Summary::default());
    while let Some(ended) = tasks.join_next().await {
        match ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())) {
            Ok(summary) => {
                if let Ok(total) = &mut total {
                    *total += summary;
                }
            }
            // The others stop at their next commit; the first failure is the one that is told.
            Err(failure) => {
                cancel.cancel();
                total = total.and(Err(failure));
            }
        }
    }
    total
}

async fn one(
    store: &EventStore,
    path: &Path,
    options: &Options,
    cancel: &CancellationToken,
) -> Result<Summary, Failure> {
    let bar = progress::show(path, &options.progress);
    let summary = ingest_file(store, path, options, cancel.clone()).await.or_exit();
    bar.finish();
    summary
}

fn report(summary: &Summary, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let ignored: serde_json::Map<_, _> =
            summary.ignored.iter().map(|(kind, count)| (kind.name().to_owned(), json!(count))).collect();
        return output::json(&json!({
            "appended": summary.appended,
            "alreadyThere": summary.already_there,
            "deadLetters": summary.dead_letters,
            "ignored": ignored,
            "commits": summary.commits,
            "bytes": summary.bytes,
            "seconds": summary.elapsed.as_secs_f64(),
            "eventsPerSecond": summary.events_per_second().round(),
        }));
    }
    output::line(format_args!("appended       {}", output::count(summary.appended)))?;
    output::line(format_args!("already there  {}", output::count(summary.already_there)))?;
    let hint = if summary.dead_letters > 0 { "  (see: deltafold dead-letters list)" } else { "" };
    output::line(format_args!("dead letters   {}{hint}", output::count(summary.dead_letters)))?;
    if !summary.ignored.is_empty() {
        let kinds: Vec<_> = summary
            .ignored
            .iter()
            .map(|(kind, count)| format!("{} {}", output::count(*count), kind.name().replace('_', " ")))
            .collect();
        output::line(format_args!("ignored        {}", kinds.join(", ")))?;
    }
    output::line(format_args!("time           {:.2} s", summary.elapsed.as_secs_f64()))?;
    Ok(output::line(format_args!(
        "rate           {} events/s",
        output::count(summary.events_per_second().round() as u64)
    ))?)
}
