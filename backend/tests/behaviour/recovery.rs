use std::time::Duration;

use backend::{Account, Backend, ChatId, Error, MessageState, ReportedUsage, TurnId, TurnState};

use crate::support::{
    Fault, World, on_both_databases,
    world::{ANSWER_COST, question, until},
};

const ALL: i64 = 500_000_000;

/// A server is killed while a call hangs; the next one brings the turn to its one answer and bill.
async fn survives_a_crash_at(world: &World, call: &'static str, fault: Fault) {
    let account = world.guest().await;
    let turn = TurnId::generate();
    let (runs, made) = (world.orchestrator.runs(), world.orchestrator.sandboxes());
    let asked = world.orchestrator.count(call);
    world.orchestrator.fault(call, fault);
    let (who, what) = (account.clone(), turn.clone());
    world
        .killed_when(
            move |doomed| async move {
                drop(doomed.start_turn(&who, question(None, &what, "hello")).await);
                std::future::pending::<()>().await;
            },
            async || world.orchestrator.count(call) > asked,
        )
        .await;
    world.orchestrator.heal();

    let next = again(world).await;
    assert_eq!(next.recover().await.unwrap(), 1);
    until("the turn is dispatched", async || world.orchestrator.has(turn.as_str())).await;
    world.answer(&turn);
    until("the answer is there", async || {
        let status = next.complete_turn(&account, &turn, ReportedUsage::default()).await.unwrap();
        status.outcome.is_some()
    })
    .await;
    assert_eq!(world.orchestrator.runs(), runs + 1, "{call}, {fault:?}: one run");
    assert_eq!(world.orchestrator.sandboxes(), made + 1, "{call}, {fault:?}: one sandbox");
    assert_one_answer(world, &account, &turn).await;
    next.shutdown(Duration::from_secs(30)).await;
}

async fn assert_one_answer(world: &World, account: &Account, turn: &TurnId) {
    let status = world.status(account, turn).await;
    assert_eq!(status.state, TurnState::Completed);
    assert_eq!(world.balance(account).await, (ALL - ANSWER_COST, 0));
    let history = world.backend.open_chat(account, &status.chat_id).await.unwrap();
    assert_eq!(history.messages.len(), 2);
    world.assert_books_balance().await;
}

/// The next server, once the leases of the one before have run out.
async fn again(world: &World) -> Backend {
    world.leases_run_out().await;
    world.restarted().await
}

async fn only_chat(world: &World, account: &Account) -> ChatId {
    world.backend.chats(account).await.unwrap()[0].id.clone()
}

on_both_databases!(a_server_may_be_killed_at_any_step_of_a_start, async |world: World| {
    for call in ["create", "map", "dispatch"] {
        for fault in [Fault::HangBefore, Fault::HangAfter] {
            survives_a_crash_at(&world, call, fault).await;
        }
    }
});

on_both_databases!(a_server_may_be_killed_while_it_settles, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.answer(&started.turn_id);
    world.orchestrator.fault("record", Fault::HangAfter);
    let turn = started.turn_id.clone();
    world
        .killed_when(
            |doomed| async move { drop(doomed.settle(&turn).await) },
            async || world.orchestrator.count("record") == 1,
        )
        .await;
    world.orchestrator.heal();
    again(&world).await.recover().await.unwrap();
    world.ended(&account, &started.turn_id).await;
    assert_one_answer(&world, &account, &started.turn_id).await;
});

on_both_databases!(
    a_turn_that_ended_while_no_server_ran_is_settled_at_the_start,
    async |world: World| {
        let account = world.guest().await;
        let started = world.running(&account).await;
        world.backend.shutdown(Duration::from_secs(30)).await;
        world.answer(&started.turn_id);
        let next = again(&world).await;
        next.recover().await.unwrap();
        until("it is settled", async || {
            next.turn_status(&account, &started.turn_id).await.unwrap().state
                == TurnState::Completed
        })
        .await;
        assert_eq!(next.balance(&account).await.unwrap().available.micros(), ALL - ANSWER_COST);
    }
);

on_both_databases!(a_turn_that_still_runs_goes_on_after_a_restart, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    again(&world).await.recover().await.unwrap();
    let asked_again = world.orchestrator.count("dispatch");
    until("it was asked about", async || world.orchestrator.count("record") > 0).await;
    assert_eq!(asked_again, 1);
    assert_eq!(world.status(&account, &started.turn_id).await.state, TurnState::Running);
    assert!(world.backend.refresh_token(&account, &started.chat.id).await.is_ok());
});

on_both_databases!(
    a_turn_that_was_left_before_its_dispatch_long_ago_ends_in_words,
    async |world: World| {
        let account = world.guest().await;
        world.orchestrator.fault("create", Fault::HangBefore);
        let (who, turn) = (account.clone(), TurnId::generate());
        let request = question(None, &turn, "hello");
        world
            .killed_when(
                |doomed| async move {
                    drop(doomed.start_turn(&who, request).await);
                    std::future::pending::<()>().await;
                },
                async || world.orchestrator.count("create") == 1,
            )
            .await;
        world.orchestrator.heal();
        world.database.execute("UPDATE turns SET created_at = created_at - 3600000").await.unwrap();
        again(&world).await.recover().await.unwrap();
        let outcome = world.ended(&account, &turn).await;
        assert_eq!(outcome.message.state, MessageState::Failed);
        assert!(outcome.error.unwrap().contains("in time"));
        assert_eq!(
            world.orchestrator.runs(),
            0,
            "nobody's request from an hour ago is carried out now"
        );
        assert_eq!(world.balance(&account).await, (ALL, 0));
        world.assert_books_balance().await;
    }
);

on_both_databases!(recovering_twice_or_on_two_servers_is_recovering_once, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.answer(&started.turn_id);
    let other = world.restarted().await;
    for _ in 0..3 {
        world.leases_run_out().await;
        world.backend.recover().await.unwrap();
        world.leases_run_out().await;
        other.recover().await.unwrap();
    }
    world.ended(&account, &started.turn_id).await;
    assert_one_answer(&world, &account, &started.turn_id).await;
    assert_eq!(other.recover().await.unwrap(), 0);
});

on_both_databases!(
    a_browser_that_goes_away_in_the_middle_of_a_start_leaves_a_whole_turn,
    async |world: World| {
        let account = world.guest().await;
        world.warm_chat(&account).await;
        let chat = only_chat(&world, &account).await;
        world.orchestrator.fault("map", Fault::HangBefore);
        let turn = TurnId::generate();
        let asking = world.backend.start_turn(&account, question(Some(&chat), &turn, "hello"));
        tokio::select! {
            _ = asking => {}
            () = until("the mapping hangs", async || world.orchestrator.count("map") == 2) => {}
        }
        world.orchestrator.heal();
        world.dispatched(&account, &turn).await;
    }
);

on_both_databases!(
    a_shutdown_lets_what_is_under_way_finish_and_takes_nothing_new,
    async |world: World| {
        let account = world.guest().await;
        world.orchestrator.fault("dispatch", Fault::HangBefore);
        world.ask(&account, None, "hello").await.unwrap();
        until("the dispatch is on its way", async || world.orchestrator.count("dispatch") == 1)
            .await;
        let backend = world.backend.clone();
        let shutdown = tokio::spawn(async move { backend.shutdown(Duration::from_secs(30)).await });
        until("it refuses", async || world.backend.ready().await.is_err()).await;
        assert!(matches!(world.ask(&account, None, "more").await, Err(Error::Unavailable { .. })));
        assert!(!shutdown.is_finished(), "it waits for the dispatch");
        world.orchestrator.heal();
        shutdown.await.unwrap();
        assert_eq!(
            world
                .database
                .number("SELECT COUNT(*) FROM turns WHERE dispatched_at IS NOT NULL")
                .await,
            1
        );
    }
);

on_both_databases!(a_shutdown_does_not_wait_for_ever, async |world: World| {
    let account = world.guest().await;
    world.orchestrator.fault("create", Fault::HangBefore);
    world.ask(&account, None, "hello").await.unwrap();
    world.backend.shutdown(Duration::from_millis(50)).await;
    world.orchestrator.heal();
    let next = again(&world).await;
    assert_eq!(next.recover().await.unwrap(), 1);
    until("the next start carries on", async || world.orchestrator.runs() == 1).await;
});

on_both_databases!(what_another_server_is_at_work_on_is_left_to_it, async |world: World| {
    let account = world.guest().await;
    world.orchestrator.fault("create", Fault::HangBefore);
    world.ask(&account, None, "hello").await.unwrap();
    until("it is at work", async || world.orchestrator.count("create") == 1).await;
    let other = world.restarted().await;
    assert_eq!(other.recover().await.unwrap(), 0);
    world.leases_run_out().await;
    assert_eq!(other.recover().await.unwrap(), 1);
    world.orchestrator.heal();
});

on_both_databases!(
    a_turn_that_waits_at_a_shutdown_is_free_for_the_next_server,
    async |world: World| {
        let account = world.guest().await;
        world.orchestrator.fault("create", Fault::Refuse(429));
        let started = world.ask(&account, None, "hello").await.unwrap();
        until("it was tried", async || world.orchestrator.count("create") > 0).await;
        world.backend.shutdown(Duration::from_secs(30)).await;
        world.orchestrator.heal();
        let next = world.restarted().await;
        assert_eq!(next.recover().await.unwrap(), 1);
        until("it is dispatched", async || world.orchestrator.has(started.turn_id.as_str())).await;
    }
);

on_both_databases!(time_in_which_no_server_ran_is_not_the_orchestrators, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.database.execute("UPDATE turns SET unreachable_since = 1").await.unwrap();
    world.orchestrator.fault("record", Fault::Refuse(400));
    let next = again(&world).await;
    next.recover().await.unwrap();
    until("it was asked", async || world.orchestrator.count("record") > 0).await;
    assert!(matches!(next.settle(&started.turn_id).await, Err(Error::Unavailable { .. })));
    assert_eq!(world.status(&account, &started.turn_id).await.state, TurnState::Running);
});

on_both_databases!(a_name_that_was_lost_with_a_server_leaves_no_sandbox, async |world: World| {
    let account = world.guest().await;
    world.orchestrator.fault("create", Fault::HangAfter);
    let (who, turn) = (account.clone(), TurnId::generate());
    let request = question(None, &turn, "hello");
    world
        .killed_when(
            move |doomed| async move {
                drop(doomed.start_turn(&who, request).await);
                std::future::pending::<()>().await;
            },
            async || world.orchestrator.sandboxes() == 1,
        )
        .await;
    world.orchestrator.heal();
    let chat = only_chat(&world, &account).await;
    world.backend.delete_chat(&account, &chat).await.unwrap();
    world.backend.spawn_jobs();
    until("the sandbox is deleted", async || world.orchestrator.sandboxes() == 0).await;
});
