//! Why a start failed: one line each, with the way out.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A start that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program has the port.
    #[error(
        "{addr} is taken by another program; stop it, or choose another address with {variable}, \
         as in {variable}={}:{}", addr.ip(), next_port(*addr)
    )]
    PortTaken {
        /// The address.
        addr: SocketAddr,
        /// Variable that chooses another.
        variable: &'static str,
    },
    /// The address can't be listened on.
    #[error("cannot listen on {addr}; choose another address with {variable}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Variable that chooses another.
        variable: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The listening socket does not know its address.
    #[error("the listening socket has no address")]
    Socket(#[source] io::Error),
    /// The data folder can't be made or written.
    #[error("the data folder {path} can't be written; choose another with SKEIN_DATA", path = path.display())]
    Data {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The current folder is gone.
    #[error("the current folder can't be read; start from one that exists")]
    Folder(#[source] io::Error),
    /// The browser's part was not built.
    #[error(
        "there is no built site in {path}; run `cargo xtask run`, which builds it, or name its folder \
         with SKEIN_SITE_ROOT", path = .0.display()
    )]
    NoSite(PathBuf),
    /// A network of proxies can't be read.
    #[error("SKEIN_TRUSTED_PROXIES")]
    Proxies(#[from] crate::ProxyError),
    /// The price file can't be opened.
    #[error("the price file {path} can't be opened; correct SKEIN_PRICES", path = path.display())]
    PriceFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The price file makes no sense.
    #[error("the prices can't be used")]
    Prices(#[source] backend::PriceError),
    /// A key or secret that an orchestrator elsewhere needs.
    #[error(
        "{name} is not set, which TANGLE_ORCHESTRATOR_URL needs; set it to the orchestrator's own"
    )]
    NoSecret {
        /// Variable to set.
        name: &'static str,
    },
    /// A key or secret that could be guessed.
    #[error("{name} is shorter than 32 characters; `openssl rand -hex 32` makes a good one")]
    ShortSecret {
        /// Variable to correct.
        name: &'static str,
    },
    /// The database can't be opened.
    #[error("the database can't be opened; check DATABASE_URL (`sqlite:<file>` or `postgres://…`)")]
    Database(#[source] backend::Error),
    /// The crypto library is not what it should be.
    #[error("the crypto self-test failed: this program was built wrongly ({0})")]
    Crypto(String),
    /// The orchestrator in this process did not start.
    #[cfg(feature = "embedded")]
    #[error("the orchestrator can't start")]
    Orchestrator(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Built without an orchestrator, and none is named.
    #[cfg(not(feature = "embedded"))]
    #[error(
        "name an orchestrator with TANGLE_ORCHESTRATOR_URL: this program was built without one"
    )]
    NoOrchestrator,
}

fn next_port(addr: SocketAddr) -> u16 {
    addr.port().checked_add(1).unwrap_or(3000)
}
