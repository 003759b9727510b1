//! A backend between a database and an orchestrator, and short words for what tests do with it.

use std::{future::Future, time::Duration};

use backend::{
    Account, Audit, Backend, BackendConfig, ChatId, Credits, Error, Limits, Prices, ReportedUsage,
    SessionToken, StartTurn, StartedTurn, Timing, TurnId, TurnOutcome, TurnState, TurnStatus,
};
use sandbox_sdk::types::{TokenUsage, TurnState as RecordState};
use secrecy::SecretString;
use tokio::{
    runtime::Runtime,
    time::{sleep, timeout},
};

use super::{
    Orchestrator,
    database::TestDatabase,
    orchestrator::{API_KEY, PATIENCE},
};

pub(crate) const SECRET: &str = "orch_sign_0123456789abcdef0123456789abcdef";
pub(crate) const GATEWAY: &str = "ws://127.0.0.1:9/session";
/// What the usage of `World::answer` costs: 1000 tokens read, 200 written, at 100 and 500 credits a
/// million.
pub(crate) const ANSWER_COST: i64 = 200_000;

/// A price list with the demo agent's entry alone.
pub(crate) const DEMO_PRICES: &str = r#"
version = "test"
default = "demo"
[models.demo]
input = 100
output = 500
max_input_tokens = 20_000
max_output_tokens = 20_000
minimum_hold = 1
agent = "demo"
"#;

pub(crate) struct World {
    pub(crate) backend: Backend,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) database: TestDatabase,
    pub(crate) config: BackendConfig,
}

impl World {
    pub(crate) async fn on(database: TestDatabase) -> Self {
        Self::with(database, |_| {}).await
    }

    pub(crate) async fn with(
        database: TestDatabase,
        change: impl FnOnce(&mut BackendConfig),
    ) -> Self {
        let orchestrator = Orchestrator::start().await;
        let mut config = BackendConfig {
            database_url: database.url.clone(),
            orchestrator_url: orchestrator.url.clone(),
            sandbox_api_url: None,
            api_key: SecretString::from(API_KEY),
            product_id: "skein".to_owned(),
            signing_secret: SecretString::from(SECRET),
            gateway_url: GATEWAY.to_owned(),
            sandbox_image: None,
            guest_credits: Credits::from_whole(500),
            prices: Prices::built_in().unwrap(),
            timing: Timing {
                call: Duration::from_secs(20),
                quick_call: Duration::from_secs(20),
                warm: Duration::from_secs(20),
                sweep: Duration::from_millis(20),
                tidy: Duration::from_millis(20),
                retry: Duration::from_millis(5),
                retry_max: Duration::from_millis(50),
                ..Timing::default()
            },
            limits: Limits {
                turns_per_minute: 10_000,
                chats_per_hour: 10_000,
                running_turns: 1000,
                sandboxes: 1000,
            },
        };
        change(&mut config);
        let backend = Backend::connect(config.clone()).await.unwrap();
        Self { backend, orchestrator, database, config }
    }

    pub(crate) async fn guest(&self) -> Account {
        self.visitor().await.0
    }

    /// A guest, and what opens the account.
    pub(crate) async fn visitor(&self) -> (Account, SessionToken) {
        let token = self.backend.new_session().unwrap();
        (self.backend.create_guest(&token).await.unwrap(), token)
    }

    /// Asks in a chat, or in a new one.
    pub(crate) async fn ask(
        &self,
        account: &Account,
        chat: Option<&ChatId>,
        text: &str,
    ) -> Result<StartedTurn, Error> {
        self.backend.start_turn(account, question(chat, &TurnId::generate(), text)).await
    }

    /// Asks in a new chat and waits until the agent works on it.
    pub(crate) async fn running(&self, account: &Account) -> StartedTurn {
        let started = self.ask(account, None, "hello").await.unwrap();
        self.dispatched(account, &started.turn_id).await;
        started
    }

    /// A chat with one answered turn, so that its sandbox is warm.
    pub(crate) async fn warm_chat(&self, account: &Account) -> ChatId {
        let started = self.running(account).await;
        self.answer(&started.turn_id);
        self.complete(account, &started.turn_id).await;
        started.chat.id
    }

    /// Waits until the orchestrator has the turn and the backend knows it.
    pub(crate) async fn dispatched(&self, account: &Account, turn: &TurnId) {
        until("the turn is dispatched", async || {
            let state = self.status(account, turn).await.state;
            assert!(!state.is_final(), "the turn ended as {state:?} instead of being dispatched");
            self.orchestrator.has(turn.as_str()) && self.confirmed(turn).await
        })
        .await;
    }

    async fn confirmed(&self, turn: &TurnId) -> bool {
        let sql =
            format!("SELECT COUNT(*) FROM turns WHERE id = '{turn}' AND dispatched_at IS NOT NULL");
        self.database.number(&sql).await == 1
    }

    /// The agent answers and ends.
    pub(crate) fn answer(&self, turn: &TurnId) {
        self.orchestrator.say(turn.as_str(), "Done.", usage(1000, 200));
        self.orchestrator.end(turn.as_str(), RecordState::Completed);
    }

    /// The browser's nudge; the turn must have ended.
    pub(crate) async fn complete(&self, account: &Account, turn: &TurnId) -> TurnOutcome {
        let status = self.backend.complete_turn(account, turn, ReportedUsage::default()).await;
        status.unwrap().outcome.expect("an ended turn")
    }

    pub(crate) async fn status(&self, account: &Account, turn: &TurnId) -> TurnStatus {
        self.backend.turn_status(account, turn).await.unwrap()
    }

    /// Waits until the turn has ended.
    pub(crate) async fn ended(&self, account: &Account, turn: &TurnId) -> TurnOutcome {
        self.reached(account, turn, TurnState::is_final).await.outcome.expect("an outcome")
    }

    pub(crate) async fn reached(
        &self,
        account: &Account,
        turn: &TurnId,
        wanted: impl Fn(TurnState) -> bool,
    ) -> TurnStatus {
        until("the turn is in the wanted state", async || {
            wanted(self.status(account, turn).await.state)
        })
        .await;
        self.status(account, turn).await
    }

    /// Micro-credits: free to spend, and held.
    pub(crate) async fn balance(&self, account: &Account) -> (i64, i64) {
        let balance = self.backend.balance(account).await.unwrap();
        (balance.available.micros(), balance.held.micros())
    }

    pub(crate) async fn assert_books_balance(&self) {
        let Audit { accounts, problems, .. } = self.backend.audit().await.unwrap();
        assert!(accounts > 0, "an audit that looked at nothing proves nothing");
        assert!(problems.is_empty(), "{problems:#?}");
    }

    /// Another backend on the same database and orchestrator.
    pub(crate) async fn restarted(&self) -> Backend {
        Backend::connect(self.config.clone()).await.unwrap()
    }

    /// Lets the time pass for which a server that died had its turns to itself.
    pub(crate) async fn leases_run_out(&self) {
        self.database.execute("UPDATE turns SET lease_until = 0").await.unwrap();
    }

    /// Lets a backend of its own do something until `until` holds, then kills it where it stands.
    pub(crate) async fn killed_when<F>(
        &self,
        act: impl FnOnce(Backend) -> F + Send + 'static,
        when: impl AsyncFn() -> bool,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let doomed = Runtime::new().unwrap();
        let config = self.config.clone();
        doomed.spawn(async move { act(Backend::connect(config).await.unwrap()).await });
        until("the moment of the crash", when).await;
        doomed.shutdown_background();
    }
}

pub(crate) fn question(chat: Option<&ChatId>, turn: &TurnId, text: &str) -> StartTurn {
    StartTurn {
        chat_id: chat.cloned(),
        turn_id: turn.clone(),
        text: text.to_owned(),
        agent: None,
        model: None,
        permissions: None,
        repeats: false,
    }
}

pub(crate) fn usage(input: u64, output: u64) -> TokenUsage {
    TokenUsage { input_tokens: input, output_tokens: output, ..TokenUsage::default() }
}

/// Waits for something that happens in the background.
pub(crate) async fn until(what: &str, happened: impl AsyncFn() -> bool) {
    let wait = async {
        while !happened().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "waited in vain until {what}");
}
