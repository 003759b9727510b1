//! What an agent asks, waiting and answered.

use leptos::prelude::*;
use serde_json::{Value, json};

use super::{agent, html, message, parts, tool};
use crate::components::Strip;
use crate::components::agent_message::AgentMessageView;
use crate::error::AppError;
use crate::model::MessageState;
use crate::state::{AgentMessage, Conversation, Delivery, Link, Segment, Stage};

fn asked(request: Value, status: &str, answer: Value) -> Value {
    json!({"id": "a1", "type": "interaction", "request": request, "status": status,
        "answer": answer})
}

fn question() -> Value {
    json!({"id": "a1", "title": "Which one?", "body": "The tests pass with *both*.",
        "answerSpec": {"fields": [
            {"key": "which", "kind": "select", "allowCustom": true, "options": [
                {"value": "r", "label": "Red", "description": "Warm"},
                {"value": "b", "label": "Blue"}]},
            {"key": "more", "kind": "text", "label": "What else?"},
            {"key": "pin", "kind": "secret"}]}})
}

fn permission() -> Value {
    json!({"id": "a1", "kind": "permission", "title": "Run a command",
        "subject": "rm -rf build\necho \u{202e}<b>", "answerSpec": {"fields": [
            {"key": "grant", "kind": "select", "required": true, "options": [
                {"value": "allow_once"}, {"value": "deny"},
                {"value": "allow_session", "description": "All commands of this chat."}]},
            {"key": "feedback", "kind": "text", "label": "What to do instead"}]}})
}

/// An answer in progress that holds this part, after a change.
fn live(part: Value, change: impl FnOnce(&AgentMessage)) -> String {
    html(|page| {
        let chat = page.current.get_untracked();
        let message = chat.begin("t1", "hello", false, 0);
        message.show(&parts(json!([part])));
        change(&message);
        view! {
            <Strip page />
            <AgentMessageView page chat message />
        }
    })
}

#[test]
fn a_question_that_waits_is_a_card_with_all_that_can_be_answered() {
    let html = live(asked(question(), "pending", json!(null)), |_| {});
    for said in [
        "<details open tabindex=\"-1\" class=\"ask waiting\"",
        ">Which one?</span>",
        "<em>both</em>",
        "type=\"radio\" name=\"which\"",
        ">Red</span><span class=\"about\">Warm</span>",
        "placeholder=\"Something else…\"",
        ">What else?</span>",
        "type=\"password\"",
        ">Answer</button>",
        ">Skip</button>",
        "<noscript><p class=\"no-js\">Answering needs JavaScript.</p></noscript>",
        "Waiting for your answer",
    ] {
        assert!(html.contains(said), "{said} is missing in {html}");
    }
    assert!(!html.contains("checked") && !html.contains("class=\"came-of\""), "{html}");
    assert!(!html.contains(" style=") && !html.contains(" onclick"), "{html}");
}

#[test]
fn a_permission_shows_all_of_what_is_to_be_permitted_as_it_is() {
    let html = live(asked(permission(), "pending", json!(null)), |_| {});
    assert!(html.contains("rm -rf build\necho \\u{202e}&lt;b&gt;</pre>"), "{html}");
    let buttons = [">Allow once<", ">Deny<", ">Allow for this chat<"].map(|it| html.find(it));
    assert!(buttons.is_sorted() && buttons[0].is_some(), "{buttons:?}");
    assert_eq!(html.matches("class=\"button first\"").count(), 1, "{html}");
    assert!(!html.contains("name=\"grant\""), "the buttons say it: {html}");
    assert!(html.contains("Allow for this chat: All commands of this chat.</p>"), "{html}");
    assert!(html.contains("placeholder=\"What to do instead\""), "{html}");
}

#[test]
fn a_card_that_is_there_first_stands_behind_what_comes_before_it() {
    let html = html(|page| {
        let chat = page.current.get_untracked();
        let message = chat.begin("t1", "hello", false, 0);
        message.show_waiting(&parts(json!([asked(question(), "pending", json!(null))])));
        message.update(&parts(json!([tool("1", "ls", json!("a.txt"))])), [0].into_iter());
        view! { <AgentMessageView page chat message /> }
    });
    let places = ["class=\"run", "class=\"ask waiting\""].map(|it| html.find(it));
    assert!(places.is_sorted() && places[0].is_some(), "{html}");
    assert_eq!(html.matches("class=\"ask ").count(), 1, "{html}");
}

#[test]
fn however_long_what_is_to_be_permitted_is_all_of_it_is_there() {
    let lines: Vec<_> = (1..=1_800).map(|at| format!("+line {at} {}", "x".repeat(40))).collect();
    let mut request = permission();
    request["subject"] = format!("src/{}mod.rs", "folder/".repeat(100)).into();
    request["body"] = format!("```diff\n{}\n```", lines.join("\n")).into();
    assert!(request["body"].as_str().unwrap().len() > 90_000);
    let html = live(asked(request.clone(), "pending", json!(null)), |_| {});
    let missing = lines.iter().find(|line| !html.contains(line.as_str()));
    assert_eq!(missing, None);
    assert!(html.contains(&format!("{}</pre>", request["subject"].as_str().unwrap())), "{html}");
}

#[test]
fn what_was_answered_is_one_line_that_says_so_and_unfolds_to_the_answer() {
    let line = |part: Value| agent(message(MessageState::Complete, parts(json!([part]))));
    let answered = line(asked(question(), "accepted", json!({"which": "b", "more": "Green"})));
    assert!(answered.contains("<details tabindex=\"-1\" class=\"ask\""), "folded: {answered}");
    assert!(answered.contains("· Blue, Green</span>"), "{answered}");
    assert!(answered.contains("value=\"1\" checked") && answered.contains("disabled"));
    let allowed = line(asked(permission(), "accepted", json!({"grant": "allow_session"})));
    assert!(allowed.contains("<code>rm -rf build…</code>"), "{allowed}");
    assert!(allowed.contains("· allowed for this chat</span>"), "{allowed}");
    let expired = line(asked(question(), "expired", json!(null)));
    assert!(expired.contains("· nobody answered in time</span>"), "{expired}");
    let cut_off = line(asked(question(), "pending", json!(null)));
    assert!(cut_off.contains("· not answered</span>"), "{cut_off}");
    assert!(!cut_off.contains("ask waiting"), "{cut_off}");
}

#[test]
fn an_answer_on_its_way_locks_the_card_and_one_that_failed_gives_it_back() {
    let with = |delivery: Delivery| {
        live(asked(question(), "pending", json!(null)), |message| {
            let segments = message.segments.get_untracked();
            let Segment::Ask(ask) = &segments[0] else { panic!() };
            ask.delivery.set(delivery);
        })
    };
    let sending = with(Delivery::Sending);
    assert!(sending.contains("Sending…") && sending.contains("<fieldset disabled"), "{sending}");
    let failed = with(Delivery::Failed("It did not go through.".into()));
    assert!(failed.contains("class=\"problem\">It did not go through."), "{failed}");
    assert!(!failed.contains("disabled"), "{failed}");
    let sent = with(Delivery::Sent);
    assert!(!sent.contains("Waiting for your answer"), "nothing is left to do: {sent}");
    let late = with(Delivery::TooLate);
    assert!(late.contains("· not answered</span>") && !late.contains("ask waiting"), "{late}");
}

#[test]
fn the_strip_says_that_an_answer_is_waited_for_and_what_is_worse() {
    let said = |change: fn(&Conversation)| {
        html(|page| {
            let chat = page.current.get_untracked();
            let message = chat.begin("t1", "hello", false, 0);
            message.show(&parts(json!([asked(question(), "pending", json!(null))])));
            chat.set_stage("t1", Stage::Running, 1);
            change(&chat);
            view! { <Strip page /> }
        })
    };
    assert!(said(|_| {}).contains("Waiting for your answer"));
    let replaced = said(|chat| chat.say("The sandbox was replaced."));
    assert!(replaced.contains("Waiting for your answer"), "{replaced}");
    let failed = said(|chat| chat.complain(&AppError::RateLimited { retry_after_s: 3 }));
    assert!(failed.contains("Too many"), "{failed}");
    let lost = said(|chat| chat.link.set(Link::Lost));
    assert!(lost.contains("connection to the agent is lost"), "{lost}");
    let stopping = said(|chat| chat.set_stage("t1", Stage::Stopping, 2));
    assert!(stopping.contains("Stopping…"), "{stopping}");
}
