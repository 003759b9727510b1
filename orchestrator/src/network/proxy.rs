//! HTTP/1.1 as a proxy speaks it: `CONNECT`, and requests whose target is a whole URL.
//!
//! Who asks is inside a sandbox, and who answers may be anybody. Each request is read and written
//! anew, so that nobody can hide a second one in it.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
    uri::{PathAndQuery, Scheme},
};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    gate::{Gate, Pass},
    policy::Target,
    reach::{self, Names, Unreached},
};
use crate::{exchange, flow};

/// How long neither side of a connection may say anything.
const IDLE: Duration = Duration::from_secs(600);

/// One sandbox's proxy. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub(super) gate: Arc<Gate>,
    pub(super) names: Names,
    /// Places for connections, of all sandboxes together.
    pub(super) places: Arc<Semaphore>,
}

/// What a request holds while it is under way.
type Places = (Arc<OwnedSemaphorePermit>, OwnedSemaphorePermit);

struct Refusal(StatusCode, String);

impl Proxy {
    pub(super) async fn answer(
        self,
        request: Request<Incoming>,
        place: Arc<OwnedSemaphorePermit>,
    ) -> Response<Body> {
        self.pass(request, place).await.unwrap_or_else(|Refusal(status, words)| {
            let mut response = Response::new(Body::from(words + "\n"));
            *response.status_mut() = status;
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, text);
            response
        })
    }

    async fn pass(
        &self,
        request: Request<Incoming>,
        place: Arc<OwnedSemaphorePermit>,
    ) -> Result<Response<Body>, Refusal> {
        let Ok(room) = self.places.clone().try_acquire_owned() else {
            let words = "Too many connections are open. Try again later.".to_owned();
            return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, words));
        };
        if request.method() == Method::CONNECT {
            self.connect(request, (place, room)).await
        } else {
            self.forward(request, (place, room)).await
        }
    }

    async fn connect(
        &self,
        request: Request<Incoming>,
        places: Places,
    ) -> Result<Response<Body>, Refusal> {
        let target =
            request.uri().authority().and_then(|place| Target::parse(place.as_str(), None));
        let target = target.ok_or_else(|| invalid("CONNECT needs a host and a port."))?;
        let (stream, pass) = self.reach(&target).await?;
        tokio::spawn(async move {
            match hyper::upgrade::on(request).await {
                Ok(upgraded) => {
                    flow::tunnel(TokioIo::new(upgraded), stream, IDLE, &pass.cut).await;
                }
                Err(error) => tracing::debug!(%error, "a tunnel was not begun"),
            }
            drop((pass, places));
        });
        Ok(Response::new(Body::empty()))
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        places: Places,
    ) -> Result<Response<Body>, Refusal> {
        let (mut parts, body) = request.into_parts();
        let authority = match (parts.uri.scheme(), parts.uri.authority()) {
            (Some(scheme), Some(authority)) if *scheme == Scheme::HTTP => authority.clone(),
            (Some(_), _) => return Err(invalid("Only http is passed on; for https use CONNECT.")),
            _ => return Err(invalid("This is a proxy: it takes requests for whole URLs.")),
        };
        let target = Target::parse(authority.as_str(), Some(80));
        let target = target.ok_or_else(|| invalid("The URL's host is not valid."))?;
        if !is_host(&parts.headers, &target) {
            return Err(invalid("Host is not the host of the URL."));
        }
        let host = HeaderValue::from_str(authority.as_str());
        let host = host.map_err(|_| invalid("The URL's host is not valid."))?;
        flow::strip_hop_by_hop(&mut parts.headers);
        parts.headers.insert(header::HOST, host);
        parts.version = Version::HTTP_11;
        let path = parts.uri.path_and_query().cloned();
        parts.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));

        let (stream, pass) = self.reach(&target).await?;
        let cut = pass.cut.clone();
        let body = flow::body(body, IDLE, cut.clone(), ());
        let sent = timeout(IDLE, exchange::send(stream, Request::from_parts(parts, body)));
        let failed = || {
            let words = format!("{} does not answer as it should.", target.host);
            Refusal(StatusCode::BAD_GATEWAY, words)
        };
        let response = match cut.run_until_cancelled(sent).await {
            Some(Ok(Ok(response))) if !response.status().is_informational() => response,
            _ => return Err(failed()),
        };
        let (mut parts, body) = response.into_parts();
        flow::strip_hop_by_hop(&mut parts.headers);
        parts.version = Version::HTTP_11;
        Ok(Response::from_parts(parts, flow::body(body, IDLE, cut, (pass, places))))
    }

    /// A connection to the place, which ends when it is not permitted any more.
    async fn reach(&self, target: &Target) -> Result<(TcpStream, Pass), Refusal> {
        let policy = self.gate.policy();
        let reached = reach::connect(&policy, &self.names, target).await;
        let (stream, address) = reached.map_err(|unreached| match unreached {
            Unreached::Forbidden(words) => {
                tracing::debug!(host = %target.host, "a sandbox may not reach this");
                Refusal(StatusCode::FORBIDDEN, words)
            }
            Unreached::Failed(words) => Refusal(StatusCode::BAD_GATEWAY, words),
        })?;
        // It may have been forbidden since.
        let pass = self.gate.admit(target, address.ip()).ok_or_else(|| {
            let words = format!("{} may not be reached any more.", target.host);
            Refusal(StatusCode::FORBIDDEN, words)
        })?;
        Ok((stream, pass))
    }
}

/// Whether the request names no other host beside that of its URL.
fn is_host(headers: &HeaderMap, target: &Target) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => true,
        (Some(host), None) => {
            let host = host.to_str().ok().and_then(|host| Target::parse(host, Some(80)));
            host.as_ref() == Some(target)
        }
        (Some(_), Some(_)) => false,
    }
}

fn invalid(words: &str) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, words.to_owned())
}
