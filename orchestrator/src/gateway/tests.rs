//! The gateway over real sockets, fed from a log that the tests write themselves.

mod access;
mod breadth;
mod delivery;
mod figures;
mod half_open;
mod liveness;
mod promises;
mod retention;
mod silent_line;
mod viewer;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::any};
use sandbox_sdk::auth::{
    IssueRequest, IssuerConfig, ProductTokenIssuer, Tier, TierTtl, VerifierConfig,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::{Gateway, upgrade};
use crate::{
    config::Tuning,
    log::{SessionLog, tests::Bench},
};
use viewer::{Offer, Viewer};

const SECRET: &str = "orch_sign_0123456789abcdef0123456789abcdef";
const ORIGIN: &str = "http://127.0.0.1:3000";

/// A gateway that listens, the log behind it, and the product's side of its tokens.
struct Stage {
    bench: Bench,
    gateway: Gateway,
    url: String,
    _dir: TempDir,
}

impl Stage {
    async fn new() -> Self {
        Self::with(Tuning::default()).await
    }

    async fn with(tuning: Tuning) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::open(dir.path()).await;
        let serving = tuning.clone();
        let origins = [ORIGIN.to_owned()];
        let keys = VerifierConfig::new("skein", SECRET);
        let gateway = Gateway::new(bench.logs.clone(), keys, &origins, tuning).unwrap();
        let router = Router::new().route("/session", any(upgrade)).with_state(gateway.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/session", listener.local_addr().unwrap());
        let ends = crate::serve::Ends::default();
        tokio::spawn(crate::serve::serve(listener, router, serving, ends, TaskTracker::new()));
        Self { bench, gateway, url, _dir: dir }
    }

    /// A session of `alice`.
    async fn session(&self, id: &str) -> Arc<SessionLog> {
        self.bench.session(id, "alice").await
    }

    fn token(&self, user: &str, session: &str) -> String {
        self.token_for(user, session, Duration::from_secs(600))
    }

    fn token_for(&self, user: &str, session: &str, ttl: Duration) -> String {
        let ttl = TierTtl { free: ttl, ..TierTtl::default() };
        let issuer = IssuerConfig { ttl, ..IssuerConfig::new("skein", SECRET) };
        let request = IssueRequest {
            user_id: user.to_owned(),
            session_id: session.to_owned(),
            tier: Tier::Free,
            sandbox_id: None,
        };
        ProductTokenIssuer::new(issuer).unwrap().issue(&request).unwrap().token
    }

    /// A viewer of alice's session, already greeted.
    async fn viewer(&self, session: &str, query: &str) -> Viewer {
        let offer = Offer::bearer(&self.token("alice", session));
        let mut viewer = Viewer::open(&format!("{}?{query}", self.url), offer).await.unwrap();
        viewer.expect("connection.established").await;
        viewer
    }

    async fn viewers_are(&self, count: usize) {
        for _ in 0..3000 {
            if self.gateway.open() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} viewers, not {count}", self.gateway.open());
    }
}
