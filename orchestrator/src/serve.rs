//! Accepts connections and hands them to the router, with bounds that `axum::serve` does not set.

use std::{pin::pin, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Time a client has to send the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);
/// Largest head of a request: the path, a token or two, and room.
const HEAD_LIMIT: usize = 32 * 1024;
/// Pause after a failed accept, which is mostly one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until cancelled; then takes no more connections and finishes requests under way.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    send_buffer: Option<u32>,
    closing: CancellationToken,
    connections: TaskTracker,
) {
    while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                tune(&stream, send_buffer);
                connections.spawn(connection(stream, router.clone(), closing.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, closing: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

fn tune(stream: &TcpStream, send_buffer: Option<u32>) {
    // A token of an answer must not wait for the next one.
    let small = send_buffer.map_or(Ok(()), |bytes| {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        rustix::net::sockopt::set_socket_send_buffer_size(stream, bytes).map_err(Into::into)
    });
    if let Err(error) = stream.set_nodelay(true).and(small) {
        tracing::debug!(%error, "socket options not set");
    }
}
