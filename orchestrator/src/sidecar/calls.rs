//! How a sandbox is reached that cannot be handed a listening socket: it calls.
//!
//! The orchestrator listens at a socket that the sandbox sees, the door. The sidecar connects to it,
//! says the key that only it was given, and then what the connection is for: one is its lifeline, and a
//! few wait to be used for a request. A connection that waits is told to go before it is used.

use std::{io, sync::Arc};

use tokio::{
    io::AsyncWriteExt,
    net::UnixStream,
    sync::{Mutex, mpsc},
};

/// The door, inside.
pub(crate) const DOOR_SOCKET: &str = "/opt/skein/door.sock";
/// Brings the key in the environment of the container's first program, until that starts itself again.
pub(crate) const KEY_VARIABLE: &str = "SKEIN_SIDECAR_KEY";
/// Characters of a key.
pub(crate) const KEY_LENGTH: usize = 64;
/// What follows the key: over this connection the sidecar is told what it is to be, and says what it
/// found; either side is gone when it breaks.
pub(crate) const LIFELINE: u8 = b'L';
/// This connection waits for a request …
pub(crate) const WAITING: u8 = b'W';
/// … until the orchestrator says so.
pub(crate) const GO: u8 = b'G';
/// Longest text over the lifeline.
pub(crate) const MAX_TEXT: u32 = 1 << 20;
/// Connections that wait.
pub(crate) const WAITING_AT_ONCE: usize = 4;

/// The connections that wait, on the orchestrator's side. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Calls(Arc<Mutex<mpsc::Receiver<UnixStream>>>);

impl Calls {
    /// Where connections are put that wait, and where they are taken.
    pub(crate) fn channel() -> (mpsc::Sender<UnixStream>, Self) {
        let (sender, receiver) = mpsc::channel(4 * WAITING_AT_ONCE);
        (sender, Self(Arc::new(Mutex::new(receiver))))
    }

    /// One of them, in the order of asking; fails when no more will come.
    pub(crate) async fn take(&self) -> io::Result<UnixStream> {
        loop {
            let waiting = self.0.lock().await.recv().await;
            let mut stream = waiting.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
            // One that was given up meanwhile is followed by another.
            if stream.write_all(&[GO]).await.is_ok() {
                return Ok(stream);
            }
        }
    }
}
