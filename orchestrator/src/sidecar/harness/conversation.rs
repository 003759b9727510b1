//! Which conversation of an agent belongs to which session. Kept in the home folder, beside what the
//! agents themselves keep there.

use std::collections::BTreeMap;

use sandbox_sdk::types::{ReadFile, WriteFile};

use super::super::files::FileStore;
use crate::agents::Cli;

/// What the sidecar keeps about agents, and what they need of their own.
pub(super) const FOLDER: &str = "/home/agent/.skein/agents";

/// The agent's own id of the session's conversation, if there is one.
pub(super) async fn load(files: &FileStore, cli: Cli, session_id: &str) -> Option<String> {
    note(files, cli.id(), session_id).await
}

/// Something else that was remembered of the conversation.
pub(super) async fn note(files: &FileStore, name: &str, session_id: &str) -> Option<String> {
    read(files, session_id).await.remove(name)
}

/// Remembers the agent's own id. What can't be written costs the memory, not the turn.
pub(super) async fn save(files: &FileStore, cli: Cli, session_id: &str, native: &str) {
    remember(files, cli.id(), session_id, native).await;
}

/// Remembers something else about the conversation.
pub(super) async fn remember(files: &FileStore, name: &str, session_id: &str, text: &str) {
    let mut known = read(files, session_id).await;
    if known.get(name).is_some_and(|known| known == text) {
        return;
    }
    known.insert(name.to_owned(), text.to_owned());
    let content = serde_json::to_string(&known).unwrap_or_default();
    write(files, path(session_id), content).await.ok();
}

/// Writes a file of an agent's configuration.
pub(super) async fn write(
    files: &FileStore,
    path: String,
    content: String,
) -> Result<(), super::super::api::Problem> {
    files.write(WriteFile { path, content, ..WriteFile::default() }).await.map(drop)
}

async fn read(files: &FileStore, session_id: &str) -> BTreeMap<String, String> {
    let file = ReadFile { path: path(session_id), encoding: None };
    let content = files.read(file).await.map(|file| file.content).unwrap_or_default();
    serde_json::from_str(&content).unwrap_or_default()
}

fn path(session_id: &str) -> String {
    format!("{FOLDER}/{}.json", file_name(session_id))
}

/// A session's id as the name of a file.
pub(super) fn file_name(session_id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':');
    session_id.chars().map(|c| if plain(c) { c } else { '_' }).take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn sessions_have_files_of_their_own() {
        assert_ne!(file_name("a:b"), file_name("a_b"));
        let long = "s".repeat(127);
        assert_ne!(file_name(&format!("{long}1")), file_name(&format!("{long}2")));
        assert_eq!(file_name("../x"), "___x");
    }
}
