//! GraphQL over HTTP (<https://graphql.github.io/graphql-over-http/draft/>).
//!
//! What is posted is JSON only, so that no page of another origin can send it without asking first; a GET reads only.

use std::{collections::HashSet, sync::Arc};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{
        FromRequest, Query, State,
        rejection::QueryRejection,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header},
};
use futures::future::join_all;
use serde::Serialize;
use serde_json::Value as Json;

use super::{Shared, guard, socket};
use crate::{
    Limits, Principal,
    answer::Answer,
    api::Responded,
    auth::Refused,
    errors::{ApiError, shortened},
    limits::exceeded,
    request,
};

/// A request in the address, or for a socket.
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    principal: Option<Extension<Principal>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    parameters: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Response<Body> {
    if let Ok(upgrade) = upgrade {
        return socket::upgrade(upgrade, shared, headers.get(header::AUTHORIZATION));
    }
    let Some(principal) = shared.principal(principal) else {
        return guard::unauthenticated(Refused::Missing, true);
    };
    let media_type = media_type(&headers);
    let request = parameters
        .map_err(|error| ApiError::BadRequest(format!("the address has no parameters: {error}")))
        .and_then(|Query(parameters)| once_each(parameters))
        .and_then(|parameters| request::Request::of_parameters(parameters, |asked| shared.persisted.text(asked)));
    respond(&shared, request, &principal, media_type, headers.get(header::IF_NONE_MATCH)).await
}

fn once_each(parameters: Vec<(String, String)>) -> Result<Vec<(String, String)>, ApiError> {
    let mut seen = HashSet::new();
    match parameters.iter().find(|(name, _)| !seen.insert(name)) {
        Some((name, _)) => Err(ApiError::BadRequest(format!("{name}: expected it once"))),
        None => Ok(parameters),
    }
}

/// A request in the body, or a batch of them.
pub(super) async fn post(
    State(shared): State<Arc<Shared>>,
    principal: Option<Extension<Principal>>,
    request: Request<Body>,
) -> Response<Body> {
    let Some(principal) = shared.principal(principal) else {
        return guard::unauthenticated(Refused::Missing, true);
    };
    let media_type = media_type(request.headers());
    if !is_json(request.headers()) {
        let error = ApiError::BadRequest("the request's content type must be application/json".to_owned());
        return refused(error, StatusCode::UNSUPPORTED_MEDIA_TYPE, media_type);
    }
    let body = match body_of(request, &shared.api.options().limits).await {
        Ok(body) => body,
        Err((error, status)) => return refused(error, status, media_type),
    };
    let known = |asked| shared.persisted.text(asked);
    match serde_json::from_slice(&body) {
        Ok(Json::Array(requests)) => {
            let most = shared.api.options().limits.batch;
            if requests.len() > most {
                let error = exceeded("batch", most, requests.len());
                return refused(error, StatusCode::BAD_REQUEST, media_type);
            }
            let answers =
                join_all(requests.into_iter().map(async |request| match request::Request::parse(request, known) {
                    Ok(request) => shared.api.respond(request, &principal).await,
                    Err(error) => error.into(),
                }));
            answer(&answers.await, StatusCode::OK, media_type)
        }
        Ok(request) => respond(&shared, request::Request::parse(request, known), &principal, media_type, None).await,
        Err(error) => {
            let error = ApiError::BadRequest(format!("the request is not JSON: {}", shortened(&error.to_string())));
            refused(error, StatusCode::BAD_REQUEST, media_type)
        }
    }
}

/// Answers anything else.
pub(super) async fn wrong_method(method: Method) -> Response<Body> {
    let error = ApiError::BadRequest(format!("{method} is not taken here: send the request by POST"));
    allowing("GET, POST", refused(error, StatusCode::METHOD_NOT_ALLOWED, JSON_MEDIA_TYPE))
}

impl Shared {
    fn principal(&self, admitted: Option<Extension<Principal>>) -> Option<Principal> {
        admitted.map(|Extension(principal)| principal).or_else(|| self.anybody.clone())
    }
}

async fn respond(
    shared: &Shared,
    request: Result<request::Request, ApiError>,
    principal: &Principal,
    media_type: &'static str,
    known: Option<&HeaderValue>,
) -> Response<Body> {
    let responded = match request {
        Ok(request) => shared.api.respond_unless(request, principal, |tag| is_among(known, tag)).await,
        Err(error) => Responded::Answer(error.into()),
    };
    let response = match responded {
        Responded::Answer(response) => response,
        Responded::Known(tag) => {
            let mut unchanged = Response::new(Body::empty());
            *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
            return tagged(&tag, unchanged);
        }
    };
    let tag = response.entity_tag().map(str::to_owned);
    let answer = with_status(&response, media_type);
    match tag {
        Some(tag) => tagged(&tag, answer),
        None => answer,
    }
}

/// An answer that stays as it is, which whoever keeps it asks again about all the same: whether they still may read it.
fn tagged(tag: &str, mut answer: Response<Body>) -> Response<Body> {
    let headers = answer.headers_mut();
    headers.insert(header::ETAG, HeaderValue::try_from(tag).expect("a tag is ASCII"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept, authorization"));
    answer
}

/// Whether a tag is one of those in a header. Weakly, as `If-None-Match` compares.
fn is_among(known: Option<&HeaderValue>, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = known.and_then(|known| known.to_str().ok()).unwrap_or_default();
    known.trim() == "*" || known.split(',').any(|known| opaque(known) == opaque(tag))
}

fn with_status(response: &Answer, media_type: &'static str) -> Response<Body> {
    // In a media type of its own a refusal has a status of its own (GraphQL over HTTP); as plain JSON it is 200, for
    // clients that would look no further otherwise, but for what is no request.
    match response.refusal() {
        Some("METHOD_NOT_ALLOWED") => allowing("POST", answer(response, StatusCode::METHOD_NOT_ALLOWED, media_type)),
        Some("BAD_REQUEST") => answer(response, StatusCode::BAD_REQUEST, media_type),
        Some("FORBIDDEN" | "OPERATION_NOT_ALLOWED") if media_type == OWN_MEDIA_TYPE => {
            answer(response, StatusCode::FORBIDDEN, media_type)
        }
        Some(_) if media_type == OWN_MEDIA_TYPE => answer(response, StatusCode::BAD_REQUEST, media_type),
        _ => answer(response, StatusCode::OK, media_type),
    }
}

/// Reads a body, for as long as a request may take to be answered: whoever sends it byte by byte holds no more than that.
async fn body_of(request: Request<Body>, limits: &Limits) -> Result<Bytes, (ApiError, StatusCode)> {
    let Ok(read) = tokio::time::timeout(limits.timeout, Bytes::from_request(request, &())).await else {
        let limit_ms = limits.timeout.as_millis() as u64;
        return Err((ApiError::Timeout { limit_ms }, StatusCode::REQUEST_TIMEOUT));
    };
    read.map_err(|rejection| match rejection.status() {
        status @ StatusCode::PAYLOAD_TOO_LARGE => (exceeded("body_bytes", limits.body_bytes, "more"), status),
        _ => (ApiError::BadRequest("the request's body ended early".to_owned()), StatusCode::BAD_REQUEST),
    })
}

const OWN_MEDIA_TYPE: &str = "application/graphql-response+json; charset=utf-8";
/// What is answered in where the client does not say that it takes the other.
pub(super) const JSON_MEDIA_TYPE: &str = "application/json; charset=utf-8";

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

/// The answer to what is not run.
pub(super) fn refused(error: ApiError, status: StatusCode, media_type: &'static str) -> Response<Body> {
    answer(&Answer::from(error), status, media_type)
}

fn answer(response: &impl Serialize, status: StatusCode, media_type: &'static str) -> Response<Body> {
    let body = serde_json::to_vec(response).unwrap_or_else(|error| {
        let error = ApiError::internal("response", error);
        format!("{{\"errors\":[{{\"message\":\"{error}\",\"extensions\":{{\"code\":\"INTERNAL\"}}}}]}}").into_bytes()
    });
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

fn allowing(methods: &'static str, mut answer: Response<Body>) -> Response<Body> {
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    answer
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
