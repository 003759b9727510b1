//! Who may have how many sandboxes for how long.

use std::time::Duration;

use backend::{Account, ChatId, Error, SandboxState, TurnState};

use crate::support::{
    Fault, World,
    database::TestDatabase,
    on_both_databases,
    world::{question, until},
};

async fn with_room_for(database: TestDatabase, sandboxes: u32) -> World {
    World::with(database, |config| config.limits.sandboxes = sandboxes).await
}

async fn sandbox(world: &World, account: &Account, chat: &ChatId) -> SandboxState {
    world.backend.open_chat(account, chat).await.unwrap().sandbox
}

on_both_databases!(
    the_chat_that_rested_longest_makes_room_and_says_so_when_it_goes_on,
    async |database: TestDatabase| {
        let world = with_room_for(database, 2).await;
        let account = world.guest().await;
        let oldest = world.warm_chat(&account).await;
        let older = world.warm_chat(&account).await;
        let newest = world.warm_chat(&account).await;
        assert_eq!(sandbox(&world, &account, &oldest).await, SandboxState::None);
        assert_eq!(sandbox(&world, &account, &older).await, SandboxState::Running);
        assert_eq!(sandbox(&world, &account, &newest).await, SandboxState::Running);
        world.backend.spawn_jobs();
        until("two are left", async || world.orchestrator.sandboxes() == 2).await;

        let again = world.ask(&account, Some(&older), "still here").await.unwrap();
        world.dispatched(&account, &again.turn_id).await;
        assert_eq!(world.status(&account, &again.turn_id).await.notice, None);
        let again = world.ask(&account, Some(&oldest), "back again").await.unwrap();
        world.dispatched(&account, &again.turn_id).await;
        let notice = world.status(&account, &again.turn_id).await.notice.unwrap();
        assert!(notice.contains("files of the old sandbox are gone"), "{notice}");
        assert_eq!(world.backend.open_chat(&account, &oldest).await.unwrap().messages.len(), 3);
        assert_eq!(sandbox(&world, &account, &newest).await, SandboxState::None);
        until("two are left", async || world.orchestrator.sandboxes() == 2).await;
        world.assert_books_balance().await;
    }
);

on_both_databases!(a_sandbox_at_work_is_taken_from_nobody, async |database: TestDatabase| {
    let world = with_room_for(database, 1).await;
    let account = world.guest().await;
    let started = world.running(&account).await;
    let refused = world.ask(&account, None, "more").await;
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    assert_eq!(world.status(&account, &started.turn_id).await.state, TurnState::Running);
    world.ask(&world.guest().await, None, "mine").await.expect("another account");
    world.answer(&started.turn_id);
    world.complete(&account, &started.turn_id).await;
    world.ask(&account, None, "more").await.unwrap();
});

on_both_databases!(an_unused_chat_lets_go_of_its_sandbox, async |database: TestDatabase| {
    let world = World::with(database, |config| {
        config.timing.sandbox_idle = Duration::from_secs(3600);
    })
    .await;
    let account = world.guest().await;
    let (unused, used) = (world.warm_chat(&account).await, world.warm_chat(&account).await);
    let working = world.running(&account).await;
    for chat in [&unused, &working.chat.id] {
        let long_ago = format!("UPDATE chats SET updated_at = 1 WHERE id = '{chat}'");
        world.database.execute(&long_ago).await.unwrap();
    }
    world.backend.spawn_jobs();
    until("it is deleted", async || world.orchestrator.sandboxes() == 2).await;
    assert_eq!(sandbox(&world, &account, &unused).await, SandboxState::None);
    assert_eq!(sandbox(&world, &account, &used).await, SandboxState::Running);
    assert_eq!(world.backend.open_chat(&account, &unused).await.unwrap().messages.len(), 2);
});

on_both_databases!(a_lost_sandbox_goes_after_a_grace, async |database: TestDatabase| {
    let world = World::with(database, |config| {
        config.timing.lost_grace = Duration::from_secs(3600);
    })
    .await;
    let account = world.guest().await;
    world.warm_chat(&account).await;
    world.database.execute("UPDATE sandboxes SET state = 'lost'").await.unwrap();
    world.backend.spawn_jobs();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.orchestrator.sandboxes(), 1, "somebody's files may be in it");
    world.database.execute("UPDATE sandboxes SET updated_at = 1").await.unwrap();
    until("it is deleted", async || world.orchestrator.sandboxes() == 0).await;
});

on_both_databases!(what_no_guest_can_open_any_more_is_deleted, async |database: TestDatabase| {
    let world =
        World::with(database, |config| config.timing.lease = Duration::from_millis(50)).await;
    let (gone, stays) = (world.guest().await, world.guest().await);
    world.warm_chat(&gone).await;
    world.running(&gone).await;
    let kept = world.warm_chat(&stays).await;
    let ended = format!("UPDATE logins SET idle_until = 1 WHERE account_id = '{}'", gone.id());
    world.database.execute(&ended).await.unwrap();
    world.database.execute("UPDATE turns SET lease_until = 0").await.unwrap();
    world.backend.spawn_jobs();
    until("its sandboxes are deleted", async || world.orchestrator.sandboxes() == 1).await;
    assert!(world.backend.chats(&gone).await.unwrap().is_empty());
    assert_eq!(world.backend.open_chat(&stays, &kept).await.unwrap().messages.len(), 2);
    assert_eq!(world.balance(&gone).await.1, 0, "nothing stays held");
    world.assert_books_balance().await;
});

on_both_databases!(a_delete_that_hangs_keeps_no_turn_waiting, async |database: TestDatabase| {
    let world =
        World::with(database, |config| config.timing.lease = Duration::from_millis(50)).await;
    let account = world.guest().await;
    let chat = world.warm_chat(&account).await;
    let started = world.running(&account).await;
    world.orchestrator.fault("delete", Fault::HangBefore);
    let doom = format!("UPDATE sandboxes SET state = 'deleting' WHERE chat_id = '{chat}'");
    world.database.execute(&doom).await.unwrap();
    world.backend.spawn_jobs();
    until("the delete hangs", async || world.orchestrator.count("delete") == 1).await;
    world.answer(&started.turn_id);
    world.ended(&account, &started.turn_id).await;
    assert_eq!(world.orchestrator.count("delete"), 1, "it still hangs");
    world.backend.shutdown(Duration::from_secs(30)).await;
    assert_eq!(world.orchestrator.count("delete"), 1, "and holds no shutdown up");
});

on_both_databases!(
    what_makes_no_sense_is_found_before_there_is_an_account,
    async |world: World| {
        let turn = backend::TurnId::generate();
        world.backend.check_turn(&question(None, &turn, "hello")).await.unwrap();
        for text in ["", " \n", &"x".repeat(100_001)] {
            let refused = world.backend.check_turn(&question(None, &turn, text)).await;
            assert!(matches!(refused, Err(Error::Invalid { field: "text", .. })));
        }
        let mut other = question(None, &turn, "hello");
        other.model = Some("nobody-has-this".to_owned());
        let refused = world.backend.check_turn(&other).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })));
    }
);
