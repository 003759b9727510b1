//! The orchestrator is away, or never says that the turn has ended.

use std::time::Duration;

use backend::{Error, MessageState, ReportedUsage, TurnState};
use sandbox_sdk::types::TurnRecord;

use super::ALL;
use crate::support::{
    Fault, World,
    database::TestDatabase,
    on_both_databases,
    world::{ANSWER_COST, until},
};

on_both_databases!(
    an_orchestrator_that_is_away_for_a_moment_changes_nothing,
    async |database: TestDatabase| {
        let world = World::with(database, |config| {
            config.timing.lease = Duration::from_millis(50);
            config.timing.quick_call = Duration::from_millis(50);
            config.timing.call = Duration::from_millis(50);
        })
        .await;
        let account = world.guest().await;
        let started = world.running(&account).await;
        world.orchestrator.go_down();
        world.backend.spawn_jobs();
        until("the job notices", async || {
            world.status(&account, &started.turn_id).await.notice.is_some()
        })
        .await;
        let status = world
            .backend
            .complete_turn(&account, &started.turn_id, ReportedUsage::default())
            .await
            .unwrap();
        assert_eq!((status.state, status.outcome), (TurnState::Running, None));
        assert!(matches!(
            world.backend.settle(&started.turn_id).await,
            Err(Error::Unavailable { .. })
        ));

        world.answer(&started.turn_id);
        world.orchestrator.heal();
        let outcome = world.ended(&account, &started.turn_id).await;
        assert_eq!(outcome.message.state, MessageState::Complete);
        assert_eq!(outcome.balance.micros(), ALL - ANSWER_COST);
    }
);

on_both_databases!(
    an_orchestrator_that_stays_away_ends_the_turn_in_words,
    async |database: TestDatabase| {
        let world = World::with(database, |config| {
            config.timing.lease = Duration::from_millis(20);
            config.timing.call = Duration::from_millis(50);
            config.timing.unreachable = Duration::from_millis(100);
        })
        .await;
        let account = world.guest().await;
        let started = world.running(&account).await;
        world.orchestrator.go_down();
        world.backend.spawn_jobs();
        let outcome = world.ended(&account, &started.turn_id).await;
        assert_eq!(outcome.message.state, MessageState::Interrupted);
        assert!(outcome.error.unwrap().contains("could not be reached"));
        assert_eq!(world.balance(&account).await, (ALL, 0));

        world.orchestrator.heal();
        world.answer(&started.turn_id);
        world.backend.settle(&started.turn_id).await.unwrap();
        assert_eq!(world.balance(&account).await, (ALL, 0), "what ended for free stays free");
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    a_turn_that_the_orchestrator_never_ends_is_given_up_and_costs_nothing,
    async |world: World| {
        let account = world.guest().await;
        let started = world.running(&account).await;
        let hour = "UPDATE turns SET created_at = created_at - 3600000";
        world.database.execute(hour).await.unwrap();
        world.orchestrator.fault("abort", Fault::Refuse(400));
        let outcome = world.backend.settle(&started.turn_id).await.unwrap().unwrap();
        assert_eq!(outcome.message.state, MessageState::Interrupted);
        assert!(outcome.error.unwrap().contains("did not end"));
        assert_eq!(world.balance(&account).await, (ALL, 0));
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    a_stop_that_the_orchestrator_does_not_carry_out_ends_the_turn_all_the_same,
    async |database: TestDatabase| {
        let world = World::with(database, |config| {
            config.timing.lease = Duration::from_millis(20);
            config.timing.unreachable = Duration::from_millis(100);
        })
        .await;
        let account = world.guest().await;
        let started = world.running(&account).await;
        world.orchestrator.fault("abort", Fault::Refuse(400));
        world.backend.stop_turn(&account, &started.turn_id).await.unwrap();
        world.backend.spawn_jobs();
        let outcome = world.ended(&account, &started.turn_id).await;
        assert_eq!(outcome.message.state, MessageState::Stopped);
        assert_eq!(world.balance(&account).await, (ALL, 0));
    }
);

on_both_databases!(
    records_of_another_turn_end_the_turn_when_nothing_else_comes,
    async |database: TestDatabase| {
        let world = World::with(database, |config| {
            config.timing.lease = Duration::from_millis(20);
            config.timing.unreachable = Duration::from_millis(100);
        })
        .await;
        let account = world.guest().await;
        let started = world.running(&account).await;
        let other = |record: &mut TurnRecord| record.turn_id = "other".to_owned();
        world.orchestrator.change(started.turn_id.as_str(), other);
        world.backend.spawn_jobs();
        let outcome = world.ended(&account, &started.turn_id).await;
        assert_eq!(outcome.message.state, MessageState::Interrupted);
        assert_eq!(world.balance(&account).await, (ALL, 0));
    }
);
