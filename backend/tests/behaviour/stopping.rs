use std::time::Duration;

use backend::{MessageState, TurnState};

use crate::support::{
    Fault, World,
    database::TestDatabase,
    on_both_databases,
    world::{ANSWER_COST, until, usage},
};

const ALL: i64 = 500_000_000;

on_both_databases!(
    stopping_while_the_sandbox_starts_ends_the_turn_before_any_dispatch,
    async |world: World| {
        world.orchestrator.fault("create", Fault::HangBefore);
        let account = world.guest().await;
        let started = world.ask(&account, None, "hello").await.unwrap();
        until("the sandbox is being made", async || world.orchestrator.count("create") == 1).await;
        let stopped = world.backend.stop_turn(&account, &started.turn_id).await.unwrap();
        assert_eq!(stopped.state, TurnState::Stopped);
        assert_eq!(stopped.outcome.unwrap().message.state, MessageState::Stopped);
        assert_eq!(world.balance(&account).await, (ALL, 0));

        world.orchestrator.heal();
        let next = world.ask(&account, Some(&started.chat.id), "and now").await.unwrap();
        world.dispatched(&account, &next.turn_id).await;
        assert!(!world.orchestrator.has(started.turn_id.as_str()), "the stopped turn never ran");
        assert_eq!(world.orchestrator.sandboxes(), 1);
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    stopping_while_the_session_is_mapped_ends_the_turn_before_any_dispatch,
    async |world: World| {
        world.orchestrator.fault("map", Fault::HangAfter);
        let account = world.guest().await;
        let started = world.ask(&account, None, "hello").await.unwrap();
        until("the session is being mapped", async || world.orchestrator.count("map") == 1).await;
        world.backend.stop_turn(&account, &started.turn_id).await.unwrap();
        world.orchestrator.heal();
        world.backend.shutdown(Duration::from_secs(30)).await;
        assert_eq!(world.orchestrator.runs(), 0);
    }
);

on_both_databases!(stopping_a_running_turn_keeps_and_bills_what_there_is, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.orchestrator.say(started.turn_id.as_str(), "One, two", usage(1000, 200));
    let stopped = world.backend.stop_turn(&account, &started.turn_id).await.unwrap();
    let outcome = stopped.outcome.expect("stopped at once");
    assert_eq!(stopped.state, TurnState::Stopped);
    assert_eq!(outcome.message.state, MessageState::Stopped);
    assert_eq!(outcome.message.parts.len(), 1);
    assert_eq!(outcome.error, None);
    assert_eq!(world.balance(&account).await, (ALL - ANSWER_COST, 0));
    assert!(!world.orchestrator.is_running(started.turn_id.as_str()));
    let history = world.backend.open_chat(&account, &started.chat.id).await.unwrap();
    assert_eq!(history.messages[1], outcome.message, "also after a reload");
    world.assert_books_balance().await;
});

on_both_databases!(stopping_a_turn_that_has_ended_does_nothing, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.answer(&started.turn_id);
    world.complete(&account, &started.turn_id).await;
    let stopped = world.backend.stop_turn(&account, &started.turn_id).await.unwrap();
    assert_eq!(stopped.state, TurnState::Completed);
    assert_eq!(world.orchestrator.count("abort"), 0);
});

on_both_databases!(stopping_twice_is_stopping_once, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    let stops = (0..5).map(|_| world.backend.stop_turn(&account, &started.turn_id));
    for stopped in futures::future::join_all(stops).await {
        assert_eq!(stopped.unwrap().state, TurnState::Stopped);
    }
    world.assert_books_balance().await;
});

on_both_databases!(a_turn_that_ended_just_before_the_stop_is_complete, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.answer(&started.turn_id);
    let stopped = world.backend.stop_turn(&account, &started.turn_id).await.unwrap();
    assert_eq!(stopped.state, TurnState::Completed);
    assert_eq!(world.balance(&account).await, (ALL - ANSWER_COST, 0));
});

on_both_databases!(
    a_stop_that_overtakes_the_dispatch_ends_the_run_that_arrives_late,
    async |world: World| {
        let account = world.guest().await;
        let chat = world.warm_chat(&account).await;
        let before = world.balance(&account).await;
        world.orchestrator.fault("dispatch", Fault::HangBefore);
        let started = world.ask(&account, Some(&chat), "hello").await.unwrap();
        assert_eq!(started.state, TurnState::Running);
        until("the dispatch is on its way", async || world.orchestrator.count("dispatch") == 2)
            .await;
        world.backend.stop_turn(&account, &started.turn_id).await.unwrap();
        world.orchestrator.heal();
        let status = world.reached(&account, &started.turn_id, TurnState::is_final).await;
        assert_eq!(status.state, TurnState::Stopped);
        until("the late run is aborted", async || {
            world.orchestrator.has(started.turn_id.as_str())
                && !world.orchestrator.is_running(started.turn_id.as_str())
        })
        .await;
        assert_eq!(world.balance(&account).await, before);
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    a_stop_while_the_orchestrator_is_away_happens_when_it_is_back,
    async |database: TestDatabase| {
        let world = World::with(database, |config| {
            config.timing.lease = Duration::from_millis(50);
            config.timing.quick_call = Duration::from_millis(50);
            config.timing.call = Duration::from_millis(50);
        })
        .await;
        let account = world.guest().await;
        let started = world.running(&account).await;
        world.orchestrator.say(started.turn_id.as_str(), "One, two", usage(1000, 200));
        world.orchestrator.go_down();
        let asked = world.backend.stop_turn(&account, &started.turn_id).await.unwrap();
        assert_eq!(asked.state, TurnState::Running);
        world.backend.spawn_jobs();
        assert!(world.orchestrator.is_running(started.turn_id.as_str()));
        world.orchestrator.heal();
        let outcome = world.ended(&account, &started.turn_id).await;
        assert_eq!(outcome.message.state, MessageState::Stopped);
        assert_eq!(world.balance(&account).await, (ALL - ANSWER_COST, 0));
    }
);

on_both_databases!(a_stop_is_carried_out_after_a_restart, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.database.execute("UPDATE turns SET stop_requested_at = created_at").await.unwrap();
    world.leases_run_out().await;
    world.restarted().await.recover().await.unwrap();
    let outcome = world.ended(&account, &started.turn_id).await;
    assert_eq!(outcome.message.state, MessageState::Stopped);
});

on_both_databases!(
    a_stop_before_the_orchestrator_ever_answered_ends_and_costs_nothing,
    async |database: TestDatabase| {
        let world =
            World::with(database, |config| config.timing.call = Duration::from_millis(100)).await;
        world.orchestrator.go_down();
        let account = world.guest().await;
        let started = world.ask(&account, None, "hello").await.unwrap();
        let stopped = world.backend.stop_turn(&account, &started.turn_id).await.unwrap();
        assert_eq!(stopped.state, TurnState::Stopped);
        assert_eq!(world.balance(&account).await, (ALL, 0));
    }
);
