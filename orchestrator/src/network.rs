//! The way from a sandbox to the network, where it has one.
//!
//! A sandbox sees no network but its own loopback. What it may reach it reaches through a proxy on
//! this side, over a Unix socket that no other sandbox has. The proxy looks names up itself, decides
//! on the very address that it connects to, and can be told otherwise while the sandbox runs.

mod door;
mod entry;
mod gate;
mod here;
mod policy;
mod proxy;
mod reach;

use std::sync::Arc;

use tokio::sync::Semaphore;

pub(crate) use door::NetworkDoor;
pub(crate) use entry::Entry;
pub(crate) use policy::{Policy, Target};

/// Connections of all sandboxes together.
const MAX_CONNECTIONS: usize = 2048;
/// Names that are looked up for all sandboxes at once. Each takes a thread, of which there are some
/// hundreds.
const MAX_LOOK_UPS: usize = 128;

/// How much of the network sandboxes may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum NetworkReach {
    /// Nothing but their own loopback.
    None,
    /// What an allow-list names.
    List,
    /// All public addresses.
    Open,
}

/// What a sandbox has that asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DefaultNetwork {
    /// Nothing but its own loopback.
    None,
    /// All public addresses.
    Open,
}

/// What sandboxes may ask for here, and what they have together. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Networks {
    default: DefaultNetwork,
    most: NetworkReach,
    places: Arc<Semaphore>,
    look_ups: Arc<Semaphore>,
}

impl Networks {
    pub(crate) fn new(default: DefaultNetwork, most: NetworkReach) -> Self {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        Self { default, most, places, look_ups: Arc::new(Semaphore::new(MAX_LOOK_UPS)) }
    }

    /// What a sandbox has that asks for nothing.
    pub(crate) fn default_policy(&self) -> Policy {
        match self.default {
            DefaultNetwork::Open if self.most == NetworkReach::Open => Policy::Open,
            _ => Policy::None,
        }
    }

    /// Whether a sandbox may have this much.
    pub(crate) fn allows(&self, policy: &Policy) -> bool {
        self.most >= policy.reach()
    }
}
