use std::sync::Arc;

use proptest::prelude::*;
use sandbox_sdk::types::TurnState;

use super::*;
use crate::{
    clock::{TestClock, now_ms},
    log::{
        Appended, Page, SessionLog, TurnChange,
        tests::{Bench, event, next_events, the_box},
    },
    store::{Bounds, EndedTurn, NewTurn, Store, token_usage},
};

const MINUTE_MS: i64 = 60 * 1000;

async fn say(bench: &Bench, log: &Arc<SessionLog>, count: usize) {
    bench.append(log, (1..=count).map(|number| event(number, 10)).collect()).await;
}

/// Appends one event with the change; gives its number.
async fn change(bench: &Bench, log: &Arc<SessionLog>, change: TurnChange) -> u64 {
    match bench.logs.append(log, vec![event(0, 10)], Some(change)).await.unwrap() {
        Appended::Written { first } => first,
        other => panic!("{other:?}"),
    }
}

fn begin(id: &str) -> TurnChange {
    TurnChange::Begin(NewTurn {
        id: id.to_owned(),
        model: "demo".to_owned(),
        prompt: "hello".to_owned(),
        input_tokens: 1,
        usage: None,
    })
}

fn end(id: &str) -> TurnChange {
    TurnChange::End(EndedTurn {
        id: id.to_owned(),
        state: TurnState::Completed,
        final_text: "yes".to_owned(),
        parts: Vec::new(),
        used: token_usage(1, 1).into(),
        error: None,
        webhook: None,
    })
}

async fn bounds(bench: &Bench, log: &SessionLog) -> Bounds {
    let bounds = bench.store.bounds(log.key().unwrap()).await.unwrap();
    let head = log.head();
    assert_eq!((head.cut, head.seq), (bounds.cut, bounds.last), "what readers are told");
    bounds
}

/// Numbers of the rows that stand.
async fn rows(store: &Store, log: &SessionLog) -> Vec<u64> {
    let rows = store.events(log.key().unwrap(), 0, u64::MAX, usize::MAX).await.unwrap();
    rows.iter().map(|event| event.seq).collect()
}

#[tokio::test]
async fn numbers_go_on_when_all_events_were_cut_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    // More than are removed at once.
    say(&bench, &log, 1200).await;
    bench.keep(4).await;
    assert_eq!(bounds(&bench, &log).await, Bounds { cut: 1196, last: 1200 });
    assert_eq!(rows(&bench.store, &log).await, [1197, 1198, 1199, 1200]);
    bench.keep(0).await;
    assert_eq!(bounds(&bench, &log).await, Bounds { cut: 1200, last: 1200 });
    assert!(rows(&bench.store, &log).await.is_empty());
    let epoch = bench.logs.epoch().to_owned();
    drop(log);
    bench.close(false).await;

    let bench = Bench::open(dir.path()).await;
    assert_eq!(bench.logs.epoch(), epoch);
    let log = bench.session("s", "u").await;
    assert_eq!(bounds(&bench, &log).await, Bounds { cut: 1200, last: 1200 });
    assert_eq!(bench.append(&log, vec![event(1, 1); 2]).await, (1201, 1202));
    let mut cursor = bench.logs.cursor(log.clone(), 7);
    let told = cursor.page(1000, None).await.unwrap();
    assert_eq!(told, Page::Cut { after: 7, oldest: 1201 });
    let page = next_events(&mut cursor, usize::MAX, None).await;
    assert_eq!(page.iter().map(|event| event.seq).collect::<Vec<_>>(), [1201, 1202]);
}

#[tokio::test]
async fn who_is_behind_a_cut_is_told_once_and_who_is_not_hears_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    say(&bench, &log, 10).await;
    let cursor = |after| bench.logs.cursor(log.clone(), after);
    let (mut behind, mut just, mut ahead) = (cursor(3), cursor(6), cursor(8));
    bench.keep(4).await;
    assert_eq!(behind.page(1, None).await.unwrap(), Page::Cut { after: 3, oldest: 7 });
    assert_eq!(next_events(&mut behind, 1, None).await[0].seq, 7);
    assert_eq!(next_events(&mut just, 1, None).await[0].seq, 7);
    assert_eq!(next_events(&mut ahead, 1, None).await[0].seq, 9);
    // Also one that wants nothing of what is left.
    let mut early = cursor(1);
    let told = early.page(1, Some(3)).await.unwrap();
    assert_eq!(told, Page::Cut { after: 1, oldest: 7 });
    assert!(next_events(&mut early, 1, Some(3)).await.is_empty());
}

#[tokio::test]
async fn a_turn_goes_as_a_whole_and_not_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    say(&bench, &log, 3).await;
    assert_eq!(change(&bench, &log, begin("a")).await, 4);
    say(&bench, &log, 4).await;
    bench.keep(1).await;
    assert_eq!(bounds(&bench, &log).await.cut, 3, "it runs");
    assert_eq!(change(&bench, &log, end("a")).await, 9);
    bench.keep(2).await;
    assert_eq!(bounds(&bench, &log).await.cut, 3, "a part of it is to be kept");
    say(&bench, &log, 2).await;
    bench.keep(2).await;
    assert_eq!(bounds(&bench, &log).await.cut, 9);
    let record = bench.store.turn(log.key().unwrap(), "a").await.unwrap().unwrap();
    assert_eq!((record.since(), record.last_seq()), (3, Some(9)), "the record stays");
}

#[tokio::test]
async fn what_is_young_stays_and_what_is_old_goes() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    let before = now_ms();
    say(&bench, &log, 5).await;
    let after = now_ms();
    let few = Retention { events: Some(1), hours: None };
    bench.logs.cut_old(few, before + ALWAYS_KEPT_MS).await.unwrap();
    assert_eq!(bounds(&bench, &log).await.cut, 0);
    bench.logs.cut_old(few, after + ALWAYS_KEPT_MS + 1).await.unwrap();
    assert_eq!(bounds(&bench, &log).await.cut, 4);
    let hours = Retention { events: None, hours: Some(2) };
    bench.logs.cut_old(hours, before + 2 * HOUR_MS).await.unwrap();
    assert_eq!(bounds(&bench, &log).await.cut, 4);
    bench.logs.cut_old(hours, after + 2 * HOUR_MS + 1).await.unwrap();
    assert_eq!(bounds(&bench, &log).await.cut, 5);
}

const FEW: Retention = Retention { events: Some(1), hours: None };

/// A log of which one event is kept, in a folder.
async fn short_bench(folder: &std::path::Path) -> Bench {
    let store = Store::open(&folder.join("o.db")).await.unwrap();
    store.insert_sandbox(&the_box(), "{}", None).await.unwrap();
    Bench::keeping(store, FEW).await
}

#[tokio::test]
async fn a_clock_that_is_set_cuts_no_turn_that_is_young() {
    // It was an hour slow while the turn ran, or is an hour fast after it.
    for (meanwhile, then) in [(-HOUR_MS, 0), (0, HOUR_MS)] {
        let clock = TestClock;
        let dir = tempfile::tempdir().unwrap();
        let bench = short_bench(dir.path()).await;
        let log = bench.session("s", "u").await;
        clock.set_by(meanwhile);
        assert_eq!(change(&bench, &log, begin("a")).await, 1);
        assert_eq!(change(&bench, &log, end("a")).await, 2);
        assert_eq!(change(&bench, &log, begin("b")).await, 3);
        say(&bench, &log, 2).await;
        clock.set_by(then);
        bench.logs.look().await.unwrap();
        assert_eq!(bounds(&bench, &log).await, Bounds { cut: 0, last: 5 });
        // By the clock it is long over, but the turn that runs stays even so.
        bench.logs.cut_old(FEW, now_ms()).await.unwrap();
        assert_eq!(bounds(&bench, &log).await.cut, 2, "nothing was to be feared");
    }
}

#[tokio::test]
async fn what_is_old_goes_where_nobody_has_set_the_clock() {
    let clock = TestClock;
    let dir = tempfile::tempdir().unwrap();
    clock.set_by(-HOUR_MS);
    let bench = short_bench(dir.path()).await;
    let log = bench.session("s", "u").await;
    say(&bench, &log, 5).await;
    bench.logs.look().await.unwrap();
    assert_eq!(bounds(&bench, &log).await.cut, 0, "it is young");
    drop(log);
    bench.close(true).await;
    clock.set_by(0);
    let bench = short_bench(dir.path()).await;
    let log = bench.session("s", "u").await;
    bench.logs.look().await.unwrap();
    assert_eq!(bounds(&bench, &log).await.cut, 4);
}

#[test]
fn the_time_that_is_promised_is_the_least_of_all() {
    let least = |events, hours| Retention { events, hours }.least_ms();
    assert_eq!(least(None, None), None);
    assert_eq!(least(None, Some(3)), Some(3 * HOUR_MS));
    assert_eq!(least(None, Some(u64::MAX)), Some(i64::MAX));
    assert_eq!(least(Some(1), Some(3)), Some(ALWAYS_KEPT_MS));
}

#[tokio::test]
async fn what_a_killed_process_had_yet_to_remove_is_never_read_and_is_removed_later() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    say(&bench, &log, 5).await;
    bench.store.cut(log.key().unwrap(), 3).await.unwrap();
    drop(log);
    bench.close(false).await;

    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    assert_eq!(rows(&bench.store, &log).await, [1, 2, 3, 4, 5]);
    let mut cursor = bench.logs.cursor(log.clone(), 0);
    assert_eq!(cursor.page(1000, None).await.unwrap(), Page::Cut { after: 0, oldest: 4 });
    assert_eq!(next_events(&mut cursor, 1, None).await[0].seq, 4);
    // Nothing is to be cut any more, so that it ends.
    bench.logs.clone().watch_retention(Duration::MAX, CancellationToken::new()).await;
    assert_eq!(rows(&bench.store, &log).await, [4, 5]);
}

#[derive(Clone, Debug)]
enum Step {
    Say(usize),
    /// A turn begins, or the one that runs ends.
    Turn,
    /// So many events are kept, so many hours, and so many minutes have passed.
    Cut(Option<u64>, Option<u64>, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let few = || proptest::option::of(0_u64..12);
    prop_oneof![
        3 => (1_usize..4).prop_map(Step::Say),
        3 => Just(Step::Turn),
        2 => (few(), few(), 0_i64..40).prop_map(|(events, hours, minutes)| {
            Step::Cut(events, hours, minutes)
        }),
    ]
}

/// Dates every event and every end of a turn by its number: one a minute.
async fn date(store: &Store) {
    let mut transaction = store.begin().await.unwrap();
    for sql in [
        "UPDATE events SET at = seq * 60000",
        "UPDATE turns SET ended_at = last_seq * 60000 WHERE state <> 'running'",
    ] {
        sqlx::query(sql).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

async fn holds_after(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    // The first and the last number of each turn.
    let mut turns: Vec<(u64, Option<u64>)> = Vec::new();
    let (mut cut, mut now) = (0_u64, 0_i64);
    for step in steps {
        match step {
            Step::Say(count) => say(&bench, &log, count).await,
            Step::Turn => {
                let count = turns.len();
                match turns.last_mut() {
                    Some((_, last @ None)) => {
                        *last = Some(change(&bench, &log, end(&count.to_string())).await);
                    }
                    _ => {
                        let id = (count + 1).to_string();
                        turns.push((change(&bench, &log, begin(&id)).await, None));
                    }
                }
            }
            Step::Cut(events, hours, minutes) => {
                date(&bench.store).await;
                let last = log.head().seq;
                now = now.max((i64::try_from(last).unwrap() + minutes) * MINUTE_MS);
                bench.logs.cut_old(Retention { events, hours }, now).await.unwrap();
                let bounds = bounds(&bench, &log).await;
                assert_eq!(bounds.last, last);
                assert!(bounds.cut >= cut, "what is cut stays cut");
                assert!(bounds.cut == cut || events.is_some() || hours.is_some());
                cut = bounds.cut;
                let cut_at = i64::try_from(cut).unwrap() * MINUTE_MS;
                assert!(cut == 0 || cut_at < now - ALWAYS_KEPT_MS, "{cut} is young");
                for (first, end) in &turns {
                    let is_whole = *first > cut || end.is_some_and(|end| end <= cut);
                    assert!(is_whole, "{first} to {end:?}, cut at {cut}");
                }
            }
        }
        let left: Vec<u64> = (cut + 1..=log.head().seq).collect();
        assert_eq!(rows(&bench.store, &log).await, left, "no gap in what is left");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_left_has_no_gap_and_no_part_of_a_turn(
        steps in proptest::collection::vec(step(), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(holds_after(steps));
    }
}
