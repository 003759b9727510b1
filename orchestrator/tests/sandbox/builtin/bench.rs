//! A sandbox with the built-in agent, and a model behind it.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use futures::{Stream, StreamExt};
use orchestrator::sidecar::{AGENT_FINISHED, AgentRun, ModelAccess, SidecarError};
use sandbox_sdk::{
    transcript::Transcript,
    types::{
        Event, EventBody, InteractionAnswer, InteractionRequest, Outcome, PartBody, ToolPart,
        ToolState, TurnError, WireFormat, event_type,
    },
};
use scripted_model::{Recorded, ScriptedModel};
use serde_json::{Value, json};
use tokio::{
    net::{TcpStream, UnixListener},
    time::{Instant, timeout_at},
};

use crate::support::Sandbox;

/// Longer than any turn here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);
pub(super) const TOKEN: &str = "turn-token-94c1";

pub(super) struct Bench {
    pub(super) sandbox: Sandbox,
    pub(super) model: ScriptedModel,
    pub(super) run: AgentRun,
}

/// What a turn gave.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) events: Vec<Event>,
    pub(super) transcript: Transcript,
    pub(super) outcome: String,
    pub(super) error: Option<TurnError>,
    /// Codes of warnings and names of statuses, in their order.
    pub(super) notices: Vec<String>,
}

pub(super) fn run(format: WireFormat) -> AgentRun {
    AgentRun {
        session_id: "session-1".into(),
        turn_id: "t1".into(),
        message: String::new(),
        backend: Some(serde_json::from_value(json!({ "type": "skein" })).unwrap()),
        model: Some(ModelAccess {
            token: TOKEN.into(),
            provider: "scripted".into(),
            model: "scripted-1".into(),
            format,
            context_tokens: Some(100_000),
        }),
    }
}

/// A sandbox whose models are at that address.
pub(super) async fn sandbox(url: &str) -> Sandbox {
    Sandbox::with(|spec| serve_models(&spec.root, url.trim_start_matches("http://").to_owned()))
        .await
}

impl Bench {
    pub(super) async fn start(format: WireFormat) -> Self {
        let model = ScriptedModel::start().await.unwrap();
        let sandbox = sandbox(&model.url()).await;
        Self { sandbox, model, run: run(format) }
    }

    /// Asks and waits for the end.
    pub(super) async fn ask(&self, turn_id: &str, message: &str) -> Turn {
        ask(&self.sandbox, &self.turn(turn_id, message)).await
    }

    pub(super) async fn ask_as(&self, profile: Value, turn_id: &str, message: &str) -> Turn {
        ask(&self.sandbox, &self.turn_as(profile, turn_id, message)).await
    }

    /// Asks, and lets a person answer whatever the agent asks: an outcome, and what is filled in.
    pub(super) async fn ask_with(
        &self,
        profile: Value,
        turn_id: &str,
        message: &str,
        person: impl Fn(&InteractionRequest) -> (Outcome, Value),
    ) -> Turn {
        let run = self.turn_as(profile, turn_id, message);
        let sidecar = self.sandbox.running.sidecar();
        let stream = sidecar.run_agent(&run).await.unwrap();
        Turn::collect(stream, async |event| {
            let EventBody::Interaction(asked) = event.body() else { return };
            let (outcome, data) = person(&asked.request);
            let data = data.as_object().unwrap().clone();
            let answer = InteractionAnswer { id: asked.request.id.clone(), outcome, data };
            asked.request.check(&answer).unwrap();
            assert!(sidecar.give_answer(turn_id, &answer).await.unwrap());
        })
        .await
    }

    pub(super) fn turn_as(&self, profile: Value, turn_id: &str, message: &str) -> AgentRun {
        let backend = json!({ "type": "skein", "profile": profile });
        let backend = Some(serde_json::from_value(backend).unwrap());
        AgentRun { backend, ..self.turn(turn_id, message) }
    }

    /// Asks, and stops the turn once `when` says so of an event.
    pub(super) async fn stop(
        &self,
        turn_id: &str,
        message: &str,
        when: impl AsyncFn(&Event) -> bool,
    ) -> Turn {
        self.stop_run(&self.turn(turn_id, message), when).await
    }

    pub(super) async fn stop_run(
        &self,
        run: &AgentRun,
        when: impl AsyncFn(&Event) -> bool,
    ) -> Turn {
        let stream = self.sandbox.running.sidecar().run_agent(run).await.unwrap();
        let mut stopped = false;
        Turn::collect(stream, async |event| {
            if !stopped && when(event).await {
                stopped = true;
                assert!(self.sandbox.running.sidecar().abort(&run.turn_id).await.unwrap());
            }
        })
        .await
    }

    pub(super) fn turn(&self, turn_id: &str, message: &str) -> AgentRun {
        AgentRun { turn_id: turn_id.into(), message: message.into(), ..self.run.clone() }
    }

    pub(super) fn requests(&self) -> usize {
        self.model.requests().len()
    }

    pub(super) fn last_request(&self) -> Recorded {
        self.model.requests().pop().unwrap()
    }
}

pub(super) async fn ask(sandbox: &Sandbox, run: &AgentRun) -> Turn {
    let stream = sandbox.running.sidecar().run_agent(run).await.unwrap();
    Turn::collect(stream, async |_| {}).await
}

impl Turn {
    async fn collect(
        mut stream: impl Stream<Item = Result<Event, SidecarError>> + Unpin,
        mut heard: impl AsyncFnMut(&Event),
    ) -> Self {
        let mut turn = Self::default();
        let deadline = Instant::now() + PATIENCE;
        while let Some(event) = timeout_at(deadline, stream.next())
            .await
            .unwrap_or_else(|_| panic!("the turn does not end:\n{}", turn.told()))
        {
            let event = event.unwrap();
            assert_eq!(turn.outcome, "", "nothing comes after the end");
            heard(&event).await;
            match event.body() {
                EventBody::PartUpdated(update) => drop(turn.transcript.apply(*update)),
                EventBody::Interaction(asked) => drop(turn.transcript.ask(*asked)),
                EventBody::InteractionCancelled(end) => drop(turn.transcript.cancel(end)),
                EventBody::Error(error) => turn.error = Some(error),
                EventBody::Status(status) => turn.notices.push(status.status),
                _ if event.kind == event_type::WARNING => {
                    turn.notices.push(event.data["code"].as_str().unwrap().to_owned());
                }
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

    /// What the agent asked a person.
    pub(super) fn asked(&self) -> Vec<&InteractionRequest> {
        let parts = self.transcript.parts().iter();
        let asked = parts.filter_map(|part| match &part.body {
            PartBody::Interaction(interaction) => Some(&interaction.request),
            _ => None,
        });
        asked.collect()
    }

    /// `bash ok`, `edit failed`, …
    pub(super) fn steps(&self) -> Vec<String> {
        let step = |tool: &&ToolPart| {
            let ended = match tool.state {
                ToolState::Completed { .. } => "ok",
                ToolState::Error { .. } => "failed",
                _ => "open",
            };
            format!("{} {ended}", tool.tool)
        };
        self.tools().iter().map(step).collect()
    }

    pub(super) fn code(&self) -> &str {
        self.error.as_ref().and_then(|error| error.code.as_deref()).unwrap_or_default()
    }

    #[track_caller]
    pub(super) fn assert_completed(&self, text: &str) {
        assert_eq!(self.outcome, "completed", "{}", self.told());
        assert_eq!(self.text(), text, "{}", self.told());
    }

    #[track_caller]
    pub(super) fn assert_failed(&self, code: &str) {
        assert_eq!((self.outcome.as_str(), self.code()), ("failed", code), "{}", self.told());
        let error = self.error.as_ref().unwrap();
        assert!(error.message.len() > 20, "in words: {error:?}");
    }

    /// All events, for a person who has to find out why a test failed.
    pub(super) fn told(&self) -> String {
        let lines = self.events.iter().map(|event| serde_json::to_string(event).unwrap());
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Stands in for the model gateway: copies the sandbox's socket to a model.
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
                if let Ok(mut outside) = TcpStream::connect(address).await {
                    tokio::io::copy_bidirectional(&mut inside, &mut outside).await.ok();
                }
            });
        }
    });
}
