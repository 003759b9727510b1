//! A model server for tests: the prompt says what it answers.

mod recorded;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use recorded::{Recorded, Usage};
pub use sandbox_sdk::types::WireFormat;

use recorded::Log;

/// A running server. It stops when this is dropped, cutting the answers that still stream.
#[derive(Debug)]
pub struct ScriptedModel {
    address: SocketAddr,
    log: Log,
    stopped: CancellationToken,
}

impl ScriptedModel {
    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let log = Log::default();
        let stopped = CancellationToken::new();
        let router = Router::new().route("/", get(|| async { "scripted model" }));
        let serving = axum::serve(listener, router)
            .with_graceful_shutdown(stopped.clone().cancelled_owned());
        tokio::spawn(async move { serving.await });
        Ok(Self { address, log, stopped })
    }

    /// `http://127.0.0.1:<port>`, without `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every `POST` so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        self.log.all()
    }
}

impl Drop for ScriptedModel {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}
