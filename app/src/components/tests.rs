//! What the server renders of single components.
#![allow(clippy::unwrap_used, reason = "in a test it is the failure")]

mod ask;
mod composer;
mod strip;

use leptos::prelude::*;
use sandbox_sdk::types::Part;
use serde_json::{Value, json};

use super::agent_message::AgentMessageView;
use super::chat_list::ChatList;
use super::person_message::PersonMessage;
use super::{Composer, Header};
use crate::error::AppError;
use crate::first::First;
use crate::model::{Credits, Message, MessageState, Receipt, Role};
use crate::state::{AgentMessage, Conversation, Entry, Page, Place};

/// The component's HTML, without the marks that hydration needs.
fn html<V: IntoView>(view: impl FnOnce(Page) -> V) -> String {
    Owner::new().with(|| view(Page::new()).into_view().to_html()).replace("<!>", "")
}

fn parts(parts: Value) -> Vec<Part> {
    serde_json::from_value(parts).unwrap()
}

fn message(state: MessageState, parts: Vec<Part>) -> Message {
    Message {
        id: "m1".into(),
        turn_id: "t1".into(),
        role: Role::Assistant,
        parts,
        repeats: false,
        state,
        error: None,
        receipt: Some(Receipt {
            agent: "demo".into(),
            model: "demo".into(),
            input_tokens: 1,
            cached_tokens: 0,
            output_tokens: 2,
            charged: Credits(380_000),
            duration_ms: 3_200,
        }),
        created_at: 0,
    }
}

fn agent(message: Message) -> String {
    html(|page| {
        let chat = Conversation::unborn();
        let message = AgentMessage::settled(message);
        chat.entries.set(vec![Entry::Agent(message.clone())]);
        view! { <AgentMessageView page chat message /> }
    })
}

fn tool(id: &str, command: &str, output: Value) -> Value {
    json!({"id": id, "type": "tool", "tool": "bash", "state": {
        "status": "completed", "input": {"command": command}, "output": output,
        "time": {"start": 0, "end": 1500},
    }})
}

#[test]
fn a_settled_answer_is_all_there_without_a_script() {
    let html = agent(message(
        MessageState::Complete,
        parts(json!([
            {"id": "1", "type": "reasoning", "text": "hm", "time": {"start": 0, "end": 3000}},
            tool("2", "ls", json!("a.txt")),
            tool("3", "wc a.txt", json!("12 a.txt")),
            {"id": "4", "type": "text", "text": "There is **one** file."},
        ])),
    ));
    for said in [
        "Thought for 3 s",
        "2 steps",
        "· 3.0 s",
        "<code>wc a.txt</code>",
        "12 a.txt",
        "<strong>one</strong>",
        "demo · 3.2 s · 0.38 credits",
        "aria-label=\"Copy message\"",
        "aria-label=\"Retry\"",
    ] {
        assert!(html.contains(said), "{said} is missing in {html}");
    }
    assert!(!html.contains("<details open class=\"run\""), "a finished run is folded");
}

#[test]
fn a_single_step_is_not_folded_away() {
    let html = agent(message(MessageState::Complete, parts(json!([tool("1", "ls", json!(""))]))));
    assert!(html.contains("class=\"run single\""), "{html}");
    assert!(html.contains("No output."));
}

#[test]
fn an_answer_that_was_stopped_says_so() {
    let html = agent(message(
        MessageState::Stopped,
        parts(json!([{"id": "1", "type": "text", "text": "Half"}])),
    ));
    assert!(html.contains("<p class=\"ending\">You stopped this answer."), "{html}");
}

#[test]
fn what_a_person_writes_is_text() {
    let html = html(|_| view! { <PersonMessage text="<script>x</script>".into() /> });
    assert!(html.contains("&lt;script&gt;x"), "{html}");
}

#[test]
fn what_a_tool_gives_is_text() {
    let parts = parts(json!([tool("1", "echo <b>", json!("</pre><script>x</script>"))]));
    let html = agent(message(MessageState::Complete, parts));
    assert!(!html.contains("<script>") && !html.contains("<b>"), "{html}");
}

#[test]
fn nothing_carries_a_style_or_a_handler_of_its_own() {
    let answer =
        agent(message(MessageState::Complete, parts(json!([tool("1", "ls", json!("x"))]))));
    let frame = html(|page| {
        view! {
            <Header page />
            <Composer page />
        }
    });
    for html in [answer, frame] {
        assert!(!html.contains(" style=") && !html.contains(" on"), "{html}");
    }
}

#[test]
fn a_list_that_could_not_be_loaded_does_not_look_like_an_empty_one() {
    let listed = |chats| {
        html(move |page| {
            let (balance, options) = (Err(AppError::NotFound), Err(AppError::NotFound));
            page.seed(Place::New, First { chats, balance, options, chat: None, now: 0 });
            view! { <ChatList page search=RwSignal::new(String::new()) /> }
        })
    };
    let away = listed(Err(AppError::Unavailable { message: "Away.".into() }));
    assert!(away.contains("could not be loaded") && away.contains(">Try again<"), "{away}");
    assert!(listed(Ok(vec![])).contains("Your chats will be here."));
}
