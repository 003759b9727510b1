//! The way from programs in the sandbox to the network: a port on its loopback, copied to the socket
//! of the proxy on the host. What may be reached is decided there; here it is only made known.

use std::{
    collections::BTreeMap,
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sandbox_sdk::types::ErrorCode;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UnixStream},
    sync::{Mutex, Semaphore},
    time::sleep,
};

use super::{NETWORK_SOCKET, PROXY_PORT, api::Problem};

/// Connections at once. The other side takes no more.
const MAX_CONNECTIONS: usize = 128;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Both spellings, because programs know one or the other.
const VARIABLES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
const EXCEPT: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// What is in the sandbox itself: also the port behind which agents find their models.
const HERE: &str = "127.0.0.1,localhost,::1";

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Outlet(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Programs are told of the proxy.
    is_told: AtomicBool,
    /// The port is open. It stays so: programs that know it get to read why they are refused.
    listens: Mutex<bool>,
}

impl Outlet {
    /// Whether programs that are started from now on are told of the proxy.
    pub(super) async fn tell(&self, told: bool) -> Result<(), Problem> {
        if told {
            let mut listens = self.0.listens.lock().await;
            if !*listens {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PROXY_PORT)).await;
                let listener = listener.map_err(|error| {
                    let words = format!("the sandbox's port {PROXY_PORT} is in use: {error}");
                    Problem::new(ErrorCode::InvalidState, words)
                })?;
                tokio::spawn(serve(listener));
                *listens = true;
            }
        }
        self.0.is_told.store(told, Ordering::Relaxed);
        Ok(())
    }

    /// What programs are told.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        if !self.0.is_told.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let proxy = format!("http://127.0.0.1:{PROXY_PORT}");
        let proxies = VARIABLES.map(|name| (name, proxy.clone()));
        let exceptions = EXCEPT.map(|name| (name, HERE.to_owned()));
        proxies.into_iter().chain(exceptions).collect()
    }
}

/// Exceptions for an agent whose sandbox has variables of its own about proxies: whatever they say,
/// its models are here.
pub(super) fn exceptions(own: &BTreeMap<String, String>) -> Vec<(&'static str, String)> {
    if !own.keys().any(|name| name.to_ascii_lowercase().ends_with("_proxy")) {
        return Vec::new();
    }
    let with = |name: &'static str| match own.get(name).map(|value| value.trim()) {
        None | Some("") => (name, HERE.to_owned()),
        Some(value) => (name, format!("{value},{HERE}")),
    };
    EXCEPT.map(with).into()
}

async fn serve(listener: TcpListener) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(async move {
                    // Who is hung up on tells it to its user.
                    copy(stream).await.ok();
                    drop(place);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn copy(mut stream: TcpStream) -> io::Result<()> {
    let mut proxy = UnixStream::connect(NETWORK_SOCKET).await?;
    copy_bidirectional(&mut stream, &mut proxy).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn programs_are_told_of_the_proxy_only_while_there_is_a_network() {
        let outlet = Outlet::default();
        assert!(outlet.environment().is_empty());
        outlet.0.is_told.store(true, Ordering::Relaxed);
        let told = outlet.environment();
        assert!(told.contains(&("https_proxy", format!("http://127.0.0.1:{PROXY_PORT}"))));
        assert!(told.contains(&("NO_PROXY", HERE.to_owned())));
        outlet.tell(false).await.unwrap();
        assert!(outlet.environment().is_empty());
    }

    #[test]
    fn an_agent_finds_its_models_whatever_the_sandbox_says_of_proxies() {
        let own = |variables: &[(&str, &str)]| -> BTreeMap<String, String> {
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
        };
        assert!(exceptions(&own(&[("PATH", "/bin")])).is_empty());
        for variable in ["HTTP_PROXY", "https_proxy", "all_proxy"] {
            let told = exceptions(&own(&[(variable, "http://a.example:1")]));
            assert_eq!(told, EXCEPT.map(|name| (name, HERE.to_owned())));
        }
        let told = exceptions(&own(&[("NO_PROXY", "b.example")]));
        assert_eq!(told, [(EXCEPT[0], format!("b.example,{HERE}")), (EXCEPT[1], HERE.to_owned())]);
    }
}
