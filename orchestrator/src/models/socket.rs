//! The gateway's door in a sandbox: a Unix socket that no other sandbox has.

use std::{io, path::Path, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::sleep,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{ModelGateway, routes};
use crate::door;

/// Connections that a sandbox may have at once.
const MAX_CONNECTIONS: usize = 64;
/// Bytes of requests that a sandbox may have in memory at once.
const MAX_BUFFERED: usize = 2 * routes::MAX_BODY;
/// Time a client has to send the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);
const HEAD_LIMIT: usize = 64 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A door that is open. Dropping it closes it, and whatever goes through it.
#[derive(Debug)]
pub(crate) struct ModelSocket {
    _closing: DropGuard,
}

impl ModelGateway {
    /// Opens the sandbox's door. What comes through it may use the tokens of that sandbox only.
    pub(crate) fn listen(&self, sandbox_id: &str, root: &Path) -> io::Result<ModelSocket> {
        let listener = door::listen(root, door::MODELS)?;
        let closing = CancellationToken::new();
        let door = routes::Door {
            gateway: self.clone(),
            sandbox_id: sandbox_id.into(),
            memory: Arc::new(Semaphore::new(MAX_BUFFERED)),
        };
        tokio::spawn(serve(listener, routes::router(door), closing.clone()));
        Ok(ModelSocket { _closing: closing.drop_guard() })
    }
}

async fn serve(listener: UnixListener, router: Router, closing: CancellationToken) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let accept = async || {
        let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
        listener.accept().await.map(|(stream, _)| (stream, permit))
    };
    while let Some(accepted) = closing.run_until_cancelled(accept()).await {
        match accepted {
            Ok((stream, permit)) => {
                let connection = connection(stream, router.clone(), closing.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "connection to the model gateway not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, router: Router, closing: CancellationToken) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Some(Err(error)) = closing.run_until_cancelled(served).await {
        tracing::debug!(%error, "connection to the model gateway ended");
    }
}
