//! One message, however its pieces were cut and in whichever way they came.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use sandbox_sdk::{
    transcript::{Change, Transcript},
    types::{
        EventBody, InteractionPart, InteractionStatus, Part, PartBody, PartUpdated, ToolState,
    },
};
use serde_json::{Value, json};

fn update(part: Value, delta: Option<&str>) -> PartUpdated {
    PartUpdated {
        part: serde_json::from_value(part).unwrap(),
        delta: delta.map(str::to_owned),
        extra: Default::default(),
    }
}

fn text(id: &str, text: &str, delta: Option<&str>) -> PartUpdated {
    update(json!({"id": id, "type": "text", "text": text}), delta)
}

fn tool(id: &str, state: Value) -> PartUpdated {
    update(json!({"id": id, "type": "tool", "tool": "bash", "state": state}), None)
}

fn pending() -> Value {
    json!({"status": "pending", "input": {"command": "ls"}})
}

fn running() -> Value {
    json!({"status": "running", "input": {"command": "ls"}, "time": {"start": 1}})
}

fn completed() -> Value {
    json!({"status": "completed", "input": {"command": "ls"}, "output": "a", "time": {"start": 1, "end": 2}})
}

fn failed() -> Value {
    json!({"status": "error", "input": {"command": "ls"}, "error": "no", "time": {"start": 1, "end": 2}})
}

/// What the log says of interactions `a`, `b` and `c`: each asked, and one of them still waiting.
fn interaction_events() -> Vec<Value> {
    let asked = |id: &str| {
        let request = json!({"id": id, "title": id, "answerSpec": {"fields": []}});
        json!({"type": "interaction", "data": {"request": request, "messageID": "m"}})
    };
    let answer = json!({"id": "a", "status": "accepted", "answer": {"x": "y"}});
    vec![
        asked("a"),
        asked("b"),
        asked("c"),
        json!({"type": "interaction.resolved", "data": answer}),
        json!({"type": "interaction.cancel", "data": {"id": "b", "reason": "expired"}}),
    ]
}

fn hear(transcript: &mut Transcript, event: &Value) -> Change {
    match serde_json::from_value::<sandbox_sdk::types::Event>(event.clone()).unwrap().body() {
        EventBody::Interaction(asked) => transcript.ask(*asked),
        EventBody::InteractionResolved(resolved) => transcript.resolve(resolved),
        EventBody::InteractionCancelled(cancelled) => transcript.cancel(cancelled),
        other => panic!("{other:?}"),
    }
}

fn interaction(part: &Part) -> &InteractionPart {
    match &part.body {
        PartBody::Interaction(interaction) => interaction,
        other => panic!("{other:?}"),
    }
}

fn parts_of(updates: impl IntoIterator<Item = PartUpdated>) -> Vec<Part> {
    let mut transcript = Transcript::default();
    for update in updates {
        transcript.apply(update);
    }
    transcript.into_parts()
}

#[test]
fn deltas_append_and_say_so() {
    let mut transcript = Transcript::default();
    assert_eq!(transcript.apply(text("a", "", Some("Hel"))), Change::Added(0));
    assert_eq!(transcript.apply(text("a", "", Some("lo"))), Change::Grew(0));
    assert_eq!(transcript.text(), "Hello");
}

#[test]
fn a_preview_says_what_an_update_would_do_and_does_nothing() {
    let mut transcript = Transcript::default();
    for (update, change) in [
        (text("a", "Hel", None), Change::Added(0)),
        (text("a", "", Some("lo")), Change::Grew(0)),
        (text("a", "Hello, you", Some("")), Change::Replaced(0)),
        (text("a", "", Some("")), Change::None),
        (update(json!({"id": "a", "type": "file"}), Some("!")), Change::Grew(0)),
        (tool("b", completed()), Change::Added(1)),
        (tool("b", running()), Change::None),
    ] {
        let before = transcript.clone();
        assert_eq!(transcript.preview(&update), change);
        assert_eq!(transcript, before);
        assert_eq!(transcript.apply(update), change);
    }
    assert_eq!(transcript.text(), "Hello, you!");
}

#[test]
fn snapshots_replace_and_the_same_again_changes_nothing() {
    let mut transcript = Transcript::default();
    transcript.apply(text("a", "Hel", None));
    assert_eq!(transcript.apply(text("a", "Hello", None)), Change::Replaced(0));
    assert_eq!(transcript.apply(text("a", "Hello", None)), Change::None);
    assert_eq!(transcript.text(), "Hello");
}

#[test]
fn a_snapshot_with_its_increment_counts_once() {
    let mut transcript = Transcript::default();
    for (whole, increment) in [("He", "He"), ("Hell", "ll"), ("Hello", "o")] {
        transcript.apply(text("a", whole, Some(increment)));
    }
    assert_eq!(transcript.text(), "Hello");
}

#[test]
fn an_empty_delta_wipes_nothing_out() {
    let mut transcript = Transcript::default();
    transcript.apply(text("a", "Hello", None));
    assert_eq!(transcript.apply(text("a", "", Some(""))), Change::None);
    assert_eq!(transcript.apply(text("a", "Hello!", Some(""))), Change::Replaced(0));
    assert_eq!(transcript.text(), "Hello!");
}

#[test]
fn texts_are_parted_by_blank_lines_and_other_parts_are_no_text() {
    let mut transcript = Transcript::default();
    transcript.apply(text("a", "one", None));
    transcript.apply(tool("b", completed()));
    transcript.apply(text("c", "", None));
    transcript.apply(text("d", "two", None));
    assert_eq!(transcript.text(), "one\n\ntwo");
}

#[test]
fn a_tool_call_only_moves_forward() {
    let mut transcript = Transcript::default();
    assert_eq!(transcript.apply(tool("t", pending())), Change::Added(0));
    assert_eq!(transcript.apply(tool("t", running())), Change::Replaced(0));
    assert_eq!(transcript.apply(tool("t", pending())), Change::None);
    assert_eq!(transcript.apply(tool("t", completed())), Change::Replaced(0));
    assert_eq!(transcript.apply(tool("t", running())), Change::None);
    assert_eq!(transcript.apply(tool("t", pending())), Change::None);
    assert_eq!(transcript.parts().len(), 1);
}

#[test]
fn parts_without_ids_go_on_until_something_else_comes() {
    let transcript = parts_of([
        text("", "", Some("a")),
        text("", "", Some("b")),
        tool("", running()),
        tool("", completed()),
        tool("", running()),
        text("", "", Some("c")),
    ]);
    let kinds: Vec<&str> = transcript
        .iter()
        .map(|part| match &part.body {
            PartBody::Text(text) => text.text.as_str(),
            PartBody::Tool(tool) if tool.state.is_settled() => "settled",
            PartBody::Tool(_) => "open",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["ab", "settled", "open", "c"]);
}

#[test]
fn a_call_without_a_part_id_is_known_by_its_call_id() {
    let call = |state: Value| {
        update(json!({"type": "tool", "tool": "bash", "callID": "c1", "state": state}), None)
    };
    let parts = parts_of([call(running()), text("x", "between", None), call(completed())]);
    assert_eq!(parts.len(), 2);
    assert!(matches!(&parts[0].body, PartBody::Tool(tool) if tool.state.is_settled()));
}

#[test]
fn a_request_becomes_a_part_that_its_answer_settles_once() {
    let events = interaction_events();
    let mut transcript = Transcript::default();
    assert_eq!(hear(&mut transcript, &events[0]), Change::Added(0));
    let part = &transcript.parts()[0];
    assert_eq!((part.id.as_str(), part.message_id.as_str()), ("a", "m"));
    assert_eq!(interaction(part).status, InteractionStatus::Pending);
    assert_eq!(hear(&mut transcript, &events[3]), Change::Replaced(0));
    let settled = interaction(&transcript.parts()[0]).clone();
    assert_eq!(settled.status, InteractionStatus::Accepted);
    assert_eq!(settled.answer.as_ref().unwrap()["x"], "y");
    let late = json!({"type": "interaction.cancel", "data": {"id": "a"}});
    let pending = json!({"type": "interaction.resolved", "data": {"id": "a", "status": "pending"}});
    for event in [&events[0], &events[3], &late, &pending] {
        assert_eq!(hear(&mut transcript, event), Change::None);
    }
    assert_eq!(*interaction(&transcript.parts()[0]), settled);
    assert_eq!(transcript.text(), "", "what is asked is no part of the answer");
}

#[test]
fn a_request_without_an_answer_says_why() {
    for (reason, status) in [
        (json!("expired"), InteractionStatus::Expired),
        (json!("granted"), InteractionStatus::Accepted),
        (json!("aborted"), InteractionStatus::Cancelled),
        (json!(null), InteractionStatus::Cancelled),
    ] {
        let mut transcript = Transcript::default();
        hear(&mut transcript, &interaction_events()[0]);
        let end = json!({"type": "interaction.cancel", "data": {"id": "a", "reason": reason}});
        assert_eq!(hear(&mut transcript, &end), Change::Replaced(0));
        assert_eq!(interaction(&transcript.parts()[0]).status, status);
    }
}

#[test]
fn no_request_is_open_once_the_turn_has_ended() {
    let mut transcript = Transcript::default();
    for event in interaction_events() {
        hear(&mut transcript, &event);
    }
    transcript.close_open_parts("over", 9);
    let ends: Vec<_> = transcript.parts().iter().map(|part| interaction(part).status).collect();
    let [accepted, expired] = [InteractionStatus::Accepted, InteractionStatus::Expired];
    assert_eq!(ends, [accepted, expired, InteractionStatus::Cancelled]);
}

#[test]
fn what_is_open_at_the_end_is_closed_with_a_reason() {
    let mut transcript = Transcript::default();
    transcript.apply(tool("a", pending()));
    transcript.apply(tool("b", running()));
    transcript.apply(tool("c", completed()));
    let thought = json!({"id": "d", "type": "reasoning", "text": "hm", "time": {"start": 3}});
    transcript.apply(update(thought, None));
    transcript.close_open_parts("stopped", 9);
    for index in [0, 1] {
        match &transcript.parts()[index].body {
            PartBody::Tool(tool) => match &tool.state {
                ToolState::Error { error, time, input, .. } => {
                    assert_eq!((error.as_deref(), time.end), (Some("stopped"), Some(9)));
                    assert_eq!(input["command"], "ls");
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(transcript.parts()[2], parts_of([tool("c", completed())])[0]);
    match &transcript.parts()[3].body {
        PartBody::Reasoning(thought) => assert_eq!(thought.time.unwrap().end, Some(9)),
        other => panic!("{other:?}"),
    }
}

/// Cuts a text at character boundaries near the given places.
fn cut<'a>(text: &'a str, places: &[prop::sample::Index]) -> Vec<&'a str> {
    let boundary = |index: usize| (0..=index).rev().find(|at| text.is_char_boundary(*at)).unwrap();
    let mut places: Vec<usize> =
        places.iter().map(|place| boundary(place.index(text.len() + 1))).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_of_a_text_into_deltas_gives_the_same_message(
        whole in ".{1,80}",
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let deltas = cut(&whole, &places).into_iter().map(|piece| text("a", "", Some(piece)));
        prop_assert_eq!(parts_of(deltas), parts_of([text("a", &whole, None)]));
    }

    #[test]
    fn deltas_and_snapshots_mixed_give_the_same_message(
        whole in ".{1,80}",
        places in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
        lanes in prop::collection::vec(0..3_u8, 13),
    ) {
        let mut so_far = String::new();
        let mut updates = Vec::new();
        for (piece, lane) in cut(&whole, &places).into_iter().zip(lanes) {
            so_far.push_str(piece);
            updates.push(match lane {
                0 => text("a", "", Some(piece)),
                1 => text("a", &so_far, None),
                _ => text("a", &so_far, Some(piece)),
            });
        }
        prop_assert_eq!(parts_of(updates), parts_of([text("a", &whole, None)]));
    }

    #[test]
    fn late_news_never_reopens_a_settled_call(
        states in prop::collection::vec(0..4_usize, 1..12),
    ) {
        let words = [pending(), running(), completed(), failed()];
        let mut transcript = Transcript::default();
        let mut highest = 0;
        for state in states {
            transcript.apply(tool("t", words[state].clone()));
            let stage = match &transcript.parts()[0].body {
                PartBody::Tool(tool) => match tool.state {
                    ToolState::Pending { .. } => 0,
                    ToolState::Running { .. } => 1,
                    _ => 2,
                },
                other => panic!("{other:?}"),
            };
            prop_assert!(stage >= highest);
            highest = stage;
        }
    }

    #[test]
    fn interactions_end_the_same_in_any_order_and_however_often_they_are_told(
        order in Just((0..5_usize).collect::<Vec<_>>()).prop_shuffle(),
        repeats in prop::collection::vec(0..5_usize, 0..12),
    ) {
        let events = interaction_events();
        let mut transcript = Transcript::default();
        let mut told = Transcript::default();
        for event in &events {
            hear(&mut told, event);
        }
        for at in order.into_iter().chain(repeats) {
            hear(&mut transcript, &events[at]);
        }
        let mut parts = transcript.into_parts();
        parts.sort_by(|one, other| one.id.cmp(&other.id));
        prop_assert_eq!(parts, told.into_parts());
    }

    #[test]
    fn indices_stay_with_their_parts(ids in prop::collection::vec("[a-e]", 1..40)) {
        let mut transcript = Transcript::default();
        let mut known: Vec<String> = Vec::new();
        for id in ids {
            let expected = known.iter().position(|other| *other == id);
            let change = transcript.apply(text(&id, "", Some("x")));
            match expected {
                Some(index) => prop_assert_eq!(change, Change::Grew(index)),
                None => {
                    prop_assert_eq!(change, Change::Added(known.len()));
                    known.push(id);
                }
            }
        }
    }
}
