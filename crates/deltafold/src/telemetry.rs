//! Logs, on stderr; metrics, for whoever asks the server.

mod metrics;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

pub(crate) use metrics::Metrics;

/// Begins to log: warnings and what we say ourselves; more with `-v`, other with `RUST_LOG`.
pub(crate) fn start(verbose: u8) {
    let default = match verbose {
        // Merges warn of a metric of their own that is missing.
        0 => "warn,deltafold=info,deltalake_core::operations::merge=error",
        1 => {
            "info,deltafold=debug,deltafold_store=debug,deltafold_ingest=debug,deltafold_projector=debug,deltafold_api=debug"
        }
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(verbose > 0)
        // Whoever reads stderr may be gone: complaining of that there is a panic in whatever had something to say.
        .log_internal_errors(false)
        .init();
}
