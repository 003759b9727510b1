//! What an agent may do without asking.

use backend::{Account, ChatId, Permissions, StartTurn, TurnId};
use sandbox_sdk::types::AgentCatalog;
use serde_json::{Value, json};

use super::{catalog, catalog_is_known, world};
use crate::support::{
    Fault, World,
    database::TestDatabase,
    on_both_databases,
    world::{question, until},
};

/// Runs a turn to its end. Answers in which chat, and under which profile.
async fn profile(
    world: &World,
    account: &Account,
    chat: Option<&ChatId>,
    permissions: Option<Permissions>,
) -> (ChatId, Option<Value>) {
    let request = StartTurn { permissions, ..question(chat, &TurnId::generate(), "hello") };
    let started = world.backend.start_turn(account, request).await.unwrap();
    world.dispatched(account, &started.turn_id).await;
    let sent = world.orchestrator.backend(started.turn_id.as_str());
    world.answer(&started.turn_id);
    world.complete(account, &started.turn_id).await;
    (started.chat.id, sent.extra.get("profile").cloned())
}

on_both_databases!(
    what_an_agent_may_do_is_sent_along_and_stays_with_its_chat,
    async |database: TestDatabase| {
        let world = world(database, 500).await;
        let account = world.guest().await;
        let run = async |chat: Option<&ChatId>, permissions: Option<Permissions>| {
            profile(&world, &account, chat, permissions).await
        };
        let careful = Some(json!("careful"));
        let (chat, sent) = run(None, Some(Permissions::AskFirst)).await;
        assert_eq!(sent, careful);
        assert_eq!(run(Some(&chat), None).await.1, careful, "as before");
        let kept = world.backend.open_chat(&account, &chat).await.unwrap().choice.unwrap();
        assert_eq!(kept.permissions, Permissions::AskFirst);
        let usual = world.backend.options(Some(&account)).await.unwrap().default;
        assert_eq!(usual.permissions, Permissions::AskFirst, "new chats are offered the same");
        let read_only = Some(Permissions::ReadOnly);
        assert_eq!(run(Some(&chat), read_only).await.1, Some(json!("read-only")));
        assert_eq!(run(Some(&chat), Some(Permissions::Everything)).await.1, None);
        assert_eq!(run(None, None).await.1, None, "who says nothing in a new chat");
    }
);

on_both_databases!(
    who_wants_to_be_asked_is_asked_in_a_new_chat_and_while_nothing_else_is_known,
    async |database: TestDatabase| {
        let world = world(database, 500).await;
        world.orchestrator.fault("agents", Fault::Refuse(503));
        let account = world.guest().await;
        let careful = Some(json!("careful"));
        let asked = profile(&world, &account, None, Some(Permissions::AskFirst)).await;
        assert_eq!(asked.1, careful);
        let (second, sent) = profile(&world, &account, None, None).await;
        assert_eq!(sent, careful, "as in the account's last turn");
        // What was allowed in another chat since is allowed there alone.
        profile(&world, &account, Some(&asked.0), Some(Permissions::Everything)).await;
        assert_eq!(profile(&world, &account, Some(&second), None).await.1, careful);
        let stranger = world.guest().await;
        assert_eq!(profile(&world, &stranger, None, None).await.1, None, "who never said it");
    }
);

on_both_databases!(
    who_wants_to_be_asked_is_asked_whatever_becomes_of_the_agent,
    async |database: TestDatabase| {
        let world = world(database, 500).await;
        let account = world.guest().await;
        catalog_is_known(&world).await;
        let request = StartTurn {
            agent: Some("skein".into()),
            model: Some("anthropic/big".into()),
            permissions: Some(Permissions::AskFirst),
            ..question(None, &TurnId::generate(), "hello")
        };
        let started = world.backend.start_turn(&account, request).await.unwrap();
        world.dispatched(&account, &started.turn_id).await;
        world.orchestrator.has_agents(AgentCatalog { models: Vec::new(), ..catalog() });
        until("the model is gone", async || {
            let usual = world.restarted().await.options(Some(&account)).await.unwrap().default;
            usual.model == "demo" && usual.permissions == Permissions::AskFirst
        })
        .await;
    }
);
