//! Who calls, and from where.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::serve::refusal::Refusal;
use crate::serve::service::Service;

/// The client of a service without tokens.
pub(super) const LOCAL: &str = "local";

/// The client that a request comes from.
#[derive(Debug, Clone)]
pub(super) struct Client(pub(super) String);

impl FromRequestParts<Arc<Service>> for Client {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Refusal> {
        let Some(tokens) = &service.settings.tokens else { return Ok(Self(LOCAL.into())) };
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        token.and_then(|token| tokens.client(token)).map(|name| Self(name.into())).ok_or_else(Refusal::unauthorized)
    }
}

/// Refuses what other web pages send to a service without tokens. A page anywhere can make its visitor's browser call a service on
/// the same machine; a token would stop it, and without one the names of host and origin do.
pub(super) async fn own_pages_alone(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if service.settings.tokens.is_none() && !is_own(request.headers()) {
        return Err(Refusal::forbidden("this service answers its own page and programs on this machine alone"));
    }
    Ok(next.run(request).await)
}

fn is_own(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(header::HOST);
    let is_loopback = |host: &str| {
        let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let name = name.map_or(host, |(name, _)| name);
        name.eq_ignore_ascii_case("localhost") || name == "[::1]" || is_loopback_v4(name)
    };
    let same = |origin: &str| origin.split_once("://").is_some_and(|(_, origin)| Some(origin) == host);
    host.is_none_or(is_loopback) && text(header::ORIGIN).is_none_or(same)
}

fn is_loopback_v4(name: &str) -> bool {
    name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn only_loopback_names_and_the_same_origin_pass() {
        let own = |host: Option<&'static str>, origin: Option<&'static str>| {
            let given = [(header::HOST, host), (header::ORIGIN, origin)];
            let header = |(name, value): (HeaderName, Option<&'static str>)| Some((name, value?.parse().unwrap()));
            is_own(&given.into_iter().filter_map(header).collect())
        };
        for host in ["127.0.0.1:7878", "localhost:7878", "LOCALHOST", "[::1]:7878", "[::1]", "127.1.2.3"] {
            assert!(own(Some(host), None), "{host}");
        }
        for host in ["example.org", "example.org:7878", "127.0.0.1.example.org", "10.0.0.1:7878", ""] {
            assert!(!own(Some(host), None), "{host}");
        }
        assert!(own(None, None) && own(Some("localhost:7878"), Some("http://localhost:7878")));
        for origin in ["http://example.org", "http://localhost:1", "null"] {
            assert!(!own(Some("localhost:7878"), Some(origin)), "{origin}");
        }
    }
}
