//! What a turn of a real model may cost, and costs.

use backend::{Credits, Error, MessageState};
use sandbox_sdk::types::{CostLimit, TokenUsage, TurnState};
use serde_json::json;

use super::{ask, run, world};
use crate::support::{database::TestDatabase, on_both_databases, world::usage};

on_both_databases!(
    a_real_model_is_dispatched_with_its_price_and_billed_by_kind_of_token,
    async |database: TestDatabase| {
        let world = world(database, 500).await;
        let account = world.guest().await;
        let started = run(&world, &account, "skein", "anthropic/big").await;
        let turn = started.turn_id.as_str();
        let backend = serde_json::to_value(world.orchestrator.backend(turn)).unwrap();
        let asked = json!({"type": "skein", "model": {"provider": "anthropic", "model": "big"}});
        assert_eq!(backend, asked);
        let limits = world.orchestrator.limits(turn);
        assert_eq!((limits.max_input_tokens, limits.max_output_tokens), (None, None));
        let most = CostLimit {
            amount: 200_000_000,
            input: 300_000_000,
            output: 1_500_000_000,
            cache_read: 30_000_000,
            cache_write: 375_000_000,
        };
        assert_eq!(limits.max_cost, Some(most));
        assert_eq!(world.balance(&account).await, (300_000_000, 200_000_000));

        let used = TokenUsage {
            cache_read_input_tokens: Some(10_000),
            cache_creation_input_tokens: Some(2_000),
            ..usage(1_000, 400)
        };
        world.orchestrator.say(turn, "Done.", used);
        world.orchestrator.change(turn, |record| record.model = "big-20260922".into());
        world.orchestrator.end(turn, TurnState::Completed);
        let outcome = world.complete(&account, &started.turn_id).await;
        let receipt = outcome.message.receipt.unwrap();
        assert_eq!((receipt.agent.as_str(), receipt.model.as_str()), ("skein", "big-20260922"));
        assert_eq!((receipt.input_tokens, receipt.cached_tokens), (13_000, 10_000));
        assert_eq!(receipt.output_tokens, 400);
        // 1000 × 300 + 400 × 1500 + 10 000 × 30 + 2000 × 375, in millionths of a credit.
        assert_eq!(receipt.charged.micros(), 1_950_000);
        assert_eq!(world.balance(&account).await, (498_050_000, 0));
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    a_free_model_holds_nothing_and_needs_no_credits,
    async |database: TestDatabase| {
        let world = world(database, 0).await;
        let account = world.guest().await;
        let started = run(&world, &account, "skein", "ollama/small:3b").await;
        let limits = world.orchestrator.limits(started.turn_id.as_str());
        assert_eq!(
            (limits.max_cost, limits.max_input_tokens, limits.max_output_tokens),
            (None, None, None)
        );
        assert!(limits.max_duration_ms.is_some());
        assert_eq!(world.balance(&account).await, (0, 0));
        world.answer(&started.turn_id);
        let outcome = world.complete(&account, &started.turn_id).await;
        assert_eq!(outcome.message.receipt.unwrap().charged, Credits::ZERO);
        let refused = ask(&world, &account, None, Some("skein"), Some("anthropic/big")).await;
        let Err(Error::InsufficientCredits { needed, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(needed, Credits::from_whole(10));
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    less_than_the_full_hold_is_all_that_a_turn_may_cost,
    async |database: TestDatabase| {
        let world = world(database, 12).await;
        let account = world.guest().await;
        let started = run(&world, &account, "skein", "anthropic/big").await;
        let turn = started.turn_id.as_str();
        assert_eq!(world.orchestrator.limits(turn).max_cost.unwrap().amount, 12_000_000);
        assert_eq!(world.balance(&account).await, (0, 12_000_000));
        let step = |id: &str, status: &str| {
            let state = json!({"status": status, "input": {}, "output": "", "time": {"start": 0}});
            serde_json::from_value(
                json!({"id": id, "type": "tool", "tool": "bash", "state": state}),
            )
            .unwrap()
        };
        world.orchestrator.say(turn, "", usage(0, 7_999));
        world.orchestrator.change(turn, |record| {
            record.parts =
                vec![step("1", "completed"), step("2", "completed"), step("3", "running")];
        });
        world.orchestrator.fail(turn, "OUT_OF_CREDITS", "used up");
        let outcome = world.complete(&account, &started.turn_id).await;
        let words = outcome.error.unwrap();
        assert!(words.contains("ended after 2 steps"), "{words}");
        assert!(words.contains("costs 11.99 credits"), "{words}");
        assert_eq!(outcome.message.state, MessageState::Failed);
        assert_eq!(outcome.message.parts.len(), 3, "what it did is kept");
        assert_eq!(world.balance(&account).await, (1_500, 0));
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    what_a_model_used_is_charged_however_the_turn_ends,
    async |database: TestDatabase| {
        let world = world(database, 500).await;
        let account = world.guest().await;
        for failed in [true, false] {
            let (left, _) = world.balance(&account).await;
            let started = run(&world, &account, "skein", "anthropic/big").await;
            let turn = started.turn_id.as_str();
            world.orchestrator.say(turn, "I was just", usage(0, 1000));
            match failed {
                true => world.orchestrator.fail(turn, "AGENT_DIED", "the agent was killed"),
                false => world.orchestrator.end(turn, TurnState::Interrupted),
            }
            let outcome = world.complete(&account, &started.turn_id).await;
            let error = outcome.error.unwrap();
            assert!(
                error.ends_with("What the model used until then costs 1.5 credits."),
                "{error}"
            );
            assert_eq!(outcome.message.receipt.unwrap().charged.micros(), 1_500_000);
            assert_eq!(world.balance(&account).await, (left - 1_500_000, 0));
        }
        world.assert_books_balance().await;
    }
);
