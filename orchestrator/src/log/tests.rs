//! The log alone, on a real database.

mod clock;
mod disk;
mod model;

use std::{path::Path, sync::Arc};

use sandbox_sdk::types::{Event, TurnState};
use serde_json::json;

use super::*;
use crate::store::{EndedTurn, NewTurn, SandboxRow, StoredEvent, token_usage};

/// A log in a folder, with a sandbox that sessions can live in.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) logs: EventLog,
    writer: JoinHandle<()>,
}

/// The sandbox of every session here.
pub(crate) fn the_box() -> SandboxRow {
    SandboxRow {
        id: "box".to_owned(),
        idempotency_key: None,
        status: "stopped".to_owned(),
        error: None,
        created_at: 1,
        started_at: None,
        first_started_at: None,
        expired_at: None,
        last_activity_at: 1,
        ephemeral: false,
    }
}

impl Bench {
    pub(crate) async fn open(folder: &Path) -> Self {
        let store = Store::open(&folder.join("o.db")).await.unwrap();
        store.insert_sandbox(&the_box(), "{}", None).await.unwrap();
        Self::on(store).await
    }

    /// On a store that knows the sandbox.
    pub(crate) async fn on(store: Store) -> Self {
        Self::keeping(store, Retention::default()).await
    }

    /// The same, where not all of a log is kept.
    pub(crate) async fn keeping(store: Store, retention: Retention) -> Self {
        let (logs, writer) = EventLog::open(store.clone(), retention).await.unwrap();
        Self { store, logs, writer }
    }

    pub(crate) async fn session(&self, id: &str, user: &str) -> Arc<SessionLog> {
        let mapped = self.store.map_session(id, "box", user, None).await.unwrap().unwrap();
        self.logs.known_session(&mapped.session).await.unwrap()
    }

    pub(crate) async fn append(&self, log: &Arc<SessionLog>, events: Vec<Event>) -> (u64, u64) {
        let count = events.len() as u64;
        match self.logs.append(log, events, None).await.unwrap() {
            Appended::Written { first } => (first, first + count - 1),
            other => panic!("{other:?}"),
        }
    }

    /// Keeps the newest events of each log and no others, as if all had happened long ago.
    pub(crate) async fn keep(&self, events: u64) {
        let retention = Retention { events: Some(events), hours: None };
        self.logs.cut_old(retention, i64::MAX).await.unwrap();
    }

    pub(crate) async fn close(self, clean: bool) {
        let Self { store, logs, writer } = self;
        drop(logs);
        writer.await.unwrap();
        if clean {
            store.close_epoch().await.unwrap();
        }
        store.close().await;
    }
}

pub(crate) fn event(number: usize, size: usize) -> Event {
    Event {
        kind: "status".to_owned(),
        data: json!({"number": number, "pad": "x".repeat(size)}).as_object().unwrap().clone(),
    }
}

fn number(event: &StoredEvent) -> u64 {
    event.decode().unwrap().data["number"].as_u64().unwrap()
}

/// The next events, of a log from which nothing is cut.
pub(crate) async fn next_events(
    cursor: &mut Cursor,
    max_bytes: usize,
    until: Option<u64>,
) -> Vec<Arc<StoredEvent>> {
    match cursor.page(max_bytes, until).await.unwrap() {
        Page::Events(events) => events,
        cut @ Page::Cut { .. } => panic!("{cut:?}"),
    }
}

async fn read_all(cursor: &mut Cursor, page: usize) -> Vec<(u64, u64)> {
    let mut read = Vec::new();
    loop {
        let events = next_events(cursor, page, None).await;
        if events.is_empty() {
            return read;
        }
        read.extend(events.iter().map(|event| (event.seq, number(event))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_given_once_and_without_gaps_however_many_append_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Arc::new(Bench::open(dir.path()).await);
    let mut tasks = Vec::new();
    for session in 0..4 {
        let log = bench.session(&format!("s{session}"), "u").await;
        for task in 0..4_usize {
            let (bench, log) = (bench.clone(), log.clone());
            tasks.push(tokio::spawn(async move {
                let mut given = Vec::new();
                for step in 0..25 {
                    let events = (0..=step % 3).map(|_| event(task, 10)).collect();
                    let (first, last) = bench.append(&log, events).await;
                    // Once it is acknowledged a reader finds it.
                    let mut cursor = bench.logs.cursor(log.clone(), first - 1);
                    assert_eq!(next_events(&mut cursor, 1, None).await[0].seq, first);
                    given.extend(first..=last);
                }
                (log.id().to_owned(), given)
            }));
        }
    }
    let mut by_session: HashMap<String, Vec<u64>> = HashMap::new();
    for task in tasks {
        let (session, given) = task.await.unwrap();
        by_session.entry(session).or_default().extend(given);
    }
    for (session, mut given) in by_session {
        given.sort_unstable();
        assert_eq!(given, (1..=given.len() as u64).collect::<Vec<_>>(), "{session}");
    }
}

#[tokio::test]
async fn a_reader_sees_the_whole_log_in_order_from_memory_and_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    let mut early = bench.logs.cursor(log.clone(), 0);
    let mut seen = Vec::new();
    // Much more than what stays in memory.
    for chunk in 0..60 {
        let events = (0..10).map(|step| event(chunk * 10 + step + 1, 2_000)).collect();
        bench.append(&log, events).await;
        if chunk == 30 {
            seen = read_all(&mut early, 5_000).await;
        }
    }
    let (memory, store) = bench.logs.pages_read();
    assert!(store > 0, "the first part was read from disk");
    seen.extend(read_all(&mut early, 5_000).await);
    let expected: Vec<_> = (1..=600).map(|seq| (seq, seq)).collect();
    assert_eq!(seen, expected);
    let mut late = bench.logs.cursor(log.clone(), 590);
    assert_eq!(read_all(&mut late, 1).await, expected[590..]);
    assert!(bench.logs.pages_read().0 > memory, "the end was read from memory");
    let mut part = bench.logs.cursor(log.clone(), 10);
    let page = next_events(&mut part, usize::MAX, Some(12)).await;
    assert_eq!(page.iter().map(|event| event.seq).collect::<Vec<_>>(), [11, 12]);
    assert!(next_events(&mut part, usize::MAX, Some(12)).await.is_empty());
}

#[tokio::test]
async fn a_restart_continues_the_numbers_in_the_same_epoch() {
    let dir = tempfile::tempdir().unwrap();
    for clean in [true, false] {
        let bench = Bench::open(dir.path()).await;
        let log = bench.session("s", "u").await;
        let before = log.head().seq;
        let (epoch, (first, last)) =
            (bench.logs.epoch().to_owned(), bench.append(&log, vec![event(1, 1); 3]).await);
        assert_eq!((first, last), (before + 1, before + 3));
        drop(log);
        bench.close(clean).await;

        let bench = Bench::open(dir.path()).await;
        assert_eq!(bench.logs.epoch(), epoch);
        let log = bench.session("s", "u").await;
        assert_eq!(bench.append(&log, vec![event(2, 1)]).await, (last + 1, last + 1));
        drop(log);
        bench.close(true).await;
    }
}

#[tokio::test]
async fn a_turn_begins_once_one_at_a_time_and_ends_once() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    let change =
        async |change| bench.logs.append(&log, vec![event(0, 1)], Some(change)).await.unwrap();
    let begin = |id: &str| {
        TurnChange::Begin(NewTurn {
            id: id.to_owned(),
            model: "demo".to_owned(),
            prompt: "hello".to_owned(),
            input_tokens: 3,
            usage: None,
        })
    };
    let end = |id: &str| {
        TurnChange::End(EndedTurn {
            id: id.to_owned(),
            state: TurnState::Completed,
            final_text: "yes".to_owned(),
            parts: Vec::new(),
            used: token_usage(3, 4).into(),
            error: None,
            webhook: None,
        })
    };
    assert!(matches!(change(begin("a")).await, Appended::Written { first: 1 }));
    assert!(matches!(change(begin("a")).await, Appended::InTheWay(row) if row.id == "a"));
    assert!(matches!(change(begin("b")).await, Appended::InTheWay(row) if row.id == "a"));
    assert!(matches!(change(end("a")).await, Appended::Written { first: 2 }));
    assert!(matches!(change(end("a")).await, Appended::AlreadyEnded));
    assert!(matches!(change(begin("b")).await, Appended::Written { first: 3 }));
    assert_eq!(log.head().seq, 3, "what was refused left nothing in the log");
    let record = bench.store.turn(log.key().unwrap(), "a").await.unwrap().unwrap();
    let record = record.record("s").unwrap();
    assert_eq!((record.state, record.first_seq, record.last_seq), (TurnState::Completed, 1, 2));
    assert_eq!((record.token_usage.input_tokens, record.token_usage.output_tokens), (3, 4));
}

#[tokio::test]
async fn nothing_is_appended_to_a_deleted_session_and_its_numbers_are_not_reused() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    bench.append(&log, vec![event(1, 1)]).await;
    let mut reader = log.watch();
    bench.logs.forget("s");
    assert!(reader.wait_for(|head| head.life == Life::Deleted).await.is_ok());
    let refused = bench.logs.append(&log, vec![event(2, 1)], None).await;
    assert!(matches!(refused, Err(LogError::SessionGone)));
    bench.store.delete_sandbox("box").await.unwrap();
    assert!(bench.store.session("s").await.unwrap().is_none());
}

#[tokio::test]
async fn who_had_not_read_the_last_events_of_a_deleted_session_still_can() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    let mut cursor = bench.logs.cursor(log.clone(), 0);
    bench.append(&log, vec![event(1, 1), event(2, 1)]).await;
    bench.logs.forget("s");
    bench.store.delete_sandbox("box").await.unwrap();
    assert_eq!(read_all(&mut cursor, 1000).await, [(1, 1), (2, 2)]);
    // Of a longer one the end is in memory; what came before is nowhere.
    assert!(bench.store.insert_sandbox(&the_box(), "{}", None).await.unwrap());
    let log = bench.session("long", "u").await;
    bench.append(&log, (1..=200).map(|number| event(number, 4_000)).collect()).await;
    let (mut early, mut late) =
        (bench.logs.cursor(log.clone(), 0), bench.logs.cursor(log.clone(), 199));
    bench.logs.forget("long");
    bench.store.delete_sandbox("box").await.unwrap();
    assert!(next_events(&mut early, 1000, None).await.is_empty());
    assert_eq!(early.at(), 200, "nobody waits for what is nowhere");
    assert_eq!(read_all(&mut late, 1000).await, [(200, 200)]);
}

#[tokio::test]
async fn what_was_not_committed_is_not_seen_and_its_numbers_are_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let log = bench.session("s", "u").await;
    bench.append(&log, vec![event(1, 1)]).await;
    let mut writer = bench.store.begin().await.unwrap();
    sqlx::query("ALTER TABLE events RENAME TO away").execute(&mut *writer).await.unwrap();
    writer.commit().await.unwrap();
    let refused = bench.logs.append(&log, vec![event(2, 1)], None).await;
    assert!(matches!(refused, Err(LogError::Store(_))));
    assert_eq!(log.head().seq, 1);
    let mut writer = bench.store.begin().await.unwrap();
    sqlx::query("ALTER TABLE away RENAME TO events").execute(&mut *writer).await.unwrap();
    writer.commit().await.unwrap();
    assert_eq!(bench.append(&log, vec![event(3, 1)]).await, (2, 2));
    let mut cursor = bench.logs.cursor(log, 0);
    assert_eq!(read_all(&mut cursor, 1000).await, [(1, 1), (2, 3)]);
}

#[tokio::test]
async fn whose_a_session_is_is_not_unsaid_by_a_row_that_was_read_before() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let early = bench.store.open_session("s", "box").await.unwrap();
    assert_eq!(early.user_id, None);
    let log = bench.session("s", "alice").await;
    bench.logs.known_session(&early).await.unwrap();
    let life = log.head().life;
    assert_eq!(life, Life::Known { key: early.key, user: Some("alice".into()) });
}

#[tokio::test]
async fn a_session_that_is_made_again_has_a_log_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path()).await;
    let first = bench.session("s", "alice").await;
    bench.append(&first, vec![event(1, 1); 3]).await;
    let old = bench.store.session("s").await.unwrap().unwrap();
    // Deleted without a word to those who have the log in use.
    assert_eq!(bench.store.delete_sandbox("box").await.unwrap(), ["s"]);
    assert!(bench.store.insert_sandbox(&the_box(), "{}", None).await.unwrap());
    let second = bench.session("s", "bob").await;
    assert_eq!((first.head().life, second.head().seq), (Life::Deleted, 0));
    assert_eq!(bench.append(&second, vec![event(9, 1)]).await, (1, 1));
    let mut cursor = bench.logs.cursor(second.clone(), 0);
    assert_eq!(read_all(&mut cursor, 1000).await, [(1, 9)]);
    // A row of the old one, read long ago, changes nothing.
    let same = bench.logs.known_session(&old).await.unwrap();
    assert!(Arc::ptr_eq(&same, &second));
    assert!(matches!(second.head().life, Life::Known { user: Some(user), .. } if *user == *"bob"));
}
