//! Start-up, in the order in which a mistake is cheapest to find, and shutdown in the reverse.

mod crypto;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
mod folder;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use backend::{Backend, BackendConfig, Credits, Limits, Prices, Timing};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;

pub use error::StartError;

use crate::config::{Config, OrchestratorConfig};
use crate::{AppState, Origins, Site, TrustedProxies, Web, router, serve};

/// Time for requests in progress when the server stops.
const DRAIN: Duration = Duration::from_secs(2);
/// Time for running turns to end or to be parked.
const PARK: Duration = Duration::from_secs(3);
/// Shortest key or secret that is accepted, in characters.
const MIN_SECRET: usize = 32;

/// A server that has everything it needs, but answers nobody yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    state: AppState,
    backend: Backend,
    address: String,
    #[cfg(feature = "embedded")]
    orchestrator: Option<orchestrator::Orchestrator>,
}

/// How the orchestrator is reached.
#[derive(Debug)]
struct Reach {
    url: String,
    api_key: SecretString,
    signing_secret: SecretString,
}

/// Brings everything up: crypto, data folder, site, socket, orchestrator, database, background jobs.
///
/// # Errors
/// [`StartError`], in one line that says the way out.
pub async fn start(config: Config) -> Result<Server, StartError> {
    crypto::self_test()?;
    folder::prepare(&config.data)?;
    let reload_port = config.watch.as_ref().map(|_| config.reload_port);
    let site = Site::open(&config.site_root, reload_port).map_err(StartError::Folder)?;
    if !site.is_built() {
        return Err(StartError::NoSite(config.site_root));
    }
    let proxies = TrustedProxies::parse(&config.trusted_proxies)?;
    let prices = prices(&config)?;
    let listener = listen(config.addr).await?;
    let addr = listener.local_addr().map_err(StartError::Socket)?;
    let origins = Origins::new(&config.origin, addr);

    #[cfg(feature = "embedded")]
    let (reach, orchestrator) = match Reach::external(&config.orchestrator)? {
        Some(reach) => (reach, None),
        None => {
            let (reach, orchestrator) = embedded::start(&config, addr, &origins).await?;
            (reach, Some(orchestrator))
        }
    };
    #[cfg(not(feature = "embedded"))]
    let reach = Reach::external(&config.orchestrator)?.ok_or(StartError::NoOrchestrator)?;

    let gateway_url = config.orchestrator.gateway_url.clone().unwrap_or(reach.gateway_url());
    for mistake in origins.mistakes(&gateway_url) {
        tracing::warn!("{mistake}");
    }
    let backend = match connect(&config, &reach, &gateway_url, prices).await {
        Ok(backend) => backend,
        Err(error) => {
            #[cfg(feature = "embedded")]
            if let Some(orchestrator) = orchestrator {
                orchestrator.shutdown().await;
            }
            return Err(error);
        }
    };
    if let Err(error) = backend.recover().await {
        // The background jobs go on trying; new turns need not wait for old ones.
        tracing::error!(error = app::error::chain(&error), "turns of the last run are not settled");
    }
    backend.spawn_jobs();
    let address = origins.main().map_or_else(|| format!("http://{addr}"), ToString::to_string);
    let (traces_share, guests_per_hour) = (config.traces_share, config.guests_per_hour);
    let web = Web { origins, gateway_url, proxies, traces_share, guests_per_hour };
    Ok(Server {
        listener,
        state: AppState::new(backend.clone(), site, web),
        backend,
        address,
        #[cfg(feature = "embedded")]
        orchestrator,
    })
}

impl Server {
    /// What to open in a browser.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Answers requests until `stop` resolves, then ends in order: no new requests, turns ended or
    /// parked, sandboxes stopped.
    pub async fn run_until(self, stop: impl Future<Output = ()>) {
        serve::serve(self.listener, router(self.state), stop, DRAIN).await;
        self.backend.shutdown(PARK).await;
        #[cfg(feature = "embedded")]
        if let Some(orchestrator) = self.orchestrator {
            orchestrator.shutdown().await;
        }
    }
}

impl Reach {
    /// The configured orchestrator, if there is one.
    fn external(config: &OrchestratorConfig) -> Result<Option<Self>, StartError> {
        let Some(url) = &config.url else { return Ok(None) };
        let required = |secret: &Option<SecretString>, name| {
            let secret = secret.clone().ok_or(StartError::NoSecret { name })?;
            checked(secret, name)
        };
        Ok(Some(Self {
            url: url.trim_end_matches('/').to_owned(),
            api_key: required(&config.api_key, "TANGLE_API_KEY")?,
            signing_secret: required(&config.signing_secret, "ORCHESTRATOR_SIGNING_SECRET")?,
        }))
    }

    /// Where browsers watch sessions, unless configuration says otherwise.
    fn gateway_url(&self) -> String {
        let url = match self.url.strip_prefix("http") {
            Some(rest) => format!("ws{rest}"),
            None => self.url.clone(),
        };
        format!("{url}/session")
    }
}

fn checked(secret: SecretString, name: &'static str) -> Result<SecretString, StartError> {
    if secret.expose_secret().len() < MIN_SECRET {
        return Err(StartError::ShortSecret { name });
    }
    Ok(secret)
}

fn prices(config: &Config) -> Result<Prices, StartError> {
    match &config.prices {
        None => Prices::built_in().map_err(StartError::Prices),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| StartError::PriceFile { path: path.clone(), source })?;
            Prices::parse(&text).map_err(StartError::Prices)
        }
    }
}

async fn listen(addr: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(addr).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => StartError::PortTaken { addr, variable: "SKEIN_ADDR" },
        _ => StartError::Listen { addr, variable: "SKEIN_ADDR", source },
    })
}

/// In an address these two characters would not stand for themselves.
fn sqlite_url(file: &Path) -> String {
    format!("sqlite:{}", file.display().to_string().replace('%', "%25").replace('?', "%3f"))
}

async fn connect(
    config: &Config,
    reach: &Reach,
    gateway_url: &str,
    prices: Prices,
) -> Result<Backend, StartError> {
    let database_url = match &config.database_url {
        Some(url) => url.expose_secret().to_owned(),
        None => sqlite_url(&config.data.join("skein.sqlite")),
    };
    let backend = Backend::connect(BackendConfig {
        database_url,
        orchestrator_url: reach.url.clone(),
        sandbox_api_url: config.orchestrator.sandbox_api_url.clone(),
        api_key: reach.api_key.clone(),
        product_id: config.orchestrator.product_id.clone(),
        signing_secret: reach.signing_secret.clone(),
        gateway_url: gateway_url.to_owned(),
        sandbox_image: config.orchestrator.sandbox_image.clone(),
        guest_credits: Credits::from_whole(config.guest_credits),
        prices,
        timing: Timing::default(),
        limits: Limits {
            turns_per_minute: match config.turns_per_minute {
                0 => u32::MAX,
                turns => turns,
            },
            ..Limits::default()
        },
    });
    backend.await.map_err(StartError::Database)
}
