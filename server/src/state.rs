//! What the routes share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use app::api::request::ServerContext;
use axum::extract::FromRef;
use backend::Backend;
use leptos::config::{Env, LeptosOptions};

use crate::middleware::ContentPolicy;
use crate::{Origins, TrustedProxies};

/// The part of the browser's module that shows a chat, as the site's list of hashes names it.
const PART: &str = "split_thread";

/// Everything a request needs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    context: ServerContext,
    site: Site,
    web: Web,
    policy: ContentPolicy,
}

/// How the server is seen from outside.
#[derive(Clone, Debug)]
pub struct Web {
    /// Names under which browsers reach it.
    pub origins: Origins,
    /// WebSocket address of the session gateway: the one foreign place a page may connect to.
    pub gateway_url: String,
    /// Proxies that tell the client's address, and the trace it began.
    pub proxies: TrustedProxies,
    /// Share of the traces begun here that are to be recorded, from 0 to 1.
    pub traces_share: f64,
    /// New guests an hour and client; 0 sets no limit.
    pub guests_per_hour: u32,
}

/// The built site: the browser's module, styles, fonts, icons.
#[derive(Clone, Debug)]
pub struct Site {
    options: LeptosOptions,
    root: PathBuf,
    /// Hash of the part of the module that shows a chat, where that is a file of its own.
    part_hash: Option<String>,
}

impl Site {
    /// The site in a folder, which need not exist: then there are pages, but no assets.
    ///
    /// # Errors
    /// When the current folder is not known, which a relative path needs, or the list of the site's
    /// names can't be read.
    pub fn open(root: &Path, reload_port: Option<u16>) -> std::io::Result<Self> {
        let root = std::path::absolute(root)?;
        // A release build carries hashes in the names of its files and lists them here. Without a list
        // Leptos would take its names from the environment it was compiled in; an empty one means
        // that names are plain.
        let hashes = root.join("hash.txt");
        let hashes = if hashes.exists() { hashes } else { PathBuf::from("/dev/null") };
        let listed = std::fs::read_to_string(&hashes)?;
        let part_hash = listed.lines().find_map(|line| line.strip_prefix(PART)?.strip_prefix(": "));
        let part_hash = part_hash.map(str::to_owned);
        let options = LeptosOptions::builder()
            .output_name("skein")
            .site_root(root.to_string_lossy())
            .site_pkg_dir("pkg")
            .env(if reload_port.is_some() { Env::DEV } else { Env::PROD })
            .reload_port(reload_port.map_or(3001, u32::from))
            .hash_files(true)
            .hash_file(hashes.to_string_lossy().as_ref().into())
            .build();
        Ok(Self { options, root, part_hash })
    }

    /// Whether the browser's part was built.
    pub fn is_built(&self) -> bool {
        self.root.join("pkg").is_dir()
    }

    /// Address of the part of the module that shows a chat. None: the module is one file.
    pub(crate) fn part_url(&self) -> Option<String> {
        let pkg = &self.options.site_pkg_dir;
        self.part_hash.as_ref().map(|hash| format!("/{pkg}/{PART}.{hash}.wasm"))
    }

    /// The folder, as an absolute path.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl AppState {
    /// Puts the parts together.
    pub fn new(backend: Backend, site: Site, web: Web) -> Self {
        let reload = (site.options.env == Env::DEV).then_some(site.options.reload_port);
        let policy = ContentPolicy::new(&web.gateway_url, reload);
        let context = ServerContext::new(backend, web.guests_per_hour);
        Self(Arc::new(Shared { context, site, web, policy }))
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.0.context.backend
    }

    pub(crate) fn context(&self) -> &ServerContext {
        &self.0.context
    }

    pub(crate) fn site(&self) -> &Site {
        &self.0.site
    }

    pub(crate) fn web(&self) -> &Web {
        &self.0.web
    }

    pub(crate) fn policy(&self) -> &ContentPolicy {
        &self.0.policy
    }
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        state.0.site.options.clone()
    }
}
