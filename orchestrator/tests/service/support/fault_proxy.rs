//! A line between two programs that breaks.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Carries bytes from and to the orchestrator, and cuts each connection after a while: in the middle
/// of whatever is on its way, with a reset.
pub(crate) struct FaultProxy {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    healed: AtomicBool,
    cuts: AtomicUsize,
}

impl FaultProxy {
    pub(crate) async fn start(base: &str) -> Self {
        let target = base.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let accepting = tokio::spawn({
            let state = state.clone();
            async move {
                // Each connection lives a little longer than the one before.
                for patience in (0..).map(|round: usize| 3_001 + round * 4_999) {
                    let (client, _) = listener.accept().await.unwrap();
                    let server = TcpStream::connect(&target).await.unwrap();
                    tokio::spawn(carry(client, server, patience, state.clone()));
                }
            }
        });
        Self { address, state, accepting }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts no more.
    pub(crate) fn heal(&self) {
        self.state.healed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries until one side ends, or until so many bytes came from the server.
async fn carry(mut client: TcpStream, mut server: TcpStream, patience: usize, state: Arc<State>) {
    let (mut up, mut down) = (vec![0; 4096], vec![0; 4096]);
    let mut carried = 0;
    loop {
        tokio::select! {
            read = client.read(&mut up) => match read {
                Ok(bytes @ 1..) => if server.write_all(&up[..bytes]).await.is_err() { return },
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(bytes @ 1..) => {
                    carried += bytes;
                    if client.write_all(&down[..bytes]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
        if carried > patience && !state.healed.load(Ordering::SeqCst) {
            state.cuts.fetch_add(1, Ordering::SeqCst);
            // No farewell: the next read at the other end fails.
            client.set_zero_linger().ok();
            return;
        }
    }
}
