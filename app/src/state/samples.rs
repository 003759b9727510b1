//! What tests load into a conversation.
#![allow(clippy::unwrap_used, reason = "in a test it is the failure")]

use crate::model::{ChatPage, ChatSummary, Message, MessageState, Role, SandboxState};

pub fn message(turn_id: &str, role: Role, text: &str) -> Message {
    let part = serde_json::json!({"id": format!("p-{turn_id}"), "type": "text", "text": text});
    Message {
        id: format!("{turn_id}-{role:?}"),
        turn_id: turn_id.into(),
        role,
        parts: vec![serde_json::from_value(part).unwrap()],
        repeats: false,
        state: MessageState::Complete,
        error: None,
        receipt: None,
        created_at: 0,
    }
}

/// Questions and answers of turns.
pub fn turns(ids: impl IntoIterator<Item = u32>) -> Vec<Message> {
    let both = |id: u32| {
        let turn = format!("t{id}");
        [message(&turn, Role::User, "question"), message(&turn, Role::Assistant, "answer")]
    };
    ids.into_iter().flat_map(both).collect()
}

pub fn chat(messages: Vec<Message>) -> ChatPage {
    ChatPage {
        summary: ChatSummary { id: "c".into(), title: "t".into(), updated_at: 0, running: false },
        messages,
        earlier: false,
        active: None,
        sandbox: SandboxState::Running,
        choice: None,
        settled_seq: 0,
    }
}
