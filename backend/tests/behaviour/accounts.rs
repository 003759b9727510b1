use std::time::Duration;

use backend::Credits;

use crate::support::{World, database::TestDatabase, on_both_databases};

on_both_databases!(
    a_guest_has_the_free_credits_and_a_session_that_opens_the_account,
    async |world: World| {
        let (account, token) = world.backend.create_guest().await.unwrap();
        assert!(account.is_guest());
        assert_eq!(world.balance(&account).await, (500_000_000, 0));
        assert_eq!(world.backend.guest_grant(), Credits::from_whole(500));

        let known = world.backend.authenticate(token.expose()).await.unwrap().unwrap();
        assert_eq!(known.id(), account.id());
        world.assert_books_balance().await;
    }
);

on_both_databases!(nothing_but_the_token_opens_an_account, async |world: World| {
    let (_, token) = world.backend.create_guest().await.unwrap();
    let other = token.expose().chars().rev().collect::<String>();
    for wrong in ["", "x", &other, &token.expose()[1..], &"A".repeat(100_000)] {
        assert!(world.backend.authenticate(wrong).await.unwrap().is_none());
    }
});

on_both_databases!(the_secret_of_a_session_is_not_stored, async |world: World| {
    let (_, token) = world.backend.create_guest().await.unwrap();
    let stored =
        format!("SELECT COUNT(*) FROM logins WHERE token_hash LIKE '%{}%'", token.expose());
    assert_eq!(world.database.number(&stored).await, 0);
    assert_eq!(
        world.database.number("SELECT COUNT(*) FROM logins WHERE LENGTH(token_hash) = 64").await,
        1
    );
    assert!(!format!("{token:?}").contains(token.expose()));
});

on_both_databases!(a_session_ends_by_signing_out, async |world: World| {
    let (_, token) = world.backend.create_guest().await.unwrap();
    world.backend.sign_out(token.expose()).await.unwrap();
    assert!(world.backend.authenticate(token.expose()).await.unwrap().is_none());
});

on_both_databases!(
    a_session_ends_when_it_was_not_used_or_is_too_old,
    async |database: TestDatabase| {
        let world = World::with(database, |_| {}).await;
        let (_, token) = world.backend.create_guest().await.unwrap();
        for column in ["idle_until", "expires_at"] {
            assert!(world.backend.authenticate(token.expose()).await.unwrap().is_some());
            world
                .database
                .execute(&format!("UPDATE logins SET {column} = {column} - 99999999999"))
                .await
                .unwrap();
            assert!(world.backend.authenticate(token.expose()).await.unwrap().is_none());
            world
                .database
                .execute(&format!("UPDATE logins SET {column} = {column} + 99999999999"))
                .await
                .unwrap();
        }
    }
);

on_both_databases!(use_moves_the_idle_limit_on_but_not_the_absolute_one, async |world: World| {
    let (_, token) = world.backend.create_guest().await.unwrap();
    world
        .database
        .execute("UPDATE logins SET seen_at = 0, idle_until = idle_until - 1000000")
        .await
        .unwrap();
    let idle = world.database.number("SELECT idle_until FROM logins").await;
    let absolute = world.database.number("SELECT expires_at FROM logins").await;
    world.backend.authenticate(token.expose()).await.unwrap().unwrap();
    assert!(world.database.number("SELECT idle_until FROM logins").await > idle);
    assert_eq!(world.database.number("SELECT expires_at FROM logins").await, absolute);
});

on_both_databases!(ended_sessions_are_removed_in_the_background, async |database: TestDatabase| {
    let world = World::with(database, |config| config.timing.session_idle = Duration::ZERO).await;
    world.backend.create_guest().await.unwrap();
    world.backend.spawn_jobs();
    crate::support::world::until("the session is removed", async || {
        world.database.number("SELECT COUNT(*) FROM logins").await == 0
    })
    .await;
});
