//! What a message can be sent to, and what becomes of a choice.

mod charges;
mod discovery;
mod permissions;

use std::time::Duration;

use backend::{
    Account, BackendConfig, ChatId, Choice, Credits, Error, Prices, StartTurn, StartedTurn, TurnId,
};
use sandbox_sdk::types::{AgentCatalog, AgentInfo, ModelInfo, WireFormat};

use crate::support::{
    Fault, World,
    database::TestDatabase,
    on_both_databases,
    world::{question, until},
};

const PRICES: &str = r#"
version = "test"
default = "demo"
hold = 200
minimum_hold = 10
[models.demo]
input = 100
output = 500
max_input_tokens = 20_000
max_output_tokens = 20_000
minimum_hold = 1
agent = "demo"
[models]
"anthropic/big" = { input = 300, output = 1500, cache_read = 30, cache_write = 375 }
"ollama/*" = { input = 0, output = 0 }
"#;

fn agent(id: &str, formats: &[WireFormat]) -> AgentInfo {
    AgentInfo {
        id: id.into(),
        name: id.into(),
        available: true,
        formats: formats.to_vec(),
        ..AgentInfo::default()
    }
}

fn model(provider: &str, id: &str, format: WireFormat) -> ModelInfo {
    let (provider, id) = (provider.into(), id.into());
    ModelInfo { provider, id, formats: vec![format], ..ModelInfo::default() }
}

/// The demo agent, and one that works with models of three prices: a price, none, and free.
fn catalog() -> AgentCatalog {
    use WireFormat::{ChatCompletions, Messages};
    let mut small = model("ollama", "small:3b", ChatCompletions);
    small.context_tokens = Some(4_096);
    AgentCatalog {
        agents: vec![agent("demo", &[]), agent("skein", &[Messages, ChatCompletions])],
        models: vec![
            model("anthropic", "big", Messages),
            model("anthropic", "unpriced", Messages),
            small,
        ],
        default_agent: "demo".into(),
        ..AgentCatalog::default()
    }
}

async fn world(database: TestDatabase, credits: u32) -> World {
    world_with(database, |config| config.guest_credits = Credits::from_whole(credits)).await
}

async fn world_with(database: TestDatabase, change: impl FnOnce(&mut BackendConfig)) -> World {
    let world = World::with(database, |config| {
        config.prices = Prices::parse(PRICES).unwrap();
        change(config);
    })
    .await;
    world.orchestrator.has_agents(catalog());
    world
}

async fn catalog_is_known(world: &World) {
    until("the catalog is known", async || {
        world.backend.options(None).await.unwrap().agents.len() > 1
    })
    .await;
}

async fn ask(
    world: &World,
    account: &Account,
    chat: Option<&ChatId>,
    agent: Option<&str>,
    model: Option<&str>,
) -> Result<StartedTurn, Error> {
    let (agent, model) = (agent.map(str::to_owned), model.map(str::to_owned));
    let request = StartTurn { agent, model, ..question(chat, &TurnId::generate(), "hello") };
    world.backend.start_turn(account, request).await
}

/// Asks, and waits until the orchestrator has the turn.
async fn run(world: &World, account: &Account, agent: &str, model: &str) -> StartedTurn {
    catalog_is_known(world).await;
    let started = ask(world, account, None, Some(agent), Some(model)).await.unwrap();
    world.dispatched(account, &started.turn_id).await;
    started
}

fn choice(agent: &str, model: &str) -> Choice {
    Choice::new(agent, model)
}

on_both_databases!(
    what_is_not_available_or_has_no_price_is_refused_and_nothing_is_stored,
    async |database: TestDatabase| {
        let world = world(database, 500).await;
        let mut catalog = catalog();
        catalog.agents.push(AgentInfo {
            available: false,
            problem: Some("It is not installed.".into()),
            ..agent("codex", &[WireFormat::Responses])
        });
        world.orchestrator.has_agents(catalog);
        catalog_is_known(&world).await;
        let account = world.guest().await;
        for (agent, model, field) in [
            (Some("skein"), Some("anthropic/unpriced"), "model"),
            (Some("skein"), Some("anthropic/other"), "model"),
            (Some("skein"), Some("demo"), "model"),
            (Some("demo"), Some("anthropic/big"), "model"),
            (None, Some("anthropic/unpriced"), "model"),
            (Some("codex"), None, "agent"),
            (Some("nobody"), None, "agent"),
            (Some(""), Some(""), "agent"),
        ] {
            match ask(&world, &account, None, agent, model).await {
                Err(Error::Invalid { field: said, .. }) => {
                    assert_eq!(said, field, "{agent:?} {model:?}")
                }
                other => panic!("{agent:?} {model:?}: {other:?}"),
            }
        }
        let long = StartTurn {
            agent: Some("skein".into()),
            model: Some("ollama/small:3b".into()),
            ..question(None, &TurnId::generate(), &"word ".repeat(4_000))
        };
        let refused = world.backend.start_turn(&account, long).await;
        let Err(Error::Invalid { field: "text", message }) = refused else { panic!("{refused:?}") };
        assert!(message.contains("at most 4096"), "{message}");
        assert_eq!(world.database.number("SELECT COUNT(*) FROM turns").await, 0);
        assert!(world.orchestrator.log().is_empty());
    }
);

on_both_databases!(a_chat_stays_with_its_last_choice, async |database: TestDatabase| {
    let world = world(database, 500).await;
    let account = world.guest().await;
    assert_eq!(world.backend.options(None).await.unwrap().default, choice("demo", "demo"));
    let free = choice("skein", "ollama/small:3b");
    let started = run(&world, &account, &free.agent, &free.model).await;
    let chat = started.chat.id;
    world.answer(&started.turn_id);
    world.complete(&account, &started.turn_id).await;
    assert_eq!(world.backend.open_chat(&account, &chat).await.unwrap().choice, Some(free.clone()));
    let options = world.backend.options(Some(&account)).await.unwrap();
    assert_eq!(options.default, free, "and new chats begin with it");
    let stranger = world.guest().await;
    assert_eq!(
        world.backend.options(Some(&stranger)).await.unwrap().default,
        choice("demo", "demo")
    );

    let again = ask(&world, &account, Some(&chat), None, None).await.unwrap();
    world.dispatched(&account, &again.turn_id).await;
    let asked = world.orchestrator.backend(again.turn_id.as_str());
    assert_eq!(asked.kind.as_deref(), Some("skein"));
    world.answer(&again.turn_id);
    world.complete(&account, &again.turn_id).await;

    let other = ask(&world, &account, Some(&chat), Some("demo"), None).await.unwrap();
    world.dispatched(&account, &other.turn_id).await;
    let asked = world.orchestrator.backend(other.turn_id.as_str());
    assert_eq!((asked.kind.as_deref(), asked.model), (Some("demo"), None));
    let opened = world.backend.open_chat(&account, &chat).await.unwrap();
    assert_eq!(opened.choice, Some(choice("demo", "demo")));
});

on_both_databases!(
    a_turn_runs_with_what_it_began_with_whatever_becomes_of_the_prices,
    async |database: TestDatabase| {
        let world = world(database, 500).await;
        world.orchestrator.fault("create", Fault::Refuse(503));
        catalog_is_known(&world).await;
        let account = world.guest().await;
        let started =
            ask(&world, &account, None, Some("skein"), Some("anthropic/big")).await.unwrap();
        world.backend.shutdown(Duration::from_secs(30)).await;
        let mut config = world.config.clone();
        let other = PRICES.replace("anthropic/big", "anthropic/bigger");
        config.prices = Prices::parse(&other).unwrap();
        let later = backend::Backend::connect(config).await.unwrap();
        world.orchestrator.heal();
        later.recover().await.unwrap();
        let turn = started.turn_id.as_str();
        until("the turn is dispatched", async || world.orchestrator.has(turn)).await;
        let model = world.orchestrator.backend(turn).model.unwrap();
        assert_eq!(model.model.as_deref(), Some("big"));
        assert_eq!(world.orchestrator.limits(turn).max_cost.unwrap().input, 300_000_000);
    }
);
