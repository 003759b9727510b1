//! A turn that has ended is settled once, whoever asks for it.

mod absence;
mod charges;
mod reports;

use std::time::Duration;

use backend::{Backend, Error, MessageState, ReportedUsage, TurnState};
use sandbox_sdk::types::TurnState as RecordState;

use crate::support::{Fault, World, database::TestDatabase, on_both_databases, world::ANSWER_COST};

const ALL: i64 = 500_000_000;

on_both_databases!(any_number_of_callers_give_one_bill, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.answer(&started.turn_id);
    let other_server = world.restarted().await;
    let settled = (0..12).map(|n| {
        let backend: Backend =
            if n % 2 == 0 { world.backend.clone() } else { other_server.clone() };
        let (account, turn) = (account.clone(), started.turn_id.clone());
        tokio::spawn(async move {
            match n % 3 {
                0 => {
                    backend
                        .complete_turn(&account, &turn, ReportedUsage::default())
                        .await
                        .unwrap()
                        .outcome
                }
                1 => backend.settle(&turn).await.unwrap(),
                _ => backend.stop_turn(&account, &turn).await.unwrap().outcome,
            }
        })
    });
    for outcome in futures::future::join_all(settled).await {
        let outcome = outcome.unwrap().expect("the turn has ended for every caller");
        assert_eq!(outcome.balance.micros(), ALL - ANSWER_COST);
        assert_eq!(outcome.message.state, MessageState::Complete);
    }
    assert_eq!(world.database.number("SELECT COUNT(*) FROM ledger WHERE kind = 'turn'").await, 1);
    assert_eq!(world.database.number("SELECT COUNT(*) FROM usage").await, 1);
    assert_eq!(world.database.number("SELECT COUNT(*) FROM messages").await, 2);
    world.assert_books_balance().await;
});

on_both_databases!(
    a_running_turn_has_no_outcome_whatever_the_browser_says,
    async |world: World| {
        let account = world.guest().await;
        let started = world.running(&account).await;
        for tokens in [Some(0), None, Some(u64::MAX)] {
            let report =
                ReportedUsage { input_tokens: tokens, output_tokens: tokens, duration_ms: tokens };
            let status =
                world.backend.complete_turn(&account, &started.turn_id, report).await.unwrap();
            assert_eq!((status.state, status.outcome), (TurnState::Running, None));
        }
        assert_eq!(world.balance(&account).await, (ALL - 12_000_000, 12_000_000));
    }
);

on_both_databases!(the_record_of_another_turn_settles_nothing, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.answer(&started.turn_id);
    world
        .orchestrator
        .change(started.turn_id.as_str(), |record| record.turn_id = "other".to_owned());
    assert!(matches!(world.backend.settle(&started.turn_id).await, Err(Error::Unavailable { .. })));
    assert_eq!(world.balance(&account).await.1, 12_000_000);
});

on_both_databases!(without_a_browser_the_background_job_settles, async |database: TestDatabase| {
    let world =
        World::with(database, |config| config.timing.lease = Duration::from_millis(50)).await;
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.backend.spawn_jobs();
    world.answer(&started.turn_id);
    let outcome = world.ended(&account, &started.turn_id).await;
    assert_eq!(outcome.balance.micros(), ALL - ANSWER_COST);
    world.assert_books_balance().await;
});

on_both_databases!(a_service_that_keeps_only_the_text_gives_a_message, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world
        .orchestrator
        .change(started.turn_id.as_str(), |record| record.final_text = "All done".to_owned());
    world.orchestrator.end(started.turn_id.as_str(), RecordState::Completed);
    let outcome = world.complete(&account, &started.turn_id).await;
    assert_eq!(outcome.message.parts.len(), 1);
    assert_eq!(outcome.message.parts[0].message_id, format!("msg_{}", started.turn_id));
});

on_both_databases!(
    settling_asks_for_the_record_only_until_the_turn_has_ended,
    async |world: World| {
        let account = world.guest().await;
        let started = world.running(&account).await;
        world.answer(&started.turn_id);
        world.complete(&account, &started.turn_id).await;
        world.orchestrator.fault("record", Fault::Refuse(500));
        let asked = world.orchestrator.count("record");
        for _ in 0..3 {
            world.complete(&account, &started.turn_id).await;
        }
        assert_eq!(world.orchestrator.count("record"), asked);
    }
);
