//! Passes a browser's request on to a program in a sandbox, and its answer back.
//!
//! Both are hostile. Each message is read and written anew, with bounds; what belongs to a connection
//! stays with it.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header,
        uri::PathAndQuery,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{origin, page::Trouble};
use crate::{
    api::App,
    exchange, flow,
    sandboxes::{Lease, SandboxError},
    sidecar::SidecarError,
};

/// How long a program may take until its answer begins.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long neither side may say anything after that.
const IDLE: Duration = Duration::from_secs(600);

/// What a client says of others before it. Nobody here knows whether it is true.
const FORWARDED: [HeaderName; 7] = [
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-real-ip"),
];

/// What is held while a request is under way: the sandbox counts as used.
type Kept = (Lease, OwnedSemaphorePermit, Arc<super::Traffic>);

/// Takes requests for ports out of the way to the API, by their host alone.
pub(crate) async fn by_host(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match app.ports.preview.wanted(request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(named) => {
            let passed = match named {
                Ok(named) => pass(&app, &named, request).await,
                Err(_) => Err(Trouble::NoSuchPort),
            };
            passed.unwrap_or_else(IntoResponse::into_response)
        }
    }
}

async fn pass(app: &App, named: &super::Named, mut request: Request) -> Result<Response, Trouble> {
    // Taken before the port is looked up: one that is closed after that finds it and cuts it.
    let traffic = app.ports.traffic(named.key);
    let exposed = app.store.exposed_port(named.key).await;
    let exposed = exposed.map_err(|_| Trouble::NotRunning)?.ok_or(Trouble::NoSuchPort)?;
    if !app.ports.is_named(&exposed, named) {
        return Err(Trouble::NoSuchPort);
    }
    let place = traffic.places.clone().try_acquire_owned().map_err(|_| Trouble::TooMany)?;
    let lease = app.sandboxes.lease(&exposed.sandbox_id).await;
    let lease = lease.map_err(|error| match error {
        SandboxError::NotFound { .. } => Trouble::NoSuchPort,
        _ => Trouble::NotRunning,
    })?;
    let stream = lease.sidecar().dial(exposed.port).await.map_err(|error| match error {
        SidecarError::Refused { status: 404, .. } => Trouble::NobodyListens,
        SidecarError::Refused { .. } => Trouble::NoSuchPort,
        _ => Trouble::NotRunning,
    })?;
    let switch = protocol(&request).map(|protocol| (hyper::upgrade::on(&mut request), protocol));
    let (client, protocol) = switch.unzip();
    let request = outgoing(request, exposed.port, app.ports.preview.scheme(), protocol.as_ref());
    let cut = traffic.cut.clone();
    let request = request.map(|body| flow::body(body, IDLE, cut.clone(), ()));
    let sent = timeout(PATIENCE, exchange::upgrade(TokioIo::new(stream), request));
    let response = match cut.run_until_cancelled(sent).await {
        Some(Ok(Ok(response))) => response,
        Some(Ok(Err(_))) => return Err(Trouble::NoSense),
        Some(Err(_)) => return Err(Trouble::TooSlow),
        None => return Err(Trouble::NoSuchPort),
    };
    let kept = (lease, place, traffic);
    match (response.status(), client) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(client)) => {
            Ok(switched(response, exposed.port, client, cut, kept))
        }
        (status, _) if status.is_informational() => Err(Trouble::NoSense),
        _ => Ok(incoming(response.map(|body| flow::body(body, IDLE, cut, kept)), exposed.port)),
    }
}

/// The protocol that the client wants to switch to, if it does: a web socket.
fn protocol(request: &Request) -> Option<HeaderValue> {
    let asks = request.headers().get_all(header::CONNECTION).iter().any(|value| {
        let value = value.to_str().unwrap_or_default();
        value.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
    });
    let protocol = request.headers().get(header::UPGRADE).filter(|_| asks)?;
    let is_socket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    (is_socket && request.method() == Method::GET).then(|| protocol.clone())
}

/// The request as the program gets it: as if from the sandbox itself, because many answer nobody else.
fn outgoing(
    mut request: Request,
    port: u16,
    scheme: &str,
    protocol: Option<&HeaderValue>,
) -> Request {
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    flow::strip_hop_by_hop(headers);
    let host = headers.remove(header::HOST);
    for name in FORWARDED.iter() {
        headers.remove(name);
    }
    if let Some(host) = host {
        headers.insert(HeaderName::from_static("x-forwarded-host"), host);
    }
    if let Ok(scheme) = HeaderValue::from_str(scheme) {
        headers.insert(HeaderName::from_static("x-forwarded-proto"), scheme);
    }
    if let Ok(host) = HeaderValue::from_str(&format!("localhost:{port}")) {
        headers.insert(header::HOST, host);
    }
    if let Some(protocol) = protocol {
        switching(headers, protocol.clone());
    }
    request
}

fn incoming(mut response: http::Response<Body>, port: u16) -> Response {
    *response.version_mut() = Version::HTTP_11;
    let headers = response.headers_mut();
    flow::strip_hop_by_hop(headers);
    origin::keep_within(headers, port);
    // The name is a secret, and pages tell theirs to whoever they link to.
    if !headers.contains_key(header::REFERRER_POLICY) {
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    }
    response
}

/// Answers that the protocol is switched, and copies from then on.
fn switched(
    mut response: http::Response<hyper::body::Incoming>,
    port: u16,
    client: OnUpgrade,
    cut: CancellationToken,
    kept: Kept,
) -> Response {
    let program = hyper::upgrade::on(&mut response);
    tokio::spawn(async move {
        if let Ok((client, program)) = tokio::try_join!(client, program) {
            flow::tunnel(TokioIo::new(client), TokioIo::new(program), IDLE, &cut).await;
        }
        drop(kept);
    });
    let protocol = response.headers_mut().remove(header::UPGRADE);
    let mut response = incoming(response.map(|_| Body::empty()), port);
    if let Some(protocol) = protocol {
        switching(response.headers_mut(), protocol);
    }
    response
}

fn switching(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}
