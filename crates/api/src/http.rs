//! The HTTP server: GraphQL, the schema, the console, and whether it lives.
//!
//! Requests come as JSON by POST only, so that no page of another origin can send one without asking first; where
//! a browser says its origin, it has to be ours or one that is allowed. On loopback the name that we are called by has
//! to be one of this machine, or a page could reach us through a name of its own that resolves to 127.0.0.1.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header},
    middleware::{self, Next},
    routing::{get, post},
    serve::ListenerExt,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

use crate::{
    Api, Options,
    answer::Answer,
    console,
    errors::{ApiError, shortened},
};

/// How long requests under way may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves an API until cancelled; then takes no new requests and ends those under way.
///
/// # Errors
/// When the listener fails.
pub async fn serve(api: Api, listener: TcpListener, cancel: CancellationToken) -> io::Result<()> {
    let address = listener.local_addr()?;
    // An answer that waits for the acknowledgement of the one before it waits for the client's timer.
    let listener = listener.tap_io(|socket| {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps small packets back");
        }
    });
    let server = axum::serve(listener, router(api, address)).with_graceful_shutdown(cancel.clone().cancelled_owned());
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
    is_loopback: bool,
}

fn router(api: Api, address: SocketAddr) -> Router {
    let body_bytes = api.options().limits.body_bytes;
    let shared = Arc::new(Shared { api, is_loopback: address.ip().is_loopback() });
    let pages = Router::new()
        .route("/", get(async || console::file("index.html")))
        .route("/console/{*path}", get(async |Path(path): Path<String>| console::file(&path)))
        .layer(CompressionLayer::new());
    Router::new()
        .route("/graphql", post(graphql).fallback(wrong_method))
        .route("/graphql/schema.graphql", get(schema))
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .merge(pages)
        .fallback(async || text(StatusCode::NOT_FOUND, "there is nothing here; the API is at POST /graphql\n"))
        .layer(DefaultBodyLimit::max(body_bytes))
        .layer(middleware::from_fn_with_state(shared.clone(), check_origin))
        .with_state(shared)
}

async fn graphql(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    let media_type = media_type(&headers);
    if !is_json(&headers) {
        let error = ApiError::BadRequest("the request's content type must be application/json".to_owned());
        return answer(&error.into(), StatusCode::UNSUPPORTED_MEDIA_TYPE, media_type);
    }
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let max = shared.api.options().limits.body_bytes as u64;
            let error = ApiError::Limit { limit: "body_bytes", max, found: "more".to_owned() };
            return answer(&error.into(), StatusCode::PAYLOAD_TOO_LARGE, media_type);
        }
        Err(_) => {
            let error = ApiError::BadRequest("the request's body ended early".to_owned());
            return answer(&error.into(), StatusCode::BAD_REQUEST, media_type);
        }
    };
    let request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            let error = ApiError::BadRequest(format!("the request is not JSON: {}", shortened(&error.to_string())));
            return answer(&error.into(), StatusCode::BAD_REQUEST, media_type);
        }
    };
    let response = shared.api.respond(request).await;
    // In a media type of its own a refusal has a status of its own (GraphQL over HTTP); as plain JSON it is 200, for
    // clients that would look no further otherwise.
    let is_refusal = response.is_refused() && media_type == OWN_MEDIA_TYPE;
    answer(&response, if is_refusal { StatusCode::BAD_REQUEST } else { StatusCode::OK }, media_type)
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
    let (status, mut said) = match shared.api.is_ready() {
        true => (StatusCode::OK, "ok\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the views are behind the store\n".to_owned()),
    };
    for suspect in shared.api.suspects() {
        said.push_str(&suspect);
        said.push('\n');
    }
    text(status, said)
}

async fn check_origin(State(shared): State<Arc<Shared>>, request: Request<Body>, next: Next) -> Response<Body> {
    match shared.refusal(&request) {
        Some(reason) => text(StatusCode::FORBIDDEN, reason),
        None => next.run(request).await,
    }
}

impl Shared {
    /// Why a request may not come from where it comes from.
    fn refusal(&self, request: &Request<Body>) -> Option<&'static str> {
        let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let host = header(header::HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
        let Options { allowed_hosts, allowed_origins, .. } = self.api.options();
        let is_known = |host: &str| is_this_machine(host) || is_one_of(allowed_hosts, host);
        if self.is_loopback && !host.is_some_and(is_known) {
            return Some("this server does not go by that name; see http.allowed_hosts\n");
        }
        let origin = header(header::ORIGIN)?;
        let is_ours = origin.split_once("://").is_some_and(|(_, of)| Some(of) == host);
        let is_refused = !is_ours && !is_one_of(allowed_origins, origin);
        is_refused.then_some("pages of that origin may not ask here; see http.allowed_origins\n")
    }
}

fn is_one_of(allowed: &[String], given: &str) -> bool {
    allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(given))
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
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
    fn names_of_this_machine() {
        for host in ["localhost:8080", "127.0.0.1:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["shop.example:8080", "localhost.shop.example", "10.0.0.1", ""] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

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
