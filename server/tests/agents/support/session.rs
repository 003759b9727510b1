//! The orchestrator's side of a chat: its sandbox, its log, its records.

use std::path::Path;

use futures::StreamExt;
use orchestrator::Secrets;
use sandbox_sdk::{
    client::{Client, ClientConfig, ListSandboxes, SandboxHandle},
    transcript::Transcript,
    types::{Dispatch, Event, EventBody, Exec, TurnRecord, TurnState},
};
use serde_json::Value;

use super::{Process, eventually, processes_below};

pub(crate) struct Session {
    sandbox: SandboxHandle,
    id: String,
    sandbox_id: String,
}

impl Session {
    /// The session that the grant opens, in the newest sandbox of the orchestrator with this data.
    pub(super) async fn find(data: &Path, grant: &Value) -> Self {
        let url = grant["url"].as_str().unwrap();
        let base = url.strip_suffix("/session").unwrap().replacen("ws", "http", 1);
        let key = Secrets::load_or_create(data).unwrap().api_key;
        let client = Client::new(ClientConfig::new(base, key)).unwrap();
        let sandboxes = client.sandboxes().list(&ListSandboxes::default()).await.unwrap();
        let sandbox_id = sandboxes[0].id.clone();
        let id = grant["session_id"].as_str().unwrap().to_owned();
        Self { sandbox: client.sandbox(&sandbox_id), id, sandbox_id }
    }

    /// The record of a turn, whether or not it has ended.
    pub(crate) async fn record(&self, turn: &str) -> TurnRecord {
        eventually("the turn has a record", async || {
            self.sandbox.turn(&self.id, turn).await.unwrap()
        })
        .await
    }

    /// Starts a turn past the product, and waits for its end.
    pub(crate) async fn dispatch(&self, dispatch: &Dispatch) -> TurnRecord {
        self.sandbox.dispatch(&self.id, dispatch).await.unwrap();
        eventually("the turn ends", async || {
            let record = self.record(&dispatch.turn_id).await;
            (record.state != TurnState::Running).then_some(record)
        })
        .await
    }

    /// The events of a turn that has ended.
    pub(crate) async fn events(&self, record: &TurnRecord) -> Vec<Event> {
        let stream = self.sandbox.events(&self.id, record.first_seq - 1).await.unwrap();
        let count = usize::try_from(record.last_seq - record.first_seq + 1).unwrap();
        let events: Vec<_> = stream.take(count).map(|event| event.unwrap()).collect().await;
        let numbers: Vec<_> = events.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(numbers, (record.first_seq..=record.last_seq).collect::<Vec<_>>());
        events.into_iter().map(|(_, event)| event).collect()
    }

    /// Waits until a viewer has heard of the turn what is wanted of its text.
    pub(crate) async fn heard(&self, record: &TurnRecord, wanted: impl Fn(&str) -> bool) {
        let mut stream = self.sandbox.events(&self.id, record.first_seq - 1).await.unwrap();
        let mut heard = Transcript::default();
        while !wanted(&heard.text()) {
            let (_, event) = stream.next().await.expect("the session has more to say").unwrap();
            if let EventBody::PartUpdated(update) = event.body() {
                heard.apply(*update);
            }
        }
    }

    pub(crate) async fn file(&self, path: &str) -> String {
        let exec = Exec { command: format!("cat {path}"), ..Exec::default() };
        self.sandbox.exec(&exec).await.unwrap().stdout
    }

    /// Processes in the sandbox.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let mut processes = processes_below(Path::new(&self.sandbox_id));
        processes.retain(|process| process.is_inside);
        processes
    }
}
