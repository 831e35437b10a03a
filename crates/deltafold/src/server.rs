//! Serving HTTP.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    engine::Engine,
    exit::{Exit, Failure},
};

/// A bound address.
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds. Before anything else is started: an address in use is known at once.
    pub(crate) async fn bind(listen: SocketAddr) -> Result<Self, Failure> {
        if !listen.ip().is_loopback() {
            let message = format!(
                "http.listen is {listen}: this version has no authentication yet, and serves on loopback addresses only \
                 (127.0.0.1, [::1]); put a proxy that authenticates in front"
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        let unavailable = |error| Failure::new(Exit::Unavailable, format!("cannot listen on {listen}: {error}"));
        let listener = TcpListener::bind(listen).await.map_err(unavailable)?;
        let address = listener.local_addr().map_err(unavailable)?;
        Ok(Self { listener, address })
    }

    /// Where; with the port that the system chose, if it was left to it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers until cancelled, then finishes what it is answering.
    pub(crate) async fn run(self, engine: &Engine, cancel: CancellationToken) -> anyhow::Result<()> {
        tracing::info!("listening on {}", self.url());
        deltafold_api::serve(engine.api().clone(), self.listener, cancel).await?;
        Ok(())
    }
}
