use std::time::Duration;

use backend::{MessageState, SandboxState, TurnState};
use sandbox_sdk::types::SandboxStatus;

use crate::support::{
    Fault, World,
    database::TestDatabase,
    on_both_databases,
    world::{ANSWER_COST, until, usage},
};

const ALL: i64 = 500_000_000;

/// Gives up an answer soon, and a turn that nobody is at work on.
async fn hasty(database: TestDatabase) -> World {
    World::with(database, |config| {
        config.timing.call = Duration::from_secs(1);
        config.timing.lease = Duration::from_millis(50);
    })
    .await
}

/// Lets the time for a start pass, and not yet that for a turn.
async fn no_time_is_left_to_start(world: &World) {
    world.database.execute("UPDATE turns SET created_at = created_at - 600000").await.unwrap();
}

on_both_databases!(the_status_tells_that_the_sandbox_starts, async |world: World| {
    world.orchestrator.sandboxes_are_born(SandboxStatus::Provisioning);
    let account = world.guest().await;
    let started = world.ask(&account, None, "hello").await.unwrap();
    until("it was looked at", async || world.orchestrator.count("read") > 1).await;
    let status = world.status(&account, &started.turn_id).await;
    assert_eq!(
        (status.state, status.sandbox),
        (TurnState::Provisioning, SandboxState::Provisioning)
    );
    world.orchestrator.set_sandboxes(&SandboxStatus::Running);
    world.dispatched(&account, &started.turn_id).await;
    assert_eq!(world.status(&account, &started.turn_id).await.sandbox, SandboxState::Running);
    assert_eq!(world.orchestrator.count("create"), 1);
});

on_both_databases!(an_orchestrator_that_comes_back_in_time_is_not_noticed, async |world: World| {
    world.orchestrator.fault("create", Fault::Refuse(503));
    let account = world.guest().await;
    let started = world.ask(&account, None, "hello").await.unwrap();
    until("it was tried", async || world.orchestrator.count("create") > 0).await;
    world.orchestrator.heal();
    world.dispatched(&account, &started.turn_id).await;
    assert_eq!(world.status(&account, &started.turn_id).await.notice, None);
});

on_both_databases!(
    a_sandbox_that_can_not_be_made_ends_the_turn_in_words_and_costs_nothing,
    async |database: TestDatabase| {
        let world = World::with(database, |config| {
            config.timing.call = Duration::from_millis(100);
            config.timing.start = Duration::from_millis(300);
        })
        .await;
        world.orchestrator.go_down();
        let account = world.guest().await;
        let started = world.ask(&account, None, "hello").await.unwrap();
        let outcome = world.ended(&account, &started.turn_id).await;
        assert_eq!(outcome.message.state, MessageState::Failed);
        assert!(outcome.error.unwrap().contains("could not be started in time"));
        assert_eq!(world.balance(&account).await, (ALL, 0));
        let history = world.backend.open_chat(&account, &started.chat.id).await.unwrap();
        assert_eq!(history.messages.len(), 2, "the question is kept");
        assert!(history.active.is_none());
        world.assert_books_balance().await;
    }
);

on_both_databases!(when_all_sandboxes_are_in_use_the_person_is_told_so, async |world: World| {
    world.orchestrator.fault("create", Fault::Refuse(429));
    let account = world.guest().await;
    let started = world.ask(&account, None, "hello").await.unwrap();
    // One call of four tries has failed by then.
    until("it was refused again", async || world.orchestrator.count("create") > 4).await;
    no_time_is_left_to_start(&world).await;
    let outcome = world.ended(&account, &started.turn_id).await;
    assert!(outcome.error.unwrap().contains("in use"));
    assert_eq!(world.balance(&account).await, (ALL, 0));
});

on_both_databases!(a_refusal_ends_the_turn_at_once, async |world: World| {
    world.orchestrator.fault("create", Fault::Refuse(400));
    let account = world.guest().await;
    let started = world.ask(&account, None, "hello").await.unwrap();
    let outcome = world.ended(&account, &started.turn_id).await;
    assert!(outcome.error.unwrap().contains("refused"));
    assert_eq!(world.balance(&account).await, (ALL, 0));
});

on_both_databases!(a_sandbox_that_fails_again_and_again_ends_the_turn, async |world: World| {
    world.orchestrator.sandboxes_are_born(SandboxStatus::Failed);
    let account = world.guest().await;
    let started = world.ask(&account, None, "hello").await.unwrap();
    let outcome = world.ended(&account, &started.turn_id).await;
    assert!(outcome.error.unwrap().contains("again and again"));
    assert_eq!(world.orchestrator.count("create"), 3);
    assert_eq!(world.orchestrator.count("delete"), 0, "deleting is never a repair");

    world.orchestrator.sandboxes_are_born(SandboxStatus::Running);
    let next = world.ask(&account, Some(&started.chat.id), "hello").await.unwrap();
    world.dispatched(&account, &next.turn_id).await;
});

on_both_databases!(
    a_sandbox_that_is_gone_is_replaced_and_the_person_is_told_what_survived,
    async |world: World| {
        let account = world.guest().await;
        let chat = world.warm_chat(&account).await;
        let old = world.backend.refresh_token(&account, &chat).await.unwrap();
        world.orchestrator.forget_everything();
        let started = world.ask(&account, Some(&chat), "still there?").await.unwrap();
        world.dispatched(&account, &started.turn_id).await;
        let status = world.status(&account, &started.turn_id).await;
        let notice = status.notice.unwrap();
        assert!(
            notice.contains("conversation above is kept") && notice.contains("files"),
            "{notice}"
        );
        let stream = status.stream.unwrap();
        assert_ne!(stream.session_id, old.session_id);
        assert_eq!(stream.since, 0, "the new session's events begin anew");
        world.answer(&started.turn_id);
        world.complete(&account, &started.turn_id).await;
        assert_eq!(world.backend.open_chat(&account, &chat).await.unwrap().messages.len(), 4);
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    a_sandbox_that_vanishes_between_mapping_and_dispatch_is_replaced,
    async |world: World| {
        let account = world.guest().await;
        let chat = world.warm_chat(&account).await;
        world.orchestrator.fault("dispatch", Fault::HangBefore);
        let started = world.ask(&account, Some(&chat), "hello").await.unwrap();
        until("the dispatch is on its way", async || world.orchestrator.count("dispatch") == 2)
            .await;
        world.orchestrator.forget_everything();
        world.orchestrator.heal();
        world.dispatched(&account, &started.turn_id).await;
        assert!(world.status(&account, &started.turn_id).await.notice.is_some());
    }
);

on_both_databases!(a_stopped_sandbox_is_woken, async |world: World| {
    let account = world.guest().await;
    let chat = world.warm_chat(&account).await;
    let session = world.backend.refresh_token(&account, &chat).await.unwrap().session_id;
    world.orchestrator.set_sandboxes(&SandboxStatus::Stopped);
    // The fast way is closed, so that the sandbox is looked at.
    world.orchestrator.fault("map", Fault::Refuse(503));
    let started = world.ask(&account, Some(&chat), "wake up").await.unwrap();
    assert_eq!(started.state, TurnState::Provisioning);
    world.orchestrator.heal();
    world.dispatched(&account, &started.turn_id).await;
    assert_eq!(world.orchestrator.count("resume"), 1);
    let stream = world.status(&account, &started.turn_id).await.stream.unwrap();
    assert_eq!(stream.session_id, session, "nothing was lost");
});

on_both_databases!(a_leftover_turn_in_the_sandbox_is_aborted, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    // For the product the turn is over, for the orchestrator it is not.
    world.orchestrator.fault("abort", Fault::Refuse(400));
    world.database.execute("UPDATE turns SET unreachable_since = 1").await.unwrap();
    world.orchestrator.fault("record", Fault::Refuse(400));
    world.backend.settle(&started.turn_id).await.unwrap().unwrap();
    world.orchestrator.heal();
    let next = world.ask(&account, Some(&started.chat.id), "next").await.unwrap();
    world.dispatched(&account, &next.turn_id).await;
    assert!(!world.orchestrator.is_running(started.turn_id.as_str()));
    world.orchestrator.say(next.turn_id.as_str(), "x", usage(4, 4));
});

on_both_databases!(a_dispatch_whose_answer_is_lost_is_one_run, async |database: TestDatabase| {
    let world =
        World::with(database, |config| config.timing.call = Duration::from_millis(100)).await;
    world.orchestrator.fault("dispatch", Fault::HangAfter);
    let account = world.guest().await;
    let started = world.ask(&account, None, "hello").await.unwrap();
    until("it was sent again", async || world.orchestrator.count("dispatch") > 1).await;
    world.orchestrator.heal();
    world.dispatched(&account, &started.turn_id).await;
    assert_eq!(world.orchestrator.runs(), 1);
});

on_both_databases!(
    a_failed_sandbox_that_had_worked_is_woken_with_what_is_in_it,
    async |world: World| {
        let account = world.guest().await;
        let chat = world.warm_chat(&account).await;
        let session = world.backend.refresh_token(&account, &chat).await.unwrap().session_id;
        world.orchestrator.set_sandboxes(&SandboxStatus::Failed);
        world.orchestrator.fault("map", Fault::Refuse(503));
        let started = world.ask(&account, Some(&chat), "wake up").await.unwrap();
        world.orchestrator.heal();
        world.dispatched(&account, &started.turn_id).await;
        assert_eq!(world.orchestrator.count("create"), 1);
        let status = world.status(&account, &started.turn_id).await;
        assert_eq!((status.stream.unwrap().session_id, status.notice), (session, None));
    }
);

on_both_databases!(a_failed_sandbox_that_can_not_be_woken_is_replaced, async |world: World| {
    let account = world.guest().await;
    let chat = world.warm_chat(&account).await;
    world.orchestrator.set_sandboxes(&SandboxStatus::Failed);
    world.orchestrator.fault("map", Fault::Refuse(503));
    world.orchestrator.fault("resume", Fault::Refuse(409));
    let started = world.ask(&account, Some(&chat), "wake up").await.unwrap();
    until("a new one is made", async || world.orchestrator.count("create") == 2).await;
    world.orchestrator.heal();
    world.dispatched(&account, &started.turn_id).await;
    assert_eq!(world.orchestrator.count("resume"), 1);
    assert!(world.status(&account, &started.turn_id).await.notice.is_some());
});

on_both_databases!(
    an_answer_that_came_of_an_unconfirmed_dispatch_counts,
    async |database: TestDatabase| {
        let world = hasty(database).await;
        let account = world.guest().await;
        world.orchestrator.fault("dispatch", Fault::HangAfter);
        let started = world.ask(&account, None, "hello").await.unwrap();
        until("it arrived", async || world.orchestrator.has(started.turn_id.as_str())).await;
        world.answer(&started.turn_id);
        no_time_is_left_to_start(&world).await;
        world.backend.spawn_jobs();
        let outcome = world.ended(&account, &started.turn_id).await;
        assert_eq!(outcome.message.state, MessageState::Complete);
        assert_eq!(outcome.balance.micros(), ALL - ANSWER_COST);
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    a_turn_that_runs_after_an_unconfirmed_dispatch_goes_on,
    async |database: TestDatabase| {
        let world = hasty(database).await;
        let account = world.guest().await;
        world.orchestrator.fault("dispatch", Fault::HangAfter);
        let started = world.ask(&account, None, "hello").await.unwrap();
        until("it arrived", async || world.orchestrator.has(started.turn_id.as_str())).await;
        no_time_is_left_to_start(&world).await;
        world.backend.spawn_jobs();
        world.dispatched(&account, &started.turn_id).await;
        assert!(world.orchestrator.is_running(started.turn_id.as_str()));
    }
);

on_both_databases!(a_busy_session_never_costs_the_turn_itself, async |world: World| {
    let account = world.guest().await;
    let chat = world.warm_chat(&account).await;
    world.orchestrator.fault("dispatch", Fault::Refuse(409));
    let started = world.ask(&account, Some(&chat), "hello").await.unwrap();
    until("it was refused", async || world.orchestrator.count("dispatch") > 2).await;
    assert_eq!(world.orchestrator.count("abort"), 0, "nobody was named");
    world.orchestrator.heal();
    world.dispatched(&account, &started.turn_id).await;
});
