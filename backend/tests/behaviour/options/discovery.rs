//! How the orchestrator's catalog becomes known, and what goes on until it is.

use std::time::Duration;

use backend::Error;
use tokio::time::timeout;

use super::{ask, catalog_is_known, choice, world, world_with};
use crate::support::{
    Fault, database::TestDatabase, on_both_databases, orchestrator::PATIENCE, world::until,
};

on_both_databases!(the_catalog_is_asked_for_once, async |database: TestDatabase| {
    let world = world(database, 500).await;
    let account = world.guest().await;
    let asked = (0..8).map(|_| world.backend.options(Some(&account)));
    futures::future::join_all(asked).await;
    catalog_is_known(&world).await;
    ask(&world, &account, None, Some("skein"), Some("anthropic/big")).await.unwrap();
    assert_eq!(world.orchestrator.count("agents"), 1);
});

on_both_databases!(
    what_was_heard_outlives_the_orchestrators_absence,
    async |database: TestDatabase| {
        let world = world_with(database, |config| {
            config.timing.catalog = Duration::from_millis(1);
        })
        .await;
        let account = world.guest().await;
        catalog_is_known(&world).await;
        world.orchestrator.go_down();
        // Not tried again by itself: by the second time it is known that the first was in vain.
        world.orchestrator.fault("agents", Fault::Refuse(403));
        let before = world.orchestrator.count("agents");
        until("it was asked again, in vain", async || {
            assert_eq!(world.backend.options(None).await.unwrap().agents.len(), 2);
            world.orchestrator.count("agents") > before + 1
        })
        .await;
        ask(&world, &account, None, Some("skein"), Some("anthropic/big")).await.unwrap();
    }
);

on_both_databases!(
    an_orchestrator_that_does_not_answer_holds_nobody_up,
    async |database: TestDatabase| {
        let world = world_with(database, |config| {
            // Whoever waits for the answer waits in vain.
            config.timing.call = Duration::from_secs(3600);
        })
        .await;
        world.orchestrator.fault("agents", Fault::HangBefore);
        let account = world.guest().await;
        let options = timeout(PATIENCE, world.backend.options(Some(&account)));
        let options = options.await.expect("nobody waits for the orchestrator").unwrap();
        assert_eq!(options.default, choice("demo", "demo"), "what needs no catalog");
        assert_eq!((options.agents.len(), options.models.len()), (1, 1));
        let started = timeout(PATIENCE, ask(&world, &account, None, None, None));
        let started = started.await.expect("nor does a message").unwrap();
        world.dispatched(&account, &started.turn_id).await;

        world.orchestrator.heal();
        catalog_is_known(&world).await;
    }
);

on_both_databases!(
    what_the_orchestrator_may_have_is_not_refused_before_it_has_answered,
    async |database: TestDatabase| {
        let world = world(database, 500).await;
        world.orchestrator.fault("agents", Fault::Refuse(503));
        let account = world.guest().await;
        let big = async || ask(&world, &account, None, Some("skein"), Some("anthropic/big")).await;
        for _ in 0..2 {
            let refused = big().await;
            assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
        }
        assert_eq!(world.database.number("SELECT COUNT(*) FROM turns").await, 0);
        ask(&world, &account, None, Some("demo"), Some("demo")).await.expect("it needs no catalog");

        world.orchestrator.heal();
        until("the catalog is known", async || big().await.is_ok()).await;
        let refused = ask(&world, &account, None, Some("nobody"), None).await;
        assert!(matches!(refused, Err(Error::Invalid { field: "agent", .. })), "{refused:?}");
    }
);
