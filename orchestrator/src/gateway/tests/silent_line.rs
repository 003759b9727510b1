//! A line that falls silent: what goes in comes out no more, and nobody is told.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// Which way nothing passes any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Silence {
    /// To the gateway.
    pub(super) up: bool,
    /// To the viewer.
    pub(super) down: bool,
}

/// Carries connections to the gateway. Those that are there when it falls silent stay so; later ones
/// are carried as before.
pub(super) struct SilentLine {
    address: SocketAddr,
    /// One for each connection.
    connections: Arc<Mutex<Vec<watch::Sender<Silence>>>>,
    withheld: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl SilentLine {
    /// `gateway`: `ws://host:port/path`.
    pub(super) async fn to(gateway: &str) -> Self {
        let target = gateway.strip_prefix("ws://").unwrap();
        let target: SocketAddr = target.split_once('/').unwrap().0.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections: Arc<Mutex<Vec<watch::Sender<Silence>>>> = Arc::default();
        let withheld: Arc<AtomicUsize> = Arc::default();
        let accepting = tokio::spawn({
            let (connections, withheld) = (connections.clone(), withheld.clone());
            async move {
                loop {
                    let (viewer, _) = listener.accept().await.unwrap();
                    let gateway = TcpStream::connect(target).await.unwrap();
                    let (silence, watched) = watch::channel(Silence::default());
                    let (from_viewer, to_viewer) = viewer.into_split();
                    let (from_gateway, to_gateway) = gateway.into_split();
                    let up = |silence: Silence| silence.up;
                    let down = |silence: Silence| silence.down;
                    let (above, counted) = (watched.clone(), withheld.clone());
                    // Before anything passes, so that whoever was served falls silent as well.
                    connections.lock().unwrap().push(silence);
                    tokio::spawn(carry(from_viewer, to_gateway, above, up, counted));
                    let counted = withheld.clone();
                    tokio::spawn(carry(from_gateway, to_viewer, watched, down, counted));
                }
            }
        });
        Self { address, connections, withheld, accepting }
    }

    /// Where viewers find the gateway.
    pub(super) fn url(&self) -> String {
        format!("ws://{}/session", self.address)
    }

    pub(super) fn fall(&self, silence: Silence) {
        for connection in &*self.connections.lock().unwrap() {
            connection.send_replace(silence);
        }
    }

    /// Connections that were made.
    pub(super) fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }

    /// Bytes that did not get through.
    pub(super) fn withheld(&self) -> usize {
        self.withheld.load(Relaxed)
    }
}

impl Drop for SilentLine {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries until one side ends. In silence it takes what comes, as a network does that loses it, and
/// the ends of the connection are lost as well.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    silence: watch::Receiver<Silence>,
    is_meant: fn(Silence) -> bool,
    withheld: Arc<AtomicUsize>,
) {
    let mut buffer = vec![0; 4096];
    loop {
        let read = from.read(&mut buffer).await;
        let is_silent = is_meant(*silence.borrow());
        match read {
            Ok(bytes @ 1..) if is_silent => {
                withheld.fetch_add(bytes, Relaxed);
            }
            Ok(bytes @ 1..) => {
                if to.write_all(&buffer[..bytes]).await.is_err() {
                    return;
                }
            }
            // The halves must not be dropped: that would be a farewell.
            _ if is_silent => std::future::pending().await,
            _ => return,
        }
    }
}
