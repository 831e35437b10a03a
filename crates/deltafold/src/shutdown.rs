//! Stopping when asked to.

use tokio_util::sync::CancellationToken;

/// A token that Ctrl-C and SIGTERM cancel. A second Ctrl-C ends the process at once: everything acknowledged is
/// durable anyway.
pub(crate) fn on_ctrl_c() -> CancellationToken {
    let cancel = CancellationToken::new();
    tokio::spawn({
        let cancel = cancel.clone();
        async move {
            asked().await;
            tracing::info!("stopping; once more to stop at once");
            cancel.cancel();
            asked().await;
            std::process::exit(130);
        }
    });
    cancel
}

#[cfg(unix)]
async fn asked() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        // Without a handler the system's own answer to SIGTERM stays.
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn asked() {
    let _ = tokio::signal::ctrl_c().await;
}
