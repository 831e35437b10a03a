//! The HTTP server: GraphQL, the schema, the console, metrics, and whether it lives.
//!
//! Requests come as JSON by POST only, so that no page of another origin can send one without asking first. Who may ask
//! at all is the [`guard`]'s.

mod connections;
mod guard;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, FromRequest, Path, State},
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header},
    middleware,
    routing::{get, post},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

use self::{connections::Connections, guard::Guard};
use crate::{
    Api, Auth, Limits, Principal,
    answer::Answer,
    auth::Refused,
    console,
    errors::{ApiError, shortened},
};

/// How long requests under way may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the head of a request may take to come.
const HEAD: Duration = Duration::from_secs(10);

/// What a server has beside its API.
#[derive(Clone, Default)]
pub struct HttpOptions {
    /// Who may ask. Without, everybody may do everything: for loopback addresses only.
    pub auth: Option<Arc<Auth>>,
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
    let router = router(api, address, options);
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
    metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

fn router(api: Api, address: SocketAddr, options: HttpOptions) -> Router {
    let body_bytes = api.options().limits.body_bytes;
    let anybody = options.auth.is_none().then(Principal::local);
    let guard = Arc::new(Guard::new(api.options(), address, options.auth));
    let shared = Arc::new(Shared { api, anybody, metrics: options.metrics });
    let pages = Router::new()
        .route("/", get(async || console::file("index.html")))
        .route("/console/{*path}", get(async |Path(path): Path<String>| console::file(&path)))
        .layer(CompressionLayer::new());
    Router::new()
        .route(guard::GRAPHQL, post(graphql).fallback(wrong_method))
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

async fn graphql(
    State(shared): State<Arc<Shared>>,
    principal: Option<Extension<Principal>>,
    request: Request<Body>,
) -> Response<Body> {
    let Some(principal) = principal.map(|Extension(principal)| principal).or_else(|| shared.anybody.clone()) else {
        return guard::unauthenticated(Refused::Missing, true);
    };
    let media_type = media_type(request.headers());
    if !is_json(request.headers()) {
        let error = ApiError::BadRequest("the request's content type must be application/json".to_owned());
        return answer(&error.into(), StatusCode::UNSUPPORTED_MEDIA_TYPE, media_type);
    }
    let body = match body_of(request, &shared.api.options().limits).await {
        Ok(body) => body,
        Err((error, status)) => return answer(&error.into(), status, media_type),
    };
    let request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            let error = ApiError::BadRequest(format!("the request is not JSON: {}", shortened(&error.to_string())));
            return answer(&error.into(), StatusCode::BAD_REQUEST, media_type);
        }
    };
    let response = shared.api.respond(request, &principal).await;
    // In a media type of its own a refusal has a status of its own (GraphQL over HTTP); as plain JSON it is 200, for
    // clients that would look no further otherwise.
    let status = match response.refusal() {
        Some("FORBIDDEN") if media_type == OWN_MEDIA_TYPE => StatusCode::FORBIDDEN,
        Some(_) if media_type == OWN_MEDIA_TYPE => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    answer(&response, status, media_type)
}

/// Reads a body, for as long as a request may take to be answered: whoever sends it byte by byte holds no more than that.
async fn body_of(request: Request<Body>, limits: &Limits) -> Result<Bytes, (ApiError, StatusCode)> {
    let Ok(read) = tokio::time::timeout(limits.timeout, Bytes::from_request(request, &())).await else {
        let limit_ms = limits.timeout.as_millis() as u64;
        return Err((ApiError::Timeout { limit_ms }, StatusCode::REQUEST_TIMEOUT));
    };
    read.map_err(|rejection| match rejection.status() {
        status @ StatusCode::PAYLOAD_TOO_LARGE => {
            let max = limits.body_bytes as u64;
            (ApiError::Limit { limit: "body_bytes", max, found: "more".to_owned() }, status)
        }
        _ => (ApiError::BadRequest("the request's body ended early".to_owned()), StatusCode::BAD_REQUEST),
    })
}

const OWN_MEDIA_TYPE: &str = "application/graphql-response+json; charset=utf-8";
const JSON_MEDIA_TYPE: &str = "application/json; charset=utf-8";

/// The media type of the response: its own where the client takes that.
fn media_type(headers: &HeaderMap) -> &'static str {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    if accepts.flat_map(|accept| accept.split(',')).any(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/graphql-response+json"))
    }) {
        OWN_MEDIA_TYPE
    } else {
        JSON_MEDIA_TYPE
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn answer(response: &Answer, status: StatusCode, media_type: &'static str) -> Response<Body> {
    let body = serde_json::to_vec(response).unwrap_or_else(|error| {
        let error = ApiError::internal("response", error);
        format!("{{\"errors\":[{{\"message\":\"{error}\",\"extensions\":{{\"code\":\"INTERNAL\"}}}}]}}").into_bytes()
    });
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

async fn wrong_method(method: Method) -> Response<Body> {
    let error = ApiError::BadRequest(format!("{method} is not taken here: send the request by POST"));
    let mut answer = answer(&error.into(), StatusCode::METHOD_NOT_ALLOWED, JSON_MEDIA_TYPE);
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    answer
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        let of = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            media_type(&headers)
        };
        assert_eq!(of("application/graphql-response+json, application/json;q=0.9"), OWN_MEDIA_TYPE);
        assert_eq!(of("*/*"), JSON_MEDIA_TYPE);
    }
}
