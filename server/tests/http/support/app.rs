use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use backend::{Backend, BackendConfig, Credits, Limits, Prices, Timing};
use http::{Method, Request};
use secrecy::SecretString;
use serde_json::Value;
use server::{AppState, Origin, Origins, Site, TrustedProxies, Web, router};
use tempfile::TempDir;
use tower::ServiceExt;

use super::{Answer, Person};

/// What a browser on this machine puts into `Host`.
pub(crate) const HOST: &str = "127.0.0.1:3000";
/// Signs the tokens and webhooks of a test.
pub(crate) const SIGNING_SECRET: &str = "orch_sign_0123456789abcdef0123456789abcdef";

/// The whole router over a database of its own, and an orchestrator that never answers.
pub(crate) struct TestApp {
    pub(crate) router: Router,
    pub(crate) state: AppState,
    pub(crate) backend: Backend,
    pub(crate) folder: TempDir,
}

/// What can be different from one test to another.
pub(crate) struct TestAppBuilder {
    origins: Vec<Origin>,
    proxies: Vec<&'static str>,
    guests_per_hour: u32,
    guest_credits: u32,
    site: Vec<(&'static str, &'static [u8])>,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    pub(crate) fn builder() -> TestAppBuilder {
        TestAppBuilder {
            origins: Vec::new(),
            proxies: Vec::new(),
            guests_per_hour: 0,
            guest_credits: 500,
            site: Vec::new(),
        }
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::read(self.router.clone().oneshot(request).await.unwrap()).await
    }

    /// Somebody without a cookie.
    pub(crate) fn visitor(&self) -> Person<'_> {
        Person::new(self)
    }

    /// Somebody who has sent a message, and so has an account.
    pub(crate) async fn guest(&self) -> Person<'_> {
        let mut person = self.visitor();
        person.start_turn("Hello").await;
        person
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn call(&self, name: &str, arguments: Value) -> Answer {
        self.visitor().call(name, arguments).await
    }

    /// What this installation's session cookie is called.
    pub(crate) fn cookie_name(&self) -> String {
        format!("__Host-skein-{}", self.backend.installation())
    }

    /// The bytes of the database and its log.
    pub(crate) fn database_bytes(&self) -> Vec<u8> {
        let files = ["skein.sqlite", "skein.sqlite-wal"];
        files
            .iter()
            .flat_map(|name| std::fs::read(self.folder.path().join(name)).unwrap())
            .collect()
    }
}

impl TestAppBuilder {
    pub(crate) fn origin(mut self, origin: &str) -> Self {
        self.origins.push(origin.parse().unwrap());
        self
    }

    pub(crate) fn proxy(mut self, network: &'static str) -> Self {
        self.proxies.push(network);
        self
    }

    pub(crate) fn guests_per_hour(mut self, guests: u32) -> Self {
        self.guests_per_hour = guests;
        self
    }

    pub(crate) fn guest_credits(mut self, credits: u32) -> Self {
        self.guest_credits = credits;
        self
    }

    /// A file of the built site.
    pub(crate) fn asset(mut self, path: &'static str, contents: &'static [u8]) -> Self {
        self.site.push((path, contents));
        self
    }

    pub(crate) async fn start(self) -> TestApp {
        let folder = tempfile::tempdir().unwrap();
        let site: PathBuf = folder.path().join("site");
        for (path, contents) in &self.site {
            let file = site.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, contents).unwrap();
        }
        let backend = Backend::connect(BackendConfig {
            database_url: format!("sqlite:{}", folder.path().join("skein.sqlite").display()),
            // Nothing listens on the discard port.
            orchestrator_url: "http://127.0.0.1:9".into(),
            sandbox_api_url: None,
            api_key: SecretString::from("orch_prod_0123456789abcdef0123456789abcdef"),
            product_id: "skein".into(),
            signing_secret: SecretString::from(SIGNING_SECRET),
            gateway_url: "ws://127.0.0.1:4095/session".into(),
            sandbox_image: None,
            guest_credits: Credits::from_whole(self.guest_credits),
            prices: Prices::built_in().unwrap(),
            timing: Timing::default(),
            limits: Limits::default(),
        });
        let backend = backend.await.unwrap();
        let web = Web {
            origins: Origins::new(&self.origins, HOST.parse().unwrap()),
            gateway_url: "ws://127.0.0.1:4095/session".into(),
            proxies: TrustedProxies::parse(&self.proxies).unwrap(),
            traces_share: 1.0,
            guests_per_hour: self.guests_per_hour,
        };
        let state = AppState::new(backend.clone(), Site::open(&site, None).unwrap(), web);
        TestApp { router: router(state.clone()), state, backend, folder }
    }
}

/// A request as it comes to this host.
pub(crate) fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header("host", HOST)
}
