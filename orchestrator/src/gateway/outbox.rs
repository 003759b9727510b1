//! Writes to a viewer, who may be slow or gone.

use std::{future::Future, time::Duration};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures::{SinkExt, stream::SplitSink};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

use super::{
    frames::{self, Ending},
    guards::Guards,
};

/// How long a viewer is waited for that has to go.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

/// The writing half of a connection.
#[derive(Debug)]
pub(super) struct Outbox {
    sink: SplitSink<WebSocket, Message>,
    slow_limit: Duration,
}

impl Outbox {
    pub(super) fn new(sink: SplitSink<WebSocket, Message>, slow_limit: Duration) -> Self {
        Self { sink, slow_limit }
    }

    /// Writes messages and waits until the viewer's side has taken them, each in its time: a slow
    /// viewer stays as long as it takes something. Meanwhile the guards keep watch: a viewer that
    /// does not read must not stay longer than one that does.
    pub(super) async fn write(
        &mut self,
        guards: &Guards,
        messages: Vec<Message>,
    ) -> Result<(), Ending> {
        let (sink, limit) = (&mut self.sink, self.slow_limit);
        let writing = async {
            for message in messages {
                in_time(limit, sink.feed(message)).await?;
            }
            in_time(limit, sink.flush()).await
        };
        tokio::select! {
            biased;
            written = writing => written,
            ending = guards.breached() => Err(ending),
        }
    }

    /// Says why, closes, and lets go.
    pub(super) async fn close(mut self, ending: Ending) {
        let frame = CloseFrame { code: ending.close, reason: ending.reason.into() };
        let words = ending.frame.map(|frame| Message::text(frames::control(&frame)));
        let farewell = async {
            for message in words.into_iter().chain([Message::Close(Some(frame))]) {
                self.sink.feed(message).await?;
            }
            self.sink.flush().await
        };
        // Whether it arrives is the viewer's matter; the connection ends either way.
        drop(timeout(FAREWELL, farewell).await);
    }
}

async fn in_time(
    limit: Duration,
    writing: impl Future<Output = Result<(), axum::Error>>,
) -> Result<(), Ending> {
    match timeout(limit, writing).await {
        Ok(written) => written.map_err(failed),
        Err(_) => Err(Ending::slow()),
    }
}

fn failed(error: axum::Error) -> Ending {
    match error.into_inner().downcast_ref() {
        // No viewer can do anything about an event that no connection carries.
        Some(tungstenite::Error::WriteBufferFull(_)) => {
            tracing::error!("an event is larger than a connection carries");
            Ending::internal()
        }
        _ => Ending::gone(),
    }
}
