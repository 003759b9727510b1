use sandbox_sdk::{
    transcript::Transcript,
    types::{EventBody, ToolState},
};

use serde_json::json;

use super::*;

fn reporter() -> (Reporter, mpsc::Receiver<Event>) {
    let (sender, receiver) = mpsc::channel(256);
    (Reporter::new(&AgentRun::unasked(), sender), receiver)
}

/// What a viewer has in the end.
fn seen(mut events: mpsc::Receiver<Event>) -> Transcript {
    let mut transcript = Transcript::default();
    while let Ok(event) = events.try_recv() {
        if let EventBody::PartUpdated(update) = event.body() {
            transcript.apply(*update);
        }
    }
    transcript
}

#[tokio::test]
async fn deltas_and_the_whole_are_one_text() {
    let (mut reporter, events) = reporter();
    reporter.grow(Prose::Text, "a", "Hello ").await;
    reporter.grow(Prose::Text, "a", "wor").await;
    reporter.settle(Prose::Text, "a", "Hello world").await;
    assert_eq!(seen(events).text(), "Hello world");
}

#[tokio::test]
async fn an_answer_that_broke_off_makes_room_for_the_one_that_follows() {
    let (mut reporter, events) = reporter();
    reporter.grow(Prose::Reasoning, "r1", "Hm").await;
    reporter.grow(Prose::Text, "a", "Hello ").await;
    reporter.tool("c1", "Bash", ToolStep::Pending).await;
    reporter.abandon();
    reporter.grow(Prose::Text, "b", "Hello ").await;
    reporter.settle(Prose::Text, "b", "Hello again").await;
    reporter.tool("c2", "Bash", ToolStep::Running { input: json!({"command": "ls"}) }).await;
    reporter.tool("c2", "Bash", ToolStep::Completed { output: json!("x") }).await;
    reporter.finish(End::Completed).await;
    let seen = seen(events);
    assert_eq!(seen.text(), "Hello again");
    assert_eq!(seen.parts().len(), 3);
    assert!(matches!(&seen.parts()[2].body, PartBody::Tool(tool) if tool.call_id == "c2"
        && matches!(tool.state, ToolState::Completed { .. })));
}

#[tokio::test]
async fn what_was_complete_before_an_answer_broke_off_stays() {
    let (mut reporter, events) = reporter();
    reporter.settle(Prose::Text, "a", "First.").await;
    reporter.tool("c", "bash", ToolStep::Running { input: json!({}) }).await;
    reporter.abandon();
    assert_eq!(reporter.running_tools(), 1);
    reporter.settle(Prose::Text, "a", "Second.").await;
    assert_eq!(seen(events).text(), "First.\n\nSecond.");
}

#[tokio::test]
async fn a_tool_that_is_open_at_the_end_is_closed_with_a_reason() {
    let (mut reporter, events) = reporter();
    reporter.tool("c", "bash", ToolStep::Running { input: json!({}) }).await;
    reporter.finish(End::Aborted).await;
    let seen = seen(events);
    let PartBody::Tool(tool) = &seen.parts()[0].body else { panic!() };
    let ToolState::Error { error, .. } = &tool.state else { panic!("{tool:?}") };
    assert_eq!(error.as_deref(), Some("Stopped"));
}

#[tokio::test]
async fn long_texts_of_tools_are_shown_from_both_ends() {
    let (mut reporter, events) = reporter();
    let long = format!("begin{}end", "x".repeat(100_000));
    reporter.tool("c", "write", ToolStep::Running { input: json!({"content": long}) }).await;
    let seen = seen(events);
    let PartBody::Tool(tool) = &seen.parts()[0].body else { panic!() };
    let content = tool.state.input()["content"].as_str().unwrap();
    assert!(content.starts_with("begin") && content.ends_with("end") && content.len() < 20_000);
}

#[tokio::test]
async fn a_call_that_takes_the_place_of_another_has_its_own_name() {
    let (mut reporter, events) = reporter();
    reporter.tool("c1", "bash", ToolStep::Pending).await;
    reporter.abandon();
    reporter.tool("c2", "read", ToolStep::Running { input: json!({"path": "a"}) }).await;
    reporter.tool("c2", "read", ToolStep::Completed { output: json!("x") }).await;
    let seen = seen(events);
    let PartBody::Tool(tool) = &seen.parts()[0].body else { panic!() };
    assert_eq!((tool.call_id.as_str(), tool.tool.as_str()), ("c2", "read"));
}

#[tokio::test]
async fn what_an_answer_left_behind_and_nothing_replaced_is_taken_back_at_the_end() {
    let (mut reporter, events) = reporter();
    reporter.grow(Prose::Reasoning, "r", "Hm").await;
    reporter.grow(Prose::Text, "a", "Hel").await;
    reporter.grow(Prose::Text, "b", "lo").await;
    reporter.abandon();
    reporter.settle(Prose::Text, "c", "Hello").await;
    reporter.finish(End::Completed).await;
    let seen = seen(events);
    assert_eq!(seen.text().trim(), "Hello");
    let thought = seen.parts().iter().find_map(|part| match &part.body {
        PartBody::Reasoning(part) => Some(part.text.as_str()),
        _ => None,
    });
    assert_eq!(thought, Some(""));
}
