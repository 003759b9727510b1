//! The demo agent, from the request to the last event.

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use orchestrator::sidecar::{AGENT_FINISHED, AgentRun};
use sandbox_sdk::{
    transcript::Transcript,
    types::{Event, EventBody, Part, PartBody, ToolPart, ToolState},
};
use tokio::{sync::Notify, time::timeout};

use crate::support::{Sandbox, gone, processes_with, unique_sleep};

/// What a turn gave.
struct Turn {
    events: Vec<Event>,
    transcript: Transcript,
    outcome: String,
}

fn run(turn_id: &str, message: &str) -> AgentRun {
    let (session_id, turn_id) = ("session-1".into(), turn_id.into());
    AgentRun { session_id, turn_id, message: message.into(), backend: None, model: None }
}

async fn ask(sandbox: &Sandbox, turn_id: &str, message: &str) -> Turn {
    let stream = sandbox.running.sidecar().run_agent(&run(turn_id, message)).await.unwrap();
    collect(stream).await
}

async fn collect(
    mut stream: impl futures::Stream<Item = Result<Event, orchestrator::sidecar::SidecarError>> + Unpin,
) -> Turn {
    let (mut events, mut transcript, mut outcome) =
        (Vec::new(), Transcript::default(), String::new());
    while let Some(event) = stream.next().await {
        let event = event.unwrap();
        assert_eq!(outcome, "", "nothing comes after the end");
        match event.body() {
            EventBody::PartUpdated(update) => drop(transcript.apply(*update)),
            _ if event.kind == AGENT_FINISHED => {
                outcome = event.data["outcome"].as_str().unwrap().to_owned();
            }
            other => panic!("unexpected {other:?}"),
        }
        events.push(event);
    }
    Turn { events, transcript, outcome }
}

impl Turn {
    fn text(&self) -> String {
        self.transcript.text()
    }

    fn tools(&self) -> Vec<&ToolPart> {
        let tools = self.transcript.parts().iter().filter_map(|part| match &part.body {
            PartBody::Tool(tool) => Some(tool),
            _ => None,
        });
        tools.collect()
    }

    /// `bash ok`, `edit failed`, …
    fn steps(&self) -> Vec<String> {
        let tools = self.tools().into_iter();
        tools
            .map(|tool| {
                let ended = match tool.state {
                    ToolState::Completed { .. } => "ok",
                    ToolState::Error { .. } => "failed",
                    _ => "open",
                };
                format!("{} {ended}", tool.tool)
            })
            .collect()
    }

    fn assert_completed(&self, says: &str) {
        assert_eq!(self.outcome, "completed");
        assert!(self.text().contains(says), "{says:?} is not in:\n{}", self.text());
    }
}

fn id_number(part: &Part) -> usize {
    part.id.rsplit('_').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_turn_thinks_introduces_itself_works_and_tells() {
    let sandbox = Sandbox::start().await;
    let turn = ask(&sandbox, "t1", "Run `echo hello from $(hostname) | tee proof.txt`").await;
    turn.assert_completed("hello from sandbox");
    assert_eq!(
        fs::read_to_string(sandbox.on_host("workspace/proof.txt")).unwrap(),
        "hello from sandbox\n"
    );

    let parts = turn.transcript.parts();
    let kinds: Vec<_> = parts
        .iter()
        .map(|part| match &part.body {
            PartBody::Reasoning(_) => "reasoning",
            PartBody::Text(_) => "text",
            PartBody::Tool(_) => "tool",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["reasoning", "text", "tool", "text"]);
    for (number, part) in parts.iter().enumerate() {
        assert_eq!(part.message_id, "msg_t1");
        assert_eq!(part.session_id, "session-1");
        assert_eq!(part.id, format!("prt_t1_{}", number + 1));
    }
    let PartBody::Reasoning(reasoning) = &parts[0].body else { panic!() };
    assert!(reasoning.time.unwrap().end.is_some());
    let PartBody::Text(introduction) = &parts[1].body else { panic!() };
    assert!(
        introduction.text.contains("demo agent") && introduction.text.contains("Connect a model")
    );

    let ToolState::Completed { input, output, title, time } = &turn.tools()[0].state else {
        panic!()
    };
    assert_eq!(input["command"], "echo hello from $(hostname) | tee proof.txt");
    assert_eq!(output["stdout"], "hello from sandbox\n");
    assert_eq!(output["exitCode"], 0);
    assert!(title.is_some() && time.end.is_some());
}

#[tokio::test]
async fn tools_go_from_pending_over_running_to_their_end() {
    let sandbox = Sandbox::start().await;
    let turn = ask(&sandbox, "t1", "run: false").await;
    let states: Vec<_> = turn
        .events
        .iter()
        .filter_map(|event| event.data.get("part")?.get("state")?.get("status")?.as_str())
        .collect();
    assert_eq!(states, ["pending", "running", "error"]);
    turn.assert_completed("exited with code 1");
}

#[tokio::test]
async fn text_comes_in_pieces_of_a_few_words_in_the_order_of_the_parts() {
    let sandbox = Sandbox::start().await;
    let turn = ask(&sandbox, "t1", "sing me a song").await;
    turn.assert_completed("beyond me");
    let mut highest = 0;
    let mut pieces = 0;
    for event in &turn.events {
        let EventBody::PartUpdated(update) = event.body() else { continue };
        let number = id_number(&update.part);
        assert!(number == highest || number == highest + 1, "parts do not interleave");
        highest = number;
        if let Some(delta) = update.delta {
            pieces += 1;
            assert!(delta.chars().count() <= 60, "{delta:?}");
        }
    }
    assert!(pieces > 20);
    let ids: BTreeSet<_> = turn.transcript.parts().iter().map(|part| &part.id).collect();
    assert_eq!(ids.len(), turn.transcript.parts().len());
}

#[tokio::test]
async fn the_same_request_in_a_fresh_sandbox_gives_the_same_answer() {
    let (one, other) = (Sandbox::start().await, Sandbox::start().await);
    let message = "write a long markdown answer";
    let (first, second) = (ask(&one, "t1", message).await, ask(&other, "t1", message).await);
    assert_eq!(first.text(), second.text());
    assert!(first.text().len() > 9_000);
    assert_eq!(first.tools().len(), 0);
}

#[tokio::test]
async fn files_are_written_listed_read_edited_and_run() {
    let sandbox = Sandbox::start().await;
    ask(&sandbox, "t1", "write hello.sh containing \"echo good morning\"")
        .await
        .assert_completed("is written");
    let listed = ask(&sandbox, "t2", "list the files").await;
    listed.assert_completed("hello.sh");
    assert!(!listed.text().contains("demo agent"), "it introduces itself once");
    ask(&sandbox, "t3", "show me hello.sh").await.assert_completed("echo good morning");
    let edited = ask(&sandbox, "t4", "replace \"morning\" with \"evening\" in hello.sh").await;
    assert_eq!(edited.steps(), ["read ok", "edit ok"]);
    ask(&sandbox, "t5", "run hello.sh").await.assert_completed("good evening");
    ask(&sandbox, "t6", "run it again").await.assert_completed("good evening");
    let both =
        ask(&sandbox, "t7", "Create two.sh and run it:\n```sh\necho one\necho two\n```").await;
    both.assert_completed("one\ntwo");
}

#[tokio::test]
async fn failures_are_told_as_they_are() {
    let sandbox = Sandbox::start().await;
    let missing = ask(&sandbox, "t1", "read nothing.txt").await;
    assert_eq!(missing.steps(), ["read failed"]);
    missing.assert_completed("There is no file `nothing.txt`.");
    ask(&sandbox, "t2", "read /etc/shadow").await.assert_completed("leads outside");
    ask(&sandbox, "t3", "replace a with b in nothing.txt")
        .await
        .assert_completed("There is no file");
    ask(&sandbox, "t4", "run: ls /nowhere").await.assert_completed("No such file");
    ask(&sandbox, "t5", "run nothing.sh").await.assert_completed("failed");
    ask(&sandbox, "t6", "list the files in src/")
        .await
        .assert_completed("There is no folder `src/`.");
    ask(&sandbox, "t7", "run nosuchprogram").await.assert_completed("no such program");
}

#[tokio::test]
async fn a_file_that_is_no_program_is_offered_to_be_read() {
    let sandbox = Sandbox::start().await;
    ask(&sandbox, "t1", "write notes.txt containing \"buy milk\"").await;
    let refused = ask(&sandbox, "t2", "run notes.txt").await;
    assert_eq!(refused.steps(), [""; 0], "nothing is tried");
    refused.assert_completed("`notes.txt` is not a program");
    ask(&sandbox, "t3", "read it").await.assert_completed("buy milk");
}

#[tokio::test]
async fn it_remembers_the_session_over_turns_and_restarts_and_only_that_session() {
    let sandbox = Sandbox::start().await;
    ask(&sandbox, "t1", "run: echo blue").await;
    ask(&sandbox, "t2", "What did I just ask?").await.assert_completed("run: echo blue");
    let recalled = ask(&sandbox, "t3", "what do you remember").await;
    recalled.assert_completed("2 requests");
    ask(&sandbox, "t3b", "remember: the demo is on Friday").await.assert_completed("will remember");
    let recalled = ask(&sandbox, "t3c", "what do you remember?").await;
    recalled.assert_completed("You asked me to remember:\n\n- the demo is on Friday");
    let mut other = run("t4", "what did I just ask?");
    other.session_id = "session-2".into();
    let stream = sandbox.running.sidecar().run_agent(&other).await.unwrap();
    let other = collect(stream).await;
    other.assert_completed("first message");
    assert!(other.text().contains("demo agent"));
}

#[tokio::test]
async fn a_program_is_written_fails_is_fixed_and_works() {
    let sandbox = Sandbox::start().await;
    let turn = ask(&sandbox, "t1", "Write a small program, run it, and fix what fails.").await;
    assert_eq!(turn.steps(), ["bash ok", "write ok", "bash failed", "edit ok", "bash ok"]);
    turn.assert_completed("Now it works");
    assert!(turn.text().contains("TypeError") || turn.text().contains("totl"));
    assert!(turn.text().contains("4 items"));
}

#[tokio::test]
async fn a_repository_is_explained_and_its_tests_are_run() {
    let sandbox = Sandbox::start().await;
    let turn = ask(&sandbox, "t1", "Explain a repository").await;
    turn.assert_completed("A shelf of books");
    turn.assert_completed("5 files");
    assert!(turn.text().contains("**The tests pass.**") || turn.text().contains("found no tests"));

    let own = Sandbox::start().await;
    own.output("mkdir src && echo '# mine' > README.md && echo >> README.md && echo 'Counts sheep.' >> README.md && echo 'fn main() {}' > src/main.rs").await;
    let turn = ask(&own, "t1", "explain this repository").await;
    turn.assert_completed("Counts sheep.");
    assert!(!turn.text().contains("sample"));
}

#[tokio::test]
async fn a_spreadsheet_is_cleaned_and_every_change_counted() {
    let sandbox = Sandbox::start().await;
    let turn = ask(&sandbox, "t1", "Clean a spreadsheet").await;
    turn.assert_completed("| rows after | 9 |");
    let clean = sandbox.read("sales-2025.clean.csv").await.unwrap();
    assert_eq!(clean.lines().count(), 10);
    assert!(
        sandbox.read("sales-2025.csv").await.unwrap().contains("  Alan Turing "),
        "the original stays"
    );
    let python = sandbox.sh("command -v python3").await.exit_code == 0;
    assert!(!python || clean.contains("1002,2025-01-03,Alan Turing,Pencil,1.20"), "{clean}");
}

#[tokio::test]
async fn a_script_is_written_and_run() {
    let sandbox = Sandbox::start().await;
    ask(&sandbox, "t1", "Write and run a script").await.assert_completed("25 primes below 100");
    ask(&sandbox, "t2", "write a script that prints fibonacci numbers")
        .await
        .assert_completed("0 1 1 2 3 5 8");
    ask(&sandbox, "t3", "write a fizzbuzz program").await.assert_completed("FizzBuzz");
}

#[tokio::test]
async fn a_slow_part_is_measured_fixed_and_measured_again() {
    let sandbox = Sandbox::start().await;
    let turn = ask(&sandbox, "t1", "Find the slow part").await;
    assert_eq!(turn.steps(), ["bash ok", "write ok", "bash ok", "bash ok", "edit ok", "bash ok"]);
    turn.assert_completed("It prints the same as before");
    turn.assert_completed("```diff\n-    ");
}

#[tokio::test]
async fn every_scene_works_in_a_sandbox_without_python() {
    let sandbox = Sandbox::with(|spec| {
        spec.env.insert("PATH".into(), "/home/agent/bin".into());
    })
    .await;
    sandbox
        .output(
            "export PATH=/usr/bin; mkdir ~/bin && for program in awk bash cat expr find grep head ls \
             printf sed seq sh sort tail touch tr uniq wc xargs; do \
             ln -s /usr/bin/$program ~/bin/$program; done",
        )
        .await;
    let job = ask(&sandbox, "t1", "write a small program, run it, fix what fails").await;
    job.assert_completed("4 items, 5600 cents in total");
    ask(&sandbox, "t2", "write and run a script").await.assert_completed("25 primes below 100");
    ask(&sandbox, "t3", "clean a spreadsheet").await.assert_completed("repeated rows dropped | 1");
    ask(&sandbox, "t4", "find the slow part")
        .await
        .assert_completed("It prints the same as before");
    ask(&sandbox, "t5", "explain a repository").await.assert_completed("found no tests");
}

#[tokio::test]
async fn a_stop_ends_a_running_tool_and_says_so() {
    let sandbox = Sandbox::start().await;
    let sleep = unique_sleep();
    let message = format!("run: setsid sleep {sleep} & sleep {sleep}");
    let stream = sandbox.running.sidecar().run_agent(&run("t1", &message)).await.unwrap();
    let (turn, ()) = tokio::join!(collect(stream), async {
        while processes_with(&sleep) < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!sandbox.running.sidecar().abort("another").await.unwrap());
        assert!(sandbox.running.sidecar().abort("t1").await.unwrap());
    });
    assert_eq!(turn.outcome, "aborted");
    let ToolState::Error { error, .. } = &turn.tools()[0].state else {
        panic!("{:?}", turn.tools())
    };
    assert_eq!(error.as_deref(), Some("Stopped"));
    assert!(gone(&sleep).await);
    assert!(!sandbox.running.sidecar().abort("t1").await.unwrap(), "it is over");
    ask(&sandbox, "t2", "what did I just ask?").await.assert_completed("You stopped me");
}

#[tokio::test]
async fn a_stop_in_the_middle_of_text_keeps_what_was_said() {
    let sandbox = Sandbox::with(|spec| spec.demo_pace = Duration::from_millis(100)).await;
    let run = run("t1", "write a long markdown answer");
    let stream = sandbox.running.sidecar().run_agent(&run).await.unwrap();
    let (heard, said) = (Arc::new(Notify::new()), Mutex::new(String::new()));
    let stream = stream.inspect(|event| {
        let delta = event.as_ref().ok().and_then(|event| event.data.get("delta")?.as_str());
        let mut said = said.lock().unwrap();
        said.push_str(delta.unwrap_or_default());
        if said.contains("demo agent") {
            heard.notify_one();
        }
    });
    let (turn, ()) = tokio::join!(collect(stream), async {
        heard.notified().await;
        sandbox.running.sidecar().abort("t1").await.unwrap();
    });
    assert_eq!(turn.outcome, "aborted");
    assert!(turn.text().contains("demo agent") && turn.text().len() < 8_000);
}

#[tokio::test]
async fn an_agent_nobody_listens_to_stops() {
    let sandbox = Sandbox::start().await;
    let sleep = unique_sleep();
    let message = format!("run: sleep {sleep}");
    let mut stream = sandbox.running.sidecar().run_agent(&run("t1", &message)).await.unwrap();
    // The last event before the command may come before its process does.
    while processes_with(&sleep) == 0 {
        if let Ok(event) = timeout(Duration::from_millis(50), stream.next()).await {
            event.unwrap().unwrap();
        }
    }
    drop(stream);
    assert!(gone(&sleep).await);
}

#[tokio::test]
async fn what_cannot_be_run_is_refused() {
    use crate::support::status;
    let sandbox = Sandbox::start().await;
    let mut other: AgentRun = run("t1", "hello");
    other.backend =
        Some(serde_json::from_value(serde_json::json!({ "type": "opencode" })).unwrap());
    let refused = sandbox.running.sidecar().run_agent(&other).await.map(drop);
    assert_eq!(status(refused), 501);
    let refused = sandbox.running.sidecar().run_agent(&run("", "hello")).await.map(drop);
    assert_eq!(status(refused), 400);

    let slow = run("t2", "run: sleep 600");
    let _running = sandbox.running.sidecar().run_agent(&slow).await.unwrap();
    let refused = sandbox.running.sidecar().run_agent(&slow).await.map(drop);
    assert_eq!(status(refused), 409, "a turn runs once");
}
