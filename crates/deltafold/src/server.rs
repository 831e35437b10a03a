//! Serving HTTP.

use std::{net::SocketAddr, sync::Arc};

use deltafold_api::{AllowedOperations, Auth, HttpOptions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Http,
    engine::Engine,
    exit::{Exit, Failure},
    telemetry::Metrics,
};

/// A bound address, and who may ask there.
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
    auth: Option<Arc<Auth>>,
    operations: Option<Arc<AllowedOperations>>,
    metrics: Metrics,
}

impl Server {
    /// Binds, and begins to record metrics. Before anything else is started: an address in use is known at once.
    pub(crate) async fn bind(http: &Http) -> anyhow::Result<Self> {
        let listen = http.listen;
        let auth = match http.auth() {
            Some(options) => {
                let auth = Auth::open(options).map_err(|error| Failure::new(Exit::Usage, error))?;
                Some(Arc::new(auth))
            }
            None if listen.ip().is_loopback() => None,
            None => {
                let message = format!(
                    "http.listen is {listen}, and no authentication is configured: without, it serves on loopback \
                     addresses only (127.0.0.1, [::1]). Set http.tokens_file to a file of lines that `deltafold token` \
                     prints, or [http.jwt] to what JSON Web Tokens are checked by"
                );
                return Err(Failure::new(Exit::Usage, message).into());
            }
        };
        let operations = http.operations().map_err(|error| Failure::new(Exit::Usage, error))?.map(Arc::new);
        let unavailable = |error| Failure::new(Exit::Unavailable, format!("cannot listen on {listen}: {error}"));
        let listener = TcpListener::bind(listen).await.map_err(unavailable)?;
        let address = listener.local_addr().map_err(unavailable)?;
        Ok(Self { listener, address, auth, operations, metrics: Metrics::install()? })
    }

    /// Where; with the port that the system chose, if it was left to it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers until cancelled, then finishes what it is answering.
    pub(crate) async fn run(self, engine: &Engine, cancel: CancellationToken) -> anyhow::Result<()> {
        tracing::info!("listening on {}", self.url());
        let metrics = self.metrics.clone();
        let metrics: Arc<dyn Fn() -> String + Send + Sync> = Arc::new(move || metrics.render());
        let options = HttpOptions { auth: self.auth, operations: self.operations, metrics: Some(metrics) };
        tokio::select! {
            served = deltafold_api::serve(engine.api().clone(), self.listener, options, cancel) => served?,
            () = self.metrics.upkeep() => {}
        }
        Ok(())
    }
}
