//! What has to hold for every agent that asks a person.

use orchestrator::agents::{Cli, Patience};
use sandbox_sdk::types::{InteractionKind, InteractionRequest, Outcome};
use serde_json::{Value, json};

use super::bench::Bench;

/// Why a person says no. Codex is told in a message, which a scripted model takes for its script.
const WHY: &str = "SAY[Understood.] Rather not, says the basilisk.";

/// What the agent says at the end, having heard why.
fn end(cli: Cli, own: &str) -> &str {
    if cli == Cli::Codex { "Understood." } else { own }
}

/// Allows what is called allowed, and nothing else.
fn strict(request: &InteractionRequest) -> (Outcome, Value) {
    assert_eq!(request.kind, InteractionKind::Permission, "{request:?}");
    if request.subject.as_deref().unwrap_or_default().contains("allowed") {
        (Outcome::Accepted, json!({"grant": "allow_once"}))
    } else {
        (Outcome::Declined, json!({"grant": "deny", "feedback": WHY}))
    }
}

impl Bench {
    fn there(&self, name: &str) -> bool {
        self.sandbox.on_host(&format!("workspace/{name}")).exists()
    }

    fn knows(&self, words: &str) -> bool {
        self.model.requests().iter().any(|request| request.body.to_string().contains(words))
    }
}

pub(super) async fn a_command_runs_only_if_the_person_allows_it(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let script = "STEPS[2] RUN[touch allowed] RUN[touch denied] SAY[Done.]";
    let run = bench.run("s1", "t1", script, json!("careful"));
    let turn = bench.ask_with(&run, strict).await;
    turn.assert_completed(end(cli, "Done."));
    let subjects: Vec<_> = turn.asked.iter().map(|asked| asked.subject.as_deref()).collect();
    assert_eq!(subjects, [Some("touch allowed"), Some("touch denied")], "{}", turn.told());
    assert!(turn.asked.iter().all(|asked| asked.title == "Run a command"));
    assert!(bench.there("allowed") && !bench.there("denied"), "{}", turn.told());
    assert!(bench.knows(WHY), "the agent is told why");
    // The same agent takes the session's next turn, and asks again.
    let run = bench.run("s1", "t2", "RUN[touch denied] SAY[Well.]", json!("careful"));
    let turn = bench.ask_with(&run, strict).await;
    turn.assert_completed(end(cli, "Well."));
    assert_eq!(turn.asked.len(), 1, "{}", turn.told());
    assert!(!bench.there("denied"));
}

pub(super) async fn a_file_is_changed_only_if_the_person_allows_it(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let write = |name: &str| match cli {
        Cli::ClaudeCode => {
            format!(r#"CALL[Write {{"file_path":"/workspace/{name}","content":"words"}}]"#)
        }
        Cli::OpenCode => {
            format!(r#"CALL[write {{"filePath":"/workspace/{name}","content":"words"}}]"#)
        }
        Cli::Codex => format!(
            "RUN[apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: {name}\n+words\n\
             *** End Patch\nEOF]"
        ),
    };
    let script = format!("STEPS[2] {} {} SAY[Done.]", write("allowed"), write("denied"));
    let profile = json!({"permissions": {"edit": "ask"}});
    let turn = bench.ask_with(&bench.run("s1", "t1", &script, profile), strict).await;
    turn.assert_completed(end(cli, "Done."));
    assert_eq!(turn.asked.len(), 2, "{}", turn.told());
    for (asked, name) in turn.asked.iter().zip(["allowed", "denied"]) {
        assert_eq!(asked.title, "Change a file");
        assert!(asked.subject.as_deref().unwrap().ends_with(name), "{asked:?}");
        assert!(asked.body.as_deref().unwrap().contains("words"), "{asked:?}");
    }
    assert!(bench.there("allowed") && !bench.there("denied"), "{}", turn.told());
}

pub(super) async fn a_question_is_answered(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let question = r#""question":"Which colour?","header":"Colour","options":[
        {"label":"red","description":"like a rose"},{"label":"blue","description":"like the sky"}]"#;
    let call = match cli {
        Cli::ClaudeCode => {
            format!(r#"CALL[AskUserQuestion {{"questions":[{{{question},"multiSelect":false}}]}}]"#)
        }
        Cli::OpenCode => format!(r#"CALL[question {{"questions":[{{{question}}}]}}]"#),
        Cli::Codex => {
            format!(r#"CALL[request_user_input {{"questions":[{{"id":"c",{question}}}]}}]"#)
        }
    };
    for (turn, outcome, data) in [
        ("t1", Outcome::Accepted, json!({"q1": "blue"})),
        ("t2", Outcome::Accepted, json!({"q1": "wolpertinger grey"})),
        ("t3", Outcome::Declined, json!({})),
    ] {
        let run = bench.run("s1", turn, &format!("{call} SAY[I see, {turn}.]"), Value::Null);
        let told = bench
            .ask_with(&run, |request| {
                assert_eq!(request.kind, InteractionKind::Question, "{request:?}");
                assert_eq!(request.title, "Which colour?");
                (outcome, data.clone())
            })
            .await;
        assert_eq!((told.outcome.as_str(), told.asked.len()), ("completed", 1), "{}", told.told());
        if let Some(answer) = data["q1"].as_str() {
            assert_eq!(told.text(), format!("I see, {turn}."), "{}", told.told());
            let last = bench.model.requests().pop().unwrap().body.to_string();
            assert!(last.contains(answer), "{answer}: {last}");
        }
    }
    // OpenCode has words of its own for that.
    let refused = if cli == Cli::OpenCode { "dismissed" } else { "did not want to answer" };
    assert!(bench.knows(refused), "the agent is told");
}

pub(super) async fn what_nobody_answers_is_not_done(cli: Cli) {
    let answer = std::time::Duration::from_secs(1);
    let patience = Patience { answer, ..Patience::default() };
    let Some(bench) = Bench::with(cli, |spec| spec.patience = patience).await else { return };
    let run = bench.run("s1", "t1", "RUN[touch denied] SAY[Alone.]", json!("careful"));
    let turn = bench.ask_and_wait(&run).await;
    assert_eq!(turn.outcome, "completed", "{}", turn.told());
    assert_eq!(turn.asked.len(), 1, "{}", turn.told());
    assert!(!bench.there("denied"));
    assert!(bench.knows("nobody answered"), "the agent is told why");
}

pub(super) async fn a_turn_that_is_stopped_while_it_asks_does_nothing(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let run = bench.run("s1", "t1", "RUN[touch denied] SAY[x]", json!("careful"));
    let turn = bench.stop_when_asked(&run).await;
    assert_eq!(turn.outcome, "aborted", "{}", turn.told());
    assert!(turn.events.iter().any(|event| event.kind == "interaction.cancel"));
    assert!(!bench.there("denied"));
    assert_eq!(bench.sandbox.processes_left().await, 0);
}

pub(super) async fn claude_code_has_its_plan_approved() {
    let Some(bench) = Bench::start(Cli::ClaudeCode).await else { return };
    let plan = r#"CALL[ExitPlanMode {"plan":"Feed the wolpertinger."}]"#;
    let script = format!("STEPS[2] CALL[EnterPlanMode {{}}] {plan} SAY[So be it.]");
    let turn = bench
        .ask_with(&bench.run("s1", "t1", &script, Value::Null), |request| match request.kind {
            InteractionKind::Plan => (Outcome::Declined, json!({"feedback": "Feed the basilisk."})),
            _ => (Outcome::Accepted, json!({"grant": "allow_once"})),
        })
        .await;
    turn.assert_completed("So be it.");
    let plan = turn.asked.iter().find(|asked| asked.kind == InteractionKind::Plan);
    let plan = plan.unwrap_or_else(|| panic!("{}", turn.told()));
    assert!(plan.body.as_deref().unwrap().contains("Feed the wolpertinger."), "{plan:?}");
    assert!(bench.knows("Feed the basilisk."), "the agent is told why");
}
