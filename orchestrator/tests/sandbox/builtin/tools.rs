//! What the agent does in its sandbox.

use std::fs;

use sandbox_sdk::types::{ToolState, WireFormat};

use super::{FORMATS, bench::Bench};

#[tokio::test]
async fn a_command_really_runs_and_is_told_from_its_input_to_its_output() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let turn = bench
            .ask("t1", "SAY[I look.] RUN[echo from $(hostname) | tee proof.txt] SAY[Done.]")
            .await;
        turn.assert_completed("I look.\n\nDone.");
        let proof = fs::read_to_string(bench.sandbox.on_host("workspace/proof.txt"));
        assert_eq!(proof.unwrap(), "from sandbox\n");
        let states: Vec<_> = turn
            .events
            .iter()
            .filter_map(|event| event.data.get("part")?.get("state")?.get("status")?.as_str())
            .collect();
        assert_eq!(states, ["pending", "running", "completed"]);
        let ToolState::Completed { input, output, title, time } = &turn.tools()[0].state else {
            panic!("{}", turn.told())
        };
        assert_eq!(input["command"], "echo from $(hostname) | tee proof.txt");
        assert_eq!((&output["stdout"], &output["exitCode"]), (&"from sandbox\n".into(), &0.into()));
        assert!(title.is_some() && time.end.is_some());
        assert_eq!(bench.requests(), 2);
        assert!(bench.last_request().body.to_string().contains("from sandbox"));
    }
}

#[tokio::test]
async fn calls_of_one_answer_run_at_the_same_time() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        // Each waits for the other.
        let turn = bench
            .ask(
                "t1",
                "RUN[touch a; until test -e b; do sleep 0.05; done; echo one] \
                 RUN[touch b; until test -e a; do sleep 0.05; done; echo two] SAY[Both.]",
            )
            .await;
        turn.assert_completed("Both.");
        assert_eq!(turn.steps(), ["bash ok", "bash ok"]);
        assert_eq!(bench.requests(), 2);
        let body = bench.last_request().body.to_string();
        assert!(body.find("one\"") < body.find("two\""), "results stand in the order of the calls");
    }
}

#[tokio::test]
async fn a_long_job_is_done_to_its_end() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let turn =
            bench.ask("t1", "STEPS[30] RUN[date +%N >> log; wc -l < log] SAY[All done.]").await;
        turn.assert_completed("All done.");
        assert_eq!(turn.tools().len(), 30);
        assert!(turn.steps().iter().all(|step| step == "bash ok"));
        assert_eq!(bench.requests(), 31);
        assert_eq!(bench.sandbox.read("log").await.unwrap().lines().count(), 30);
    }
}

#[tokio::test]
async fn a_model_that_goes_in_circles_is_told_and_then_ended() {
    let bench = Bench::start(WireFormat::ChatCompletions).await;
    let turn = bench.ask("t1", "STEPS[40] RUN[echo the same] SAY[never]").await;
    assert_eq!(turn.outcome, "completed", "{}", turn.told());
    assert!(bench.requests() < 10, "{}", bench.requests());
    let body = bench.last_request().body;
    assert!(body.to_string().contains("the very same 3 times"));
    assert_eq!(body["tool_choice"], "none");
}

#[tokio::test]
async fn an_edit_that_fails_is_told_with_a_hint_and_the_next_one_works() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        bench.sandbox.write("main.py", "def main():\n    print('hello')\n").await.unwrap();
        let message = r#"STEPS[2] CALL[edit {"file_path":"main.py","old_string":"print('hello')\n\nprint","new_string":"x"}] CALL[edit {"file_path":"main.py","old_string":"print('hello')","new_string":"print('good day')"}] SAY[Fixed.]"#;
        let turn = bench.ask("t1", message).await;
        turn.assert_completed("Fixed.");
        assert_eq!(turn.steps(), ["edit failed", "edit ok"]);
        assert!(bench.last_request().body.to_string().contains("is like line 2"));
        let text = bench.sandbox.read("main.py").await.unwrap();
        assert_eq!(text, "def main():\n    print('good day')\n");
    }
}

#[tokio::test]
async fn files_are_written_read_listed_and_found() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let message = concat!(
            r#"STEPS[7] CALL[write {"file_path":"src/deep/app.rs","content":"fn main() {}\nlet needle = 7;\n"}]"#,
            r#" CALL[read {"file_path":"src/deep/app.rs","offset":2,"limit":1}]"#,
            r#" CALL[list {"path":"src"}]"#,
            r#" CALL[search {"pattern":"needle\\s=\\s\\d","glob":"*.rs"}]"#,
            r#" CALL[search {"glob":"src/**/*.rs"}]"#,
            r#" CALL[search {"pattern":"absent"}]"#,
            r#" CALL[read {"file_path":"/etc/shadow"}] SAY[Done.]"#
        );
        let turn = bench.ask("t1", message).await;
        turn.assert_completed("Done.");
        let output = |index: usize| match &turn.tools()[index].state {
            ToolState::Completed { output, .. } => output.as_str().unwrap_or_default().to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(output(0), "Wrote 29 bytes.");
        assert_eq!(output(1), "[Lines 2 to 2 of 2]\nlet needle = 7;");
        assert_eq!(output(2), "deep/");
        assert_eq!(output(3), "src/deep/app.rs:2:let needle = 7;");
        assert_eq!(output(4), "src/deep/app.rs");
        assert_eq!(output(5), "Nothing was found.");
        assert_eq!(turn.steps()[6], "read failed");
    }
}

#[tokio::test]
async fn arguments_with_mistakes_are_understood_or_sent_back() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let message = concat!(
            r#"STEPS[4] CALL[shell {"cmd":"echo one > proof",}] CALL[Bash echo two >> proof]"#,
            r#" CALL[write {"file_path":"x","content":"cut o] CALL[fly {"to":"the moon"}] SAY[Well.]"#
        );
        let turn = bench.ask("t1", message).await;
        turn.assert_completed("Well.");
        assert_eq!(turn.steps(), ["bash ok", "bash ok", "write failed", "fly failed"]);
        assert_eq!(bench.sandbox.read("proof").await.unwrap(), "one\ntwo\n");
        let body = bench.last_request().body.to_string();
        assert!(body.contains("are not a JSON object") && body.contains("There is no tool"));
    }
}

#[tokio::test]
async fn an_output_of_ten_megabytes_reaches_the_model_in_short() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        let turn = bench
            .ask("t1", "RUN[echo first; head -c 10000000 /dev/zero | tr '\\0' x] SAY[Long.]")
            .await;
        turn.assert_completed("Long.");
        let body = bench.last_request().body.to_string();
        assert!(body.len() < 60_000, "{}", body.len());
        for note in ["first", "characters left out", "It wrote more than is kept"] {
            assert!(body.contains(note), "{note}");
        }
        let event = turn.events.iter().map(|event| serde_json::to_string(event).unwrap().len());
        assert!(event.max().unwrap() < 64 * 1024);

        let turn = bench.ask("t2", "RUN[seq 1 20000; echo the end >&2; exit 3] SAY[Well.]").await;
        turn.assert_completed("Well.");
        assert_eq!(turn.steps(), ["bash failed"]);
        let body = bench.last_request().body.to_string();
        for kept in ["1\\n2\\n3\\n", "19999\\n20000", "the end", "[Exited with code 3]"] {
            assert!(body.contains(kept), "{kept}");
        }
    }
}

#[tokio::test]
async fn a_projects_own_words_for_agents_are_heard() {
    let bench = Bench::start(WireFormat::Messages).await;
    bench.sandbox.write("AGENTS.md", "Use four spaces.\n").await.unwrap();
    bench.ask("t1", "SAY[Yes.]").await.assert_completed("Yes.");
    assert!(bench.last_request().body["system"].to_string().contains("Use four spaces."));
}
