//! Any order of starts, answers, failures, stops, settlements, crashes and restarts leaves the books
//! as a model of a few lines says.

use std::{collections::BTreeMap, time::Duration};

use backend::{Account, Backend, Credits, Error, ReportedUsage, TurnId};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use sandbox_sdk::types::TurnState as RecordState;

use crate::support::{
    World,
    database::TestDatabase,
    orchestrator::PATIENCE,
    world::{question, until, usage},
};

/// Enough for two full holds and a clamped one.
const START: i64 = 30_000_000;
const CEILING: i64 = 12_000_000;
const MINIMUM: i64 = 1_000_000;

#[derive(Clone, Debug)]
enum Step {
    Start,
    /// The agent of one of the running turns ends, having used so much.
    End {
        which: usize,
        how: End,
        input: u64,
        output: u64,
    },
    /// Somebody asks for the bill of any turn there ever was.
    Settle {
        which: usize,
        by: usize,
    },
    Stop {
        which: usize,
    },
    /// The server goes away without a word and another one takes over.
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Completed,
    Failed,
    OutOfCredits,
    Interrupted,
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        Just(End::Completed),
        Just(End::Failed),
        Just(End::OutOfCredits),
        Just(End::Interrupted)
    ];
    prop_oneof![
        4 => Just(Step::Start),
        4 => (0..8_usize, how, 0..30_000_u64, 0..30_000_u64)
            .prop_map(|(which, how, input, output)| Step::End { which, how, input, output }),
        4 => (0..8_usize, 0..3_usize).prop_map(|(which, by)| Step::Settle { which, by }),
        2 => (0..8_usize).prop_map(|which| Step::Stop { which }),
        1 => Just(Step::Restart),
    ]
}

/// What the books must say.
#[derive(Default)]
struct Model {
    posted: i64,
    turns: BTreeMap<usize, Turn>,
}

struct Turn {
    id: TurnId,
    /// Open holds only.
    hold: Option<i64>,
    /// What settling will charge, once the agent has ended.
    charge: Option<i64>,
}

impl Model {
    fn held(&self) -> i64 {
        self.turns.values().filter_map(|turn| turn.hold).sum()
    }

    fn settle(&mut self, which: usize) {
        let Some(turn) = self.turns.get_mut(&which) else { return };
        if let (Some(_), Some(charge)) = (turn.hold, turn.charge) {
            turn.hold = None;
            self.posted -= charge;
        }
    }
}

struct Run {
    world: World,
    backend: Backend,
    account: Account,
    model: Model,
}

impl Run {
    async fn new(database: TestDatabase) -> Self {
        let world =
            World::with(database, |config| config.guest_credits = Credits::from_micros(START))
                .await;
        let account = world.guest().await;
        let model = Model { posted: START, ..Model::default() };
        Self { backend: world.backend.clone(), world, account, model }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Start => self.start().await,
            Step::End { which, how, input, output } => self.end(which, how, input, output),
            Step::Settle { which, by } => self.settle(which, by).await,
            Step::Stop { which } => self.stop(which).await,
            Step::Restart => {
                self.backend.shutdown(Duration::ZERO).await;
                self.backend = self.world.restarted().await;
                self.recover().await;
            }
        }
        let balance = self.backend.balance(&self.account).await.unwrap();
        assert_eq!(balance.held.micros(), self.model.held());
        assert_eq!(balance.available.micros(), self.model.posted - self.model.held());
        assert_eq!(self.backend.audit().await.unwrap().problems, Vec::<String>::new());
    }

    async fn start(&mut self) {
        let id = TurnId::generate();
        let available = self.model.posted - self.model.held();
        let started = self.backend.start_turn(&self.account, question(None, &id, "hello")).await;
        match started {
            Ok(_) => {
                assert!(available >= MINIMUM);
                until("the turn is dispatched", async || self.dispatched(&id).await).await;
                let turn = Turn { id, hold: Some(available.min(CEILING)), charge: None };
                self.model.turns.insert(self.model.turns.len(), turn);
            }
            Err(Error::InsufficientCredits { .. }) => assert!(available < MINIMUM),
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn dispatched(&self, id: &TurnId) -> bool {
        let sql =
            format!("SELECT COUNT(*) FROM turns WHERE id = '{id}' AND dispatched_at IS NOT NULL");
        self.world.orchestrator.has(id.as_str()) && self.world.database.number(&sql).await == 1
    }

    fn end(&mut self, which: usize, how: End, input: u64, output: u64) {
        let Some(turn) = self.model.turns.get_mut(&which) else { return };
        let Some(hold) = turn.hold.filter(|_| turn.charge.is_none()) else { return };
        let orchestrator = &self.world.orchestrator;
        orchestrator.say(turn.id.as_str(), "x", usage(input, output));
        match how {
            End::Completed => orchestrator.end(turn.id.as_str(), RecordState::Completed),
            End::Interrupted => orchestrator.end(turn.id.as_str(), RecordState::Interrupted),
            End::Failed => orchestrator.fail(turn.id.as_str(), "AGENT_CRASHED", "x"),
            End::OutOfCredits => orchestrator.fail(turn.id.as_str(), "OUT_OF_CREDITS", "x"),
        }
        let cost = i64::try_from(input * 100 + output * 500).unwrap();
        let billed = matches!(how, End::Completed | End::OutOfCredits);
        turn.charge = Some(if billed { cost.min(hold) } else { 0 });
    }

    async fn settle(&mut self, which: usize, by: usize) {
        let Some(turn) = self.model.turns.get(&which) else { return };
        let forged = ReportedUsage {
            input_tokens: Some(0),
            output_tokens: Some(u64::MAX),
            duration_ms: None,
        };
        match by {
            0 => drop(self.backend.settle(&turn.id).await.unwrap()),
            1 => drop(self.backend.complete_turn(&self.account, &turn.id, forged).await.unwrap()),
            _ => {
                let (a, b) =
                    tokio::join!(self.backend.settle(&turn.id), self.backend.settle(&turn.id));
                assert_eq!(a.unwrap().is_some(), b.unwrap().is_some());
            }
        }
        self.model.settle(which);
    }

    async fn stop(&mut self, which: usize) {
        let Some(turn) = self.model.turns.get_mut(&which) else { return };
        if turn.hold.is_some() && turn.charge.is_none() {
            self.world.orchestrator.say(turn.id.as_str(), "x", usage(100, 100));
            turn.charge = Some(60_000);
        }
        let id = turn.id.clone();
        self.backend.stop_turn(&self.account, &id).await.unwrap();
        until("the stopped turn has ended", async || self.has_ended(&id).await).await;
        self.model.settle(which);
    }

    /// A server that takes up what the last one left, and then ends in good order: it has asked for
    /// the record of every open turn by then, and what ends later is not for it to find.
    async fn recover(&mut self) {
        self.world.leases_run_out().await;
        self.backend.recover().await.unwrap();
        self.backend.shutdown(PATIENCE).await;
        self.backend = self.world.restarted().await;
        for which in 0..self.model.turns.len() {
            if self.model.turns[&which].charge.is_some() {
                assert!(self.has_ended(&self.model.turns[&which].id).await, "not settled");
                self.model.settle(which);
            }
        }
    }

    async fn has_ended(&self, turn: &TurnId) -> bool {
        self.backend.turn_status(&self.account, turn).await.unwrap().state.is_final()
    }
}

fn any_order_of_events_leaves_the_books_as_the_model_says(
    cases: u32,
    database: impl AsyncFn() -> Option<TestDatabase>,
) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config =
        Config { cases, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&vec(step(), 1..25), |steps| {
        runtime.block_on(async {
            let Some(database) = database().await else {
                println!("skipped: SKEIN_TEST_POSTGRES_URL is not set");
                return;
            };
            let mut run = Run::new(database).await;
            for step in steps {
                run.take(step).await;
            }
            run.backend.shutdown(PATIENCE).await;
        });
        Ok(())
    });
    result.unwrap();
}

#[test]
fn any_order_of_events_leaves_the_books_as_the_model_says_on_sqlite() {
    any_order_of_events_leaves_the_books_as_the_model_says(48, async || {
        Some(TestDatabase::sqlite())
    });
}

#[test]
fn any_order_of_events_leaves_the_books_as_the_model_says_on_postgres() {
    any_order_of_events_leaves_the_books_as_the_model_says(12, TestDatabase::postgres);
}
