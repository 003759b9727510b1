use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use backend::{Backend, Error, MessageState, ReportedUsage, TurnState};
use sandbox_sdk::types::{TurnRecord, TurnState as RecordState};
use tracing::instrument::WithSubscriber;

use crate::support::{
    Fault, World,
    database::TestDatabase,
    on_both_databases,
    world::{ANSWER_COST, DEMO_PRICES, until, usage},
};

const ALL: i64 = 500_000_000;

/// What is logged in the test's own calls.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    async fn of(work: impl Future<Output = ()>) -> String {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        work.with_subscriber(subscriber).await;
        String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
    }
}

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

on_both_databases!(a_forged_report_changes_nothing_but_the_log, async |world: World| {
    let account = world.guest().await;
    let honest =
        ReportedUsage { input_tokens: Some(1000), output_tokens: Some(200), duration_ms: Some(1) };
    let forged = ReportedUsage { input_tokens: Some(0), output_tokens: Some(0), duration_ms: None };
    for (report, suspicious) in [(honest, false), (forged, true)] {
        let started = world.running(&account).await;
        world.answer(&started.turn_id);
        let before = world.balance(&account).await.0;
        let log = Log::of(async {
            for _ in 0..3 {
                world.backend.complete_turn(&account, &started.turn_id, report).await.unwrap();
            }
        })
        .await;
        let after = world.balance(&account).await.0;
        assert_eq!(after, before + 12_000_000 - ANSWER_COST);
        assert_eq!(log.matches("another usage").count(), usize::from(suspicious), "{log}");
    }
    assert_eq!(
        world.database.number("SELECT COUNT(*) FROM turns WHERE report LIKE '%inputTokens%'").await,
        2
    );
    world.assert_books_balance().await;
});

on_both_databases!(a_report_after_the_bill_is_compared_as_well, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.answer(&started.turn_id);
    world.backend.settle(&started.turn_id).await.unwrap().unwrap();
    let report = ReportedUsage { output_tokens: Some(190), ..ReportedUsage::default() };
    let log = Log::of(async {
        world.backend.complete_turn(&account, &started.turn_id, report).await.unwrap();
    })
    .await;
    assert!(!log.contains("another usage"), "5 % are nothing to worry about");
});

on_both_databases!(a_turn_that_fails_costs_nothing_and_says_why, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.orchestrator.say(started.turn_id.as_str(), "I was just", usage(1000, 200));
    world.orchestrator.fail(
        started.turn_id.as_str(),
        "AGENT_CRASHED",
        "the agent ended with signal 9",
    );
    let outcome = world.complete(&account, &started.turn_id).await;
    assert_eq!(
        outcome.error.as_deref(),
        Some("The agent failed: the agent ended with signal 9. Nothing was charged.")
    );
    assert_eq!(outcome.message.state, MessageState::Failed);
    assert_eq!(outcome.message.parts.len(), 1, "what it said is kept");
    assert_eq!(outcome.message.receipt.unwrap().charged.micros(), 0);
    assert_eq!(world.balance(&account).await, (ALL, 0));
    assert_eq!(world.status(&account, &started.turn_id).await.state, TurnState::Failed);
    world.assert_books_balance().await;
});

on_both_databases!(a_turn_that_reaches_its_limits_costs_what_it_used, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.orchestrator.say(started.turn_id.as_str(), "on and on", usage(1000, 20_000));
    world.orchestrator.fail(started.turn_id.as_str(), "OUT_OF_CREDITS", "limit");
    let outcome = world.complete(&account, &started.turn_id).await;
    assert!(outcome.error.unwrap().contains("limit"));
    assert_eq!(world.balance(&account).await, (ALL - 10_100_000, 0));
    world.assert_books_balance().await;
});

on_both_databases!(
    a_turn_cut_off_by_a_restart_of_the_orchestrator_costs_nothing,
    async |world: World| {
        let account = world.guest().await;
        let started = world.running(&account).await;
        world.orchestrator.say(started.turn_id.as_str(), "I was just", usage(1000, 200));
        world.orchestrator.end(started.turn_id.as_str(), RecordState::Interrupted);
        let outcome = world.complete(&account, &started.turn_id).await;
        assert_eq!(outcome.message.state, MessageState::Interrupted);
        assert!(outcome.error.unwrap().contains("interrupted"));
        assert_eq!(world.balance(&account).await, (ALL, 0));
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    a_turn_the_orchestrator_has_forgotten_ends_in_words_and_costs_nothing,
    async |world: World| {
        let account = world.guest().await;
        let started = world.running(&account).await;
        world.orchestrator.forget_turns();
        let outcome = world.complete(&account, &started.turn_id).await;
        assert_eq!(outcome.message.state, MessageState::Interrupted);
        assert!(outcome.error.unwrap().contains("no longer knows"));
        assert_eq!(world.balance(&account).await, (ALL, 0));
        world.assert_books_balance().await;
    }
);

on_both_databases!(no_number_makes_a_turn_cost_more_than_was_held, async |world: World| {
    let account = world.guest().await;
    for (input, output) in [(20_001, 20_000), (u64::MAX, u64::MAX), (i64::MAX as u64 + 1, 0)] {
        let before = world.balance(&account).await.0;
        let started = world.running(&account).await;
        let mut used = usage(input, output);
        used.cache_read_input_tokens = Some(u64::MAX);
        used.cache_creation_input_tokens = Some(u64::MAX);
        world.orchestrator.say(started.turn_id.as_str(), "x", used);
        world.orchestrator.end(started.turn_id.as_str(), RecordState::Completed);
        let outcome = world.complete(&account, &started.turn_id).await;
        assert_eq!(outcome.message.receipt.unwrap().charged.micros(), 12_000_000);
        assert_eq!(world.balance(&account).await, (before - 12_000_000, 0));
    }
    world.assert_books_balance().await;
});

on_both_databases!(a_turn_that_used_nothing_costs_nothing, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.orchestrator.end(started.turn_id.as_str(), RecordState::Completed);
    world.complete(&account, &started.turn_id).await;
    assert_eq!(world.balance(&account).await, (ALL, 0));
    world.assert_books_balance().await;
});

on_both_databases!(
    a_fraction_of_a_micro_credit_is_rounded_up_once_a_turn,
    async |database: TestDatabase| {
        let world = World::with(database, |config| {
            let prices = DEMO_PRICES
                .replace("input = 100", "input = 0.3")
                .replace("output = 500", "output = 0.4")
                .replace("minimum_hold = 1", "minimum_hold = 0");
            config.prices = backend::Prices::parse(&prices).unwrap();
        })
        .await;
        let account = world.guest().await;
        let started = world.running(&account).await;
        world.orchestrator.say(started.turn_id.as_str(), "x", usage(1, 2));
        world.orchestrator.end(started.turn_id.as_str(), RecordState::Completed);
        world.complete(&account, &started.turn_id).await;
        assert_eq!(
            world.balance(&account).await.0,
            ALL - 2,
            "0.3 + 0.8 micro-credits are 2, not 1 + 1 or 1"
        );
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
