//! Sandboxes that are containers of an image, made by Docker or Podman.
//!
//! The engine is called by its command line: Docker's and Podman's understand the same words, both find
//! their own socket, context or user's storage, and rootless Podman needs no service for it.
//!
//! A container cannot be handed a listening socket, so its sidecar calls ([`crate::sidecar::calls`]).
//! It brings its own loader and libraries, so that any image will do, also one of another C library.

mod arguments;
mod config;
mod door;
mod engine;
mod facts;
mod image;
mod libraries;
mod running;

use std::{fs, path::Path, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::{
    sync::{Mutex, OnceCell},
    time::timeout,
};

use super::{
    Driver, DriverError, DriverKind, DriverReport, RunningSandbox, SandboxSpec, ground::Ground,
};
pub use config::ContainersConfig;
use engine::Engine;
use facts::Facts;
use libraries::Libraries;

/// How long whoever asks waits for others who are asking: an engine may hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes containers with one engine.
#[derive(Clone, Debug)]
pub(super) struct Containers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kind: DriverKind,
    engine: Engine,
    ground: Ground,
    /// Whose containers these are: marks those of this data folder.
    owner: String,
    may_pull: bool,
    libraries: OnceCell<Libraries>,
    /// What the engine has said of itself; nothing while it can't be reached.
    facts: Mutex<Option<Facts>>,
    /// What a former life left is gone.
    is_swept: OnceCell<()>,
}

impl Containers {
    /// `folder`: the orchestrator's own.
    pub(super) fn new(
        kind: DriverKind,
        config: &ContainersConfig,
        ground: Ground,
        folder: &Path,
    ) -> Self {
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let digest = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            folder.as_os_str().as_encoded_bytes(),
        );
        Self(Arc::new(Shared {
            kind,
            engine: Engine::new(kind, config),
            ground,
            owner: hex::encode(digest.as_ref().get(..8).unwrap_or_default()),
            may_pull: config.pull_images,
            libraries: OnceCell::new(),
            facts: Mutex::default(),
            is_swept: OnceCell::new(),
        }))
    }
}

impl Shared {
    /// Asks the engine until it has answered. What a former life of this orchestrator left is removed
    /// when it does for the first time.
    async fn facts(&self) -> Result<Facts, DriverError> {
        let waiting = timeout(PATIENCE, self.facts.lock()).await;
        let mut facts = waiting.map_err(|_| self.engine.error("it is slow to answer"))?;
        if let Some(facts) = &*facts {
            return Ok(facts.clone());
        }
        let found = Facts::ask(&self.engine, self.kind).await?;
        let sweep = || running::remove_left(&self.engine, &self.owner, self.kind);
        self.is_swept.get_or_try_init(sweep).await?;
        *facts = Some(found.clone());
        Ok(found)
    }
}

impl Driver for Containers {
    fn report(&self) -> BoxFuture<'_, Result<DriverReport, DriverError>> {
        Box::pin(async {
            let facts = self.0.facts().await?;
            Ok(facts.report(self.0.kind, self.0.ground.has_pool()))
        })
    }

    fn check<'a>(&'a self, image: Option<&'a str>) -> BoxFuture<'a, Result<(), DriverError>> {
        Box::pin(async move {
            self.0.facts().await?;
            let name = image.ok_or(DriverError::NoImageNamed)?;
            if self.0.may_pull && image::is_name(name) {
                return Ok(());
            }
            image::find(&self.0.engine, name)
                .await?
                .map(drop)
                .ok_or_else(|| self.0.engine.no_image(name))
        })
    }

    fn fetch<'a>(&'a self, image: Option<&'a str>) -> BoxFuture<'a, Result<(), DriverError>> {
        Box::pin(async move {
            let name = image.ok_or(DriverError::NoImageNamed)?;
            image::get(&self.0.engine, name, self.0.may_pull).await
        })
    }

    fn start<'a>(
        &'a self,
        spec: &'a SandboxSpec,
    ) -> BoxFuture<'a, Result<RunningSandbox, DriverError>> {
        Box::pin(async move {
            spec.validate()?;
            let started = running::start(&self.0, spec).await;
            if started.is_err() {
                // It may be another engine by now, or none.
                *self.0.facts.lock().await = None;
            }
            started
        })
    }
}
