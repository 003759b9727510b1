use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandbox_sdk::types::WireFormat;
use serde_json::Value;

/// Tokens of one answer. The four never overlap, whatever the format says about its own numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Usage {
    /// Input that was neither read from nor written to the cache.
    pub input: u64,
    pub cache_read: u64,
    /// Always 0 in OpenAI's formats, which do not tell.
    pub cache_write: u64,
    /// Output, including reasoning.
    pub output: u64,
}

/// One `POST` that the server got, and what became of it.
#[derive(Clone)]
pub struct Recorded {
    /// Without the query.
    pub path: String,
    pub format: WireFormat,
    /// From `x-api-key`, or `authorization: Bearer`.
    pub key: Option<String>,
    /// `null` if it was not JSON.
    pub body: Value,
    /// Bytes of the body as it came.
    pub size: u64,
    /// HTTP status of the answer.
    pub status: u16,
    /// What the answer cost. While it is not complete: what of that has been told so far.
    pub usage: Usage,
    /// Bytes of text, thought and tool input that went out in a stream so far.
    pub written: u64,
    /// Whether the answer, good or bad, was sent to its end. Not so while it streams, nor after the
    /// connection was cut or the client left.
    pub complete: bool,
    /// The model that the request named; empty if none.
    pub model: String,
}

/// Without the key, and without the body, which fills the screen.
impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded")
            .field("path", &self.path)
            .field("format", &self.format)
            .field("model", &self.model)
            .field("status", &self.status)
            .field("usage", &self.usage)
            .field("written", &self.written)
            .field("complete", &self.complete)
            .finish_non_exhaustive()
    }
}

/// All requests, in the order of their arrival.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Recorded>>>);

impl Log {
    /// Adds a request and returns its handle.
    pub(crate) fn add(&self, request: Recorded) -> Entry {
        let mut requests = self.lock();
        requests.push(request);
        Entry { log: self.clone(), index: requests.len() - 1 }
    }

    pub(crate) fn all(&self) -> Vec<Recorded> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request in the log.
#[derive(Debug)]
pub(crate) struct Entry {
    log: Log,
    index: usize,
}

impl Entry {
    pub(crate) fn change(&self, change: impl FnOnce(&mut Recorded)) {
        if let Some(request) = self.log.lock().get_mut(self.index) {
            change(request);
        }
    }

    /// The answer has been sent to its end, at this cost.
    pub(crate) fn finish(&self, usage: Usage) {
        self.change(|request| {
            request.usage = usage;
            request.complete = true;
        });
    }
}
