//! `deltafold demo`

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;
use clap::Args;
use deltafold_cdc::DecoderConfig;
use deltafold_ingest::{Options, Summary, ingest_file};
use deltafold_store::EventStore;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::Listen,
    config::{Aggregates, Config, Flags, Format},
    context::{Context, open_store},
    definitions::Definitions,
    engine::Engine,
    exit::{Exit, Failure},
    failures::OrExit,
    kafka_statuses::KafkaStatuses,
    output,
    server::Server,
    shutdown,
};

/// Six weeks in a small shop, as Debezium told them.
const SHOP: &[u8] = include_bytes!("../../demo/shop.jsonl.gz");

#[derive(Debug, Args)]
pub(crate) struct Demo {
    #[command(flatten)]
    listen: Listen,
}

/// What is asked of it: the files of `projections/`, which are examples to begin with.
#[derive(rust_embed::Embed)]
#[folder = "../../projections"]
struct Examples;

fn definitions() -> Definitions {
    let text = |file: std::borrow::Cow<'static, str>| {
        let text = Examples::get(&file).expect("its name was just listed").data;
        let text = String::from_utf8(text.into_owned()).expect("definitions are text");
        (file.trim_end_matches(".sql").to_owned(), text)
    };
    Examples::iter().map(text).collect()
}

/// Where the demo keeps its data: a directory that the user named, or one that goes when the demo ends.
enum Home {
    Chosen(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Home {
    /// A fresh one: data that is there already is never touched.
    fn fresh(context: &Context) -> anyhow::Result<Self> {
        let Some(chosen) = context.chosen_data() else {
            let directory = tempfile::Builder::new().prefix("deltafold-demo-").tempdir();
            return Ok(Self::Temporary(directory.context("cannot make a temporary directory: name one with --data")?));
        };
        let is_fresh = match std::fs::read_dir(chosen) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if !is_fresh {
            let message = format!("{} is not empty: the demo plays into a fresh directory only", chosen.display());
            return Err(Failure::new(Exit::Conflict, message).into());
        }
        Ok(Self::Chosen(chosen.to_owned()))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Chosen(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }
}

impl Demo {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.refuse_url("demo")?;
        let mut flags = Flags::default();
        self.listen.set(&mut flags);
        let loaded = context.config(&flags)?;
        let cancel = shutdown::on_ctrl_c();
        let server = Server::bind(&loaded.config.http).await?;
        let home = Home::fresh(context)?;
        let began = Instant::now();
        let store = open_store(home.path()).await?;
        // The shop is decoded as it was recorded, whatever is configured here.
        let config = Config { aggregates: Aggregates::with_outbox("outbox"), ..loaded.config };
        let engine = Engine::start(&config.index.of(home.path()), &store, &config, KafkaStatuses::default()).await?;
        let decoder = config.aggregates.decoder(Format::Auto);
        let summary = play(&store, decoder, &cancel).await?;
        engine.define(&definitions()).await?;
        let served = if cancel.is_cancelled() {
            Ok(())
        } else {
            engine.caught_up().await?;
            engine.built().await?;
            introduce(&summary, began, &home, &server.url())?;
            server.run(&engine, cancel).await
        };
        engine.stop().await;
        served
    }
}

/// Appends the shop's records, as `ingest --file` would.
async fn play(store: &EventStore, decoder: DecoderConfig, cancel: &CancellationToken) -> anyhow::Result<Summary> {
    let mut file = tempfile::Builder::new().prefix("shop-").suffix(".jsonl.gz").tempfile()?;
    file.write_all(SHOP)?;
    file.flush()?;
    let options = Options { decoder, ..Options::default() };
    Ok(ingest_file(store, file.path(), &options, cancel.clone()).await.or_exit()?)
}

fn introduce(summary: &Summary, began: Instant, home: &Home, url: &str) -> std::io::Result<()> {
    let data = match home {
        Home::Chosen(path) => path.display().to_string(),
        Home::Temporary(directory) => {
            format!("{}, gone when you stop (keep it with --data DIR)", directory.path().display())
        }
    };
    output::line(format_args!(
        "Six weeks in a small shop, from 2026-09-28 to 2026-11-08: {} events appended and folded in {:.1} s.\n\n\
         \x20 console   {url}/\n\
         \x20 GraphQL   {url}/graphql\n\
         \x20 data      {data}\n\n\
         Six things to try, in the console or in another terminal:",
        output::count(summary.appended),
        began.elapsed().as_secs_f64(),
    ))?;
    // As this process was called, so that what is printed can be pasted.
    let program = std::env::args().next().unwrap_or_else(|| "deltafold".to_owned());
    for (number, (title, command)) in (1..).zip(THINGS_TO_TRY) {
        output::line(format_args!("\n{number}. {title}\n\n   {program} {}", command.replace("URL", url)))?;
    }
    output::line("\nCtrl-C stops.")
}

/// What there is to see, and the arguments that show it.
const THINGS_TO_TRY: [(&str, &str); 6] = [
    ("An order's life, event by event", "history orders 13 --url URL"),
    (
        "A price before it rose (the chair: 149.00, then three times more)",
        "query --url URL '{\n\
         \x20    now: productsByKey(sku: \"CHA-103\") { name price }\n\
         \x20    before: productsByKey(sku: \"CHA-103\", asOf: {time: \"2026-10-07T00:00:00Z\"}) { name price }\n\
         \x20  }'",
    ),
    (
        "What changed in a day (the mug, on 15 October)",
        "diff products MUG-105 --from 2026-10-15 --to 2026-10-16 --url URL",
    ),
    (
        "Who was gold on 20 October (one of the five is not any more)",
        "query --url URL '{\n\
         \x20    customers(where: {tier: {_eq: \"gold\"}}, asOf: {time: \"2026-10-20T00:00:00Z\"}) {\n\
         \x20      totalCount nodes { id name city _version { validFrom validTo } }\n\
         \x20    }\n\
         \x20  }'",
    ),
    (
        "A question in SQL, now and on a Tuesday (projections/orders_by_status.sql; order_progress is of the shop's own events)",
        "query --url URL '{\n\
         \x20    now: ordersByStatusByKey(status: \"pending\") { orders worth }\n\
         \x20    then: ordersByStatusByKey(status: \"pending\", asOf: {time: \"2026-11-03T00:00:00Z\"}) { orders worth }\n\
         \x20    orderProgressByKey(orderId: \"147\") { lastStep placedAt paidAt }\n\
         \x20  }'",
    ),
    ("A customer who is gone, the day before she left", "get customers 8 --as-of 2026-10-15 --url URL"),
];
