//! Ports of sandboxes as they are reached from outside: each at an origin of its own, which only who
//! knows its name finds.
//!
//! The name is a capability. It is made from a row's key, so that closing a port kills it for good, and
//! nothing of the API opens it or is opened by it.

mod host;
mod origin;
mod page;
mod proxy;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::store::ExposedPort;
use host::Named;
pub(crate) use host::Preview;
pub(crate) use proxy::by_host;

/// Requests to one port at once.
const MAX_REQUESTS: usize = 128;
/// Of the tag, in bytes: nobody guesses it.
const TAG: usize = 16;

/// Names of open ports, and what goes through them.
pub(crate) struct Ports {
    preview: Preview,
    key: hmac::Key,
    live: Mutex<BTreeMap<i64, Arc<Traffic>>>,
}

/// What goes through one port.
#[derive(Debug)]
struct Traffic {
    places: Arc<Semaphore>,
    /// Cancelled when the port is closed.
    cut: CancellationToken,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").field("preview", &self.preview).finish_non_exhaustive()
    }
}

impl Ports {
    pub(crate) fn new(preview: Preview, signing_secret: &SecretString) -> Self {
        let secret = signing_secret.expose_secret().as_bytes();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self { preview, key, live: Mutex::default() }
    }

    /// Where the port is reached.
    pub(crate) fn url(&self, exposed: &ExposedPort) -> String {
        let secret = format!("{:016x}{}", exposed.key, self.tag(exposed));
        self.preview.url(&format!("p{}-{secret}", exposed.port))
    }

    /// Ends what goes through a port that was closed.
    pub(crate) fn cut(&self, key: i64) {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        if let Some(traffic) = live {
            traffic.cut.cancel();
        }
    }

    /// Whether this is the port's name.
    fn is_named(&self, exposed: &ExposedPort, named: &Named) -> bool {
        let is_tag: bool = self.tag(exposed).as_bytes().ct_eq(named.tag.as_bytes()).into();
        is_tag && named.port == exposed.port
    }

    fn tag(&self, exposed: &ExposedPort) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(b"exposed port v1\0");
        context.update(&exposed.key.to_be_bytes());
        context.update(&exposed.port.to_be_bytes());
        context.update(exposed.sandbox_id.as_bytes());
        let signature = context.sign();
        let signature: &[u8] = signature.as_ref();
        hex::encode(signature.get(..TAG).unwrap_or_default())
    }

    fn traffic(&self, key: i64) -> Arc<Traffic> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|_, traffic| Arc::strong_count(traffic) > 1);
        let fresh = || {
            let places = Arc::new(Semaphore::new(MAX_REQUESTS));
            Arc::new(Traffic { places, cut: CancellationToken::new() })
        };
        live.entry(key).or_insert_with(fresh).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposed(key: i64, sandbox: &str, port: u16) -> ExposedPort {
        ExposedPort { key, sandbox_id: sandbox.to_owned(), port }
    }

    #[test]
    fn a_name_opens_the_port_that_it_was_made_for_and_no_other() {
        let preview = Preview::parse("localhost", 4095).unwrap();
        let ports = Ports::new(preview, &SecretString::from("secret"));
        let mine = exposed(7, "a", 3000);
        let url = ports.url(&mine);
        let host = url.strip_prefix("http://").unwrap().trim_end_matches('/');
        let named = ports.preview.read(host).unwrap().unwrap();
        assert_eq!((named.key, named.port), (7, 3000));
        assert!(ports.is_named(&mine, &named));
        for other in [exposed(8, "a", 3000), exposed(7, "b", 3000), exposed(7, "a", 3001)] {
            assert!(!ports.is_named(&other, &named), "{other:?}");
        }
        let preview = Preview::parse("localhost", 4095).unwrap();
        let elsewhere = Ports::new(preview, &SecretString::from("other"));
        assert!(!elsewhere.is_named(&mine, &named));
    }

    #[test]
    fn closing_a_port_cuts_what_goes_through_it() {
        let preview = Preview::parse("localhost", 4095).unwrap();
        let ports = Ports::new(preview, &SecretString::from("secret"));
        let (one, same, other) = (ports.traffic(1), ports.traffic(1), ports.traffic(2));
        assert!(Arc::ptr_eq(&one, &same));
        ports.cut(1);
        assert!(one.cut.is_cancelled() && !other.cut.is_cancelled());
        assert!(!ports.traffic(1).cut.is_cancelled());
    }
}
