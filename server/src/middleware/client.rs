//! Finds out where a request comes from, for rate limits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use app::api::request::ClientAddress;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::AppState;

pub(crate) async fn client_address(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = state.web().proxies.client(peer(&request), request.headers());
    request.extensions_mut().insert(ClientAddress(client));
    next.run(request).await
}

/// Who has the other end of the connection. A request that came over no socket comes from this
/// process.
pub(super) fn peer(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |info| info.0.ip())
}
