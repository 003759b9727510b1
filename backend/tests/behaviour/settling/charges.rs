//! What a turn costs, by how it ended and what it used.

use backend::{MessageState, TurnState};
use sandbox_sdk::types::TurnState as RecordState;

use super::ALL;
use crate::support::{
    World,
    database::TestDatabase,
    on_both_databases,
    world::{DEMO_PRICES, usage},
};

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
