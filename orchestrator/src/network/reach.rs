//! Finds the addresses of a place and connects to one that the sandbox may reach.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpStream, sync::Semaphore, task::spawn_blocking, time::timeout};

use super::policy::{Host, Policy, Target};

const LOOKUP_PATIENCE: Duration = Duration::from_secs(10);
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
const MAX_TRIES: usize = 4;
/// Names that are looked up for one sandbox at once.
const MAX_LOOK_UPS: usize = 8;

/// Looks names up for one sandbox. Nobody can break a look-up off: it keeps its thread, and so its
/// place, also when its name's servers are slow and who asked is gone. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Names {
    own: Arc<Semaphore>,
    /// Of all sandboxes together.
    all: Arc<Semaphore>,
}

impl Names {
    pub(super) fn new(all: Arc<Semaphore>) -> Self {
        Self { own: Arc::new(Semaphore::new(MAX_LOOK_UPS)), all }
    }

    async fn look_up(self, name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = self.find(move || Ok((name.as_str(), port).to_socket_addrs()?.collect()));
        timeout(LOOKUP_PATIENCE, found).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    async fn find(
        self,
        look: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> io::Result<Vec<SocketAddr>> {
        let own = self.own.acquire_owned().await.map_err(io::Error::other)?;
        let place = self.all.acquire_owned().await.map_err(io::Error::other)?;
        let looked = spawn_blocking(move || {
            let found = look();
            drop((own, place));
            found
        });
        looked.await.map_err(io::Error::other)?
    }
}

/// Why a place was not reached, in words for who wanted to go there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreached {
    Forbidden(String),
    Failed(String),
}

/// Connects to the first address that answers, of those that are permitted.
pub(super) async fn connect(
    policy: &Policy,
    names: &Names,
    target: &Target,
) -> Result<(TcpStream, SocketAddr), Unreached> {
    let look_up = |name, port| names.clone().look_up(name, port);
    for address in addresses(policy, target, look_up).await?.into_iter().take(MAX_TRIES) {
        // To the address that was decided on. A second look-up might find another one.
        if let Ok(Ok(stream)) = timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await {
            return Ok((stream, address));
        }
    }
    Err(Unreached::Failed(format!("{} does not answer at port {}.", target.host, target.port)))
}

/// Addresses of the place that may be connected to; at least one.
async fn addresses<F>(
    policy: &Policy,
    target: &Target,
    look_up: impl FnOnce(String, u16) -> F,
) -> Result<Vec<SocketAddr>, Unreached>
where
    F: Future<Output = io::Result<Vec<SocketAddr>>>,
{
    if let Some(words) = policy.refusal(target) {
        return Err(Unreached::Forbidden(words));
    }
    let found = match &target.host {
        Host::Address(address) => vec![SocketAddr::new(*address, target.port)],
        Host::Name(name) => look_up(name.clone(), target.port)
            .await
            .map_err(|_| Unreached::Failed(format!("{name} was not found.")))?,
    };
    if found.is_empty() {
        return Err(Unreached::Failed(format!("{} was not found.", target.host)));
    }
    let mut permitted = found;
    permitted.retain(|address| policy.permits(target, address.ip()));
    if permitted.is_empty() {
        let words =
            "is a private or reserved address, or leads to one. This sandbox may not reach it.";
        return Err(Unreached::Forbidden(format!("{} {words}", target.host)));
    }
    Ok(permitted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Entry;

    async fn found(policy: &Policy, place: &str, addresses: &[&str]) -> Result<Vec<String>, bool> {
        let answer: Vec<SocketAddr> = addresses
            .iter()
            .map(|address| SocketAddr::new(address.parse().unwrap(), 443))
            .collect();
        let target = Target::parse(place, Some(443)).unwrap();
        let found = super::addresses(policy, &target, |_, _| async move { Ok(answer) }).await;
        match found {
            Ok(found) => Ok(found.iter().map(|address| address.ip().to_string()).collect()),
            Err(unreached) => Err(matches!(unreached, Unreached::Forbidden(_))),
        }
    }

    #[tokio::test]
    async fn a_name_is_decided_on_by_the_address_that_is_connected_to() {
        let list = Policy::List(vec![Entry::parse("a.example").unwrap()]);
        for policy in [&list, &Policy::Open] {
            let mixed = ["127.0.0.1", "1.1.1.1", "fd00:ec2::254", "10.0.0.1"];
            assert_eq!(found(policy, "a.example", &mixed).await, Ok(vec!["1.1.1.1".to_owned()]));
            assert_eq!(found(policy, "a.example", &["169.254.169.254"]).await, Err(true));
            assert_eq!(found(policy, "a.example", &[]).await, Err(false));
        }
    }

    #[tokio::test]
    async fn a_name_that_is_not_listed_is_not_even_looked_up() {
        let list = Policy::List(vec![Entry::parse("a.example").unwrap()]);
        for policy in [&list, &Policy::None] {
            let target = Target::parse("secret.b.example", Some(443)).unwrap();
            let found = super::addresses(policy, &target, |_, _| async {
                Err(io::Error::other("it was looked up"))
            });
            let found = found.await;
            assert!(matches!(found, Err(Unreached::Forbidden(_))), "{found:?}");
        }
    }

    #[tokio::test]
    async fn a_look_up_keeps_its_place_until_it_is_over_also_when_nobody_waits() {
        let names = Names::new(Arc::new(Semaphore::new(1)));
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let asked = tokio::spawn(names.clone().find(move || {
            begin.send(()).unwrap();
            finished.recv().ok();
            Ok(Vec::new())
        }));
        begun.await.unwrap();
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        assert_eq!(names.all.available_permits(), 0);
        assert_eq!(names.own.available_permits(), MAX_LOOK_UPS - 1);
        drop(finish);
        assert!(names.find(|| Ok(Vec::new())).await.unwrap().is_empty());
    }
}
