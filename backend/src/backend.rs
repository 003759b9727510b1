//! The backend as a whole: what it is made of, how it starts and how it stops.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use aws_lc_rs::rand;
use sandbox_sdk::{
    auth::{IssuerConfig, ProductTokenIssuer},
    client::{Client, ClientConfig},
};
use secrecy::SecretString;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    BackendConfig, Error, Timing,
    db::{Db, args},
    options::Known,
    trace,
};

/// The product's domain over one database and one orchestrator. Cheap to clone.
///
/// Nothing lives only in here: what is under way stands in the database, so that another instance,
/// or this one after a restart, takes it up where it was.
#[derive(Clone)]
pub struct Backend {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    client: Client,
    issuer: ProductTokenIssuer,
    config: BackendConfig,
    installation: String,
    catalog: watch::Sender<Known>,
    /// Work that outlives the request it came from.
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("client", &self.inner.client).finish_non_exhaustive()
    }
}

impl Backend {
    /// Opens the database and brings its tables up to date. Nothing is sent to the orchestrator yet.
    ///
    /// # Errors
    /// When the database can't be opened or migrated, or a key or an address is none.
    pub async fn connect(config: BackendConfig) -> Result<Self, Error> {
        let client = Client::new(ClientConfig {
            base_url: config
                .sandbox_api_url
                .clone()
                .unwrap_or_else(|| config.orchestrator_url.clone()),
            orchestrator_url: Some(config.orchestrator_url.clone()),
            api_key: config.api_key.clone(),
            timeout: config.timing.call,
            user: None,
        })
        .map_err(|source| Error::internal("set up the orchestrator's client", source))?;
        let issuer = ProductTokenIssuer::new(IssuerConfig::new(
            config.product_id.clone(),
            config.signing_secret.clone(),
        ))
        .map_err(|source| Error::internal("set up the token issuer", source))?;
        let db = Db::connect(&config.database_url).await?;
        let catalog = Known::nothing(&config.prices);
        let installation = installation(&db).await?;
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let inner = Inner { db, client, issuer, config, installation, catalog, tasks, stopping };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Six hexadecimal digits that were drawn for this database: they tell it from others on the
    /// same host, and servers that share it from nobody.
    pub fn installation(&self) -> &str {
        &self.inner.installation
    }

    /// Whether requests can be served.
    ///
    /// # Errors
    /// While shutting down, and when the database does not answer.
    pub async fn ready(&self) -> Result<(), Error> {
        self.refuse_while_stopping()?;
        let _: Option<(i64,)> =
            self.db().optional("SELECT COUNT(*) FROM accounts WHERE id = ''", args![]).await?;
        Ok(())
    }

    /// Whether the orchestrator answers. Without it history can be read, but no turn is run.
    ///
    /// # Errors
    /// `Unavailable` when it does not.
    pub async fn orchestrator_ready(&self) -> Result<(), Error> {
        self.quick_client().health().await.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "the orchestrator is away");
            Error::unavailable("the orchestrator does not answer")
        })
    }

    /// Starts the background jobs: looking after turns whose lease ran out, and tidying up. None of
    /// them waits for another.
    pub fn spawn_jobs(&self) {
        // So that the first visitor need not wait for it.
        self.ask_when_due();
        let Timing { sweep, tidy, .. } = self.config().timing;
        self.every(sweep, "looking after turns", |jobs| async move {
            jobs.sweep_turns().await.map(drop)
        });
        self.every(
            sweep,
            "deleting sandboxes",
            |jobs| async move { jobs.purge_sandboxes(None).await },
        );
        self.every(
            tidy,
            "letting go of sandboxes",
            |jobs| async move { jobs.let_go_of_unused().await },
        );
        self.every(tidy, "deleting abandoned chats", |jobs| async move {
            jobs.delete_abandoned().await
        });
        self.every(
            tidy,
            "removing ended sessions",
            |jobs| async move { jobs.purge_logins().await },
        );
        self.every(
            tidy,
            "removing old webhook ids",
            |jobs| async move { jobs.purge_webhooks().await },
        );
    }

    /// Does a job again and again until the shutdown. What fails is logged and comes again.
    fn every<F>(
        &self,
        pause: Duration,
        job: &'static str,
        work: impl Fn(Self) -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), Error>> + Send,
    {
        let backend = self.clone();
        self.inner.tasks.spawn(async move {
            while backend.pause(pause).await {
                if let Err(error) = work(backend.clone()).await {
                    tracing::error!(error = &error as &dyn std::error::Error, "{job} failed");
                }
            }
        });
    }

    /// Takes no new turns, lets what is under way come to its next resting place, and closes the
    /// database. What does not get there in time is found again by the next start.
    pub async fn shutdown(&self, patience: Duration) {
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        if timeout(patience, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.inner.tasks.len(), "work was left for the next start");
        }
        self.db().close().await;
    }

    pub(crate) fn db(&self) -> &Db {
        &self.inner.db
    }

    /// Its calls belong to the trace of the work that makes them.
    pub(crate) fn client(&self) -> Client {
        match trace::current() {
            Some(trace) => self.inner.client.with_trace(trace),
            None => self.inner.client.clone(),
        }
    }

    /// The client for calls that a person waits for.
    pub(crate) fn quick_client(&self) -> Client {
        self.client().with_timeout(self.config().timing.quick_call)
    }

    pub(crate) fn issuer(&self) -> &ProductTokenIssuer {
        &self.inner.issuer
    }

    pub(crate) fn config(&self) -> &BackendConfig {
        &self.inner.config
    }

    pub(crate) fn catalog(&self) -> &watch::Sender<Known> {
        &self.inner.catalog
    }

    pub(crate) fn signing_secret(&self) -> &SecretString {
        &self.inner.config.signing_secret
    }

    pub(crate) fn refuse_while_stopping(&self) -> Result<(), Error> {
        if self.inner.stopping.is_cancelled() {
            return Err(Error::unavailable("The server is restarting. Try again in a moment."));
        }
        Ok(())
    }

    /// Does work that may be cut short by the shutdown; `None`: it was.
    pub(crate) async fn unless_stopping<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.inner.stopping.run_until_cancelled(work).await
    }

    /// Waits until the shutdown has begun.
    pub(crate) async fn stopped(&self) {
        self.inner.stopping.cancelled().await;
    }

    /// Waits; answers whether work should go on, which it should not once the shutdown has begun.
    pub(crate) async fn pause(&self, duration: Duration) -> bool {
        tokio::select! {
            () = self.inner.stopping.cancelled() => false,
            () = sleep(duration) => true,
        }
    }

    /// Does work that a shutdown waits for and that no request can cut short.
    pub(crate) fn in_background<F>(&self, what: &'static str, work: F)
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let work = trace::carried(work);
        self.inner.tasks.spawn(async move {
            if let Err(error) = work.await {
                tracing::error!(error = &error as &dyn std::error::Error, "{what} failed");
            }
        });
    }

    /// Does work to its end even when the request that asked for it goes away.
    pub(crate) async fn to_the_end<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let done = self.inner.tasks.spawn(trace::carried(work)).await;
        done.map_err(|source| Error::internal("finish a task", source))?
    }
}

async fn installation(db: &Db) -> Result<String, Error> {
    let mut bytes = [0; 3];
    rand::fill(&mut bytes).map_err(|_| Error::broken("no randomness"))?;
    // Of several servers that start at once, one names it.
    let sql = "INSERT INTO installation (name, value) VALUES ('tag', $1)
               ON CONFLICT (name) DO NOTHING";
    db.execute(sql, args![hex::encode(bytes)]).await?;
    let sql = "SELECT value FROM installation WHERE name = 'tag'";
    let tag: Option<(String,)> = db.optional(sql, args![]).await?;
    tag.map(|(tag,)| tag).ok_or_else(|| Error::broken("an installation without a tag"))
}
