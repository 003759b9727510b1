use std::time::Duration;

use backend::{Error, MessageState, TurnId};
use sandbox_sdk::types::{InteractionAnswer, InteractionStatus, Part, PartBody, TurnState};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    Fault, World,
    database::TestDatabase,
    on_both_databases,
    orchestrator::PATIENCE,
    world::{until, usage},
};

/// A question with a word and a secret to fill in.
fn question() -> Value {
    json!({"id": "ask-1", "kind": "question", "title": "Which one?", "answerSpec": {"fields": [
        {"key": "which", "kind": "select", "required": true,
            "options": [{"value": "red", "label": "Red"}, {"value": "blue", "label": "Blue"}]},
        {"key": "pin", "kind": "secret"},
    ]}})
}

fn answer(id: &str, data: Value) -> InteractionAnswer {
    serde_json::from_value(json!({"id": id, "outcome": "accepted", "data": data})).unwrap()
}

fn red() -> InteractionAnswer {
    answer("ask-1", json!({"which": "red", "pin": "1234"}))
}

/// The part that the question is in a message.
fn part(turn: &TurnId, status: &str, answer: Value) -> Part {
    serde_json::from_value(json!({"id": "ask-1", "type": "interaction", "sessionID": "s",
        "messageID": format!("msg_{turn}"), "request": question(), "status": status,
        "answer": answer}))
    .unwrap()
}

on_both_databases!(an_answer_reaches_the_agent_that_waits_for_it, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.orchestrator.asks(started.turn_id.as_str(), question());
    for _ in 0..2 {
        world.backend.answer_interaction(&account, &started.turn_id, &red()).await.unwrap();
    }
    assert_eq!(world.orchestrator.answers(), [red()], "once, with all that was answered");
    let stored = "SELECT COUNT(*) FROM messages WHERE parts LIKE '%red%'";
    assert_eq!(world.database.number(stored).await, 0, "the log says what became of it");
});

on_both_databases!(somebody_elses_agent_can_not_be_answered, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.orchestrator.asks(started.turn_id.as_str(), question());
    let eve = world.guest().await;
    for (who, turn) in [(&eve, &started.turn_id), (&account, &TurnId::generate())] {
        let refused = world.backend.answer_interaction(who, turn, &red()).await;
        assert!(matches!(refused, Err(Error::NotFound)), "{refused:?}");
    }
    assert_eq!(world.orchestrator.count("answer"), 0);
});

on_both_databases!(an_answer_that_comes_too_late_is_told_so, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    let turn = &started.turn_id;
    let late = async || {
        let refused = world.backend.answer_interaction(&account, turn, &red()).await;
        assert!(matches!(refused, Err(Error::NotWaiting)), "{refused:?}");
    };
    late().await;
    world.orchestrator.asks(turn.as_str(), question());
    world.orchestrator.withdraws();
    late().await;
    world.orchestrator.asks(turn.as_str(), question());
    let blue = answer("ask-1", json!({"which": "blue"}));
    world.backend.answer_interaction(&account, turn, &blue).await.unwrap();
    late().await;
    world.answer(turn);
    world.complete(&account, turn).await;
    let asked = world.orchestrator.count("answer");
    late().await;
    assert_eq!(world.orchestrator.count("answer"), asked, "of a turn that ended nobody is asked");
});

on_both_databases!(what_is_no_answer_is_refused_in_words, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.orchestrator.asks(started.turn_id.as_str(), question());
    let said = async |answer: InteractionAnswer| match world
        .backend
        .answer_interaction(&account, &started.turn_id, &answer)
        .await
    {
        Err(Error::Invalid { field: "answer", message }) => message,
        other => panic!("{other:?}"),
    };
    let green = said(answer("ask-1", json!({"which": "green"}))).await;
    assert!(green.contains("no such option"), "{green}");
    let handed_over = world.orchestrator.count("answer");
    said(answer("ask-1", json!({"__proto__": "x"}))).await;
    said(answer("ask-1", json!({"which": {"a": 1}}))).await;
    said(answer("ask-1", json!({"which": "x".repeat(100_000)}))).await;
    assert_eq!(world.orchestrator.count("answer"), handed_over, "these not even handed over");
    assert_eq!(world.orchestrator.answers(), []);
});

on_both_databases!(
    an_answer_that_can_not_be_handed_over_may_be_given_again,
    async |database: TestDatabase| {
        let world = World::with(database, |config| {
            config.timing.quick_call = Duration::from_millis(200);
        })
        .await;
        let account = world.guest().await;
        let started = world.running(&account).await;
        world.orchestrator.asks(started.turn_id.as_str(), question());
        for fault in [Fault::Refuse(503), Fault::HangAfter] {
            world.orchestrator.fault("answer", fault);
            let refused =
                world.backend.answer_interaction(&account, &started.turn_id, &red()).await;
            assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
        }
        world.orchestrator.heal();
        until("it is taken", async || {
            world.backend.answer_interaction(&account, &started.turn_id, &red()).await.is_ok()
        })
        .await;
        assert_eq!(world.orchestrator.answers(), [red()]);
    }
);

on_both_databases!(
    a_page_of_a_running_turn_comes_with_what_its_agent_waits_for,
    async |world: World| {
        let account = world.guest().await;
        let started = world.running(&account).await;
        let waiting = async || {
            let chat = world.backend.open_chat(&account, &started.chat.id).await.unwrap();
            chat.active.unwrap().waiting
        };
        assert_eq!(waiting().await, []);
        world.orchestrator.asks(started.turn_id.as_str(), question());
        // A page does not wait long to hear it.
        let heard = async {
            loop {
                let parts = waiting().await;
                if !parts.is_empty() {
                    break parts;
                }
            }
        };
        let parts = timeout(PATIENCE, heard).await.expect("the page hears what is asked");
        let [Part { id, message_id, body: PartBody::Interaction(asked), .. }] = &parts[..] else {
            panic!("{parts:?}")
        };
        assert_eq!((id.as_str(), asked.status), ("ask-1", InteractionStatus::Pending));
        assert_eq!(*message_id, format!("msg_{}", started.turn_id));
        world.orchestrator.fault("waiting", Fault::Refuse(404));
        assert_eq!(waiting().await, [], "a service that knows no such thing");
    }
);

on_both_databases!(
    a_page_does_not_wait_for_an_orchestrator_that_does_not_answer,
    async |world: World| {
        let account = world.guest().await;
        let started = world.running(&account).await;
        world.orchestrator.fault("waiting", Fault::HangBefore);
        let chat = world.backend.open_chat(&account, &started.chat.id).await.unwrap();
        assert_eq!(chat.active.unwrap().waiting, []);
    }
);

on_both_databases!(
    what_was_asked_and_answered_is_kept_without_its_secrets,
    async |world: World| {
        let account = world.guest().await;
        let started = world.running(&account).await;
        let turn = started.turn_id.as_str();
        world.orchestrator.say(turn, "Done.", usage(1000, 200));
        world.orchestrator.change(turn, |record| {
            let told = json!({"which": "red", "pin": "hunter2", "unasked": "hunter2"});
            record.parts.insert(0, part(&started.turn_id, "accepted", told));
        });
        world.orchestrator.end(turn, TurnState::Completed);
        let outcome = world.complete(&account, &started.turn_id).await;
        assert_eq!(outcome.message.state, MessageState::Complete);
        let kept = part(&started.turn_id, "accepted", json!({"which": "red"}));
        assert_eq!(outcome.message.parts[0], kept);
        let leaked = "SELECT COUNT(*) FROM messages WHERE parts LIKE '%hunter2%'";
        assert_eq!(world.database.number(leaked).await, 0);
    }
);
