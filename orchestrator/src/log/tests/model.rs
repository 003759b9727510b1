//! The log beside a list that anybody understands: appends, readers, cuts and restarts in any order.

use std::{
    cell::RefCell,
    collections::HashSet,
    mem::{Discriminant, discriminant},
    sync::Arc,
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{Bench, Cursor, Page, SessionLog, event, number};

const SESSIONS: usize = 2;
/// Events of a session have numbers of their own.
const SPAN: usize = 1_000_000;
/// Bytes of a small event, and of one of which few stay in memory.
const SIZES: [usize; 2] = [10, 100_000];

#[derive(Clone, Debug)]
enum Step {
    /// So many events at once, small or large, and readers meanwhile.
    Append { session: usize, count: usize, is_large: bool },
    /// Both sessions at once.
    AppendToAll,
    /// A reader that begins after this share of the log, in percent.
    Subscribe { session: usize, after: u64 },
    /// One of the readers, if there are any, reads a page of so many bytes.
    Read { reader: usize, bytes: usize },
    /// All logs keep so many events.
    Cut { keep: u64 },
    /// Closed in order or not, and opened again. Readers come back with their numbers.
    Restart { is_clean: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let session = || 0..SESSIONS;
    let step = prop_oneof![
        6 => (session(), 1_usize..5, any::<bool>()).prop_map(|(session, count, is_large)| {
            Step::Append { session, count, is_large }
        }),
        2 => Just(Step::AppendToAll),
        4 => (session(), 0_u64..120).prop_map(|(session, after)| {
            Step::Subscribe { session, after }
        }),
        8 => (0_usize..6, prop_oneof![Just(1_usize), Just(500), Just(usize::MAX)])
            .prop_map(|(reader, bytes)| Step::Read { reader, bytes }),
        1 => (0_u64..12).prop_map(|keep| Step::Cut { keep }),
        1 => any::<bool>().prop_map(|is_clean| Step::Restart { is_clean }),
    ];
    proptest::collection::vec(step, 10..50)
}

/// What happened in all cases together.
#[derive(Debug, Default)]
struct Counters {
    kinds: HashSet<Discriminant<Step>>,
    appended: usize,
    raced: usize,
    read: usize,
    cuts: usize,
    told: usize,
    restarts: usize,
    from_memory: u64,
    from_store: u64,
}

/// What a session's log must be.
#[derive(Debug, Default)]
struct Model {
    /// What stands under 1, 2, 3, …, gone or not.
    events: Vec<u64>,
    cut: u64,
}

struct Reader {
    session: usize,
    cursor: Cursor,
}

struct World {
    folder: tempfile::TempDir,
    /// `None` only while it is opened again.
    bench: Option<Bench>,
    epoch: String,
    logs: Vec<Arc<SessionLog>>,
    models: Vec<Model>,
    readers: Vec<Reader>,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bench = Bench::open(folder.path()).await;
        let epoch = bench.logs.epoch().to_owned();
        let models = (0..SESSIONS).map(|_| Model::default()).collect();
        let logs = Vec::new();
        let mut world =
            Self { folder, bench: Some(bench), epoch, logs, models, readers: Vec::new() };
        world.open_logs().await;
        world
    }

    fn bench(&self) -> &Bench {
        self.bench.as_ref().unwrap()
    }

    async fn open_logs(&mut self) {
        let mut logs = Vec::new();
        for (index, model) in self.models.iter().enumerate() {
            let log = self.bench().session(&format!("s{index}"), "u").await;
            let head = log.head();
            assert_eq!((head.seq, head.cut), (model.events.len() as u64, model.cut));
            logs.push(log);
        }
        self.logs = logs;
    }

    /// The next numbers of a session, as events.
    fn next(&self, session: usize, count: usize, size: usize) -> Vec<sandbox_sdk::types::Event> {
        let known = self.models[session].events.len();
        (known..known + count).map(|number| event(session * SPAN + number, size)).collect()
    }

    fn note(&mut self, session: usize, (first, last): (u64, u64)) {
        let model = &mut self.models[session];
        let known = model.events.len() as u64;
        assert_eq!(first, known + 1, "numbers go on without a gap");
        model.events.extend((known..last).map(|number| (session * SPAN) as u64 + number));
    }

    async fn take(&mut self, step: Step, counters: &mut Counters) {
        match step {
            Step::Append { session, count, is_large } => {
                self.append(session, count, SIZES[usize::from(is_large)], counters).await;
            }
            Step::AppendToAll => {
                let (first, second) = (self.next(0, 2, SIZES[0]), self.next(1, 3, SIZES[0]));
                let bench = self.bench();
                let given = tokio::join!(
                    bench.append(&self.logs[0], first),
                    bench.append(&self.logs[1], second),
                );
                self.note(0, given.0);
                self.note(1, given.1);
                counters.appended += 5;
            }
            Step::Subscribe { session, after } => {
                let after = self.models[session].events.len() as u64 * after / 100;
                let cursor = self.bench().logs.cursor(self.logs[session].clone(), after);
                let end = self.models[session].events.len() as u64;
                assert_eq!(cursor.at(), after.min(end), "nobody is ahead of the log");
                self.readers.push(Reader { session, cursor });
            }
            Step::Read { reader, bytes } => {
                let count = self.readers.len();
                if let Some(reader) = self.readers.get_mut(reader % count.max(1)) {
                    let after = reader.cursor.at();
                    let page = reader.cursor.page(bytes, None).await.unwrap();
                    check(&self.models[reader.session], reader, after, page, counters);
                }
            }
            Step::Cut { keep } => {
                self.bench().keep(keep).await;
                for model in &mut self.models {
                    model.cut = model.cut.max((model.events.len() as u64).saturating_sub(keep));
                }
                counters.cuts += 1;
            }
            Step::Restart { is_clean } => self.restart(is_clean, counters).await,
        }
    }

    /// Appends while a reader of the session reads: it sees all of it or nothing.
    async fn append(&mut self, session: usize, count: usize, size: usize, counters: &mut Counters) {
        let events = self.next(session, count, size);
        let (bench, log) = (self.bench.as_ref().unwrap(), &self.logs[session]);
        let reader = self.readers.iter_mut().find(|reader| reader.session == session);
        let Some(reader) = reader else {
            let given = bench.append(log, events).await;
            self.note(session, given);
            counters.appended += count;
            return;
        };
        let after = reader.cursor.at();
        let (given, page) =
            tokio::join!(bench.append(log, events), reader.cursor.page(usize::MAX, None));
        let page = page.unwrap();
        let known = self.models[session].events.len() as u64;
        let last = reader.cursor.at();
        assert!(last <= known || last == given.1, "a part of what belongs together: {last}");
        self.note(session, given);
        let reader = self.readers.iter().find(|reader| reader.session == session).unwrap();
        check(&self.models[session], reader, after, page, counters);
        counters.appended += count;
        counters.raced += 1;
    }

    async fn restart(&mut self, is_clean: bool, counters: &mut Counters) {
        let back: Vec<_> = std::mem::take(&mut self.readers)
            .into_iter()
            .map(|reader| (reader.session, reader.cursor.at()))
            .collect();
        self.logs.clear();
        self.count_reads(counters);
        self.bench.take().unwrap().close(is_clean).await;
        self.bench = Some(Bench::open(self.folder.path()).await);
        assert_eq!(self.bench().logs.epoch(), self.epoch);
        self.open_logs().await;
        for (session, at) in back {
            let cursor = self.bench().logs.cursor(self.logs[session].clone(), at);
            assert_eq!(cursor.at(), at, "what was seen is there");
            self.readers.push(Reader { session, cursor });
        }
        counters.restarts += 1;
    }

    fn count_reads(&self, counters: &mut Counters) {
        let (memory, store) = self.bench().logs.pages_read();
        counters.from_memory += memory;
        counters.from_store += store;
    }

    /// Every reader comes to the end.
    async fn finish(mut self, counters: &mut Counters) {
        for mut reader in std::mem::take(&mut self.readers) {
            let model = &self.models[reader.session];
            while reader.cursor.at() < model.events.len() as u64 {
                let after = reader.cursor.at();
                let page = reader.cursor.page(2000, None).await.unwrap();
                assert!(reader.cursor.at() > after, "it does not get on");
                check(model, &reader, after, page, counters);
            }
        }
        self.count_reads(counters);
        self.logs.clear();
        self.bench.take().unwrap().close(true).await;
    }
}

/// A page is what follows in the log, or says what is gone.
fn check(model: &Model, reader: &Reader, after: u64, page: Page, counters: &mut Counters) {
    let at = reader.cursor.at();
    match page {
        Page::Cut { after: told, oldest } => {
            assert_eq!((told, oldest, at), (after, model.cut + 1, model.cut));
            assert!(after < model.cut, "nothing that it wanted is gone");
            counters.told += 1;
        }
        Page::Events(events) => {
            assert!(after >= model.cut || events.is_empty(), "a gap that is not told");
            let numbers: Vec<_> = events.iter().map(|event| (event.seq, number(event))).collect();
            let rest = model.events.iter().enumerate().skip(after as usize);
            let expected: Vec<_> = rest
                .take(numbers.len())
                .map(|(index, number)| (index as u64 + 1, *number))
                .collect();
            assert_eq!(numbers, expected);
            assert_eq!(at, after + numbers.len() as u64);
            counters.read += numbers.len();
        }
    }
}

#[test]
fn in_any_order_of_appends_readers_cuts_and_restarts_the_log_is_a_list() {
    let counters = RefCell::new(Counters::default());
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let result = runner.run(&steps(), |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut counted = counters.take();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                counted.kinds.insert(discriminant(&step));
                world.take(step, &mut counted).await;
            }
            world.finish(&mut counted).await;
        });
        counters.replace(counted);
        Ok(())
    });
    // The steps of the smallest case that fails stand in it.
    if let Err(error) = result {
        panic!("{error}");
    }
    let counters = counters.into_inner();
    println!("{counters:?}");
    assert_eq!(counters.kinds.len(), 6, "not every step was taken");
    let Counters { appended, raced, read, cuts, told, restarts, .. } = counters;
    for count in [appended, raced, read, cuts, told, restarts] {
        assert!(count > 0, "nothing was proved");
    }
    let is_mixed = counters.from_memory > 0 && counters.from_store > 0;
    assert!(is_mixed, "all was read from one place");
}
