//! The log and the gateway in a process of its own, which can be killed at any moment.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path as UrlPath, State},
    routing::{any, get, post},
};
use sandbox_sdk::{auth::VerifierConfig, types::Event};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex, watch},
};
use tokio_util::task::TaskTracker;

use super::super::{ORIGIN, SECRET};
use crate::{
    config::Tuning,
    gateway::{Gateway, upgrade},
    log::{
        Appended,
        tests::{Bench, the_box},
    },
    mutants::{Mutant, VARIABLE},
    store::Store,
};

/// Names the folder of the process's database.
const FOLDER: &str = "SKEIN_PROMISES_FOLDER";
const LISTENING: &str = "listening on ";
const USER: &str = "alice";
/// Bytes that the kernel keeps for a viewer, so that a slow one is felt.
const SEND_BUFFER: u32 = 4096;

/// Events for a session, by their numbers and sizes in bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Given {
    pub(super) numbers: Vec<u64>,
    pub(super) sizes: Vec<usize>,
}

/// The process, as the tests see it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Server(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    mutant: Option<Mutant>,
    http: reqwest::Client,
    child: Mutex<Option<Child>>,
    /// Where it listens while it runs: `host:port`.
    address: watch::Sender<Option<String>>,
}

impl Server {
    pub(super) fn new(folder: &Path, mutant: Option<Mutant>) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
        Self(Arc::new(Inner {
            folder: folder.to_owned(),
            mutant,
            http: http.build().unwrap(),
            child: Mutex::default(),
            address: watch::Sender::new(None),
        }))
    }

    /// Starts it on the folder and waits until it listens.
    pub(super) async fn start(&self) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "--ignored", "--nocapture"])
            .arg("gateway::tests::promises::server::serves_until_it_is_killed")
            .env(FOLDER, &self.0.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(mutant) = self.0.mutant {
            command.env(VARIABLE, mutant.name());
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("the server did not start");
            if let Some((_, address)) = line.split_once(LISTENING) {
                break address.to_owned();
            }
        };
        *self.0.child.lock().await = Some(child);
        self.0.address.send_replace(Some(address));
    }

    /// Ends it as a power switch would.
    pub(super) async fn kill(&self) {
        let child = self.0.child.lock().await.take();
        if let Some(mut child) = child {
            child.kill().await.unwrap();
        }
        self.0.address.send_replace(None);
    }

    /// Where it listens, once it does.
    pub(super) async fn address(&self) -> String {
        let mut address = self.0.address.subscribe();
        let address = address.wait_for(Option::is_some).await.unwrap();
        address.clone().unwrap()
    }

    /// Makes a session.
    pub(super) async fn map(&self, session: &str) {
        let url = format!("http://{}/map/{session}", self.address().await);
        self.0.http.post(url).send().await.unwrap().error_for_status().unwrap();
    }

    /// Number of the first of the events; `None`: no answer came.
    pub(super) async fn append(&self, session: &str, given: &Given) -> Option<u64> {
        let url = format!("http://{}/append/{session}", self.address().await);
        let answer = self.0.http.post(url).json(given).send().await.ok()?;
        answer.error_for_status().ok()?.json().await.ok()
    }

    /// Number of a session's last event.
    pub(super) async fn head(&self, session: &str) -> u64 {
        loop {
            let url = format!("http://{}/head/{session}", self.address().await);
            let answer = async { self.0.http.get(url).send().await?.json().await };
            match answer.await {
                Ok(head) => return head,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

type Shared = State<(Arc<Bench>, Gateway)>;

async fn map(State((bench, _)): Shared, UrlPath(session): UrlPath<String>) {
    bench.session(&session, USER).await;
}

async fn append(
    State((bench, _)): Shared,
    UrlPath(session): UrlPath<String>,
    Json(given): Json<Given>,
) -> Json<u64> {
    let log = bench.session(&session, USER).await;
    let events = given.numbers.iter().zip(&given.sizes).map(|(number, size)| Event {
        kind: "status".to_owned(),
        data: json!({"number": number, "pad": "x".repeat(*size)}).as_object().unwrap().clone(),
    });
    match bench.logs.append(&log, events.collect(), None).await.unwrap() {
        Appended::Written { first } => Json(first),
        other => panic!("{other:?}"),
    }
}

async fn head(State((bench, _)): Shared, UrlPath(session): UrlPath<String>) -> Json<u64> {
    Json(bench.session(&session, USER).await.head().seq)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process of its own, which the tests of the promises start"]
async fn serves_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = Store::open(&Path::new(&folder).join("o.db")).await.unwrap();
    // There already, after the first start.
    drop(store.insert_sandbox(&the_box(), "{}", None).await);
    let bench = Arc::new(Bench::on(store).await);
    let tuning = Tuning { socket_send_buffer: Some(SEND_BUFFER), ..Tuning::default() };
    let origins = [ORIGIN.to_owned()];
    let logs = bench.logs.clone();
    let gateway =
        Gateway::new(logs, VerifierConfig::new("skein", SECRET), &origins, tuning.clone());
    let gateway = gateway.unwrap();
    let router = Router::new()
        .route("/map/{session}", post(map))
        .route("/append/{session}", post(append))
        .route("/head/{session}", get(head))
        .with_state((bench, gateway.clone()))
        .merge(Router::new().route("/session", any(upgrade)).with_state(gateway));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{LISTENING}{}", listener.local_addr().unwrap());
    let ends = crate::serve::Ends::default();
    crate::serve::serve(listener, router, tuning, ends, TaskTracker::new()).await;
}
