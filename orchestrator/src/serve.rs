//! Accepts connections and hands them to the router, with bounds that `axum::serve` does not set.

mod patient;
#[cfg(test)]
mod tests;

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::config::Tuning;
use patient::Patient;

/// Time a client has to send the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);
/// Largest head of a request: the path, a token or two, and room.
const HEAD_LIMIT: usize = 32 * 1024;
/// Pause after a failed accept, which is mostly one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How serving ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    /// No more connections; requests under way are finished.
    pub(crate) closing: CancellationToken,
    /// What is still under way is dropped.
    pub(crate) abandoning: CancellationToken,
}

/// Serves until cancelled.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tuning: Tuning,
    ends: Ends,
    connections: TaskTracker,
) {
    let places = Arc::new(Semaphore::new(tuning.max_http));
    // Twice what a viewer has: the gateway, which can say why, comes first.
    let patience = tuning.slow_reader_limit.saturating_mul(2);
    while let Some(accepted) = ends.closing.run_until_cancelled(next(&listener, &places)).await {
        match accepted {
            Ok((stream, place)) => {
                tune(&stream, tuning.socket_send_buffer);
                let (router, ends) = (router.clone(), ends.clone());
                connections.spawn(async move {
                    connection(Patient::new(stream, patience), router, ends).await;
                    // A socket that was handed to the gateway is counted there.
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The next connection. Those beyond the most wait where the kernel keeps them.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn connection(stream: Patient, router: Router, ends: Ends) {
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
        () = ends.closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match ends.abandoning.run_until_cancelled(connection).await {
                Some(served) => served,
                None => return,
            }
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
