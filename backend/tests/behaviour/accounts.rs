use std::time::Duration;

use backend::Credits;

use crate::support::{World, database::TestDatabase, on_both_databases};

on_both_databases!(
    a_guest_has_the_free_credits_and_a_session_that_opens_the_account,
    async |world: World| {
        let (account, token) = world.visitor().await;
        assert!(account.is_guest());
        assert_eq!(world.balance(&account).await, (500_000_000, 0));
        assert_eq!(world.backend.guest_grant(), Credits::from_whole(500));

        let known = world.backend.authenticate(token.expose()).await.unwrap().unwrap();
        assert_eq!(known.id(), account.id());
        world.assert_books_balance().await;
    }
);

on_both_databases!(nothing_but_the_token_opens_an_account, async |world: World| {
    let (_, token) = world.visitor().await;
    let other = token.expose().chars().rev().collect::<String>();
    for wrong in ["", "x", &other, &token.expose()[1..], &"A".repeat(100_000)] {
        assert!(world.backend.authenticate(wrong).await.unwrap().is_none());
    }
});

on_both_databases!(the_secret_of_a_session_is_not_stored, async |world: World| {
    let (_, token) = world.visitor().await;
    let stored =
        format!("SELECT COUNT(*) FROM logins WHERE token_hash LIKE '%{}%'", token.expose());
    assert_eq!(world.database.number(&stored).await, 0);
    assert_eq!(
        world.database.number("SELECT COUNT(*) FROM logins WHERE LENGTH(token_hash) = 64").await,
        1
    );
    assert!(!format!("{token:?}").contains(token.expose()));
});

on_both_databases!(one_secret_is_one_guest, async |world: World| {
    let token = world.backend.new_session().unwrap();
    let made = (0..8).map(|_| {
        let (backend, token) = (world.backend.clone(), token.clone());
        tokio::spawn(async move { backend.create_guest(&token).await.unwrap().id().clone() })
    });
    let made: Vec<_> = futures::future::join_all(made).await;
    let first = made[0].as_ref().unwrap();
    assert!(made.iter().all(|id| id.as_ref().unwrap() == first));
    assert_eq!(world.database.number("SELECT COUNT(*) FROM accounts").await, 1);
    world.assert_books_balance().await;
});

on_both_databases!(the_secret_of_an_ended_session_begins_a_new_guest, async |world: World| {
    let (before, token) = world.visitor().await;
    world.database.execute("UPDATE logins SET idle_until = 1").await.unwrap();
    let token = world.backend.given_session(token.expose()).unwrap();
    let after = world.backend.create_guest(&token).await.unwrap();
    assert_ne!(before.id(), after.id());
    let known = world.backend.authenticate(token.expose()).await.unwrap().unwrap();
    assert_eq!(known.id(), after.id());
});

#[tokio::test]
async fn what_no_server_of_ours_gave_out_is_no_secret() {
    let world = World::on(TestDatabase::sqlite()).await;
    let given = world.backend.new_session().unwrap();
    assert!(world.backend.given_session(given.expose()).is_some());
    for wrong in ["", "x", &"A".repeat(44), &"!".repeat(43), &given.expose()[1..]] {
        assert!(world.backend.given_session(wrong).is_none(), "{wrong}");
    }
}

#[tokio::test]
async fn who_is_known_goes_on_when_the_use_can_not_be_noted() {
    let world = World::on(TestDatabase::sqlite()).await;
    let (account, token) = world.visitor().await;
    for sql in [
        "UPDATE logins SET seen_at = 0",
        "CREATE TRIGGER full BEFORE UPDATE ON logins BEGIN SELECT RAISE(ABORT, 'no space'); END",
    ] {
        world.database.execute(sql).await.unwrap();
    }
    let known = world.backend.authenticate(token.expose()).await.unwrap().unwrap();
    assert_eq!(known.id(), account.id());
}

on_both_databases!(no_use_moves_the_end_beyond_the_absolute_one, async |world: World| {
    let (_, token) = world.visitor().await;
    let late = "UPDATE logins SET seen_at = 0, expires_at = idle_until - 1000000";
    world.database.execute(late).await.unwrap();
    world.backend.authenticate(token.expose()).await.unwrap().unwrap();
    let beyond = "SELECT COUNT(*) FROM logins WHERE idle_until > expires_at";
    assert_eq!(world.database.number(beyond).await, 0);
});

on_both_databases!(
    a_session_ends_when_it_was_not_used_or_is_too_old,
    async |database: TestDatabase| {
        let world = World::with(database, |_| {}).await;
        let (_, token) = world.visitor().await;
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
    let (_, token) = world.visitor().await;
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
    world.guest().await;
    world.backend.spawn_jobs();
    crate::support::world::until("the session is removed", async || {
        world.database.number("SELECT COUNT(*) FROM logins").await == 0
    })
    .await;
});
