use std::time::Duration;

use backend::Error;

use crate::support::{
    Fault, World,
    database::TestDatabase,
    on_both_databases,
    world::{ANSWER_COST, until, usage},
};

const ALL: i64 = 500_000_000;

async fn gone(world: &World) {
    until("the sandbox is deleted", async || {
        world.orchestrator.sandboxes() == 0
            && world
                .database
                .number("SELECT COUNT(*) FROM sandboxes WHERE state <> 'deleted'")
                .await
                == 0
    })
    .await;
}

on_both_databases!(
    a_deleted_chat_is_gone_with_its_messages_and_its_sandbox,
    async |world: World| {
        let account = world.guest().await;
        let chat = world.warm_chat(&account).await;
        world.backend.delete_chat(&account, &chat).await.unwrap();
        assert!(world.backend.chats(&account).await.unwrap().is_empty());
        assert!(matches!(world.backend.open_chat(&account, &chat).await, Err(Error::NotFound)));
        assert!(matches!(world.backend.delete_chat(&account, &chat).await, Err(Error::NotFound)));
        assert!(matches!(world.ask(&account, Some(&chat), "hi").await, Err(Error::NotFound)));
        assert!(matches!(world.backend.refresh_token(&account, &chat).await, Err(Error::NotFound)));
        assert_eq!(world.database.number("SELECT COUNT(*) FROM messages").await, 0);
        assert_eq!(world.database.number("SELECT COUNT(*) FROM chats WHERE title <> ''").await, 0);
        gone(&world).await;
        assert_eq!(
            world.balance(&account).await,
            (ALL - ANSWER_COST, 0),
            "what was used stays paid"
        );
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    deleting_while_it_streams_stops_the_agent_and_bills_what_it_used,
    async |world: World| {
        let account = world.guest().await;
        let started = world.running(&account).await;
        world.orchestrator.say(started.turn_id.as_str(), "One, two", usage(1000, 200));
        world.backend.delete_chat(&account, &started.chat.id).await.unwrap();
        assert!(matches!(
            world.backend.turn_status(&account, &started.turn_id).await,
            Err(Error::NotFound)
        ));
        gone(&world).await;
        assert_eq!(world.balance(&account).await, (ALL - ANSWER_COST, 0));
        assert_eq!(world.database.number("SELECT COUNT(*) FROM messages").await, 0);
        let log = world.orchestrator.log();
        let at = |call: &str| log.iter().rposition(|line| line.starts_with(call)).unwrap();
        assert!(at("abort") < at("record") && at("record") < at("delete"), "{log:?}");
        assert_eq!(world.backend.settle(&started.turn_id).await.unwrap(), None);
        world.assert_books_balance().await;
    }
);

on_both_databases!(the_sandbox_stays_until_the_turn_is_billed, async |database: TestDatabase| {
    let world =
        World::with(database, |config| config.timing.lease = Duration::from_millis(50)).await;
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.orchestrator.say(started.turn_id.as_str(), "One, two", usage(1000, 200));
    world.orchestrator.fault("record", Fault::Refuse(400));
    world.backend.delete_chat(&account, &started.chat.id).await.unwrap();
    world.backend.spawn_jobs();
    until("the record was asked for in vain", async || world.orchestrator.count("record") > 20)
        .await;
    assert_eq!(world.orchestrator.count("delete"), 0);
    world.orchestrator.heal();
    gone(&world).await;
    assert_eq!(world.balance(&account).await, (ALL - ANSWER_COST, 0));
    world.assert_books_balance().await;
});

on_both_databases!(deleting_while_the_sandbox_is_made_leaves_none_behind, async |world: World| {
    world.orchestrator.fault("create", Fault::HangAfter);
    let account = world.guest().await;
    let started = world.ask(&account, None, "hello").await.unwrap();
    until("the sandbox is being made", async || world.orchestrator.sandboxes() == 1).await;
    world.backend.delete_chat(&account, &started.chat.id).await.unwrap();
    world.backend.spawn_jobs();
    until("the turn has ended", async || {
        world.database.number("SELECT COUNT(*) FROM turns WHERE state = 'stopped'").await == 1
    })
    .await;
    world.orchestrator.heal();
    gone(&world).await;
    assert_eq!(world.orchestrator.runs(), 0);
    assert_eq!(world.balance(&account).await, (ALL, 0));
    world.assert_books_balance().await;
});

on_both_databases!(a_sandbox_that_can_not_be_deleted_now_is_deleted_later, async |world: World| {
    let account = world.guest().await;
    let chat = world.warm_chat(&account).await;
    world.orchestrator.fault("delete", Fault::Refuse(400));
    world.backend.delete_chat(&account, &chat).await.unwrap();
    until("it was tried", async || {
        world.database.number("SELECT COUNT(*) FROM sandboxes WHERE state = 'deleting' AND updated_at > (SELECT deleted_at FROM chats)").await == 1
    }).await;
    assert_eq!(world.orchestrator.sandboxes(), 1);
    world.orchestrator.heal();
    world.database.execute("UPDATE sandboxes SET updated_at = 0").await.unwrap();
    world.backend.spawn_jobs();
    gone(&world).await;
});

on_both_databases!(one_chat_goes_and_the_others_stay, async |world: World| {
    let account = world.guest().await;
    let (gone_chat, kept) = (world.warm_chat(&account).await, world.warm_chat(&account).await);
    world.backend.delete_chat(&account, &gone_chat).await.unwrap();
    until("one sandbox is left", async || world.orchestrator.sandboxes() == 1).await;
    assert_eq!(world.backend.open_chat(&account, &kept).await.unwrap().messages.len(), 2);
    let next = world.ask(&account, Some(&kept), "hi").await.unwrap();
    world.dispatched(&account, &next.turn_id).await;
});
