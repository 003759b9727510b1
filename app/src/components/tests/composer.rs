//! The composer, and what its message can be sent to.

use leptos::prelude::*;

use super::html;
use crate::components::Composer;
use crate::model::{AgentOption, Choice, Credits, ModelOption, Options, Permissions};

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
