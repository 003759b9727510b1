//! The way from outside to a port on the sandbox's loopback: a connection to the sidecar that
//! becomes one to the port.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Path, Request},
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, UPGRADE},
    },
    response::Response,
};
use hyper_util::rt::TokioIo;
use sandbox_sdk::types::ErrorCode;
use tokio::{io::copy_bidirectional, net::TcpStream, time::timeout};

use super::{PROXY_PORT, api::Problem};

/// Where the sidecar takes such connections; the port follows.
pub(crate) const PORTS_PATH: &str = "/ports/";
/// What the connection becomes.
pub(crate) const RAW: &str = "tcp";
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Ports that the sidecar itself listens on. They lead out of the sandbox, and nobody outside gets in
/// by them.
static OWN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Marks a port as the sidecar's own, for as long as it runs.
pub(super) fn keep_closed(port: u16) {
    OWN.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
}

fn is_own(port: u16) -> bool {
    port == PROXY_PORT || OWN.lock().unwrap_or_else(PoisonError::into_inner).contains(&port)
}

/// Connects to the port and becomes that connection.
pub(super) async fn open(Path(port): Path<u16>, mut request: Request) -> Result<Response, Problem> {
    if is_own(port) {
        return Err(Problem::new(
            ErrorCode::Forbidden,
            format!("port {port} is the sidecar's own"),
        ));
    }
    if request.headers().get(UPGRADE).is_none_or(|protocol| protocol != RAW) {
        return Err(Problem::invalid("this becomes a raw connection, which was not asked for"));
    }
    let mut stream = connect(port).await.map_err(|_| {
        let words = format!("nothing listens on port {port}");
        Problem::not_found("port", &port.to_string(), words)
    })?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // Either side may break off at any time.
            copy_bidirectional(&mut TokioIo::new(upgraded), &mut stream).await.ok();
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(RAW));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    Ok(response)
}

/// Some programs listen on one of the two only.
async fn connect(port: u16) -> io::Result<TcpStream> {
    let to = async |address: IpAddr| {
        let connected = timeout(CONNECT_PATIENCE, TcpStream::connect((address, port))).await;
        connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    };
    match to(Ipv4Addr::LOCALHOST.into()).await {
        Ok(stream) => Ok(stream),
        Err(_) => to(Ipv6Addr::LOCALHOST.into()).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn opened(port: u16) -> Result<StatusCode, u16> {
        let request =
            axum::http::Request::builder().header(UPGRADE, RAW).body(Body::empty()).unwrap();
        let answer = open(Path(port), request).await;
        answer.map(|answer| answer.status()).map_err(|problem| problem.code.status())
    }

    #[tokio::test]
    async fn a_port_is_opened_unless_it_is_the_sidecars_own_or_nobody_listens() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(opened(port).await, Ok(StatusCode::SWITCHING_PROTOCOLS));
        // As the way to the models does.
        keep_closed(port);
        assert_eq!(opened(port).await, Err(403));
        assert_eq!(opened(PROXY_PORT).await, Err(403));
        drop(listener);
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        assert_eq!(opened(free.port()).await, Err(404));
        assert!(open(Path(port), Request::new(Body::empty())).await.is_err());
    }
}
