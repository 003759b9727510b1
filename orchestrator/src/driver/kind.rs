//! The drivers there are.

use serde::Serialize;

/// A driver, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DriverKind {
    /// This machine's own programs in namespaces.
    Bubblewrap,
    /// Containers of images, made by Docker.
    Docker,
    /// Containers of images, made by Podman.
    Podman,
    /// Containers of images on a kernel of their own: Docker's, with gVisor as its runtime.
    Gvisor,
}

impl DriverKind {
    /// As requests and settings have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bubblewrap => "bubblewrap",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Gvisor => "gvisor",
        }
    }

    /// The protocol's word for what it is: programs of the host, or containers.
    pub fn protocol_type(self) -> &'static str {
        match self {
            Self::Bubblewrap => "host-agent",
            Self::Docker | Self::Podman | Self::Gvisor => "docker",
        }
    }

    pub(crate) fn has_images(self) -> bool {
        self != Self::Bubblewrap
    }
}
