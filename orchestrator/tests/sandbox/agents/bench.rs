//! A sandbox with an agent in it and a scripted model behind it.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt};
use orchestrator::{
    agents::{AgentProgram, Cli, installed},
    driver::SandboxSpec,
    sidecar::{AGENT_FINISHED, AgentRun, ModelAccess, SidecarError},
};
use sandbox_sdk::{
    transcript::Transcript,
    types::{
        BackendChoice, Event, EventBody, InteractionAnswer, InteractionRequest, Outcome, PartBody,
        ToolPart, TurnError, WireFormat, event_type,
    },
};
use scripted_model::ScriptedModel;
use serde_json::{Value, json};
use tokio::net::{TcpStream, UnixListener};

use crate::support::Sandbox;

/// Longer than any turn here may take on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(180);
pub(super) const TOKEN: &str = "turn-token-5f0c1d2e3b4a";

pub(super) struct Bench {
    pub(super) sandbox: Sandbox,
    pub(super) model: ScriptedModel,
    pub(super) cli: Cli,
    pub(super) format: WireFormat,
}

/// What a turn gave.
pub(super) struct Turn {
    pub(super) events: Vec<Event>,
    pub(super) transcript: Transcript,
    pub(super) outcome: String,
    /// What the agent asked.
    pub(super) asked: Vec<InteractionRequest>,
    pub(super) error: Option<TurnError>,
    pub(super) first_delta: Option<Duration>,
}

pub(super) fn program(cli: Cli) -> Option<AgentProgram> {
    let folder = std::env::var_os("SKEIN_AGENTS").unwrap_or_default();
    let folder = Path::new(if folder.is_empty() { OsStr::new("/none") } else { &folder });
    let found = installed(folder, std::env::var_os("PATH").as_deref());
    let found = found.into_iter().find(|found| found.cli == cli);
    if found.is_none() {
        println!("skipped: {} is not installed; SKEIN_AGENTS names the folder", cli.name());
    }
    found
}

impl Bench {
    /// Nothing if the agent is not installed.
    pub(super) async fn start(cli: Cli) -> Option<Self> {
        Self::with(cli, |_| {}).await
    }

    pub(super) async fn with(cli: Cli, change: impl FnOnce(&mut SandboxSpec)) -> Option<Self> {
        let program = program(cli)?;
        let model = ScriptedModel::start().await.unwrap();
        let url = model.url();
        let sandbox = Sandbox::with(|spec| {
            spec.agents = vec![program];
            change(spec);
            serve_models(&spec.root, url.trim_start_matches("http://").to_owned());
        })
        .await;
        Some(Self { sandbox, model, cli, format: cli.formats()[0] })
    }

    pub(super) fn run(&self, session: &str, turn: &str, message: &str, profile: Value) -> AgentRun {
        let backend = json!({ "type": self.cli.id(), "profile": profile });
        let backend: BackendChoice = serde_json::from_value(backend).unwrap();
        let model = ModelAccess {
            token: TOKEN.into(),
            provider: "scripted".into(),
            model: "scripted-1".into(),
            format: self.format,
            context_tokens: Some(200_000),
        };
        AgentRun {
            session_id: session.into(),
            turn_id: turn.into(),
            message: message.into(),
            backend: Some(backend),
            model: Some(model),
        }
    }

    pub(super) async fn begin(
        &self,
        run: &AgentRun,
    ) -> impl Stream<Item = Result<Event, SidecarError>> + Unpin + use<> {
        self.sandbox.running.sidecar().run_agent(run).await.unwrap()
    }

    /// Asks and waits for the end.
    pub(super) async fn ask(&self, turn: &str, message: &str) -> Turn {
        self.ask_as("s1", turn, message, Value::Null).await
    }

    pub(super) async fn ask_as(
        &self,
        session: &str,
        turn: &str,
        message: &str,
        profile: Value,
    ) -> Turn {
        let stream = self.begin(&self.run(session, turn, message, profile)).await;
        Turn::collect(stream, |_| async {}, nobody).await
    }

    /// Asks, and lets a person answer whatever the agent asks: an outcome, and what is filled in.
    pub(super) async fn ask_with(
        &self,
        run: &AgentRun,
        person: impl Fn(&InteractionRequest) -> (Outcome, Value),
    ) -> Turn {
        let sidecar = self.sandbox.running.sidecar().clone();
        let answer = async |request: &InteractionRequest| {
            let (outcome, data) = person(request);
            let data = data.as_object().unwrap().clone();
            let answer = InteractionAnswer { id: request.id.clone(), outcome, data };
            request.check(&answer).unwrap();
            assert!(sidecar.give_answer(&run.turn_id, &answer).await.unwrap());
        };
        Turn::collect(self.begin(run).await, |_| async {}, answer).await
    }

    /// Asks, and answers nothing.
    pub(super) async fn ask_and_wait(&self, run: &AgentRun) -> Turn {
        let silent = async |_: &InteractionRequest| {};
        Turn::collect(self.begin(run).await, |_| async {}, silent).await
    }

    /// Asks, and stops the turn once the agent asks something.
    pub(super) async fn stop_when_asked(&self, run: &AgentRun) -> Turn {
        let stop = async |_: &InteractionRequest| self.stop(&run.turn_id).await;
        Turn::collect(self.begin(run).await, |_| async {}, stop).await
    }

    /// Asks, and does something once the agent has said the first words.
    pub(super) async fn ask_and<F: Future<Output = ()>>(
        &self,
        turn: &str,
        message: &str,
        then: impl FnMut(&Event) -> F,
    ) -> Turn {
        let stream = self.begin(&self.run("s1", turn, message, Value::Null)).await;
        Turn::collect(stream, then, nobody).await
    }

    pub(super) async fn stop(&self, turn: &str) {
        assert!(self.sandbox.running.sidecar().abort(turn).await.unwrap());
    }

    /// Sends a signal to the agent's own program.
    pub(super) async fn signal(&self, signal: &str) {
        let command = format!(
            "for p in /proc/[0-9]*; do case $(readlink $p/exe) in /opt/agents/*) \
             kill -{signal} ${{p#/proc/}};; esac; done"
        );
        self.sandbox.output(&command).await;
    }
}

/// For turns in which nothing is asked.
async fn nobody(request: &InteractionRequest) {
    panic!("nobody is there to answer {request:?}");
}

/// Stands in for the model gateway: copies the sandbox's socket to the scripted model.
fn serve_models(root: &Path, address: String) {
    let run = root.join("run");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&run).unwrap();
    let socket = run.join("models.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    tokio::spawn(async move {
        while let Ok((mut inside, _)) = listener.accept().await {
            let address = address.clone();
            tokio::spawn(async move {
                let mut outside = TcpStream::connect(address).await.unwrap();
                tokio::io::copy_bidirectional(&mut inside, &mut outside).await.ok();
            });
        }
    });
}

impl Turn {
    async fn collect<F: Future<Output = ()>>(
        mut stream: impl Stream<Item = Result<Event, SidecarError>> + Unpin,
        mut at_first_delta: impl FnMut(&Event) -> F,
        mut answer: impl AsyncFnMut(&InteractionRequest),
    ) -> Self {
        let started = Instant::now();
        let mut turn = Self {
            events: Vec::new(),
            transcript: Transcript::default(),
            outcome: String::new(),
            asked: Vec::new(),
            error: None,
            first_delta: None,
        };
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while let Some(event) = tokio::time::timeout_at(deadline, stream.next())
            .await
            .unwrap_or_else(|_| panic!("the turn does not end:\n{}", turn.told()))
        {
            let event = event.unwrap();
            assert_eq!(turn.outcome, "", "nothing comes after the end");
            match event.body() {
                EventBody::PartUpdated(update) => {
                    if update.delta.is_some() && turn.first_delta.is_none() {
                        turn.first_delta = Some(started.elapsed());
                        at_first_delta(&event).await;
                    }
                    turn.transcript.apply(*update);
                }
                EventBody::Interaction(asked) => {
                    answer(&asked.request).await;
                    turn.asked.push(asked.request.clone());
                    turn.transcript.ask(*asked);
                }
                EventBody::InteractionCancelled(cancelled) => {
                    turn.transcript.cancel(cancelled);
                }
                EventBody::Error(error) => turn.error = Some(error),
                EventBody::Status(_) => {}
                _ if event.kind == event_type::WARNING => {}
                _ if event.kind == AGENT_FINISHED => {
                    turn.outcome = event.data["outcome"].as_str().unwrap().to_owned();
                }
                other => panic!("unexpected {other:?}"),
            }
            turn.events.push(event);
        }
        turn
    }

    pub(super) fn text(&self) -> String {
        self.transcript.text()
    }

    pub(super) fn tools(&self) -> Vec<&ToolPart> {
        let tools = self.transcript.parts().iter().filter_map(|part| match &part.body {
            PartBody::Tool(tool) => Some(tool),
            _ => None,
        });
        tools.collect()
    }

    pub(super) fn code(&self) -> &str {
        self.error.as_ref().and_then(|error| error.code.as_deref()).unwrap_or_default()
    }

    /// All events, for a person who has to find out why a test failed.
    pub(super) fn told(&self) -> String {
        let lines: Vec<_> =
            self.events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
        lines.join("\n")
    }

    pub(super) fn assert_completed(&self, text: &str) {
        assert_eq!(self.outcome, "completed", "{}", self.told());
        assert_eq!(self.text(), text, "{}", self.told());
    }
}
