//! One sandbox's door to the network: a Unix socket with the proxy behind it.

use std::{convert::Infallible, io, path::Path, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Networks, Policy, gate::Gate, proxy::Proxy, reach::Names};
use crate::door;

/// Connections that a sandbox may have at once.
const MAX_CONNECTIONS: usize = 128;
/// Time a client has to send the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);
const HEAD_LIMIT: usize = 64 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A door that is open. What goes through it ends with [`close`](Self::close).
#[derive(Clone, Debug)]
pub(crate) struct NetworkDoor {
    gate: Arc<Gate>,
    closing: CancellationToken,
    _guard: Arc<DropGuard>,
}

impl Networks {
    /// Opens the sandbox's door, also of one that may reach nothing: it may later.
    pub(crate) fn listen(&self, root: &Path, policy: Policy) -> io::Result<NetworkDoor> {
        let listener = door::listen(root, door::NETWORK)?;
        let closing = CancellationToken::new();
        let gate = Arc::new(Gate::new(policy));
        let names = Names::new(self.look_ups.clone());
        let proxy = Proxy { gate: gate.clone(), names, places: self.places.clone() };
        tokio::spawn(serve(listener, proxy, closing.clone()));
        let guard = Arc::new(closing.clone().drop_guard());
        Ok(NetworkDoor { gate, closing, _guard: guard })
    }
}

impl NetworkDoor {
    /// Holds for new connections at once; those that it does not permit are cut.
    pub(crate) fn set(&self, policy: Policy) {
        self.gate.set(policy);
    }

    /// Ends what goes through, whoever else still holds the door.
    pub(crate) fn close(self) {
        self.closing.cancel();
        self.gate.close();
    }
}

async fn serve(listener: UnixListener, proxy: Proxy, closing: CancellationToken) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let accept = async || -> io::Result<_> {
        let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, _) = listener.accept().await?;
        Ok((stream, Arc::new(permit)))
    };
    while let Some(accepted) = closing.run_until_cancelled(accept()).await {
        match accepted {
            Ok((stream, place)) => {
                tokio::spawn(connection(stream, proxy.clone(), place, closing.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "connection to a sandbox's proxy not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: UnixStream,
    proxy: Proxy,
    place: Arc<OwnedSemaphorePermit>,
    closing: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        // A tunnel outlives the connection it began as, and keeps its place.
        let (proxy, place) = (proxy.clone(), place.clone());
        async move { Ok::<_, Infallible>(proxy.answer(request, place).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Some(Err(error)) = closing.run_until_cancelled(served).await {
        tracing::debug!(%error, "connection to a sandbox's proxy ended");
    }
}
