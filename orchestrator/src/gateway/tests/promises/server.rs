//! The log and the gateway in a process of its own, which can be killed at any moment, and worse.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path as UrlPath, State},
    http::StatusCode,
    routing::{any, get, post},
};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
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
        Appended, LogError,
        tests::{Bench, the_box},
    },
    mutants::{Mutant, VARIABLE},
    store::Store,
};

/// Names the folder of the process's database.
const FOLDER: &str = "SKEIN_PROMISES_FOLDER";
const LISTENING: &str = "listening on ";
const USER: &str = "alice";
/// Pause between two pings of a viewer: short, so that a server that stands still misses some.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(2);
/// Runs the program without the signal that ends who writes more than it may: the write fails then.
const NO_SIGNAL: &str = r#"trap '' XFSZ; exec "$0" "$@""#;
/// Bytes that the kernel keeps for a viewer, so that a slow one is felt.
const SEND_BUFFER: u32 = 4096;

/// Events for a session, by their numbers and sizes in bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Given {
    pub(super) numbers: Vec<u64>,
    pub(super) sizes: Vec<usize>,
}

/// What came of an append.
#[derive(Debug)]
pub(super) enum Answer {
    /// Number of the first of the events.
    First(u64),
    /// The disk did not take them.
    NoRoom,
    Failed(String),
    None,
}

/// The database in the folder.
pub(super) fn database(folder: &Path) -> PathBuf {
    folder.join("o.db")
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
        let mut command = Command::new("sh");
        command
            .args(["-c", NO_SIGNAL])
            .arg(std::env::current_exe().unwrap())
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

    /// Stops it where it stands.
    pub(super) async fn stop(&self) {
        let pid = self.signal(Signal::STOP).await;
        let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
        // After the name, which is in parentheses: the state.
        while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets it go on.
    pub(super) async fn resume(&self) {
        self.signal(Signal::CONT).await;
    }

    /// Lets it write files up to so many bytes, or as long as it likes.
    pub(super) async fn set_file_limit(&self, bytes: Option<u64>) {
        let pid = self.pid().await;
        // It has those of this process.
        let usual = getrlimit(Resource::Fsize);
        let limit = Rlimit { current: bytes.or(usual.current), ..usual };
        prlimit(Some(pid), Resource::Fsize, limit).unwrap();
    }

    async fn signal(&self, signal: Signal) -> Pid {
        let pid = self.pid().await;
        kill_process(pid, signal).unwrap();
        pid
    }

    async fn pid(&self) -> Pid {
        let child = self.0.child.lock().await;
        let pid = child.as_ref().unwrap().id().unwrap();
        Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
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

    pub(super) async fn append(&self, session: &str, given: &Given) -> Answer {
        let url = format!("http://{}/append/{session}", self.address().await);
        let Ok(answer) = self.0.http.post(url).json(given).send().await else {
            return Answer::None;
        };
        match answer.status() {
            StatusCode::OK => answer.json().await.map_or(Answer::None, Answer::First),
            StatusCode::INSUFFICIENT_STORAGE => Answer::NoRoom,
            _ => Answer::Failed(answer.text().await.unwrap_or_default()),
        }
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
) -> Result<Json<u64>, (StatusCode, String)> {
    // It stands there already: nothing but the events is to be written.
    let log = bench.logs.session(&session).await.unwrap();
    let events = given.numbers.iter().zip(&given.sizes).map(|(number, size)| Event {
        kind: "status".to_owned(),
        data: json!({"number": number, "pad": "x".repeat(*size)}).as_object().unwrap().clone(),
    });
    match bench.logs.append(&log, events.collect(), None).await {
        Ok(Appended::Written { first }) => Ok(Json(first)),
        Err(LogError::Store(error)) if error.is_of_the_disk() => {
            Err((StatusCode::INSUFFICIENT_STORAGE, format!("{error:?}")))
        }
        other => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{other:?}"))),
    }
}

async fn head(State((bench, _)): Shared, UrlPath(session): UrlPath<String>) -> Json<u64> {
    Json(bench.logs.session(&session).await.unwrap().head().seq)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process of its own, which the tests of the promises start"]
async fn serves_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = Store::open(&database(Path::new(&folder))).await.unwrap();
    // There already, after the first start.
    drop(store.insert_sandbox(&the_box(), "{}", None).await);
    let bench = Arc::new(Bench::on(store).await);
    let tuning =
        Tuning { socket_send_buffer: Some(SEND_BUFFER), heartbeat: HEARTBEAT, ..Tuning::default() };
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
