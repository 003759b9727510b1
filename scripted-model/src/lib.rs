//! A model server for tests: the prompt says what it answers.
//!
//! It speaks the three formats that agents speak, streamed and whole, with the events, the usage and
//! the errors of the real ones, so that real clients can be tested end to end without a network.
//! Nothing in it is random.
//!
//! # The script
//!
//! The newest text of the user is the script. Directives stand anywhere in it; other words are
//! ignored. Text that a client wraps in tags (`<system-reminder>…</system-reminder>`) is not read.
//!
//! | directive | what it does |
//! |---|---|
//! | `RUN[command]` | calls the request's shell tool, whatever its name; several are called in parallel |
//! | `CALL[tool {"json": "arguments"}]` | calls any tool; what is not JSON is sent as it is |
//! | `STEPS[n]` | n rounds of one call each, taking the `RUN`s and `CALL`s in turn |
//! | `SAY[text]` | says so |
//! | `LONG[n]` | says n words |
//! | `THINK[text]` | reasons, in the format's own way |
//! | `SLOW[ms]` | waits before each delta |
//! | `USAGE[in,out]`, `USAGE[in,out,cache_read]`, `USAGE[in,out,cache_read,cache_write]` | what each answer of the turn costs; `in` is without the cached |
//! | `FAIL[status]`, `FAIL[529x2]` | fails with that HTTP status, always or so many times; a 401 quotes the key |
//! | `DROP[n]`, `DROP[nx2]`, `DROP` | cuts the connection of a stream after n deltas (3) |
//! | `TRUNCATE[n]`, `TRUNCATE[nx2]` | ends a stream after n deltas as if that were all, without the format's own end |
//! | `MALFORMED`, `MALFORMED[2]` | a piece of broken JSON in the stream, or for an answer |
//!
//! A turn with calls has several answers. What stands before the last call belongs to the first of
//! them, with the calls: `SAY[I look.] RUN[ls] SAY[Done.]`, `FAIL[529x2] RUN[ls]`. What stands after
//! it belongs to the last, when the results are there: `RUN[ls] FAIL[402]`. `SLOW` and `USAGE` hold
//! for the whole turn. An answer that is told nothing is a fixed text, as is the title that a client
//! asks for by itself.
//!
//! "So many times" is counted for a key, a format and a conversation, and starts again once an answer passed.
//! Without `USAGE` each request costs something else, never more output than it asks for.
//!
//! A key that starts with `wrong` is refused (401), a model whose name starts with `missing` does
//! not exist (404); any other key, or none, and any other name will do.

mod answer;
mod faults;
mod playback;
mod recorded;
mod request;
mod script;
mod server;
mod tools;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use recorded::{Recorded, Usage};
pub use sandbox_sdk::types::WireFormat;

use recorded::Log;
use server::Server;

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
        let router = Server::new(log.clone(), stopped.clone()).router();
        let serving =
            axum::serve(listener, router).with_graceful_shutdown(stopped.clone().cancelled_owned());
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
