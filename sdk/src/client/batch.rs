//! Batches: many tasks, each in a sandbox of its own.

use reqwest::Method;
use serde::de::DeserializeOwned;

use super::{Client, Error, SseEvent, Streamed, http::Call};
use crate::types::{BatchEvent, BatchRun};

impl Client {
    /// Runs many tasks and tells how each ended, in the order in which they end. The batch has ended
    /// well when [`BatchEvent::Completed`] came; a stream that ends without it was cut off. Dropping
    /// the stream ends all tasks. Never repeated.
    ///
    /// # Errors
    /// 400 for a batch without tasks or with too many, and for ids that are not told apart. Later
    /// failures are the stream's last item.
    pub async fn run_batch(&self, batch: &BatchRun) -> Result<Streamed<BatchEvent>, Error> {
        let call = Call::new(&self.inner.api, Method::POST, "/batch/run".into()).json(batch)?;
        let response = self.open(call).await?;
        Ok(Streamed::new(response, |frame| read(&frame)))
    }
}

/// `None`: an event that this version does not know.
fn read(frame: &SseEvent) -> Result<Option<BatchEvent>, Error> {
    Ok(Some(match frame.event.as_str() {
        "batch.started" => BatchEvent::Started(fields(frame)?),
        "task.completed" => BatchEvent::TaskCompleted(fields(frame)?),
        "task.failed" => BatchEvent::TaskFailed(fields(frame)?),
        "batch.completed" => BatchEvent::Completed(fields(frame)?),
        _ => return Ok(None),
    }))
}

fn fields<T: DeserializeOwned>(frame: &SseEvent) -> Result<T, Error> {
    serde_json::from_str(&frame.data)
        .map_err(|error| Error::Decode { context: "an event of a batch", source: Some(error) })
}
