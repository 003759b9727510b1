use std::time::Duration;

use backend::{
    Account, BackendConfig, ChatId, Choice, Credits, Error, MessageState, Permissions, Prices,
    StartTurn, StartedTurn, TurnId,
};
use sandbox_sdk::types::{
    AgentCatalog, AgentInfo, CostLimit, ModelInfo, TokenUsage, TurnState, WireFormat,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    Fault, World,
    database::TestDatabase,
    on_both_databases,
    orchestrator::PATIENCE,
    world::{question, until, usage},
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
    a_real_model_is_dispatched_with_its_price_and_billed_by_kind_of_token,
    async |database: TestDatabase| {
        let world = world(database, 500).await;
        let account = world.guest().await;
        let started = run(&world, &account, "skein", "anthropic/big").await;
        let turn = started.turn_id.as_str();
        let backend = serde_json::to_value(world.orchestrator.backend(turn)).unwrap();
        let asked = json!({"type": "skein", "model": {"provider": "anthropic", "model": "big"}});
        assert_eq!(backend, asked);
        let limits = world.orchestrator.limits(turn);
        assert_eq!((limits.max_input_tokens, limits.max_output_tokens), (None, None));
        let most = CostLimit {
            amount: 200_000_000,
            input: 300_000_000,
            output: 1_500_000_000,
            cache_read: 30_000_000,
            cache_write: 375_000_000,
        };
        assert_eq!(limits.max_cost, Some(most));
        assert_eq!(world.balance(&account).await, (300_000_000, 200_000_000));

        let used = TokenUsage {
            cache_read_input_tokens: Some(10_000),
            cache_creation_input_tokens: Some(2_000),
            ..usage(1_000, 400)
        };
        world.orchestrator.say(turn, "Done.", used);
        world.orchestrator.change(turn, |record| record.model = "big-20260922".into());
        world.orchestrator.end(turn, TurnState::Completed);
        let outcome = world.complete(&account, &started.turn_id).await;
        let receipt = outcome.message.receipt.unwrap();
        assert_eq!((receipt.agent.as_str(), receipt.model.as_str()), ("skein", "big-20260922"));
        assert_eq!((receipt.input_tokens, receipt.cached_tokens), (13_000, 10_000));
        assert_eq!(receipt.output_tokens, 400);
        // 1000 × 300 + 400 × 1500 + 10 000 × 30 + 2000 × 375, in millionths of a credit.
        assert_eq!(receipt.charged.micros(), 1_950_000);
        assert_eq!(world.balance(&account).await, (498_050_000, 0));
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    a_free_model_holds_nothing_and_needs_no_credits,
    async |database: TestDatabase| {
        let world = world(database, 0).await;
        let account = world.guest().await;
        let started = run(&world, &account, "skein", "ollama/small:3b").await;
        let limits = world.orchestrator.limits(started.turn_id.as_str());
        assert_eq!(
            (limits.max_cost, limits.max_input_tokens, limits.max_output_tokens),
            (None, None, None)
        );
        assert!(limits.max_duration_ms.is_some());
        assert_eq!(world.balance(&account).await, (0, 0));
        world.answer(&started.turn_id);
        let outcome = world.complete(&account, &started.turn_id).await;
        assert_eq!(outcome.message.receipt.unwrap().charged, Credits::ZERO);
        let refused = ask(&world, &account, None, Some("skein"), Some("anthropic/big")).await;
        let Err(Error::InsufficientCredits { needed, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(needed, Credits::from_whole(10));
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    less_than_the_full_hold_is_all_that_a_turn_may_cost,
    async |database: TestDatabase| {
        let world = world(database, 12).await;
        let account = world.guest().await;
        let started = run(&world, &account, "skein", "anthropic/big").await;
        let turn = started.turn_id.as_str();
        assert_eq!(world.orchestrator.limits(turn).max_cost.unwrap().amount, 12_000_000);
        assert_eq!(world.balance(&account).await, (0, 12_000_000));
        let step = |id: &str, status: &str| {
            let state = json!({"status": status, "input": {}, "output": "", "time": {"start": 0}});
            serde_json::from_value(
                json!({"id": id, "type": "tool", "tool": "bash", "state": state}),
            )
            .unwrap()
        };
        world.orchestrator.say(turn, "", usage(0, 7_999));
        world.orchestrator.change(turn, |record| {
            record.parts =
                vec![step("1", "completed"), step("2", "completed"), step("3", "running")];
        });
        world.orchestrator.fail(turn, "OUT_OF_CREDITS", "used up");
        let outcome = world.complete(&account, &started.turn_id).await;
        let words = outcome.error.unwrap();
        assert!(words.contains("ended after 2 steps"), "{words}");
        assert!(words.contains("costs 11.99 credits"), "{words}");
        assert_eq!(outcome.message.state, MessageState::Failed);
        assert_eq!(outcome.message.parts.len(), 3, "what it did is kept");
        assert_eq!(world.balance(&account).await, (1_500, 0));
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    what_a_model_used_is_charged_however_the_turn_ends,
    async |database: TestDatabase| {
        let world = world(database, 500).await;
        let account = world.guest().await;
        for failed in [true, false] {
            let (left, _) = world.balance(&account).await;
            let started = run(&world, &account, "skein", "anthropic/big").await;
            let turn = started.turn_id.as_str();
            world.orchestrator.say(turn, "I was just", usage(0, 1000));
            match failed {
                true => world.orchestrator.fail(turn, "AGENT_DIED", "the agent was killed"),
                false => world.orchestrator.end(turn, TurnState::Interrupted),
            }
            let outcome = world.complete(&account, &started.turn_id).await;
            let error = outcome.error.unwrap();
            assert!(
                error.ends_with("What the model used until then costs 1.5 credits."),
                "{error}"
            );
            assert_eq!(outcome.message.receipt.unwrap().charged.micros(), 1_500_000);
            assert_eq!(world.balance(&account).await, (left - 1_500_000, 0));
        }
        world.assert_books_balance().await;
    }
);

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

on_both_databases!(the_catalog_is_asked_for_once, async |database: TestDatabase| {
    let world = world(database, 500).await;
    let account = world.guest().await;
    let asked = (0..8).map(|_| world.backend.options(Some(&account)));
    futures::future::join_all(asked).await;
    catalog_is_known(&world).await;
    ask(&world, &account, None, Some("skein"), Some("anthropic/big")).await.unwrap();
    assert_eq!(world.orchestrator.count("agents"), 1);
});

on_both_databases!(
    what_was_heard_outlives_the_orchestrators_absence,
    async |database: TestDatabase| {
        let world = world_with(database, |config| {
            config.timing.catalog = Duration::from_millis(1);
        })
        .await;
        let account = world.guest().await;
        catalog_is_known(&world).await;
        world.orchestrator.go_down();
        // Not tried again by itself: by the second time it is known that the first was in vain.
        world.orchestrator.fault("agents", Fault::Refuse(403));
        let before = world.orchestrator.count("agents");
        until("it was asked again, in vain", async || {
            assert_eq!(world.backend.options(None).await.unwrap().agents.len(), 2);
            world.orchestrator.count("agents") > before + 1
        })
        .await;
        ask(&world, &account, None, Some("skein"), Some("anthropic/big")).await.unwrap();
    }
);

on_both_databases!(
    an_orchestrator_that_does_not_answer_holds_nobody_up,
    async |database: TestDatabase| {
        let world = world_with(database, |config| {
            // Whoever waits for the answer waits in vain.
            config.timing.call = Duration::from_secs(3600);
        })
        .await;
        world.orchestrator.fault("agents", Fault::HangBefore);
        let account = world.guest().await;
        let options = timeout(PATIENCE, world.backend.options(Some(&account)));
        let options = options.await.expect("nobody waits for the orchestrator").unwrap();
        assert_eq!(options.default, choice("demo", "demo"), "what needs no catalog");
        assert_eq!((options.agents.len(), options.models.len()), (1, 1));
        let started = timeout(PATIENCE, ask(&world, &account, None, None, None));
        let started = started.await.expect("nor does a message").unwrap();
        world.dispatched(&account, &started.turn_id).await;

        world.orchestrator.heal();
        catalog_is_known(&world).await;
    }
);

/// Runs a turn to its end. Answers in which chat, and under which profile.
async fn profile(
    world: &World,
    account: &Account,
    chat: Option<&ChatId>,
    permissions: Option<Permissions>,
) -> (ChatId, Option<Value>) {
    let request = StartTurn { permissions, ..question(chat, &TurnId::generate(), "hello") };
    let started = world.backend.start_turn(account, request).await.unwrap();
    world.dispatched(account, &started.turn_id).await;
    let sent = world.orchestrator.backend(started.turn_id.as_str());
    world.answer(&started.turn_id);
    world.complete(account, &started.turn_id).await;
    (started.chat.id, sent.extra.get("profile").cloned())
}

on_both_databases!(
    what_an_agent_may_do_is_sent_along_and_stays_with_its_chat,
    async |database: TestDatabase| {
        let world = world(database, 500).await;
        let account = world.guest().await;
        let run = async |chat: Option<&ChatId>, permissions: Option<Permissions>| {
            profile(&world, &account, chat, permissions).await
        };
        let careful = Some(json!("careful"));
        let (chat, sent) = run(None, Some(Permissions::AskFirst)).await;
        assert_eq!(sent, careful);
        assert_eq!(run(Some(&chat), None).await.1, careful, "as before");
        let kept = world.backend.open_chat(&account, &chat).await.unwrap().choice.unwrap();
        assert_eq!(kept.permissions, Permissions::AskFirst);
        let usual = world.backend.options(Some(&account)).await.unwrap().default;
        assert_eq!(usual.permissions, Permissions::AskFirst, "new chats are offered the same");
        let read_only = Some(Permissions::ReadOnly);
        assert_eq!(run(Some(&chat), read_only).await.1, Some(json!("read-only")));
        assert_eq!(run(Some(&chat), Some(Permissions::Everything)).await.1, None);
        assert_eq!(run(None, None).await.1, None, "who says nothing in a new chat");
    }
);

on_both_databases!(
    who_wants_to_be_asked_is_asked_in_a_new_chat_and_while_nothing_else_is_known,
    async |database: TestDatabase| {
        let world = world(database, 500).await;
        world.orchestrator.fault("agents", Fault::Refuse(503));
        let account = world.guest().await;
        let careful = Some(json!("careful"));
        let asked = profile(&world, &account, None, Some(Permissions::AskFirst)).await;
        assert_eq!(asked.1, careful);
        let (second, sent) = profile(&world, &account, None, None).await;
        assert_eq!(sent, careful, "as in the account's last turn");
        // What was allowed in another chat since is allowed there alone.
        profile(&world, &account, Some(&asked.0), Some(Permissions::Everything)).await;
        assert_eq!(profile(&world, &account, Some(&second), None).await.1, careful);
        let stranger = world.guest().await;
        assert_eq!(profile(&world, &stranger, None, None).await.1, None, "who never said it");
    }
);

on_both_databases!(
    who_wants_to_be_asked_is_asked_whatever_becomes_of_the_agent,
    async |database: TestDatabase| {
        let world = world(database, 500).await;
        let account = world.guest().await;
        let request = StartTurn {
            agent: Some("skein".into()),
            model: Some("anthropic/big".into()),
            permissions: Some(Permissions::AskFirst),
            ..question(None, &TurnId::generate(), "hello")
        };
        let started = world.backend.start_turn(&account, request).await.unwrap();
        world.dispatched(&account, &started.turn_id).await;
        world.orchestrator.has_agents(AgentCatalog { models: Vec::new(), ..catalog() });
        until("the model is gone", async || {
            let usual = world.restarted().await.options(Some(&account)).await.unwrap().default;
            usual.model == "demo" && usual.permissions == Permissions::AskFirst
        })
        .await;
    }
);

on_both_databases!(
    what_the_orchestrator_may_have_is_not_refused_before_it_has_answered,
    async |database: TestDatabase| {
        let world = world(database, 500).await;
        world.orchestrator.fault("agents", Fault::Refuse(503));
        let account = world.guest().await;
        let big = async || ask(&world, &account, None, Some("skein"), Some("anthropic/big")).await;
        for _ in 0..2 {
            let refused = big().await;
            assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
        }
        assert_eq!(world.database.number("SELECT COUNT(*) FROM turns").await, 0);
        ask(&world, &account, None, Some("demo"), Some("demo")).await.expect("it needs no catalog");

        world.orchestrator.heal();
        until("the catalog is known", async || big().await.is_ok()).await;
        let refused = ask(&world, &account, None, Some("nobody"), None).await;
        assert!(matches!(refused, Err(Error::Invalid { field: "agent", .. })), "{refused:?}");
    }
);
