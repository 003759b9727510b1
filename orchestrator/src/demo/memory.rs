//! What the demo agent keeps of a session, in the sandbox's home folder.

use serde::{Deserialize, Serialize};

use crate::tools::Tools;

const KEPT_TURNS: usize = 50;
const KEPT_NOTES: usize = 50;
const KEPT_CHARS: usize = 500;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    #[serde(skip)]
    path: String,
    /// What was asked, oldest first.
    pub(super) turns: Vec<Turn>,
    /// What it was told to remember, oldest first.
    pub(super) notes: Vec<String>,
    /// The file last written, edited or run: what “it” means.
    pub(super) file: Option<String>,
    /// The command last run, when that was later.
    pub(super) command: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Turn {
    pub(super) request: String,
    pub(super) stopped: bool,
}

impl Memory {
    /// A session without a memory, or with one that cannot be read, is a new one.
    pub(super) async fn load(tools: &Tools, session_id: &str) -> Self {
        let name: String = session_id
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
            .take(100)
            .collect();
        let path = format!("/home/agent/.skein/sessions/{name}.json");
        let text = tools.read(&path).await.unwrap_or_default();
        let memory: Self = serde_json::from_str(&text).unwrap_or_default();
        Self { path, ..memory }
    }

    pub(super) async fn save(&self, tools: &Tools) {
        let text = serde_json::to_string(self).unwrap_or_default();
        // A full disk costs the memory, not the turn.
        tools.write(&self.path, text).await.ok();
    }

    pub(super) fn is_new(&self) -> bool {
        self.turns.is_empty()
    }

    /// From now on “it” is this file.
    pub(super) fn worked_on(&mut self, path: &str) {
        self.file = Some(path.to_owned());
        self.command = None;
    }

    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note.chars().take(KEPT_CHARS).collect());
        let superfluous = self.notes.len().saturating_sub(KEPT_NOTES);
        self.notes.drain(..superfluous);
    }

    pub(super) fn keep(&mut self, request: &str, stopped: bool) {
        let request = request.chars().take(KEPT_CHARS).collect();
        self.turns.push(Turn { request, stopped });
        let superfluous = self.turns.len().saturating_sub(KEPT_TURNS);
        self.turns.drain(..superfluous);
    }
}
