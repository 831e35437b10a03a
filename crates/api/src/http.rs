//! The HTTP server: GraphQL, the schema, the console, metrics, and whether it lives. Who may ask at all is the
//! [`guard`]'s.

mod connections;
mod graphql;
mod guard;
mod socket;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderValue, Response, StatusCode, header},
    middleware,
    routing::get,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

use self::{connections::Connections, guard::Guard};
use crate::{AllowedOperations, Api, Auth, Principal, console, persisted::Persisted};

/// How long requests under way may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the head of a request may take to come.
const HEAD: Duration = Duration::from_secs(10);

/// What a server has beside its API.
#[derive(Clone, Default)]
pub struct HttpOptions {
    /// Who may ask. Without, everybody may do everything: for loopback addresses only.
    pub auth: Option<Arc<Auth>>,
    /// The operations that are answered; all, if none are listed.
    pub operations: Option<Arc<AllowedOperations>>,
    /// The metrics, as Prometheus reads them; the API tells the recorder of its own just before.
    pub metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions").field("auth", &self.auth).finish_non_exhaustive()
    }
}

/// Serves an API until cancelled; then takes no new requests and ends those under way.
///
/// # Errors
/// When the listener fails, or when there is no authentication and it listens on anything but loopback.
pub async fn serve(api: Api, listener: TcpListener, options: HttpOptions, cancel: CancellationToken) -> io::Result<()> {
    let address = listener.local_addr()?;
    if options.auth.is_none() && !address.ip().is_loopback() {
        let reason = format!("{address} is not a loopback address: without authentication it is not served");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    // As long as a request may take: its head, its body, and its answer.
    let patience = HEAD + 2 * api.options().limits.timeout;
    let listener = Connections::new(listener, connections::MOST, patience);
    let router = router(api, address, options, cancel.clone());
    let server = axum::serve(listener, router).with_graceful_shutdown(cancel.clone().cancelled_owned());
    let drained = async {
        cancel.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = server => ended,
        () = drained => {
            tracing::warn!("requests were still under way when the server stopped");
            Ok(())
        }
    }
}

/// What handlers share.
struct Shared {
    api: Api,
    /// Who asks where there is no authentication; where there is, a request that the guard has put no name to is nobody's.
    anybody: Option<Principal>,
    auth: Option<Arc<Auth>>,
    persisted: Persisted,
    /// A place for each operation of a socket.
    places: Arc<Semaphore>,
    /// The server stops.
    cancel: CancellationToken,
    metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

fn router(api: Api, address: SocketAddr, options: HttpOptions, cancel: CancellationToken) -> Router {
    let body_bytes = api.options().limits.body_bytes;
    let anybody = options.auth.is_none().then(Principal::local);
    let guard = Arc::new(Guard::new(api.options(), address, options.auth.clone()));
    let (auth, persisted) = (options.auth, Persisted::new(options.operations));
    let places = Arc::new(Semaphore::new(api.options().limits.all_subscriptions));
    let shared = Arc::new(Shared { api, anybody, auth, persisted, places, cancel, metrics: options.metrics });
    let pages = Router::new()
        .route("/", get(async || console::file("index.html")))
        .route("/console/{*path}", get(async |Path(path): Path<String>| console::file(&path)))
        .layer(CompressionLayer::new());
    Router::new()
        .route(guard::GRAPHQL, get(graphql::get).post(graphql::post).fallback(graphql::wrong_method))
        .route("/graphql/schema.graphql", get(schema))
        .route(guard::LIVEZ, get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(pages)
        .fallback(async || text(StatusCode::NOT_FOUND, "there is nothing here; the API is at POST /graphql\n"))
        .layer(DefaultBodyLimit::max(body_bytes))
        .layer(middleware::from_fn_with_state(guard, guard::admit))
        .with_state(shared)
}

async fn schema(State(shared): State<Arc<Shared>>) -> Response<Body> {
    if !shared.api.options().introspection {
        return text(StatusCode::NOT_FOUND, "the schema is not shown here\n");
    }
    let mut response = Response::new(Body::from(shared.api.sdl()));
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Whether the views hold what the store holds, and what is held back of it all the same: answers are then right, of the
/// time before a restore.
async fn ready(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let readiness = shared.api.readiness().await;
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    text(status, format!("{readiness}\n"))
}

/// The version of the format that Prometheus has taken since 2014.
const METRICS_MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

async fn metrics(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let Some(metrics) = &shared.metrics else {
        return text(StatusCode::NOT_FOUND, "this server keeps no metrics\n");
    };
    shared.api.observe();
    let mut response = text(StatusCode::OK, metrics());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(METRICS_MEDIA_TYPE));
    response
}

fn text(status: StatusCode, message: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(message.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
