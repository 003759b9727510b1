//! What a browser says that a turn used: compared, and never charged.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use backend::ReportedUsage;
use tracing::instrument::WithSubscriber;

use crate::support::{World, on_both_databases, world::ANSWER_COST};

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
