//! OpenCode, by its server: HTTP on the sandbox's loopback, guarded by a password, and a stream of events.

mod asking;
mod config;
mod server;
mod translate;

use std::{collections::BTreeMap, ffi::OsString, time::Duration};

use sandbox_sdk::types::TurnError;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{
    Start,
    asks::Decision,
    conversation,
    follow::{Conversation, Step},
    problem,
    process::AgentProcess,
    random_hex,
    reporter::Reporter,
};
use server::Server;
use translate::Translator;

/// What the server says when it listens, before its address.
const LISTENS: &str = "listening on http://127.0.0.1:";
/// The first requests to a server that has just started may never be answered.
const HEALTH_PATIENCE: Duration = Duration::from_secs(1);
const HEALTH_PAUSE: Duration = Duration::from_millis(50);
/// From the end of its events until it is known how it ended.
const EXIT_PATIENCE: Duration = Duration::from_secs(1);
/// For anything it is asked that is no turn.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct OpenCode {
    process: AgentProcess,
    server: Server,
    events: server::Events,
    translator: Translator,
    session: String,
    model: String,
}

impl OpenCode {
    /// Now and then, on machines with few cores, it hangs for good while it starts; started anew, it does
    /// not (anomalyco/opencode#43465). For how long altogether, the watchdog knows.
    pub(super) async fn start(
        start: &Start<'_>,
        mut patience: Duration,
    ) -> Result<Self, TurnError> {
        loop {
            match timeout(patience, Self::start_once(start)).await {
                Ok(started) => return started,
                Err(_) => patience *= 2,
            }
        }
    }

    async fn start_once(start: &Start<'_>) -> Result<Self, TurnError> {
        let setup = start.setup;
        let cannot = |words: String| problem("AGENT_NOT_STARTED", format!("OpenCode: {words}"));
        let password = random_hex().map_err(|error| cannot(error.to_string()))?;
        let instructions = match &setup.profile.instructions {
            Some(text) => {
                let name = conversation::file_name(start.session_id);
                let path = format!("{}/opencode/{name}.md", conversation::FOLDER);
                let written = conversation::write(start.files, path.clone(), text.clone()).await;
                written.map_err(|problem| cannot(problem.message))?;
                Some(path)
            }
            None => None,
        };
        let config = config::config(setup, &start.url, start.door.key(), instructions);
        let mut env: BTreeMap<String, String> = [
            ("OPENCODE_CONFIG_CONTENT", config.as_str()),
            ("OPENCODE_SERVER_PASSWORD", password.as_str()),
            ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
            ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
            ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1"),
            // Only its own terminal has it otherwise.
            ("OPENCODE_ENABLE_QUESTION_TOOL", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        if !setup.profile.permissions.allows_all() {
            // A file of the workspace could allow what the profile does not, or bring code of its own.
            env.insert("OPENCODE_DISABLE_PROJECT_CONFIG".to_owned(), "1".to_owned());
        }
        let mut arguments: Vec<OsString> = vec![start.program.into()];
        arguments.extend(["serve", "--hostname=127.0.0.1", "--port=0"].map(OsString::from));
        let mut process = AgentProcess::start(setup.cli, start.commands, &arguments, env).await?;
        let server = Server::new(port(&mut process).await?, &password);
        while !matches!(timeout(HEALTH_PATIENCE, server.get("/global/health")).await, Ok(Ok(_))) {
            if !process.is_alive() {
                return Err(process.died());
            }
            sleep(HEALTH_PAUSE).await;
        }
        let events = server.events().await.map_err(cannot)?;
        let known = conversation::load(start.files, setup.cli, start.session_id).await;
        let session = match session(&server, known).await {
            Ok(session) => session,
            Err(words) => return Err(cannot(words)),
        };
        let (translator, model) = (Translator::default(), setup.model.model.clone());
        Ok(Self { process, server, events, translator, session, model })
    }

    pub(super) async fn say(&mut self, message: &str) -> Result<(), TurnError> {
        self.translator = Translator::new(&self.session);
        let prompt = json!({
            "parts": [{ "type": "text", "text": message }],
            "model": { "providerID": config::PROVIDER, "modelID": self.model },
        });
        let path = format!("/session/{}/prompt_async", self.session);
        let said = timeout(PATIENCE, self.server.post(&path, &prompt)).await;
        match said.map_err(|_| "it does not answer".to_owned()).flatten() {
            Ok(_) => Ok(()),
            Err(_) if !self.process.is_alive() => Err(self.process.died()),
            Err(words) => Err(problem("AGENT_FAILED", format!("OpenCode: {words}"))),
        }
    }

    pub(super) fn process(&mut self) -> &mut AgentProcess {
        &mut self.process
    }

    pub(super) fn into_process(self) -> AgentProcess {
        self.process
    }

    pub(super) fn conversation(&self) -> Option<String> {
        Some(self.session.clone())
    }
}

/// The port that the server listens on, which it tells once it does.
async fn port(process: &mut AgentProcess) -> Result<u16, TurnError> {
    while let Some(line) = process.line().await {
        if let Some((_, port)) = line.split_once(LISTENS)
            && let Ok(port) = port.trim().parse()
        {
            return Ok(port);
        }
    }
    Err(process.died())
}

/// The session that is known, if the server still knows it, else a new one.
async fn session(server: &Server, known: Option<String>) -> Result<String, String> {
    if let Some(known) = known
        && server.get(&format!("/session/{known}")).await.is_ok()
    {
        return Ok(known);
    }
    let made = server.post("/session", &json!({})).await?;
    let id = made["id"].as_str().ok_or("it names no session")?;
    Ok(id.to_owned())
}

impl Conversation for OpenCode {
    async fn next(&mut self) -> Option<String> {
        tokio::select! {
            // It prints what nobody needs; but when it ends, the events may hang.
            () = gone(&mut self.process) => None,
            event = self.events.next() => {
                if event.is_none() {
                    // Known a moment later is why.
                    timeout(EXIT_PATIENCE, gone(&mut self.process)).await.ok();
                }
                event
            }
        }
    }

    async fn take(&mut self, line: &str, reporter: &mut Reporter) -> Step {
        let Ok(event) = serde_json::from_str(line) else { return Step::Quiet };
        match asking::step(&event) {
            Some(step) => step,
            None => self.translator.take(&event, reporter).await,
        }
    }

    async fn decided(&mut self, native: Value, decision: Decision) {
        let (path, reply) = asking::reply(&native, decision);
        // One that it does not take it does not wait for any more; if it hangs, that is noticed.
        timeout(PATIENCE, self.server.post(&path, &reply)).await.ok();
    }

    async fn interrupt(&mut self) {
        let path = format!("/session/{}/abort", self.session);
        self.server.post(&path, &json!({})).await.ok();
    }

    fn died(&self) -> TurnError {
        self.process.died()
    }

    fn kill(&mut self) {
        self.process.kill();
    }
}

/// Waits until the process has ended.
async fn gone(process: &mut AgentProcess) {
    while process.line().await.is_some() {}
}
