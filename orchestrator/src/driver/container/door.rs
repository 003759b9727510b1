//! The socket that a container's sidecar calls at.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use subtle::ConstantTimeEq;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    door,
    sidecar::calls::{Calls, KEY_LENGTH, LIFELINE, MAX_TEXT, WAITING},
};

/// Name of the socket in the sandbox's run folder on the host.
pub(super) const SOCKET: &str = "door.sock";
/// Whoever is inside can connect. So many may be about to say the key …
const MAX_STRANGERS: usize = 32;
/// … for so long.
const PATIENCE: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A door that is open. Dropping it closes it; the lifeline, once taken, is its owner's.
#[derive(Debug)]
pub(super) struct Door {
    calls: Calls,
    lifeline: oneshot::Receiver<UnixStream>,
    _closing: DropGuard,
}

/// Where those go who said the key.
struct Known {
    key: String,
    lifeline: Mutex<Option<oneshot::Sender<UnixStream>>>,
    waiting: mpsc::Sender<UnixStream>,
}

impl Door {
    /// Opens the door of the sandbox with this folder to whoever knows the key.
    pub(super) fn open(root: &Path, key: &str) -> io::Result<Self> {
        let listener = door::listen(root, SOCKET)?;
        let (waiting, calls) = Calls::channel();
        let (sender, lifeline) = oneshot::channel();
        let lifelines = Mutex::new(Some(sender));
        let known = Arc::new(Known { key: key.to_owned(), lifeline: lifelines, waiting });
        let closing = CancellationToken::new();
        tokio::spawn(closing.clone().run_until_cancelled_owned(listen(listener, known)));
        Ok(Self { calls, lifeline, _closing: closing.drop_guard() })
    }

    /// The connections that wait to be used.
    pub(super) fn calls(&self) -> Calls {
        self.calls.clone()
    }

    /// The first call of the sidecar.
    pub(super) async fn lifeline(&mut self) -> io::Result<Lifeline> {
        let stream = (&mut self.lifeline).await;
        stream.map(Lifeline).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

async fn listen(listener: UnixListener, known: Arc<Known>) {
    let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
    loop {
        let Ok(place) = strangers.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let known = known.clone();
                tokio::spawn(async move {
                    let greeted = timeout(PATIENCE, greet(stream, &known)).await;
                    if !matches!(greeted, Ok(Ok(()))) {
                        tracing::debug!("a stranger called at a container's door");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "call of a container not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Hears what the call is for. Whoever does not say the key is hung up on.
async fn greet(mut stream: UnixStream, known: &Known) -> io::Result<()> {
    let mut key = [0; KEY_LENGTH];
    stream.read_exact(&mut key).await?;
    let wanted = stream.read_u8().await?;
    if !bool::from(key.ct_eq(known.key.as_bytes())) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    match wanted {
        LIFELINE => {
            let lifeline = known.lifeline.lock().unwrap_or_else(PoisonError::into_inner).take();
            let lifeline = lifeline.ok_or(io::ErrorKind::AlreadyExists)?;
            lifeline.send(stream).map_err(|_| io::ErrorKind::BrokenPipe.into())
        }
        // More than can wait are not needed.
        WAITING => known.waiting.try_send(stream).map_err(io::Error::other),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The connection that breaks when the sidecar is gone.
#[derive(Debug)]
pub(super) struct Lifeline(UnixStream);

impl Lifeline {
    /// Says something, its length before it.
    pub(super) async fn tell(&mut self, text: &[u8]) -> io::Result<()> {
        let length = u32::try_from(text.len()).ok().filter(|length| *length <= MAX_TEXT);
        self.0.write_u32(length.ok_or(io::ErrorKind::FileTooLarge)?).await?;
        self.0.write_all(text).await
    }

    pub(super) async fn hear(&mut self) -> io::Result<Vec<u8>> {
        let length = self.0.read_u32().await?;
        if length > MAX_TEXT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut text = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.0.read_exact(&mut text).await?;
        Ok(text)
    }

    /// Ends when the sidecar is gone: it says nothing more.
    pub(super) async fn broken(&mut self) {
        self.0.read_u8().await.ok();
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    async fn call(root: &TempDir, key: &str, wanted: u8) -> UnixStream {
        let mut stream = UnixStream::connect(root.path().join("run").join(SOCKET)).await.unwrap();
        stream.write_all(key.as_bytes()).await.unwrap();
        stream.write_u8(wanted).await.unwrap();
        stream
    }

    async fn is_hung_up(mut stream: UnixStream) -> bool {
        timeout(4 * PATIENCE, stream.read_u8()).await.is_ok_and(|read| read.is_err())
    }

    #[tokio::test]
    async fn only_who_knows_the_key_is_let_in() {
        let root = TempDir::new().unwrap();
        let mut door = Door::open(root.path(), KEY).unwrap();
        let wrong = KEY.replace('0', "1");
        assert!(is_hung_up(call(&root, &wrong, LIFELINE).await).await);
        assert!(is_hung_up(call(&root, &wrong, WAITING).await).await);
        assert!(is_hung_up(call(&root, KEY, b'?').await).await);
        let mut inside = call(&root, KEY, LIFELINE).await;
        let mut lifeline = door.lifeline().await.unwrap();
        lifeline.tell(b"be").await.unwrap();
        let mut heard = [0; 6];
        inside.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"\0\0\0\x02be");
        // There is one lifeline only.
        assert!(is_hung_up(call(&root, KEY, LIFELINE).await).await);
        drop(inside);
        lifeline.broken().await;
    }

    #[tokio::test]
    async fn a_connection_that_waits_is_told_to_go_and_one_that_is_gone_is_passed_over() {
        let root = TempDir::new().unwrap();
        let door = Door::open(root.path(), KEY).unwrap();
        let gone = call(&root, KEY, WAITING).await;
        drop(gone);
        let mut inside = call(&root, KEY, WAITING).await;
        let calls = door.calls();
        let mut outside = calls.take().await.unwrap();
        // The kernel may have taken the word to go for the one that is gone: then there is no other.
        if outside.write_all(b"x").await.is_err() {
            outside = calls.take().await.unwrap();
            outside.write_all(b"x").await.unwrap();
        }
        let mut heard = [0; 2];
        inside.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"Gx");
        drop(door);
        assert!(calls.take().await.is_err());
    }

    #[tokio::test]
    async fn strangers_who_say_nothing_do_not_keep_the_sidecar_out() {
        let root = TempDir::new().unwrap();
        let mut door = Door::open(root.path(), KEY).unwrap();
        let mut silent = Vec::new();
        for _ in 0..MAX_STRANGERS {
            silent.push(UnixStream::connect(root.path().join("run").join(SOCKET)).await.unwrap());
        }
        let _inside = call(&root, KEY, LIFELINE).await;
        door.lifeline().await.unwrap();
    }
}
