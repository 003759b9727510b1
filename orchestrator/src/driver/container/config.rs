//! Which drivers there are, and what containers are made of.

use std::path::PathBuf;

use crate::driver::DriverKind;

/// Settings of the drivers.
#[derive(Clone, Debug, clap::Args)]
pub struct ContainersConfig {
    /// Drivers that sandboxes may have. The first runs those that ask for none.
    #[arg(
        long = "drivers",
        env = "SKEIN_DRIVERS",
        value_enum,
        value_delimiter = ',',
        default_value = "bubblewrap"
    )]
    pub drivers: Vec<DriverKind>,
    /// Image of containers that ask for none.
    #[arg(long, env = "SKEIN_IMAGE")]
    pub image: Option<String>,
    /// Fetch images that are asked for and not there. Otherwise only those can be asked for that are.
    #[arg(long, env = "SKEIN_PULL_IMAGES")]
    pub pull_images: bool,
    /// Docker's program, when it is not `docker` on the PATH.
    #[arg(long, env = "SKEIN_DOCKER")]
    pub docker: Option<PathBuf>,
    /// Podman's program, when it is not `podman` on the PATH.
    #[arg(long, env = "SKEIN_PODMAN")]
    pub podman: Option<PathBuf>,
}

impl Default for ContainersConfig {
    fn default() -> Self {
        Self {
            drivers: vec![DriverKind::Bubblewrap],
            image: None,
            pull_images: false,
            docker: None,
            podman: None,
        }
    }
}
