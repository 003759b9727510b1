use sandbox_sdk::types::Part;
use serde_json::json;

use super::*;

fn part(id: &str, kind: &str, more: serde_json::Value) -> Part {
    let mut part = json!({"id": id, "type": kind});
    part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(part).unwrap()
}

fn text(id: &str, text: &str) -> Part {
    part(id, "text", json!({"text": text}))
}

fn ask(id: &str, status: &str) -> Part {
    let request = json!({"id": id, "title": "Which one?"});
    part(id, "interaction", json!({"request": request, "status": status}))
}

fn tool(id: &str) -> Part {
    part(id, "tool", json!({"tool": "bash", "state": {"status": "running", "input": {}}}))
}

/// The segments in words, for example `thought run(2) prose`.
fn shape(message: &AgentMessage) -> String {
    let segments = message.segments.get_untracked();
    let words = segments.iter().map(|segment| match segment {
        Segment::Prose(_) => "prose".to_owned(),
        Segment::Thought(_) => "thought".to_owned(),
        Segment::Run(run) => format!("run({})", run.steps.read_untracked().len()),
        Segment::Ask(_) => "ask".to_owned(),
        Segment::File { .. } => "file".to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn consecutive_steps_are_one_run_and_prose_parts_them() {
    let message = AgentMessage::live("t".into());
    message.show(&[
        part("1", "reasoning", json!({"text": "hm"})),
        part("2", "step-start", json!({})),
        tool("3"),
        part("4", "step-finish", json!({})),
        part("5", "reasoning", json!({"text": "so"})),
        tool("6"),
        text("7", "Done."),
        tool("8"),
    ]);
    assert_eq!(shape(&message), "thought run(3) prose run(1)");
}

#[test]
fn a_text_that_grew_is_appended_to() {
    Owner::new().with(|| {
        let message = AgentMessage::live("t".into());
        message.show(&[text("1", "Hel")]);
        message.update(&[text("1", "Hello")], [0].into_iter());
        let segments = message.segments.get_untracked();
        let Segment::Prose(prose) = &segments[0] else { panic!() };
        let shown = prose.text.get_untracked();
        assert_eq!((shown.text.as_str(), shown.generation), ("Hello", 0));
        message.update(&[text("1", "Bye")], [0].into_iter());
        assert_eq!(prose.text.get_untracked().generation, 1);
    });
}

#[test]
fn settling_keeps_the_pieces_that_are_the_same() {
    let message = AgentMessage::live("t".into());
    message.show(&[tool("1"), text("2", "Hi")]);
    let before = message.segments.get_untracked();
    message.settle(Message {
        id: "m".into(),
        turn_id: "t".into(),
        role: crate::model::Role::Assistant,
        parts: vec![tool("1"), text("2", "Hi there")],
        repeats: false,
        state: MessageState::Complete,
        error: None,
        receipt: None,
        created_at: 0,
    });
    let after = message.segments.get_untracked();
    let (Segment::Prose(before), Segment::Prose(after)) = (&before[1], &after[1]) else { panic!() };
    assert_eq!(after.text.get_untracked().text, "Hi there");
    assert_eq!(before.text.get_untracked(), after.text.get_untracked());
    assert_eq!(message.text(), "Hi there");
}

#[test]
fn what_the_stream_brings_after_the_end_changes_nothing() {
    let message = AgentMessage::live("t".into());
    message.show(&[text("1", "Hel")]);
    message.settle(Message {
        id: "m".into(),
        turn_id: "t".into(),
        role: crate::model::Role::Assistant,
        parts: vec![text("1", "Hello.")],
        repeats: false,
        state: MessageState::Complete,
        error: None,
        receipt: None,
        created_at: 0,
    });
    message.update(&[text("1", "Hello"), text("2", "late")], [0, 1].into_iter());
    assert_eq!(message.text(), "Hello.");
}

#[test]
fn what_the_agent_asks_stands_where_it_was_asked_and_waits_until_it_is_answered() {
    Owner::new().with(|| {
        let message = AgentMessage::live("t".into());
        message.show(&[tool("1"), ask("2", "pending"), tool("3")]);
        assert_eq!(shape(&message), "run(1) ask run(1)");
        assert_eq!(message.asks().as_deref(), Some("Which one?"));
        let segments = message.segments.get_untracked();
        let Segment::Ask(asked) = &segments[1] else { panic!() };
        asked.delivery.set(Delivery::Sent);
        assert_eq!(message.asks(), None, "the person has said it");
        asked.delivery.set(Delivery::None);
        message.update(&[tool("1"), ask("2", "accepted")], [1].into_iter());
        assert_eq!(asked.part.get_untracked().status, InteractionStatus::Accepted);
        assert_eq!(message.asks(), None);
        message.update(
            &[tool("1"), ask("2", "accepted"), tool("3"), ask("4", "pending")],
            [3].into_iter(),
        );
        assert!(message.asks().is_some());
        message.ending.set(Ending::Settled { state: MessageState::Stopped, error: None });
        assert_eq!(message.asks(), None, "nobody waits after the end");
    });
}

/// The requests of a message, by their ids, and how far their answers are.
fn asks(message: &AgentMessage) -> Vec<(String, Delivery)> {
    let segments = message.segments.get_untracked();
    let asks = segments.iter().filter_map(|segment| match segment {
        Segment::Ask(ask) => Some((ask.id.clone(), ask.delivery.get_untracked())),
        _ => None,
    });
    asks.collect()
}

#[test]
fn a_card_that_was_there_first_stays_the_one_it_is_while_the_answer_comes_before_it() {
    Owner::new().with(|| {
        let message = AgentMessage::live("t".into());
        message.show_waiting(&[ask("a", "pending")]);
        assert_eq!(message.first_ahead().as_deref(), Some("a"));
        let Segment::Ask(card) = message.segments.get_untracked()[0].clone() else { panic!() };
        card.delivery.set(Delivery::Failed("Again.".into()));
        let mut parts =
            [tool("1"), text("2", "Now"), tool("3"), ask("a", "pending"), text("4", "So")];
        let shapes = ["run(1) ask", "run(1) prose ask", "run(1) prose run(1) ask"];
        for (at, expected) in shapes.into_iter().enumerate() {
            message.update(&parts[..=at], [at].into_iter());
            assert_eq!(shape(&message), expected);
            assert_eq!(message.first_ahead().as_deref(), Some("a"));
        }
        message.update(&parts, [3, 4].into_iter());
        assert_eq!(shape(&message), "run(1) prose run(1) ask prose");
        assert_eq!(message.first_ahead(), None, "its part has come");
        assert_eq!(asks(&message), [("a".to_owned(), Delivery::Failed("Again.".into()))]);
        parts[3] = ask("a", "accepted");
        message.update(&parts, [3].into_iter());
        assert_eq!(card.part.get_untracked().status, InteractionStatus::Accepted);
    });
}

#[test]
fn steps_that_come_before_a_card_are_one_run_and_those_after_it_another() {
    let message = AgentMessage::live("t".into());
    message.show_waiting(&[ask("a", "pending")]);
    message.update(&[tool("1"), tool("2")], [0, 1].into_iter());
    assert_eq!(shape(&message), "run(2) ask");
    let parts = [tool("1"), tool("2"), ask("a", "pending"), tool("3")];
    message.update(&parts, [2, 3].into_iter());
    assert_eq!(shape(&message), "run(2) ask run(1)");
}

#[test]
fn several_cards_come_to_stand_in_the_order_of_their_parts() {
    let message = AgentMessage::live("t".into());
    message.show_waiting(&[ask("a", "pending"), ask("b", "pending")]);
    let parts = [text("1", "x"), ask("b", "pending"), text("2", "y"), ask("a", "pending")];
    message.update(&parts, [0, 1, 2, 3].into_iter());
    assert_eq!(shape(&message), "prose ask prose ask");
    let ids: Vec<_> = asks(&message).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["b", "a"]);
}

#[test]
fn a_card_outlives_that_parts_change_their_places() {
    Owner::new().with(|| {
        let message = AgentMessage::live("t".into());
        message.show(&[text("1", "x"), ask("a", "pending")]);
        let Segment::Ask(card) = message.segments.get_untracked()[1].clone() else { panic!() };
        card.delivery.set(Delivery::Sent);
        message.show(&[tool("9"), text("1", "x"), ask("a", "accepted")]);
        assert_eq!(shape(&message), "run(1) prose ask");
        assert_eq!(asks(&message), [("a".to_owned(), Delivery::Sent)]);
        assert_eq!(card.part.get_untracked().status, InteractionStatus::Accepted);
    });
}

#[test]
fn a_card_that_the_kept_message_does_not_have_goes_with_the_turn() {
    let message = AgentMessage::live("t".into());
    message.show_waiting(&[ask("a", "pending"), ask("b", "pending")]);
    message.settle(crate::state::samples::message("t", crate::model::Role::Assistant, "Hi"));
    assert_eq!((shape(&message).as_str(), message.first_ahead()), ("prose", None));
}

#[test]
fn other_parts_take_the_place_of_what_was_shown() {
    let message = AgentMessage::live("t".into());
    message.show(&[text("1", "a"), text("2", "b")]);
    message.show(&[tool("9")]);
    assert_eq!(shape(&message), "run(1)");
}

#[test]
fn a_gap_in_the_changes_shows_everything() {
    let message = AgentMessage::live("t".into());
    message.update(&[text("1", "a"), text("2", "b")], [1].into_iter());
    assert_eq!(shape(&message), "prose prose");
}
