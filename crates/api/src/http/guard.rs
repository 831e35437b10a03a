//! Who may ask: the name that we are called by, the origin of the page that asks, and the token.
//!
//! Where a browser says its origin, it has to be ours or one that is allowed. On loopback the name that we are called by
//! has to be one of this machine or one that is allowed, or a page could reach us through a name of its own that resolves
//! to 127.0.0.1; elsewhere it has to be where names are allowed at all. `/livez` tells nothing, and so is not asked for
//! any of this: an orchestrator calls us by whatever address we have.
//!
//! Where there is authentication, everything but `/livez` takes a token, whatever there is under the path, and on
//! loopback too: what passes a proxy comes from there. A page cannot send one with its request for a WebSocket, whose first
//! message has it then. GraphQL needs the right that the operation needs (`permission`),
//! all else [`Right::Read`].

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, Request, Response, StatusCode, header},
    middleware::Next,
};

use super::{
    graphql::{self, JSON_MEDIA_TYPE},
    text,
};
use crate::{Auth, Options, Right, auth::Refused, errors::ApiError};

/// Where GraphQL is.
pub(super) const GRAPHQL: &str = "/graphql";

/// Where it says that it lives, to everybody: an orchestrator that has no token would end it otherwise.
pub(super) const LIVEZ: &str = "/livez";

/// Stands before everything.
pub(super) struct Guard {
    /// Whether the name counts that we are called by.
    checks_hosts: bool,
    allowed_origins: Vec<String>,
    allowed_hosts: Vec<String>,
    auth: Option<Arc<Auth>>,
}

/// Lets a request through, with who asks in its extensions, or answers it.
pub(super) async fn admit(State(guard): State<Arc<Guard>>, mut request: Request<Body>, next: Next) -> Response<Body> {
    let path = request.uri().path();
    if path == LIVEZ {
        return next.run(request).await;
    }
    if let Some(reason) = guard.refusal(&request) {
        return text(StatusCode::FORBIDDEN, reason);
    }
    let Some(auth) = &guard.auth else { return next.run(request).await };
    let principal = match auth.principal(request.headers()) {
        Ok(principal) => principal,
        Err(Refused::Missing) if path == GRAPHQL && asks_for_socket(&request) => return next.run(request).await,
        Err(refused) => return unauthenticated(refused, path == GRAPHQL),
    };
    if path != GRAPHQL && !principal.may(Right::Read) {
        let (needs, name) = (Right::Read.name(), principal.name().to_owned());
        let error = ApiError::Forbidden { what: "this".to_owned(), needs, name };
        return text(StatusCode::FORBIDDEN, format!("{error}\n"));
    }
    request.extensions_mut().insert(principal);
    next.run(request).await
}

/// Whether it asks for a WebSocket, which is told who asks in its first message if it is not told here.
fn asks_for_socket(request: &Request<Body>) -> bool {
    request.headers().get(header::UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Asks for a token, as <https://www.rfc-editor.org/rfc/rfc6750#section-3> has it.
pub(super) fn unauthenticated(refused: Refused, is_graphql: bool) -> Response<Body> {
    let challenge = match refused {
        Refused::Missing => HeaderValue::from_static("Bearer realm=\"deltafold\""),
        Refused::Invalid | Refused::Expired | Refused::NotYet => {
            let told = format!("Bearer realm=\"deltafold\", error=\"invalid_token\", error_description=\"{refused}\"");
            HeaderValue::try_from(told).expect("what is told is ASCII, and without quotes")
        }
    };
    let mut response = match is_graphql {
        true => graphql::refused(ApiError::Unauthenticated(refused), StatusCode::UNAUTHORIZED, JSON_MEDIA_TYPE),
        false => text(StatusCode::UNAUTHORIZED, format!("{refused}\n")),
    };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

impl Guard {
    /// For a server at this address.
    pub(super) fn new(options: &Options, address: SocketAddr, auth: Option<Arc<Auth>>) -> Self {
        Self {
            checks_hosts: address.ip().is_loopback() || !options.allowed_hosts.is_empty(),
            allowed_origins: options.allowed_origins.clone(),
            allowed_hosts: options.allowed_hosts.clone(),
            auth,
        }
    }

    /// Why a request may not come from where it comes from.
    fn refusal(&self, request: &Request<Body>) -> Option<&'static str> {
        let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let host = header(header::HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
        let is_known = |host: &str| {
            is_this_machine(host)
                || is_one_of(&self.allowed_hosts, host)
                || is_one_of(&self.allowed_hosts, name_of(host))
        };
        if self.checks_hosts && !host.is_some_and(is_known) {
            return Some("this server does not go by that name; see http.allowed_hosts\n");
        }
        let origin = header(header::ORIGIN)?;
        let is_ours = origin.split_once("://").is_some_and(|(_, of)| Some(of) == host);
        let is_refused = !is_ours && !is_one_of(&self.allowed_origins, origin);
        is_refused.then_some("pages of that origin may not ask here; see http.allowed_origins\n")
    }
}

fn is_one_of(allowed: &[String], given: &str) -> bool {
    allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(given))
}

/// A host without its port, and an IPv6 address without its brackets.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn is_this_machine(host: &str) -> bool {
    let name = name_of(host);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(address: &str, allowed_hosts: &[&str], host: &str) -> bool {
        let allowed_hosts = allowed_hosts.iter().map(|host| (*host).to_owned()).collect();
        let options = Options { allowed_hosts, ..Options::default() };
        let request = Request::get("/").header(header::HOST, host).body(Body::empty()).unwrap();
        Guard::new(&options, address.parse().unwrap(), None).refusal(&request).is_some()
    }

    #[test]
    fn names_count_on_loopback_and_wherever_some_are_allowed() {
        let (loopback, anywhere) = ("127.0.0.1:8080", "0.0.0.0:8080");
        assert!(is_refused(loopback, &[], "evil.example"));
        assert!(!is_refused(anywhere, &[], "shop.example"));
        for address in [loopback, anywhere] {
            let refused = |host| is_refused(address, &["shop.example", "other.example:81"], host);
            for host in ["shop.example", "SHOP.example:443", "other.example:81", "localhost:8080"] {
                assert!(!refused(host), "{address}: {host}");
            }
            for host in ["evil.example", "shop.example.evil.example", "other.example", "other.example:82", ""] {
                assert!(refused(host), "{address}: {host}");
            }
        }
    }

    #[test]
    fn names_of_this_machine() {
        for host in ["localhost:8080", "127.0.0.1:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["shop.example:8080", "localhost.shop.example", "10.0.0.1", ""] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
