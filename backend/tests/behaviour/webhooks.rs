use std::time::{SystemTime, UNIX_EPOCH};

use backend::{Error, TurnId, TurnState};
use sandbox_sdk::auth::webhook::sign;
use secrecy::SecretString;
use serde_json::json;

use crate::support::{
    Fault, World, on_both_databases,
    world::{ANSWER_COST, SECRET},
};

const ALL: i64 = 500_000_000;

fn body(id: &str, kind: &str, turn: &TurnId) -> Vec<u8> {
    let usage = json!({ "inputTokens": 0, "outputTokens": 0 });
    let data = json!({
        "sessionId": "s", "turnId": turn.as_str(), "outcome": "completed", "tokenUsage": usage,
    });
    json!({ "id": id, "type": kind, "createdAt": 0, "data": data }).to_string().into_bytes()
}

fn signed(body: &[u8], age_s: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    sign(&SecretString::from(SECRET), now as i64 - age_s, body)
}

on_both_databases!(a_signed_webhook_settles_the_turn_from_the_record, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.answer(&started.turn_id);
    let body = body("evt_1", "turn.ended", &started.turn_id);
    for _ in 0..3 {
        world.backend.webhook(&body, &signed(&body, 0)).await.expect("a duplicate is no error");
    }
    assert_eq!(world.status(&account, &started.turn_id).await.state, TurnState::Completed);
    assert_eq!(
        world.balance(&account).await,
        (ALL - ANSWER_COST, 0),
        "the body's figures are not believed"
    );
    assert_eq!(world.orchestrator.count("record"), 1);
    world.assert_books_balance().await;
});

on_both_databases!(a_signature_that_is_wrong_missing_or_old_is_refused, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.answer(&started.turn_id);
    let body = body("evt_1", "turn.ended", &started.turn_id);
    let spaced = String::from_utf8(body.clone()).unwrap().replace(',', ", ").into_bytes();
    let other_key = sign(&SecretString::from("x".repeat(40)), 0, &body);
    let wrong = [
        (&body, String::new()),
        (&body, "t=1,v1=00".to_owned()),
        (&body, signed(&body, 3600)),
        (&body, signed(&body, -3600)),
        (&body, other_key),
        (&spaced, signed(&body, 0)),
    ];
    for (body, signature) in wrong {
        let refused = world.backend.webhook(body, &signature).await;
        assert!(matches!(refused, Err(Error::Invalid { field: "signature", .. })), "{signature}");
    }
    assert_eq!(world.status(&account, &started.turn_id).await.state, TurnState::Running);
    assert_eq!(world.database.number("SELECT COUNT(*) FROM webhook_events").await, 0);
});

on_both_databases!(what_is_signed_but_no_business_of_ours_does_nothing, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.answer(&started.turn_id);
    let unknown_turn = body("evt_1", "turn.ended", &TurnId::generate());
    let unknown_type = body("evt_2", "sandbox.stopped", &started.turn_id);
    for body in [unknown_turn, unknown_type] {
        world.backend.webhook(&body, &signed(&body, 0)).await.unwrap();
    }
    assert_eq!(world.status(&account, &started.turn_id).await.state, TurnState::Running);
    for broken in [&b""[..], b"{}", b"null", b"\xff\xfe"] {
        let refused = world.backend.webhook(broken, &signed(broken, 0)).await;
        assert!(matches!(refused, Err(Error::Invalid { field: "body", .. })));
    }
});

on_both_databases!(a_webhook_that_could_not_be_acted_on_can_come_again, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.answer(&started.turn_id);
    let body = body("evt_1", "turn.ended", &started.turn_id);
    world.orchestrator.fault("record", Fault::Refuse(400));
    let early = world.backend.webhook(&body, &signed(&body, 0)).await;
    assert!(matches!(early, Err(Error::Unavailable { .. })));
    world.orchestrator.heal();
    world.backend.webhook(&body, &signed(&body, 0)).await.unwrap();
    assert_eq!(world.status(&account, &started.turn_id).await.state, TurnState::Completed);
});

on_both_databases!(webhook_and_browser_at_once_give_one_bill, async |world: World| {
    let account = world.guest().await;
    for n in 0..5 {
        let started = world.running(&account).await;
        world.answer(&started.turn_id);
        let body = body(&format!("evt_{n}"), "turn.ended", &started.turn_id);
        let signature = signed(&body, 0);
        let (_, told) = tokio::join!(
            world.complete(&account, &started.turn_id),
            world.backend.webhook(&body, &signature)
        );
        told.unwrap();
    }
    assert_eq!(world.balance(&account).await, (ALL - 5 * ANSWER_COST, 0));
    world.assert_books_balance().await;
});
