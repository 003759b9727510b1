//! One execution, read from wherever a client begins.

use futures::StreamExt;
use sandbox_sdk::types::TurnState;

use super::*;
use crate::{
    log::{TurnChange, tests::Bench},
    store::{EndedTurn, NewTurn, Used},
};

fn event(kind: &str, data: Value) -> Event {
    let Value::Object(data) = data else { panic!() };
    Event { kind: kind.to_owned(), data }
}

async fn texts(execution: Execution) -> Vec<String> {
    let frames = execution.frames().map(|frame| frame.unwrap());
    frames.map(|frame| String::from_utf8(frame.to_vec()).unwrap()).collect().await
}

fn execution(bench: &Bench, log: &Arc<SessionLog>, after: u64) -> Execution {
    let cursor = bench.logs.cursor(log.clone(), after);
    let (store, draining) = (bench.store.clone(), CancellationToken::new());
    Execution::new("t1".to_owned(), store, log.clone(), cursor, draining)
}

/// A turn from its first event to its last, as far as it goes.
async fn run_turn(bench: &Bench, log: &Arc<SessionLog>, id: &str, ends: bool) {
    let begin = TurnChange::Begin(NewTurn {
        id: id.to_owned(),
        model: "demo".to_owned(),
        prompt: "hello".to_owned(),
        input_tokens: 1,
        usage: None,
    });
    let started = vec![event("execution.started", json!({})), event("status", json!({}))];
    bench.logs.append(log, started, Some(begin)).await.unwrap();
    if ends {
        end_turn(bench, log, id).await;
    }
}

async fn end_turn(bench: &Bench, log: &Arc<SessionLog>, id: &str) {
    let end = TurnChange::End(EndedTurn {
        id: id.to_owned(),
        state: TurnState::Completed,
        final_text: "the answer".to_owned(),
        parts: Vec::new(),
        used: Used::default(),
        error: None,
        webhook: None,
    });
    let last = vec![event("result", json!({})), event("done", json!({"turnId": id}))];
    bench.logs.append(log, last, Some(end)).await.unwrap();
}

/// The kinds of its events with their numbers.
async fn told(execution: Execution) -> Vec<(String, Option<String>)> {
    let frames = texts(execution).await;
    let line = |frame: &str, name: &str| {
        frame.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned))
    };
    frames.iter().map(|frame| (line(frame, "event: ").unwrap(), line(frame, "id: "))).collect()
}

fn numbered(kind: &str, number: u64) -> (String, Option<String>) {
    (kind.to_owned(), Some(number.to_string()))
}

/// What its record tells of its end.
fn ending() -> [(String, Option<String>); 2] {
    ["result", "done"].map(|kind| (kind.to_owned(), None))
}

#[tokio::test]
async fn an_execution_ends_with_its_done_and_the_next_turn_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    run_turn(&bench, &log, "t1", true).await;
    run_turn(&bench, &log, "t2", false).await;
    let last = [numbered("result", 3), numbered("done", 4)];
    assert_eq!(told(execution(&bench, &log, 2)).await, last);
    let mut known = execution(&bench, &log, 2);
    known.look_up().await.unwrap();
    assert_eq!(known.last, Some(4));
    assert_eq!(told(known).await, last);
}

#[tokio::test]
async fn one_that_has_ended_tells_its_end_from_wherever_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    run_turn(&bench, &log, "t1", true).await;
    // At its end, in the next turn, and where nothing stands yet.
    run_turn(&bench, &log, "t2", true).await;
    for after in [4, 6, 99_999] {
        let mut execution = execution(&bench, &log, after);
        execution.look_up().await.unwrap();
        assert_eq!(told(execution).await, ending(), "after {after}");
    }
    bench.keep(1).await;
    let warning = ("warning".to_owned(), None);
    let mut cut = execution(&bench, &log, 0);
    cut.look_up().await.unwrap();
    let [result, done] = ending();
    assert_eq!(told(cut).await, [warning, result, done], "its events are no longer kept");
    let mut after = execution(&bench, &log, 99_999);
    after.look_up().await.unwrap();
    let frames = texts(after).await;
    assert!(frames[0].contains(r#""finalText":"the answer""#), "{frames:?}");
    assert!(frames[0].contains(r#""traceId":"t1""#), "{frames:?}");
    assert!(frames[1].contains(r#""outcome":"completed""#), "{frames:?}");
}

#[tokio::test]
async fn one_whose_end_is_cut_before_it_was_read_is_not_taken_for_the_next_turn() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    run_turn(&bench, &log, "t1", false).await;
    // It ran when its reader came.
    let slow = execution(&bench, &log, 1);
    end_turn(&bench, &log, "t1").await;
    run_turn(&bench, &log, "t2", true).await;
    bench.keep(2).await;
    let [result, done] = ending();
    assert_eq!(told(slow).await, [("warning".to_owned(), None), result, done]);
}

#[tokio::test]
async fn a_quiet_line_is_shown_to_be_there_without_a_number() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    let draining = CancellationToken::new();
    let mut execution = execution(&bench, &log, 0);
    execution.draining = draining.clone();
    execution.heartbeat = Duration::from_millis(5);
    let mut frames = std::pin::pin!(execution.frames());
    let beat = frames.next().await.unwrap().unwrap();
    let beat = std::str::from_utf8(&beat).unwrap();
    assert!(beat.starts_with("event: heartbeat\ndata: {\"timestamp\":"), "{beat}");
    assert!(beat.ends_with("}\n\n") && !beat.contains("id:"), "{beat}");
    draining.cancel();
    while frames.next().await.is_some() {}
}

#[test]
fn a_piece_of_text_says_in_content_what_it_adds() {
    let shown = |kind: &str, data: Value| {
        serde_json::from_str::<Value>(&dress(kind, &data.to_string(), "t1")).unwrap()
    };
    let part = json!({"part": {"type": "text", "text": ""}, "delta": "more"});
    assert_eq!(shown("message.part.updated", part)["part"]["content"], "more");
    let whole = json!({"part": {"type": "text", "text": "all"}});
    assert_eq!(shown("message.part.updated", whole)["part"]["content"], "all");
    let tool = json!({"part": {"type": "tool", "tool": "bash"}});
    assert_eq!(shown("message.part.updated", tool.clone()), tool);
    let result = json!({"metadata": {"sessionId": "s"}});
    assert_eq!(shown("result", result)["metadata"]["traceId"], "t1");
    assert_eq!(shown("done", json!({"turnId": "t"})), json!({"turnId": "t"}));
}
