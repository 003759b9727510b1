//! Writes to a viewer, who may be slow or gone.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures::{SinkExt, stream::SplitSink};
use tokio::time::timeout;

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

    /// Writes messages and waits until the viewer's side has taken them. Meanwhile the guards keep
    /// watch: a viewer that does not read must not stay longer than one that does.
    pub(super) async fn write(
        &mut self,
        guards: &Guards,
        messages: Vec<Message>,
    ) -> Result<(), Ending> {
        let sink = &mut self.sink;
        let writing = async {
            for message in messages {
                sink.feed(message).await?;
            }
            sink.flush().await
        };
        tokio::select! {
            biased;
            written = timeout(self.slow_limit, writing) => match written {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(Ending::gone()),
                Err(_) => Err(Ending::slow()),
            },
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
