//! The measuring program behind `cargo xtask bench`: each benchmark checks its result against something that does not share code
//! with what it measures, and prints rates, processor time and memory with their ranges over several runs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program talks on its standard streams")]

mod bare;
mod commit;
mod fold;
mod graphql;
mod head;
mod hot_key;
mod ingest;
mod joined;
mod kafka;
mod latency;
mod lists;
mod load;
mod numbers;
mod options;
mod process;
mod reads;
mod rebuild;
mod servers;
mod stream;
mod topic;

use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    if name == bare::NAME {
        return finish(bare::serve());
    }
    let options = match Options::parse(&rest) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    finish(match name.as_str() {
        "ingest" => ingest::run(&options),
        "commit" => commit::run(&options),
        "fold" => fold::run(&options),
        "graphql" => graphql::run(&options),
        "joins" => joined::run(&options),
        "kafka" => kafka::run(&options),
        "latency" => latency::run(&options),
        "rebuild" => rebuild::run(&options),
        _ => Err(anyhow::anyhow!(
            "no such benchmark: {name} (ingest, commit, fold, joins, graphql, rebuild, kafka, latency)"
        )),
    })
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
