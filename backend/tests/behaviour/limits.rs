use backend::{Credits, Error, Limits, Prices};
use sandbox_sdk::types::TurnState;

use crate::support::{
    World,
    database::TestDatabase,
    on_both_databases,
    world::{DEMO_PRICES, question, usage},
};

async fn with_credits(database: TestDatabase, micros: i64) -> World {
    World::with(database, |config| config.guest_credits = Credits::from_micros(micros)).await
}

on_both_databases!(
    sixty_four_at_once_with_credits_for_three_lets_three_in,
    async |database: TestDatabase| {
        // Three full holds, and less than the smallest one.
        let world = with_credits(database, 3 * 12_000_000 + 999_999).await;
        let account = world.guest().await;
        let asked = (0..64).map(|_| {
            let (backend, account) = (world.backend.clone(), account.clone());
            tokio::spawn(async move {
                let turn = backend::TurnId::generate();
                backend.start_turn(&account, question(None, &turn, "hello")).await
            })
        });
        let mut admitted = 0;
        for asked in futures::future::join_all(asked).await {
            match asked.unwrap() {
                Ok(_) => admitted += 1,
                Err(Error::InsufficientCredits { available, needed }) => {
                    assert!(available < needed)
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(admitted, 3);
        assert_eq!(world.balance(&account).await, (999_999, 36_000_000));
        assert_eq!(world.database.number("SELECT COUNT(*) FROM turns").await, 3);
        assert_eq!(world.database.number("SELECT COUNT(*) FROM chats").await, 3);
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    without_credits_nothing_is_stored_and_nothing_is_asked,
    async |database: TestDatabase| {
        let world = with_credits(database, 999_999).await;
        let account = world.guest().await;
        let refused = world.ask(&account, None, "hello").await;
        let Err(Error::InsufficientCredits { available, needed }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((available.micros(), needed.micros()), (999_999, 1_000_000));
        for table in ["turns", "chats", "messages", "holds", "sandboxes"] {
            let count = format!("SELECT COUNT(*) FROM {table}");
            assert_eq!(world.database.number(&count).await, 0, "{table}");
        }
        assert!(world.orchestrator.log().is_empty());
    }
);

on_both_databases!(
    an_account_that_was_given_nothing_has_nothing,
    async |database: TestDatabase| {
        let world = with_credits(database, 0).await;
        let account = world.guest().await;
        assert_eq!(world.balance(&account).await, (0, 0));
        assert!(matches!(
            world.ask(&account, None, "hello").await,
            Err(Error::InsufficientCredits { .. })
        ));
    }
);

on_both_databases!(
    an_account_with_little_runs_the_turn_with_smaller_limits,
    async |database: TestDatabase| {
        let world = with_credits(database, 3_000_000).await;
        let account = world.guest().await;
        let started = world.running(&account).await;
        assert_eq!(world.balance(&account).await, (0, 3_000_000));
        let limits = world.orchestrator.limits(started.turn_id.as_str());
        assert_eq!(limits.max_input_tokens, Some(5_000));
        assert_eq!(limits.max_output_tokens, Some(5_000));

        world.orchestrator.say(started.turn_id.as_str(), "all of it", usage(5_000, 5_000));
        world.orchestrator.fail(started.turn_id.as_str(), "OUT_OF_CREDITS", "limit");
        let outcome = world.complete(&account, &started.turn_id).await;
        assert!(outcome.error.unwrap().contains("limit"));
        assert_eq!(outcome.balance, Credits::ZERO);
        assert_eq!(world.balance(&account).await, (0, 0));
        world.assert_books_balance().await;
    }
);

on_both_databases!(a_long_message_needs_credits_for_reading_it, async |database: TestDatabase| {
    let world = with_credits(database, 2_000_000).await;
    let account = world.guest().await;
    let refused = world.ask(&account, None, &"x".repeat(40_000)).await;
    let Err(Error::InsufficientCredits { needed, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(needed.micros(), 6_000_000, "10 000 of 20 000 tokens take half of the full hold");
});

on_both_databases!(a_turn_is_billed_at_the_price_it_began_with, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    world.orchestrator.say(started.turn_id.as_str(), "x", usage(1000, 200));
    world.orchestrator.end(started.turn_id.as_str(), TurnState::Completed);
    let mut config = world.config.clone();
    let dearer = DEMO_PRICES.replace("input = 100", "input = 1000");
    config.prices = Prices::parse(&dearer).unwrap();
    let later = backend::Backend::connect(config).await.unwrap();
    let outcome = later.settle(&started.turn_id).await.unwrap().unwrap();
    assert_eq!(outcome.message.receipt.unwrap().charged.micros(), 200_000);
});

on_both_databases!(
    too_many_turns_in_a_minute_are_refused_with_a_time_to_wait,
    async |database: TestDatabase| {
        let limits = Limits {
            turns_per_minute: 2,
            chats_per_hour: 100,
            running_turns: 100,
            ..Limits::default()
        };
        let world = World::with(database, |config| config.limits = limits).await;
        let account = world.guest().await;
        let first = world.ask(&account, None, "one").await.unwrap();
        world.ask(&account, None, "two").await.unwrap();
        let refused = world.ask(&account, None, "three").await;
        let Err(Error::RateLimited { retry_after_s }) = refused else { panic!("{refused:?}") };
        assert!((1..=61).contains(&retry_after_s));
        world
            .backend
            .start_turn(&account, question(None, &first.turn_id, "one"))
            .await
            .expect("a look-up");
        world.ask(&world.guest().await, None, "one").await.expect("another account");
        assert_eq!(world.balance(&account).await.1, 24_000_000);
    }
);

on_both_databases!(too_many_new_chats_in_an_hour_are_refused, async |database: TestDatabase| {
    let limits = Limits {
        turns_per_minute: 100,
        chats_per_hour: 1,
        running_turns: 100,
        ..Limits::default()
    };
    let world = World::with(database, |config| config.limits = limits).await;
    let account = world.guest().await;
    let chat = world.warm_chat(&account).await;
    assert!(matches!(world.ask(&account, None, "new").await, Err(Error::RateLimited { .. })));
    world.ask(&account, Some(&chat), "old").await.unwrap();
});

on_both_databases!(
    too_many_turns_at_the_same_time_are_refused_in_words,
    async |database: TestDatabase| {
        let limits = Limits {
            turns_per_minute: 100,
            chats_per_hour: 100,
            running_turns: 1,
            ..Limits::default()
        };
        let world = World::with(database, |config| config.limits = limits).await;
        let account = world.guest().await;
        let started = world.running(&account).await;
        assert!(matches!(world.ask(&account, None, "more").await, Err(Error::Conflict { .. })));
        world.answer(&started.turn_id);
        world.complete(&account, &started.turn_id).await;
        world.ask(&account, None, "more").await.unwrap();
    }
);
