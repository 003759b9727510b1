//! The built-in agent, from the request to the last event, with a model that does what the prompt
//! says.

mod asking;
mod bench;
mod failures;
mod memory;
mod tools;

use futures::StreamExt;
use sandbox_sdk::types::{PartBody, WireFormat};
use serde_json::json;

use crate::support::{gone, processes_with, there, unique_sleep};
use bench::{Bench, TOKEN};

const FORMATS: [WireFormat; 2] = [WireFormat::Messages, WireFormat::ChatCompletions];

#[tokio::test]
async fn text_comes_in_pieces_and_is_there_once() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let turn = bench.ask("t1", "SAY[Skein says hello to everybody who listens.]").await;
        turn.assert_completed("Skein says hello to everybody who listens.");
        let deltas = turn.events.iter().filter(|event| event.data.contains_key("delta")).count();
        assert!(deltas > 2, "{}", turn.told());
        let request = bench.last_request();
        assert_eq!((bench.requests(), request.format), (1, format));
        assert_eq!(request.key.as_deref(), Some(TOKEN));
        assert_eq!(request.model, "scripted-1");
        assert!(request.complete, "the stream was read to its end");
    }
}

#[tokio::test]
async fn thoughts_are_told_apart_from_the_answer() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let turn = bench.ask("t1", "THINK[What might they want?] SAY[Hello.]").await;
        turn.assert_completed("Hello.");
        let PartBody::Reasoning(thought) = &turn.transcript.parts()[0].body else {
            panic!("{}", turn.told())
        };
        assert_eq!(thought.text, "What might they want?");
        assert!(thought.time.unwrap().end.is_some());
        assert_eq!(turn.transcript.parts().len(), 2);
    }
}

#[tokio::test]
async fn parts_have_the_turns_names() {
    let bench = Bench::start(WireFormat::Messages).await;
    let turn = bench.ask("t7", "SAY[I look.] RUN[true] SAY[Done.]").await;
    turn.assert_completed("I look.\n\nDone.");
    for (number, part) in turn.transcript.parts().iter().enumerate() {
        assert_eq!(part.id, format!("prt_t7_{}", number + 1));
        assert_eq!((part.message_id.as_str(), part.session_id.as_str()), ("msg_t7", "session-1"));
    }
}

#[tokio::test]
async fn a_stop_in_the_middle_of_an_answer_keeps_what_was_said_and_the_next_turn_knows() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let turn = bench
            .stop("t1", "my number is 71. SLOW[30] LONG[500]", async |event| {
                event.data.contains_key("delta")
            })
            .await;
        assert_eq!(turn.outcome, "aborted", "{}", turn.told());
        assert!(turn.text().starts_with("word1") && turn.text().len() < 2_000);
        bench.ask("t2", "SAY[I know.]").await.assert_completed("I know.");
        let body = bench.last_request().body.to_string();
        for known in ["my number is 71.", "word1", "[The user stopped this turn.]"] {
            assert!(body.contains(known), "{known}: {body}");
        }
    }
}

#[tokio::test]
async fn a_stop_ends_a_tool_that_runs_with_all_that_it_started() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let sleep = unique_sleep();
        let turn = bench
            .stop("t1", &format!("RUN[setsid sleep {sleep} & sleep {sleep}]"), async |event| {
                let running =
                    event.data.get("part").is_some_and(|part| part["state"]["status"] == "running");
                while running && processes_with(&sleep) < 2 {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                running
            })
            .await;
        assert_eq!(turn.outcome, "aborted", "{}", turn.told());
        assert_eq!(turn.steps(), ["bash failed"]);
        assert!(gone(&sleep).await);
        assert_eq!(bench.sandbox.processes_left().await, 0);
        bench.ask("t2", "SAY[Then something else.]").await.assert_completed("Then something else.");
        let body = bench.last_request().body.to_string();
        assert!(body.contains("The user stopped this turn."), "{body}");
    }
}

#[tokio::test]
async fn an_agent_nobody_listens_to_stops() {
    let bench = Bench::start(WireFormat::Messages).await;
    let sleep = unique_sleep();
    let run = bench.turn("t1", &format!("RUN[sleep {sleep}]"));
    let mut stream = bench.sandbox.running.sidecar().run_agent(&run).await.unwrap();
    // It runs once that is told.
    while stream.next().await.unwrap().unwrap().data["part"]["state"]["status"] != "running" {}
    assert!(there(&sleep).await);
    drop(stream);
    assert!(gone(&sleep).await);
}

#[tokio::test]
async fn what_may_not_be_done_is_not_done_and_told() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let call = r#"CALL[bash {"command":"touch denied"}] CALL[write {"file_path":"denied","content":"x"}] SAY[Well.]"#;
        let turn = bench.ask_as(json!("read-only"), "t1", call).await;
        turn.assert_completed("Well.");
        assert_eq!(turn.steps(), ["bash failed", "write failed"]);
        let offered = bench.last_request().body["tools"].to_string();
        assert!(offered.contains("search") && !offered.contains("\"bash\""), "{offered}");

        let told = json!({ "permissions": { "bash": "deny" }, "instructions": "Speak Latin." });
        let call = r#"CALL[bash {"command":"touch denied"}] SAY[A pity.]"#;
        let turn = bench.ask_as(told, "t2", call).await;
        turn.assert_completed("A pity.");
        assert_eq!(turn.steps(), ["bash failed"]);
        let body = bench.last_request().body.to_string();
        assert!(body.contains("not allowed in this turn") && body.contains("Speak Latin."));
        assert!(!bench.sandbox.on_host("workspace/denied").exists());
    }
}

#[tokio::test]
async fn a_turn_that_cannot_begin_says_why() {
    let bench = Bench::start(WireFormat::Messages).await;
    let mut run = bench.turn("t1", "SAY[x]");
    run.model = None;
    bench::ask(&bench.sandbox, &run).await.assert_failed("NO_MODEL");
    bench.ask_as(json!("reckless"), "t2", "SAY[x]").await.assert_failed("INVALID_PROFILE");
    assert_eq!(bench.requests(), 0);
}

#[tokio::test]
#[ignore = "measures, for a person to read"]
async fn figures_of_the_agent() {
    let bench = Bench::start(WireFormat::Messages).await;
    let peak = "grep VmHWM /proc/1/status | tr -dc 0-9";
    let before = bench.sandbox.output(peak).await;
    let started = std::time::Instant::now();
    bench.ask("t1", "SAY[Hello.]").await.assert_completed("Hello.");
    let first = started.elapsed();
    let one = bench.sandbox.output(peak).await;
    for number in 0..20 {
        let message = format!("STEPS[5] RUN[seq {number} 5000] SAY[Done.]");
        let turn = bench.ask(&format!("l{number}"), &message).await;
        assert_eq!(turn.outcome, "completed", "{}", turn.told());
    }
    let many = bench.sandbox.output(peak).await;
    println!(
        "turn: {first:?}; sidecar's peak: {before} kB, {one} kB after one, {many} kB after 100 calls"
    );
}
