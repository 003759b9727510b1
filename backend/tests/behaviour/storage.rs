use std::{os::unix::fs::PermissionsExt, time::Duration};

use backend::{Backend, Error};
use sqlx::{ConnectOptions, Connection};

use crate::support::{World, database::TestDatabase, on_both_databases, orchestrator::PATIENCE};

on_both_databases!(a_database_is_opened_again_with_what_is_in_it, async |world: World| {
    let account = world.guest().await;
    let chat = world.warm_chat(&account).await;
    let again = world.restarted().await;
    assert_eq!(again.open_chat(&account, &chat).await.unwrap().messages.len(), 2);
    again.ready().await.unwrap();
});

on_both_databases!(
    several_servers_can_start_at_once_on_an_empty_database,
    async |database: TestDatabase| {
        let world = World::with(database, |_| {}).await;
        let starts = (0..4).map(|_| Backend::connect(world.config.clone()));
        for started in futures::future::join_all(starts).await {
            started.unwrap().ready().await.unwrap();
        }
    }
);

on_both_databases!(the_ledger_can_not_be_changed_or_emptied, async |world: World| {
    let account = world.guest().await;
    world.warm_chat(&account).await;
    for change in ["UPDATE ledger SET amount = 1", "DELETE FROM ledger"] {
        let refused = world.database.execute(change).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
    assert_eq!(world.database.number("SELECT COUNT(*) FROM ledger").await, 2);
});

on_both_databases!(the_database_refuses_what_must_never_be, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    for wrong in [
        "UPDATE accounts SET held = posted + 1",
        "UPDATE accounts SET held = -1",
        "UPDATE turns SET state = 'done'",
        "UPDATE turns SET state = 'completed'",
        "INSERT INTO holds SELECT * FROM holds",
        "INSERT INTO messages SELECT * FROM messages",
        "INSERT INTO ledger SELECT 'x', account_id, kind, amount, reference, turn_id, 0 FROM ledger",
        "INSERT INTO chats VALUES ('c', 'nobody', '', 0, 0, 0, NULL)",
        "DELETE FROM accounts",
    ] {
        assert!(world.database.execute(wrong).await.is_err(), "{wrong}");
    }
    world.answer(&started.turn_id);
    world.complete(&account, &started.turn_id).await;
    world.assert_books_balance().await;
});

on_both_databases!(an_audit_finds_what_does_not_add_up, async |world: World| {
    let account = world.guest().await;
    world.warm_chat(&account).await;
    let cases = [
        (
            "UPDATE accounts SET posted = posted + 1",
            "UPDATE accounts SET posted = posted - 1",
            "sum of the ledger",
        ),
        ("UPDATE accounts SET held = 5", "UPDATE accounts SET held = 0", "sum of the open holds"),
        (
            "UPDATE usage SET charged = charged - 1",
            "UPDATE usage SET charged = charged + 1",
            "what the usage says",
        ),
        ("UPDATE holds SET amount = 1", "UPDATE holds SET amount = 12000000", "more was charged"),
        ("UPDATE holds SET state = 'voided'", "UPDATE holds SET state = 'settled'", "was charged"),
        (
            "UPDATE messages SET role = 'user', turn_id = turn_id WHERE role = 'none'",
            "SELECT 1",
            "",
        ),
    ];
    for (harm, repair, problem) in cases {
        world.database.execute(harm).await.unwrap();
        let found = world.backend.audit().await.unwrap().problems;
        assert_eq!(found.is_empty(), problem.is_empty(), "{harm}: {found:?}");
        assert!(
            found.iter().all(|found| !found.is_empty()) && found.join("\n").contains(problem),
            "{harm}: {found:?}"
        );
        world.database.execute(repair).await.unwrap();
        world.assert_books_balance().await;
    }
});

#[tokio::test]
async fn an_address_of_no_database_is_refused() {
    let world = World::on(TestDatabase::sqlite()).await;
    let mut config = world.config.clone();
    config.database_url = "mysql://root:secret@localhost/x".to_owned();
    let refused = Backend::connect(config).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { field: "database_url", .. }));
    assert!(!format!("{refused:?}").contains("secret"));
}

#[tokio::test]
async fn a_signing_secret_that_is_too_short_is_refused_at_the_start() {
    let world = World::on(TestDatabase::sqlite()).await;
    let mut config = world.config.clone();
    config.signing_secret = "short".into();
    assert!(Backend::connect(config).await.is_err());
}

on_both_databases!(a_database_that_is_away_is_worth_another_try, async |world: World| {
    let account = world.guest().await;
    world.backend.shutdown(Duration::from_secs(30)).await;
    assert!(matches!(world.backend.balance(&account).await, Err(Error::Unavailable { .. })));
    let token = world.backend.new_session().unwrap();
    let refused = world.backend.create_guest(&token).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })));
});

#[tokio::test]
async fn a_writer_that_does_not_let_go_is_worth_another_try() {
    let world = World::on(TestDatabase::sqlite()).await;
    let file = world.database.url.strip_prefix("sqlite:").unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut other = options.connect().await.unwrap();
    sqlx::Executor::execute(&mut other, "BEGIN IMMEDIATE").await.unwrap();
    let token = world.backend.new_session().unwrap();
    let refused = world.backend.create_guest(&token).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    sqlx::Executor::execute(&mut other, "ROLLBACK").await.unwrap();
    world.backend.create_guest(&token).await.unwrap();
}

#[tokio::test]
async fn the_file_is_its_owners_alone_in_any_folder() {
    let world = World::on(TestDatabase::sqlite()).await;
    world.guest().await;
    let file = world.database.url.strip_prefix("sqlite:").unwrap();
    for name in [file.to_owned(), format!("{file}-wal"), format!("{file}-shm")] {
        let mode = std::fs::metadata(&name).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

on_both_databases!(
    servers_of_one_database_have_one_tag_and_others_another,
    async |database: TestDatabase| {
        let world = World::with(database, |_| {}).await;
        let tag = world.backend.installation();
        assert_eq!(tag.len(), 6);
        assert!(tag.bytes().all(|byte| byte.is_ascii_hexdigit()), "{tag}");
        assert_eq!(world.restarted().await.installation(), tag);
        let other = World::on(TestDatabase::sqlite()).await;
        assert_ne!(other.backend.installation(), tag);
    }
);

#[tokio::test]
async fn a_start_does_not_wait_for_whoever_has_the_ledger_in_hand() {
    let Some(database) = TestDatabase::postgres().await else {
        return println!("skipped: SKEIN_TEST_POSTGRES_URL is not set");
    };
    let world = World::on(database).await;
    let mut other = sqlx::PgConnection::connect(&world.database.url).await.unwrap();
    for sql in ["BEGIN", "LOCK TABLE ledger IN ROW EXCLUSIVE MODE"] {
        sqlx::Executor::execute(&mut other, sql).await.unwrap();
    }
    let start = tokio::time::timeout(PATIENCE, world.restarted()).await;
    start.expect("it starts").ready().await.unwrap();
}
