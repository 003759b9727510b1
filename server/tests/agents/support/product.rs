//! The server's own program in a process of its own, and a person who asks it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use reqwest::StatusCode;
use scripted_model::ScriptedModel;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    Session,
    agent::{Agent, PRICES, agents_folder},
    eventually, processes_below,
};

/// Credits of a new guest.
const GRANT: i64 = 5000;

/// A server, the models behind it, and somebody who uses it.
pub(crate) struct Product {
    pub(crate) model: ScriptedModel,
    folder: TempDir,
    keys: Keys,
    child: Child,
    starts: usize,
    address: String,
    http: reqwest::Client,
    cookie: String,
}

/// The operator's keys, one for each provider.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) anthropic: String,
    pub(crate) openai: String,
    pub(crate) custom: String,
}

/// A turn that was asked for.
pub(crate) struct Started {
    pub(crate) chat: String,
    pub(crate) turn: String,
}

impl Product {
    pub(crate) async fn start(keys: Keys) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("site/pkg")).unwrap();
        fs::create_dir_all(folder.path().join("log")).unwrap();
        fs::write(folder.path().join("prices.toml"), PRICES).unwrap();
        let model = ScriptedModel::start().await.unwrap();
        let child = spawn(folder.path(), &model.url(), &keys);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut product = Self {
            model,
            folder,
            keys,
            child,
            starts: 1,
            address: String::new(),
            http,
            cookie: String::new(),
        };
        product.ready().await;
        product
    }

    /// Ends it as a power switch would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again with what it left.
    pub(crate) async fn restart(&mut self) {
        self.child = spawn(self.folder.path(), &self.model.url(), &self.keys);
        self.starts += 1;
        self.ready().await;
    }

    /// Ends it as a service manager does. What it wrote stays for as long as the folder does; of its
    /// sandboxes nothing stays.
    pub(crate) async fn stop(mut self) -> TempDir {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
        let status = eventually("the server ends", async || self.child.try_wait().unwrap()).await;
        assert!(status.success(), "{status:?}");
        self.nothing_runs().await;
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    /// Waits until no process of any of its sandboxes is left.
    pub(crate) async fn nothing_runs(&self) {
        eventually("all sandboxes are gone", async || {
            processes_below(self.folder.path()).is_empty().then_some(())
        })
        .await;
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Sends a message, in a new chat or in one that is there.
    pub(crate) async fn ask(&mut self, agent: Agent, chat: Option<&str>, text: &str) -> Started {
        self.offers(agent).await;
        let turn = uuid::Uuid::now_v7().to_string();
        let request = json!({"chat_id": chat, "turn_id": turn, "text": text, "agent": agent.id(),
            "model": agent.model()});
        let answer = self.send("start_turn", json!({ "request": request })).await;
        if let Some(cookie) = answer.headers().get("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            pair.clone_into(&mut self.cookie);
        }
        let (status, body) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, StatusCode::OK, "{body}");
        let started: Value = serde_json::from_str(&body).unwrap();
        Started { chat: started["chat"]["id"].as_str().unwrap().to_owned(), turn }
    }

    /// Waits until the server, which has just started, knows what there is.
    async fn offers(&self, agent: Agent) {
        eventually("the agent can be chosen", async || {
            let options = self.call("list_options", json!({})).await;
            let agents = options["agents"].as_array().unwrap();
            let offered = agents.iter().find(|offered| offered["id"] == agent.id())?;
            offered["models"].as_array()?.contains(&json!(agent.model())).then_some(())
        })
        .await;
    }

    pub(crate) async fn stop_turn(&self, turn: &str) {
        self.call("stop_turn", json!({ "turn_id": turn })).await;
    }

    /// Waits until the turn is settled, without asking for it: how it ended, and the answer.
    pub(crate) async fn settled(&self, turn: &str) -> Value {
        eventually("the turn is settled", async || {
            let status = self.call("turn_status", json!({ "turn_id": turn })).await;
            (!status["outcome"].is_null()).then_some(status)
        })
        .await
    }

    /// What the account has paid so far, in micro-credits.
    pub(crate) async fn paid(&self) -> i64 {
        let balance = self.call("balance", json!({})).await;
        assert_eq!(balance["held"], 0, "{balance}");
        GRANT * 1_000_000 - balance["available"].as_i64().unwrap()
    }

    /// The orchestrator's side of a chat, once it has one.
    pub(crate) async fn session(&self, chat: &str) -> Session {
        let grant = eventually("the chat has a session", async || {
            let answer = self.send("refresh_token", json!({ "chat_id": chat })).await;
            // Until then it is a conflict.
            let is_there = answer.status().is_success();
            if is_there { Some(answer.json::<Value>().await.unwrap()) } else { None }
        })
        .await;
        Session::find(&self.data(), &grant).await
    }

    async fn call(&self, name: &str, arguments: Value) -> Value {
        let answer = self.send(name, arguments).await;
        let (status, body) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{name}: {status} {body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn send(&self, name: &str, arguments: Value) -> reqwest::Response {
        let request = self.http.post(format!("{}/api/{name}", self.address));
        let request = request.header("origin", &self.address).header("cookie", &self.cookie);
        request.json(&arguments).send().await.unwrap()
    }

    /// Waits for the line that says where it is.
    async fn ready(&mut self) {
        let read = |name: &str| fs::read_to_string(self.folder.path().join("log").join(name));
        let (child, starts) = (&mut self.child, self.starts);
        self.address = eventually("the server is ready", async || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {}", read("err").unwrap());
            let lines = read("out").unwrap();
            let line = lines.split_inclusive('\n').nth(starts - 1)?.strip_suffix('\n')?;
            Some(line.strip_prefix("Skein is ready: ").unwrap().to_owned())
        })
        .await;
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        // Already gone, mostly.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Keys {
    /// Keys that are looked for nowhere else.
    pub(crate) fn usual() -> Self {
        let key = |provider: &str| format!("sk-{provider}-0123456789");
        Self { anthropic: key("ant"), openai: key("oai"), custom: key("own") }
    }
}

/// Starts the program with nothing in its environment but what is said here. Its words go into files,
/// which a second start goes on writing.
fn spawn(folder: &Path, model: &str, keys: &Keys) -> Child {
    let log = |name: &str| {
        File::options().create(true).append(true).open(folder.join("log").join(name)).unwrap()
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("SKEIN_ADDR", "127.0.0.1:0")
        .env("SKEIN_ORCHESTRATOR_ADDR", "127.0.0.1:0")
        .env("SKEIN_DATA", folder.join("data"))
        .env("SKEIN_SITE_ROOT", folder.join("site"))
        .env("SKEIN_PRICES", folder.join("prices.toml"))
        .env("SKEIN_LOG", "debug")
        .env("SKEIN_TURNS_PER_MINUTE", "0")
        .env("SKEIN_GUEST_CREDITS", GRANT.to_string())
        .env("SKEIN_LOCAL_MODELS", "off")
        // The default is offered although OpenAI's list, by its name, would not have it.
        .env("SKEIN_MODEL", Agent::Codex.model())
        .env("ANTHROPIC_BASE_URL", model)
        .env("ANTHROPIC_API_KEY", &keys.anthropic)
        .env("OPENAI_BASE_URL", format!("{model}/v1"))
        .env("OPENAI_API_KEY", &keys.openai)
        .env("SKEIN_MODEL_URL", format!("{model}/v1"))
        .env("SKEIN_MODEL_KEY", &keys.custom)
        .stdin(Stdio::null())
        .stdout(log("out"))
        .stderr(log("err"));
    if let Some(agents) = agents_folder() {
        command.env("SKEIN_AGENTS", agents);
    }
    command.spawn().unwrap()
}
