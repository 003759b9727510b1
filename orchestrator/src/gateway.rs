//! The session gateway: WebSocket `/session`, version 1 of the protocol.
//!
//! A viewer shows a read token and watches what it opens: one session, or the sandboxes that it names
//! and their sessions. It can't change anything. All it costs is a
//! connection and a position in the session's log; what it has not taken yet stays in the log.

mod admission;
mod authority;
mod connection;
mod frames;
mod guards;
mod heartbeat;
mod inbox;
mod outbox;
mod subscriptions;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    extract::{
        FromRef, Request, State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use sandbox_sdk::auth::{KeyError, ReadTokenVerifier, VerifierConfig};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{api::App, config::Tuning, error::ApiError, log::EventLog, metrics::GatewayFigures};
use admission::Admission;
pub(crate) use admission::{normal_origin, offered_token};

/// Largest message of a viewer.
const MAX_MESSAGE: usize = 64 * 1024;
/// What is read from a socket at once: viewers say little, and every connection holds such a buffer.
const READ_BUFFER: usize = 2 * 1024;
/// Frames are collected up to this size before they are written.
const WRITE_BUFFER: usize = 16 * 1024;
/// Most that may wait to be written: the largest event twice over, and its frame.
const MAX_WRITE_BUFFER: usize = 512 * 1024;

/// What all connections share. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Gateway(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    logs: EventLog,
    verifier: ReadTokenVerifier,
    origins: Vec<String>,
    tuning: Tuning,
    /// Names this process to viewers.
    instance: String,
    open: Arc<AtomicUsize>,
    /// Sockets that have yet to show a token.
    unadmitted: Arc<AtomicUsize>,
    figures: GatewayFigures,
    /// Cancelled when viewers should go once they have everything.
    draining: CancellationToken,
    /// Cancelled when they have to go at once.
    closing: CancellationToken,
    connections: TaskTracker,
}

/// A place among those that are counted, of which there are so many.
#[derive(Debug)]
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let before = taken.fetch_add(1, Ordering::Relaxed);
        let seat = Self(taken.clone());
        (before < most).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gateway {
    pub(crate) fn new(
        logs: EventLog,
        keys: VerifierConfig,
        origins: &[String],
        tuning: Tuning,
    ) -> Result<Self, KeyError> {
        let verifier = ReadTokenVerifier::new(keys)?;
        let origins = origins.iter().map(|origin| admission::normal_origin(origin)).collect();
        Ok(Self(Arc::new(Inner {
            logs,
            verifier,
            origins,
            tuning,
            instance: uuid::Uuid::now_v7().simple().to_string(),
            open: Arc::default(),
            unadmitted: Arc::default(),
            figures: GatewayFigures::default(),
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
            connections: TaskTracker::new(),
        })))
    }

    /// Cancelled when streams should end because the orchestrator goes away.
    pub(crate) fn draining(&self) -> CancellationToken {
        self.0.draining.clone()
    }

    /// Origins of pages that may come here, as browsers write them.
    pub(crate) fn origins(&self) -> &[String] {
        &self.0.origins
    }

    /// Viewers that are connected.
    pub(crate) fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// What was sent since the start.
    pub(crate) fn figures(&self) -> &GatewayFigures {
        &self.0.figures
    }

    /// Tells every viewer to come back later, after what the log holds already, and waits until they
    /// are gone.
    pub(crate) async fn shutdown(&self) {
        self.0.draining.cancel();
        self.0.connections.close();
        if timeout(outbox::FAREWELL, self.0.connections.wait()).await.is_err() {
            self.0.closing.cancel();
            self.0.connections.wait().await;
        }
    }

    /// For a viewer that was let in.
    fn seat(&self) -> Option<Seat> {
        Seat::take(&self.0.open, self.0.tuning.max_connections)
    }

    /// For somebody who has yet to say who they are: they take no viewer's seat.
    fn waiting_place(&self) -> Option<Seat> {
        Seat::take(&self.0.unadmitted, self.0.tuning.max_unadmitted)
    }
}

impl FromRef<Arc<App>> for Gateway {
    fn from_ref(app: &Arc<App>) -> Self {
        app.gateway.clone()
    }
}

/// `GET /session`
pub(crate) async fn upgrade(
    State(gateway): State<Gateway>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let admission = Admission::read(&gateway.0.origins, request.headers(), request.uri())?;
    let upgrade = upgrade.map_err(|_| {
        ApiError::invalid("This route takes WebSocket upgrades of version 13 only.")
    })?;
    let upgrade = upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER);
    let upgrade = match admission.subprotocol.clone() {
        Some(protocol) => upgrade.protocols([protocol]),
        None => upgrade,
    };
    Ok(upgrade.on_upgrade(move |socket| {
        let connections = gateway.0.connections.clone();
        connections.track_future(connection::serve(gateway, socket, admission))
    }))
}
