//! What has to hold for every agent.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use orchestrator::{
    agents::{AgentProgram, Cli, Patience},
    sidecar::AgentRun,
};
use sandbox_sdk::types::{PartBody, ToolState, WireFormat, event_type};
use serde_json::{Value, json};

use super::bench::{Bench, TOKEN, program};
use crate::support::{Sandbox, gone, status, there, unique_sleep};

/// Requests that a turn with a broken model may cost.
const FEW: usize = 20;

/// Waits for a process as long as an agent may take to start on a busy machine.
async fn appears(word: &str) -> bool {
    for _ in 0..2 {
        if there(word).await {
            return true;
        }
    }
    false
}

pub(super) async fn text_comes_in_pieces_and_is_there_once(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let turn = bench.ask("t1", "SAY[Hello there, this is the whole answer.]").await;
    turn.assert_completed("Hello there, this is the whole answer.");
    let deltas = turn.events.iter().filter(|event| event.data.contains_key("delta")).count();
    assert!(deltas > 2, "{}", turn.told());
    // The last word on a text is the whole text.
    let last = turn.events.iter().rfind(|event| event.kind == event_type::PART_UPDATED).unwrap();
    assert_eq!(last.data["part"]["text"], "Hello there, this is the whole answer.");
    assert!(!last.data.contains_key("delta"));
    for request in bench.model.requests() {
        assert_eq!(request.key.as_deref(), Some(TOKEN), "{request:?}");
        assert_eq!(request.model, "scripted-1");
    }
}

pub(super) async fn a_tool_really_runs_and_is_told_from_its_input_to_its_output(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let script = "SAY[I look.] RUN[echo made-$((40+2)) in $(hostname) | tee proof.txt] SAY[Done.]";
    let turn = bench.ask("t1", script).await;
    turn.assert_completed("I look.\n\nDone.");
    let proof = fs::read_to_string(bench.sandbox.on_host("workspace/proof.txt")).unwrap();
    assert_eq!(proof, "made-42 in sandbox\n");
    let tools = turn.tools();
    assert_eq!(tools.len(), 1, "{}", turn.told());
    assert_eq!(tools[0].tool, "bash");
    let ToolState::Completed { input, output, title, time } = &tools[0].state else {
        panic!("{:?}", tools[0])
    };
    assert!(input["command"].as_str().unwrap().contains("tee proof.txt"), "{input}");
    assert!(output["stdout"].as_str().unwrap().contains("made-42 in sandbox"), "{output}");
    assert!(title.is_some() && time.end.is_some());
    let states: Vec<_> = turn
        .events
        .iter()
        .filter_map(|event| event.data.get("part")?.get("state")?.get("status")?.as_str())
        .collect();
    assert!(states.contains(&"running"), "{states:?}");
    assert_eq!(states.last(), Some(&"completed"));
}

pub(super) async fn thoughts_are_told_apart_from_the_answer(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let turn = bench.ask("t1", "THINK[Let me see about that.] SAY[Yes.]").await;
    turn.assert_completed("Yes.");
    let thoughts: Vec<_> = turn
        .transcript
        .parts()
        .iter()
        .filter_map(|part| match &part.body {
            PartBody::Reasoning(reasoning) => Some(reasoning.text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(thoughts, ["Let me see about that."], "{}", turn.told());
}

pub(super) async fn the_next_turn_remembers(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    bench.ask("t1", "SAY[One.] The word is wolpertinger.").await.assert_completed("One.");
    let cold = bench.sandbox.running.sidecar().health().await.unwrap().processes;
    assert!(cold > 1, "the agent stays for the next turn");
    bench.ask("t2", "SAY[Two.]").await.assert_completed("Two.");
    assert_remembered(&bench);
}

pub(super) async fn an_agent_that_was_started_anew_remembers(cli: Cli) {
    let patience = Patience { linger: Duration::ZERO, ..Patience::default() };
    let Some(bench) = Bench::with(cli, |spec| spec.patience = patience).await else { return };
    bench.ask("t1", "SAY[One.] The word is wolpertinger.").await.assert_completed("One.");
    assert_eq!(bench.sandbox.processes_left().await, 0);
    bench.ask("t2", "SAY[Two.]").await.assert_completed("Two.");
    assert_remembered(&bench);
}

fn assert_remembered(bench: &Bench) {
    let requests = bench.model.requests();
    let last = requests.iter().rfind(|request| request.status == 200).unwrap();
    let body = last.body.to_string();
    for said in ["wolpertinger", "One.", "SAY[Two.]"] {
        assert!(body.contains(said), "{said} is not in {body}");
    }
}

pub(super) async fn a_stopped_turn_keeps_what_was_said_and_leaves_no_process(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let turn = bench.ask_and("t1", "LONG[3000] SLOW[20]", |_| bench.stop("t1")).await;
    assert_eq!(turn.outcome, "aborted", "{}", turn.told());
    assert!(!turn.text().is_empty());
    assert_eq!(bench.sandbox.processes_left().await, 0);
    bench.ask("t2", "SAY[Still here.]").await.assert_completed("Still here.");
}

pub(super) async fn a_stop_ends_a_tool_that_runs(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let sleep = unique_sleep();
    let script = format!("RUN[(setsid sleep {sleep} &); sleep {sleep}]");
    let (turn, ()) = tokio::join!(bench.ask("t1", &script), async {
        assert!(appears(&sleep).await);
        bench.stop("t1").await;
    });
    assert_eq!(turn.outcome, "aborted", "{}", turn.told());
    assert!(turn.tools().iter().all(|tool| tool.state.is_settled()), "{}", turn.told());
    assert!(gone(&sleep).await);
    assert_eq!(bench.sandbox.processes_left().await, 0);
}

pub(super) async fn used_up_credits_end_the_turn_at_once(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let turn = bench.ask("t1", "SAY[First.] RUN[echo one] FAIL[402]").await;
    assert_eq!(
        (turn.outcome.as_str(), turn.code()),
        ("failed", "OUT_OF_CREDITS"),
        "{}",
        turn.told()
    );
    assert_eq!(turn.text(), "First.", "{}", turn.told());
    assert_eq!(turn.tools().len(), 1);
    assert!(bench.model.requests().len() <= 5, "{:?}", bench.model.requests());
    assert_eq!(bench.sandbox.processes_left().await, 0);
}

pub(super) async fn a_stream_that_breaks_once_is_told_once(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let turn = bench.ask("t1", "SAY[Hello wide world, once more.] DROP[2x1]").await;
    turn.assert_completed("Hello wide world, once more.");
    assert!(bench.model.requests().len() <= 4, "{:?}", bench.model.requests());
}

pub(super) async fn a_stream_that_breaks_always_ends_the_turn_after_few_requests(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let turn = bench.ask("t1", "SAY[Hello wide world, once more.] DROP[2]").await;
    assert!(["completed", "failed"].contains(&turn.outcome.as_str()), "{}", turn.told());
    assert!(turn.text().matches("Hello").count() <= 1, "{}", turn.told());
    let requests = bench.model.requests().len();
    assert!(requests <= FEW, "{requests} requests");
}

pub(super) async fn broken_json_ends_the_turn_after_few_requests(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let turn = bench.ask("t1", "SAY[Hello.] MALFORMED").await;
    assert!(["completed", "failed"].contains(&turn.outcome.as_str()), "{}", turn.told());
    assert!(turn.outcome == "completed" || turn.error.is_some());
    let requests = bench.model.requests().len();
    assert!(requests <= FEW, "{requests} requests");
}

pub(super) async fn an_overloaded_model_is_asked_again(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let turn = bench.ask("t1", "FAIL[529x2] SAY[There you are.]").await;
    turn.assert_completed("There you are.");
    let failed = bench.model.requests().iter().filter(|request| request.status == 529).count();
    assert_eq!(failed, 2);
}

pub(super) async fn a_killed_agent_ends_the_turn_and_leaves_no_process(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let sleep = unique_sleep();
    let script = format!("SAY[I wait.] RUN[(setsid sleep {sleep} &); sleep {sleep}]");
    let (turn, ()) = tokio::join!(bench.ask("t1", &script), async {
        assert!(appears(&sleep).await);
        bench.signal("KILL").await;
    });
    assert_eq!((turn.outcome.as_str(), turn.code()), ("failed", "AGENT_DIED"), "{}", turn.told());
    assert_eq!(turn.text(), "I wait.");
    assert!(gone(&sleep).await);
    assert_eq!(bench.sandbox.processes_left().await, 0);
    bench.ask("t2", "SAY[Still here.]").await.assert_completed("Still here.");
}

pub(super) async fn an_agent_that_hangs_is_ended(cli: Cli) {
    // Long enough for an agent to start on a slow machine.
    let patience = Patience { idle: Duration::from_secs(20), ..Patience::default() };
    let Some(bench) = Bench::with(cli, |spec| spec.patience = patience).await else { return };
    let turn = bench.ask_and("t1", "LONG[400] SLOW[50]", |_| bench.signal("STOP")).await;
    assert_eq!((turn.outcome.as_str(), turn.code()), ("failed", "AGENT_STUCK"), "{}", turn.told());
    assert_eq!(bench.sandbox.processes_left().await, 0);
}

pub(super) async fn the_turns_token_is_nowhere_in_the_sandbox(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let script = "RUN[env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; \
                  grep -rs turn-toke[n] /home /workspace /tmp /opt/skein; echo looked] SAY[Done.]";
    let turn = bench.ask("t1", script).await;
    turn.assert_completed("Done.");
    assert!(turn.told().contains("looked"));
    let last = bench.model.requests().last().unwrap().body.to_string();
    assert!(last.contains("looked"), "the tool's output reached the model");
    assert!(!last.contains(TOKEN) && !turn.told().contains(TOKEN));
}

pub(super) async fn a_profile_that_forbids_commands_is_kept_to(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let script = "RUN[touch /workspace/forbidden] SAY[Done.]";
    let turn = bench.ask_as("s1", "t1", script, json!("read-only")).await;
    assert_eq!(turn.outcome, "completed", "{}", turn.told());
    assert!(!bench.sandbox.on_host("workspace/forbidden").exists());
    let profile = json!({"instructions": "Mention the basilisk."});
    bench.ask_as("s1", "t2", "SAY[Yes.]", profile).await.assert_completed("Yes.");
    let last = bench.model.requests().last().unwrap().body.to_string();
    assert!(last.contains("Mention the basilisk."), "{last}");
}

pub(super) async fn a_file_of_the_workspace_allows_nothing(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let hook = json!([{"hooks": [{"type": "command", "command": "touch /workspace/hooked"}]}]);
    let allowed = json!({"bash": "allow", "edit": "allow"});
    let files = [
        (
            "opencode.json",
            json!({"permission": allowed, "agent": {"build": {"permission": allowed}}}),
        ),
        (
            ".claude/settings.json",
            json!({"permissions": {"allow": ["Bash"]}, "hooks": {"SessionStart": hook, "PreToolUse": hook}}),
        ),
    ];
    fs::create_dir(bench.sandbox.on_host("workspace/.claude")).unwrap();
    for (name, content) in files {
        let path = bench.sandbox.on_host(&format!("workspace/{name}"));
        fs::write(path, content.to_string()).unwrap();
    }
    let script = "RUN[touch /workspace/forbidden] SAY[Done.]";
    let turn = bench.ask_as("s1", "t1", script, json!("read-only")).await;
    assert_eq!(turn.outcome, "completed", "{}", turn.told());
    for name in ["forbidden", "hooked"] {
        assert!(!bench.sandbox.on_host(&format!("workspace/{name}")).exists(), "{name}");
    }
}

pub(super) async fn two_sessions_do_not_mix(cli: Cli) {
    let Some(bench) = Bench::start(cli).await else { return };
    let ask = |session, turn, message| bench.ask_as(session, turn, message, Value::Null);
    let (one, other) = tokio::join!(
        ask("s1", "t1", "SAY[One alone.] gryphon SLOW[50]"),
        ask("s2", "t2", "SAY[Other alone.] SLOW[50]")
    );
    one.assert_completed("One alone.");
    other.assert_completed("Other alone.");
    ask("s2", "t3", "SAY[Two.]").await.assert_completed("Two.");
    let last = bench.model.requests().last().unwrap().body.to_string();
    assert!(last.contains("Other alone.") && !last.contains("gryphon"), "{last}");
}

pub(super) async fn opencode_speaks_every_format() {
    for format in [WireFormat::Messages, WireFormat::Responses, WireFormat::ChatCompletions] {
        let Some(mut bench) = Bench::start(Cli::OpenCode).await else { return };
        bench.format = format;
        let turn = bench.ask("t1", "THINK[Hm.] SAY[I look.] RUN[echo x > x.txt] SAY[Done.]").await;
        turn.assert_completed("I look.\n\nDone.");
        assert!(bench.sandbox.on_host("workspace/x.txt").exists());
        assert!(bench.model.requests().iter().all(|request| request.format == format));
    }
}

pub(super) async fn opencode_that_hangs_while_it_starts_is_started_anew() {
    let Some(program) = program(Cli::OpenCode) else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(program.source.join(&program.binary), place("real")).unwrap();
    let sleep = unique_sleep();
    let hangs_once = format!(
        "#!/bin/sh\n[ -e ~/hung ] && exec /opt/agents/opencode/real \"$@\"\n\
         touch ~/hung; exec sleep {sleep}\n"
    );
    fs::write(place("opencode"), hangs_once).unwrap();
    fs::set_permissions(place("opencode"), fs::Permissions::from_mode(0o755)).unwrap();
    let bench = Bench::with(Cli::OpenCode, |spec| {
        let (source, binary) = (folder.path().to_owned(), "opencode".into());
        spec.agents = vec![AgentProgram { source, binary, ..program }];
        spec.patience.start = Duration::from_secs(2);
    });
    let bench = bench.await.unwrap();
    bench.ask("t1", "SAY[Here.]").await.assert_completed("Here.");
    assert!(bench.sandbox.output("ls ~").await.contains("hung"));
    assert!(gone(&sleep).await);
}

pub(super) async fn an_agent_without_a_model_or_not_installed_is_refused() {
    let sandbox = Sandbox::start().await;
    let backend = serde_json::from_value(json!({"type": "codex"})).unwrap();
    let run = AgentRun {
        session_id: "s1".into(),
        turn_id: "t1".into(),
        message: "hello".into(),
        backend: Some(backend),
        model: None,
    };
    assert_eq!(status(sandbox.running.sidecar().run_agent(&run).await.map(drop)), 501);
    let Some(bench) = Bench::start(Cli::Codex).await else { return };
    assert_eq!(status(bench.sandbox.running.sidecar().run_agent(&run).await.map(drop)), 400);
    let run = bench.run("s1", "t1", "hello", json!("nonsense"));
    assert_eq!(status(bench.sandbox.running.sidecar().run_agent(&run).await.map(drop)), 400);
}
