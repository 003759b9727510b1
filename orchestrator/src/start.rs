//! Puts the parts together, and takes them apart in the right order.

mod ground;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sandbox_sdk::auth::KeyError;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::task::TaskTracker;

use crate::{
    agents::{self, Patience},
    api::{self, App, Batches, Calls, Keys, RateLimits, Rates},
    config::Config,
    driver::{DriverError, DriverOptions, Drivers},
    gateway::Gateway,
    log::{EventLog, LogError, Retention},
    metrics::Metrics,
    models::ModelGateway,
    network::Networks,
    ports::{Ports, Preview},
    sandboxes::{Grounds, Sandboxes, SandboxesConfig},
    sealed::Sealer,
    secrets::{Secrets, SecretsError},
    serve::{self, Ends},
    snapshots::Snapshots,
    store::{Store, StoreError},
    turns::{TurnError, Turns},
    vault::Vault,
    webhook::Webhooks,
};
use ground::{
    claim_folder, full_disk, in_words, raise_open_files, reachable, report, secrets, secrets_file,
};

/// A running orchestrator. It runs until [`shutdown`](Self::shutdown), or until the process ends.
#[derive(Debug)]
pub struct Orchestrator {
    app: Arc<App>,
    webhooks: Webhooks,
    local_addr: SocketAddr,
    grace: Duration,
    ends: Ends,
    connections: TaskTracker,
    accepting: JoinHandle<()>,
    idle_watch: JoinHandle<()>,
    retention_watch: JoinHandle<()>,
    writer: JoinHandle<()>,
    /// Holds the lock on the data folder.
    _lock: fs::File,
}

/// Figures of a running orchestrator, for tests and measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Viewers that are connected to the gateway.
    pub viewers: usize,
    /// Pages of events that viewers read from memory …
    pub pages_from_memory: u64,
    /// … and from the database, because they were behind.
    pub pages_from_store: u64,
}

/// Why an orchestrator can't start. The words name the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    #[error(
        "cannot listen on {addr}: {source}. Choose another address with SKEIN_ORCHESTRATOR_ADDR"
    )]
    Listen { addr: SocketAddr, source: io::Error },
    #[error("the data folder {path} cannot be used: {source}. Choose another with SKEIN_DATA", path = path.display())]
    DataFolder { path: PathBuf, source: io::Error },
    #[error(
        "another orchestrator works in {path}. Stop it, or choose another folder with SKEIN_DATA",
        path = path.display()
    )]
    AlreadyRunning { path: PathBuf },
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(transparent)]
    Driver(#[from] DriverError),
    #[error("the orchestrator's database cannot be used")]
    Store(#[from] StoreError),
    #[error(
        "the disk of {path} takes no more, {free_mb} MB are free there: {why}. Make room on it, then \
         start again",
        path = path.display()
    )]
    FullDisk { path: PathBuf, free_mb: u64, why: String },
    #[error("read tokens cannot be verified: {0}")]
    Tokens(#[from] KeyError),
    #[error("webhooks cannot be sent: {0}")]
    Webhook(String),
    #[error("models cannot be used: {0}")]
    Models(String),
    #[error("snapshots cannot be kept: {0}")]
    Snapshots(String),
    #[error(
        "{0:?} is no domain below which ports can be named. Correct SKEIN_PREVIEW_DOMAIN: a domain, or \
         http:// or https:// and a domain"
    )]
    Preview(String),
    #[error(
        "what the last run left could not be put in order: {0}. See to the disk of the data folder, \
         then start again"
    )]
    Recovery(String),
}

/// Starts an orchestrator and returns once it listens. Needs a Tokio runtime of several threads.
///
/// # Errors
/// When the address is taken, the data folder or the secrets can't be used, or this machine can't
/// isolate sandboxes.
pub async fn start(config: Config) -> Result<Orchestrator, StartError> {
    raise_open_files();
    let addr = config.addr;
    let listen = |source| StartError::Listen { addr, source };
    let listener = TcpListener::bind(addr).await.map_err(listen)?;
    let local_addr = listener.local_addr().map_err(listen)?;
    let secrets = secrets(&config)?;
    let (folder, lock) = claim_folder(&config.data)?;
    let options =
        DriverOptions { sidecar_binary: config.sidecar_binary.clone(), ..DriverOptions::default() };
    let drivers = Drivers::open(options, &config.containers, &folder).await?;
    report(&drivers);
    let secrets_file = secrets_file(&config);

    let base_url = match &config.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", reachable(local_addr)),
    };
    let tuning = config.tuning.clone();
    let preview = Preview::parse(&config.preview_domain, local_addr.port());
    let preview = preview.ok_or_else(|| StartError::Preview(config.preview_domain.clone()))?;
    let ports = Ports::new(preview, &secrets.signing_secret);
    let assembled = assemble(config, secrets, &folder, drivers, base_url, ports).await;
    let (app, webhooks, writer) = assembled.map_err(|error| match &error {
        StartError::Store(why) if why.is_of_the_disk() => full_disk(&folder, why),
        _ => error,
    })?;
    let ends = Ends::default();
    let connections = TaskTracker::new();
    let accepting = tokio::spawn(serve::serve(
        listener,
        api::router(app.clone()),
        tuning.clone(),
        ends.clone(),
        connections.clone(),
    ));
    // From now on the product can ask for what it is told of.
    webhooks.begin();
    let sandboxes = app.sandboxes.clone();
    let idle_watch = tokio::spawn(sandboxes.watch_idle(tuning.idle_check, ends.closing.clone()));
    let logs = app.logs.clone();
    let retention_watch =
        tokio::spawn(logs.watch_retention(tuning.retention_check, ends.closing.clone()));
    tracing::info!(
        %local_addr,
        folder = %folder.display(),
        secrets = %secrets_file,
        epoch = app.logs.epoch(),
        "orchestrator listens"
    );
    Ok(Orchestrator {
        app,
        webhooks,
        local_addr,
        grace: tuning.shutdown_grace,
        ends,
        connections,
        accepting,
        idle_watch,
        retention_watch,
        writer,
        _lock: lock,
    })
}

/// Makes the parts, the lower ones first, and puts in order what the last run left.
async fn assemble(
    config: Config,
    secrets: Secrets,
    folder: &Path,
    drivers: Drivers,
    base_url: String,
    ports: Ports,
) -> Result<(Arc<App>, Webhooks, JoinHandle<()>), StartError> {
    let store = Store::open(&folder.join("orchestrator.db")).await?;
    let retention = Retention { events: config.log_events, hours: config.log_hours };
    let (logs, writer) = EventLog::open(store.clone(), retention).await?;
    let agents = config.agents_folders();
    let looked_in = agents.clone();
    let models = ModelGateway::new(&config.models, move || agents::catalog(&looked_in));
    let models = models.map_err(StartError::Models)?;
    models.refresh();
    let sandboxes = SandboxesConfig {
        folder: folder.join("sandboxes"),
        max_sandboxes: config.max_sandboxes,
        max_running: config.max_running,
        networks: Networks::new(config.sandbox_network, config.network_allowed),
        idle_timeout: Duration::from_secs(config.idle_timeout_seconds),
        max_lifetime: config.max_lifetime_seconds,
        demo_pace: Duration::from_millis(config.demo_pace_ms),
        patience: Patience {
            answer: Duration::from_secs(config.answer_seconds),
            ..Patience::default()
        },
        agents,
    };
    let previous = secrets.previous.as_ref().map(|previous| &previous.secret);
    let sealer = Sealer::new(&secrets.signing_secret).and_then(|sealer| sealer.after(previous));
    let sealer = Arc::new(sealer.map_err(|_| SecretsError::NoRandomness)?);
    let vault = Vault::new(store.clone(), sealer.clone());
    let snapshots = Snapshots::open(&config.snapshots, folder.join("snapshots"), store.clone());
    let snapshots = snapshots.await.map_err(StartError::Snapshots)?;
    let grounds = Grounds {
        store: store.clone(),
        logs: logs.clone(),
        drivers,
        models: models.clone(),
        vault: vault.clone(),
        sealer,
        snapshots: snapshots.clone(),
    };
    let sandboxes = Sandboxes::open(sandboxes, grounds).await?;
    let url = config.webhook_url.as_deref();
    let webhooks = Webhooks::new(url, &secrets.signing_secret, store.clone())
        .map_err(|error| StartError::Webhook(error.to_string()))?;
    webhooks.recall().await?;
    let max_turn = Duration::from_secs(config.max_turn_seconds);
    let turns = Turns::new(
        store.clone(),
        logs.clone(),
        sandboxes.clone(),
        models.clone(),
        webhooks.clone(),
        max_turn,
    );
    // Before anyone is let in: nobody shall see a turn that says it runs and does not.
    turns.recover().await.map_err(|error| match &error {
        TurnError::Store(why) if why.is_of_the_disk() => full_disk(folder, why),
        TurnError::Log(LogError::Store(why)) if why.is_of_the_disk() => full_disk(folder, why),
        _ => StartError::Recovery(in_words(&error)),
    })?;
    let gateway = Gateway::new(
        logs.clone(),
        secrets.verifier(&config.product_id),
        &config.allowed_origins,
        config.tuning,
    )?;
    let limits = RateLimits {
        requests: config.max_requests_per_minute,
        new_sessions: config.max_new_sessions_per_minute,
    };
    let keys = Keys::new(&secrets, &config.product_id)?;
    let metrics =
        Metrics::new(logs.figures(), sandboxes.figures(), gateway.figures(), webhooks.figures());
    let app = App {
        store,
        logs,
        sandboxes,
        vault,
        snapshots,
        models,
        turns,
        batches: Batches::new(config.max_running),
        gateway,
        keys,
        ports,
        calls: Calls::default(),
        rates: Rates::new(limits),
        metrics,
        max_transfer: config.max_transfer_mb.saturating_mul(1 << 20),
        base_url,
    };
    Ok((Arc::new(app), webhooks, writer))
}

impl Orchestrator {
    /// Where it listens; the real port when port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    pub fn stats(&self) -> Stats {
        let (pages_from_memory, pages_from_store) = self.app.logs.pages_read();
        Stats { viewers: self.app.gateway.open(), pages_from_memory, pages_from_store }
    }

    /// Stops in order: batches end, running turns end as interrupted, viewers are told to come
    /// back, sandboxes end, the log is closed clean. Takes a few seconds at most.
    pub async fn shutdown(self) {
        let Self { app, webhooks, grace, ends, connections, writer, .. } = self;
        let watching = [self.accepting, self.idle_watch, self.retention_watch];
        // They would go on to their next tasks.
        app.batches.stop();
        // Then the turns, so that viewers still see how they end.
        app.turns.shutdown(grace).await;
        ends.closing.cancel();
        app.gateway.shutdown().await;
        connections.close();
        if tokio::time::timeout(grace, connections.wait()).await.is_err() {
            tracing::warn!("requests still under way at shutdown are dropped");
            ends.abandoning.cancel();
            connections.wait().await;
        }
        // What is left of them are the sandboxes they made.
        if tokio::time::timeout(grace, app.batches.ended()).await.is_err() {
            tracing::warn!("the next start removes the sandboxes of a batch");
        }
        // Before the sandboxes that they are taken of.
        app.snapshots.shutdown().await;
        app.sandboxes.shutdown().await;
        webhooks.shutdown().await;
        for task in watching {
            // They end by themselves once cancelled.
            drop(task.await);
        }
        let store = app.store.clone();
        // The writer ends with the last clone of the log; requests that hang must not hold it up.
        drop(app);
        if tokio::time::timeout(grace, writer).await.is_err() {
            tracing::warn!("the event log is still in use and is not marked as closed");
            return;
        }
        if let Err(error) = store.close_epoch().await {
            tracing::error!(%error, "the event log could not be marked as closed");
        }
        store.close().await;
        tracing::info!("orchestrator stopped");
    }
}
