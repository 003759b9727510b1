//! What the server renders of single components.
#![allow(clippy::unwrap_used, reason = "in a test it is the failure")]

use leptos::prelude::*;
use sandbox_sdk::types::Part;
use serde_json::{Value, json};

use super::agent_message::AgentMessageView;
use super::chat_list::ChatList;
use super::person_message::PersonMessage;
use super::strip::Strip;
use super::{Composer, Header};
use crate::error::AppError;
use crate::first::First;
use crate::model::{
    AgentOption, Choice, Credits, Message, MessageState, ModelOption, Options, Permissions,
    Receipt, Role,
};
use crate::state::{
    AgentMessage, Conversation, Delivery, Entry, Link, Page, Place, Segment, Stage,
};

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
fn the_composer_says_what_it_needs_where_scripts_are_off() {
    let html = html(|page| view! { <Composer page /> });
    assert!(
        html.contains("<noscript><p class=\"no-js\">Sending a message needs JavaScript."),
        "{html}"
    );
    // What was typed before the page is alive stays: the field is the browser's own.
    assert!(html.contains("class=\"needs-js\"></textarea>"), "{html}");
}

#[test]
fn the_strip_says_one_thing_and_offers_what_can_be_done() {
    let said = |change: fn(&Conversation)| {
        html(|page| {
            let chat = page.current.get_untracked();
            chat.begin("t1", "hello", false, 0);
            change(&chat);
            view! { <Strip page /> }
        })
    };
    assert_eq!(said(|_| {}), "");
    let lost = said(|chat| chat.link.set(Link::Reconnecting { at: 2_500 }));
    assert!(lost.contains("Reconnecting in 3 s.") && lost.contains(">Reconnect now<"), "{lost}");
    let caught_up = said(|chat| chat.link.set(Link::CaughtUp { events: 41 }));
    assert!(caught_up.contains("Reconnected. 41 events caught up."), "{caught_up}");
    let refused = said(|chat| chat.complain(&AppError::Unauthenticated));
    assert!(refused.contains(">Reload the page<"), "{refused}");
    let stopping = said(|chat| {
        chat.turn.update(|turn| turn.as_mut().unwrap().stop_wanted = true);
    });
    assert!(stopping.contains("Stopping…"), "{stopping}");
}

#[test]
fn a_notice_can_be_put_away_and_does_not_hide_that_the_connection_is_lost() {
    let said = |link: Link, error: AppError| {
        html(move |page| {
            let chat = page.current.get_untracked();
            chat.begin("t1", "hello", false, 0);
            chat.complain(&error);
            chat.link.set(link);
            view! { <Strip page /> }
        })
    };
    let too_many = AppError::RateLimited { retry_after_s: 3 };
    let alone = said(Link::Live, too_many.clone());
    assert!(alone.contains("Too many") && alone.contains("aria-label=\"Dismiss\""), "{alone}");
    let lost = said(Link::Lost, too_many);
    assert!(lost.contains("connection to the agent is lost"), "{lost}");
    // What waits for the person is still the first thing to say.
    let ended = said(Link::Lost, AppError::Unauthenticated);
    assert!(ended.contains(">Reload the page<"), "{ended}");
}

#[test]
fn without_a_connection_the_strip_says_what_becomes_of_the_turn() {
    let said = |change: fn(&Conversation)| {
        html(move |page| {
            page.online.set(false);
            change(&page.current.get_untracked());
            view! { <Strip page /> }
        })
    };
    let none = said(|_| {});
    assert!(none.contains("offline") && !none.contains("answer"), "{none}");
    let sending = said(|chat| drop(chat.begin("t1", "hello", false, 0)));
    assert!(sending.contains("Your message is kept here and sent when"), "{sending}");
    let running = said(|chat| {
        chat.begin("t1", "hello", false, 0);
        chat.set_stage("t1", Stage::Running, 1);
    });
    assert!(running.contains("The answer goes on without you"), "{running}");
    let stopping = said(|chat| {
        chat.begin("t1", "hello", false, 0);
        chat.set_stage("t1", Stage::Stopping, 1);
    });
    assert!(stopping.contains("The answer is stopped as soon as you are back"), "{stopping}");
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

fn choice(agent: &str, model: &str) -> Choice {
    Choice { agent: agent.into(), model: model.into(), permissions: Permissions::Everything }
}

/// The demo agent; one that works with two models, of which one runs here; one that is not there.
fn options() -> Options {
    let agent = |id: &str, name: &str, problem: Option<&str>, models: &[&str]| AgentOption {
        id: id.into(),
        name: name.into(),
        problem: problem.map(str::to_owned),
        models: models.iter().map(|model| (*model).to_owned()).collect(),
    };
    let model = |name: &str, input, output| ModelOption {
        name: name.into(),
        local: name.starts_with("ollama"),
        context_tokens: None,
        input: Credits(input),
        output: Credits(output),
    };
    Options {
        agents: vec![
            agent("demo", "Demo", None, &["demo"]),
            agent("opencode", "opencode", None, &["anthropic/sonnet", "ollama/qwen"]),
            agent("codex", "Codex", Some("It is not installed."), &[]),
        ],
        models: vec![
            model("demo", 100_000_000, 500_000_000),
            model("anthropic/sonnet", 300_000_000, 1_500_000_000),
            model("ollama/qwen", 0, 0),
        ],
        default: choice("opencode", "anthropic/sonnet"),
    }
}

#[test]
fn the_composer_says_who_gets_the_message_and_what_else_there_is() {
    let html = html(|page| {
        page.options.set(Some(options()));
        view! { <Composer page /> }
    });
    for said in [
        "opencode · sonnet</span>",
        ">Agent and model: </span>",
        ">Codex</span><span class=\"about\">It is not installed.</span>",
        "300 in / 1\u{202f}500 out",
        "free · on this machine",
        "aria-haspopup=\"dialog\"",
    ] {
        assert!(html.contains(said), "{said} is missing in {html}");
    }
    assert_eq!(html.matches("disabled").count(), 1, "{html}");
    assert_eq!(html.matches("name=\"model\"").count(), 2, "those of the agent: {html}");
    assert_eq!(html.matches("name=\"permissions\"").count(), 3, "{html}");
    assert!(!html.contains(" style="), "{html}");
}

#[test]
fn a_chats_own_choice_comes_before_the_default_while_it_is_offered() {
    let line = |agent: &str, model: &str| {
        html(|page| {
            page.options.set(Some(options()));
            page.current.get_untracked().choice.set(Some(choice(agent, model)));
            view! { <Composer page /> }
        })
    };
    assert!(line("demo", "demo").contains("<span class=\"words\">Demo</span>"));
    assert!(line("opencode", "ollama/qwen").contains("opencode · qwen</span>"));
    assert!(line("codex", "openai/gone").contains("opencode · sonnet</span>"));
}

#[test]
fn where_there_is_one_agent_what_it_may_do_is_all_there_is_to_choose() {
    let html = html(|page| {
        let mut demo = options();
        demo.agents.remove(1);
        demo.default = choice("demo", "demo");
        page.options.set(Some(demo));
        view! { <Composer page /> }
    });
    assert!(!html.contains("Agent and model"), "{html}");
    assert!(!html.contains("name=\"agent\"") && !html.contains("name=\"model\""), "{html}");
    assert!(html.contains(">Allow everything</span>") && html.contains(">Ask first</span>"));
    assert!(html.contains("id=\"picker-title\">Permissions</h2>"), "{html}");
}

#[test]
fn what_is_not_known_is_not_offered() {
    let html = html(|page| view! { <Composer page /> });
    assert!(!html.contains("<dialog"), "{html}");
}

#[test]
fn the_line_says_when_an_agent_may_not_do_everything_and_keeps_to_it() {
    let line = |choice: Choice| {
        html(|page| {
            page.options.set(Some(options()));
            page.current.get_untracked().choice.set(Some(choice));
            view! { <Composer page /> }
        })
    };
    let careful = Choice { permissions: Permissions::AskFirst, ..choice("demo", "demo") };
    assert!(line(careful.clone()).contains("<span class=\"words\">Demo · Ask first</span>"));
    // An agent that is gone does not take the person's caution with it.
    let gone = Choice { agent: "codex".into(), ..careful };
    assert!(line(gone).contains("opencode · sonnet · Ask first</span>"));
}

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
