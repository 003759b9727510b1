//! What the tests stand on: a database of their own, a scripted orchestrator, and a backend between.

pub(crate) mod database;
pub(crate) mod orchestrator;
pub(crate) mod world;

pub(crate) use orchestrator::{Fault, Orchestrator};
pub(crate) use world::World;

/// A test that is run on both databases. Without `SKEIN_TEST_POSTGRES_URL` the second run says that
/// it was skipped.
macro_rules! on_both_databases {
    ($name:ident, async |$arg:ident: $kind:ty| $body:block) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn test(database: crate::support::database::TestDatabase) {
                let $arg = <$kind>::on(database).await;
                $body
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                test(crate::support::database::TestDatabase::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                match crate::support::database::TestDatabase::postgres().await {
                    Some(database) => test(database).await,
                    None => println!("skipped: SKEIN_TEST_POSTGRES_URL is not set"),
                }
            }
        }
    };
}
pub(crate) use on_both_databases;
