//! What the agent remembers, and how it makes room.

use sandbox_sdk::types::WireFormat;
use serde_json::Value;

use super::{FORMATS, bench, bench::Bench};

#[tokio::test]
async fn the_next_turn_remembers_and_another_session_does_not() {
    for format in FORMATS {
        let bench = Bench::start(format).await;
        bench.ask("t1", "RUN[echo the word is plum] SAY[Noted.]").await.assert_completed("Noted.");
        bench.ask("t2", "SAY[I know.]").await.assert_completed("I know.");
        let body = bench.last_request().body.to_string();
        for known in ["RUN[echo the word is plum]", "the word is plum\"", "Noted."] {
            assert!(body.contains(known), "{known}: {body}");
        }
        let mut other = bench.turn("t3", "SAY[Who are you?]");
        other.session_id = "session-2".into();
        bench::ask(&bench.sandbox, &other).await.assert_completed("Who are you?");
        assert!(!bench.last_request().body.to_string().contains("plum"));
    }
}

#[tokio::test]
async fn a_session_may_change_its_model_and_its_format() {
    let mut bench = Bench::start(WireFormat::Messages).await;
    bench.ask("t1", "THINK[hm] RUN[echo plum] SAY[One.]").await.assert_completed("One.");
    bench.run.model.as_mut().unwrap().format = WireFormat::ChatCompletions;
    bench.ask("t2", "THINK[hm] RUN[echo pear] SAY[Two.]").await.assert_completed("Two.");
    bench.run.model.as_mut().unwrap().format = WireFormat::Messages;
    bench.ask("t3", "SAY[Three.]").await.assert_completed("Three.");
    let body = bench.last_request().body.to_string();
    assert!(body.contains("plum") && body.contains("pear"));
}

#[tokio::test]
async fn a_memory_that_was_spoilt_costs_the_memory_and_not_the_turn() {
    let bench = Bench::start(WireFormat::Messages).await;
    bench.ask("t1", "SAY[One.]").await.assert_completed("One.");
    let path = "/home/agent/.skein/conversations/session-1.json";
    bench.sandbox.write(path, "[{\"role\":\"us").await.unwrap();
    let turn = bench.ask("t2", "SAY[Two.]").await;
    turn.assert_completed("Two.");
    assert_eq!(turn.notices, ["MEMORY_LOST"]);
}

#[tokio::test]
async fn a_small_window_is_never_overfilled_and_the_newest_request_is_always_in_it() {
    let mut bench = Bench::start(WireFormat::Messages).await;
    bench.run.model.as_mut().unwrap().context_tokens = Some(4_096);
    let mut shortened = false;
    for number in 0..12 {
        let message = format!("RUN[seq {number} 800] USAGE[2000,10] SAY[Done with {number}.]");
        let turn = bench.ask(&format!("t{number}"), &message).await;
        turn.assert_completed(&format!("Done with {number}."));
        shortened |= turn.notices.contains(&"compacting".to_owned());
        assert!(bench.last_request().body.to_string().contains(&message));
    }
    assert!(shortened);
    for request in bench.model.requests() {
        let messages = request.body["messages"].to_string();
        // What is sent with two bytes a token, the least that is believed, and four.
        assert!(messages.len() < 4 * 4_096, "{}", messages.len());
        assert!(alternates(&request.body["messages"]));
    }
    let body = bench.last_request().body.to_string();
    assert!(body.contains("Earlier parts of this conversation"), "{body}");
}

/// Providers want the sides to alternate, beginning with the person.
fn alternates(messages: &Value) -> bool {
    let roles =
        messages.as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap());
    roles.zip(["user", "assistant"].into_iter().cycle()).all(|(role, expected)| role == expected)
}
