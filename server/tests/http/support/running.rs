use std::path::Path;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use server::config::Config;
use server::start;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Answer, message};

/// Far more than any turn takes; a turn that needs it has gone wrong.
const PATIENCE: Duration = Duration::from_secs(120);

/// A whole server on free ports, with the orchestrator in its process.
pub(crate) struct Running {
    address: String,
    folder: TempDir,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Somebody who has sent a message.
pub(crate) struct Guest<'a> {
    server: &'a Running,
    cookie: String,
    /// Answer to the first message.
    pub(crate) started: Value,
}

impl Running {
    /// `options` beside those that every test needs.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let site = folder.path().join("site");
        std::fs::create_dir_all(site.join("pkg")).unwrap();
        let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
        let mut arguments = vec![
            "server".to_owned(),
            "--addr=127.0.0.1:0".into(),
            "--orchestrator-addr=127.0.0.1:0".into(),
            "--guests-per-hour=0".into(),
            option("data", &folder.path().join("data")),
            option("site-root", &site),
            option("sidecar-binary", Path::new(env!("CARGO_BIN_EXE_server"))),
        ];
        if !options.iter().any(|option| option.starts_with("--demo-pace-ms")) {
            arguments.push("--demo-pace-ms=0".into());
        }
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        let mut config = Config::parse_from(arguments);
        // Whatever the environment says, this test brings its own.
        config.database_url = None;
        config.orchestrator.url = None;
        let server = start::start(config).await.unwrap();
        let address = server.address().to_owned();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run_until(async {
            stopped.await.ok();
        }));
        Self { address, folder, client: reqwest::Client::new(), stop, task }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.answer(self.client.get(format!("{}{path}", self.address))).await
    }

    /// Waits until it says that it can do its work.
    pub(crate) async fn ready(&self) {
        let asking = async {
            while self.get("/readyz").await.status != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("the server is ready in time");
    }

    /// Somebody who sends this message.
    pub(crate) async fn guest(&self, text: &str) -> Guest<'_> {
        let mut guest = Guest { server: self, cookie: String::new(), started: Value::Null };
        let answer = guest.call("start_turn", message(None, text)).await;
        guest.cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        guest.started = answer.ok();
        guest
    }

    /// Stops as a signal would, and gives the folder back.
    pub(crate) async fn stop(self) -> TempDir {
        self.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
        self.folder
    }

    /// Command lines of the processes in this server's sandboxes.
    pub(crate) fn processes(&self) -> Vec<String> {
        processes_of(self.folder.path())
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, body: response.text().await.unwrap() }
    }
}

impl Guest<'_> {
    pub(crate) async fn call(&self, name: &str, arguments: Value) -> Answer {
        let url = format!("{}/api/{name}", self.server.address);
        let request = self.server.client.post(url).header("origin", &self.server.address);
        self.server.answer(request.header("cookie", &self.cookie).json(&arguments)).await
    }

    pub(crate) async fn visit(&self, path: &str) -> Answer {
        let request = self.server.client.get(format!("{}{path}", self.server.address));
        self.server
            .answer(request.header("cookie", &self.cookie).header("accept", "text/html"))
            .await
    }

    /// Asks for the turn's status until it is as wanted.
    pub(crate) async fn until(&self, turn: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let status = self.call("turn_status", json!({"turn_id": turn})).await.ok();
                if wanted(&status) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("the turn gets there in time")
    }

    /// Waits until the turn is settled.
    pub(crate) async fn settled(&self, turn: &str) -> Value {
        self.until(turn, |status| !status["outcome"].is_null()).await
    }
}

/// Command lines of all processes that have a part of the folder mounted: those in its sandboxes.
pub(crate) fn processes_of(folder: &Path) -> Vec<String> {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|process| process.path());
    let inside = processes.filter(|process| {
        std::fs::read_to_string(process.join("mountinfo"))
            .is_ok_and(|mounts| mounts.contains(&name))
    });
    let lines = inside.filter_map(|process| std::fs::read(process.join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}
