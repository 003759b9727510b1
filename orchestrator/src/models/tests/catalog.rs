//! What there is to choose from, and what is chosen.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::*;
use upstream::Says;

fn gateway(configure: impl FnOnce(&mut ModelsConfig)) -> ModelGateway {
    let mut config = ModelsConfig::default();
    configure(&mut config);
    ModelGateway::new(&config, agents).unwrap()
}

fn local_at(config: &mut ModelsConfig, name: &str, url: &str) {
    config.local_models = LocalModels::Auto;
    config.local_servers = vec![(name.to_owned(), url.to_owned())];
}

async fn refused(gateway: &ModelGateway, asked: &BackendChoice) -> String {
    let problem = gateway.choose(asked).await.unwrap_err();
    assert!(!problem.message.is_empty());
    problem.code.unwrap()
}

#[tokio::test]
async fn without_a_model_there_is_the_demo_agent() {
    let gateway = gateway(|_| {});
    let catalog = gateway.catalog().await;
    assert_eq!((catalog.default_agent.as_str(), catalog.default_model), ("demo", None));
    assert!(catalog.models.is_empty());
    let choice = gateway.choose(&BackendChoice::default()).await.unwrap();
    assert_eq!((choice.model_name().as_str(), choice.is_metered()), ("demo", false));
    let opened = gateway.open(SANDBOX, "t1", &choice, &TurnLimits::default()).unwrap();
    assert!(opened.access.is_none() && opened.meter.is_none());
    let skein = BackendChoice { kind: Some("skein".to_owned()), ..BackendChoice::default() };
    assert_eq!(refused(&gateway, &skein).await, "MODEL_NOT_CONNECTED");
    let nobody = BackendChoice { kind: Some("nobody".to_owned()), ..BackendChoice::default() };
    assert_eq!(refused(&gateway, &nobody).await, "AGENT_NOT_AVAILABLE");
    let absent = BackendChoice { kind: Some("opencode".to_owned()), ..BackendChoice::default() };
    assert_eq!(refused(&gateway, &absent).await, "AGENT_NOT_AVAILABLE");
}

#[tokio::test]
async fn one_address_is_enough_for_a_working_agent() {
    let model = ScriptedModel::start().await.unwrap();
    let gateway = gateway(|config| config.model_url = Some(format!("{}/v1", model.url())));
    let catalog = gateway.catalog().await;
    assert_eq!(catalog.default_agent, "skein");
    assert_eq!(catalog.default_model.as_deref(), Some("custom/scripted-1"));
    assert_eq!(catalog.models.len(), 2);
    let choice = gateway.choose(&BackendChoice::default()).await.unwrap();
    assert_eq!(
        (choice.agent.as_str(), choice.model_name().as_str()),
        ("skein", "custom/scripted-1")
    );
}

#[tokio::test]
async fn a_model_is_found_under_its_names() {
    let model = ScriptedModel::start().await.unwrap();
    let gateway = gateway(|config| {
        config.anthropic_base_url = Some(model.url());
        config.model_url = Some(model.url());
        config.default_model = Some("claude-next".to_owned());
    });
    let named = |provider: Option<&str>, model: &str| BackendChoice {
        kind: Some("skein".to_owned()),
        model: Some(ModelChoice {
            provider: provider.map(str::to_owned),
            model: Some(model.to_owned()),
            ..ModelChoice::default()
        }),
        ..BackendChoice::default()
    };
    for (asked, expected) in [
        (BackendChoice::default(), "anthropic/claude-next"),
        (named(None, "anthropic/claude-x"), "anthropic/claude-x"),
        (named(Some("anthropic"), "claude-x"), "anthropic/claude-x"),
        (named(None, "claude-x"), "anthropic/claude-x"),
        (named(None, "custom/vendor/model"), "custom/vendor/model"),
        (named(None, "scripted-2"), "anthropic/scripted-2"),
    ] {
        let choice = gateway.choose(&asked).await.unwrap();
        assert_eq!(choice.model_name(), expected, "{asked:?}");
    }
    for asked in [named(Some("nobody"), "x"), named(None, "unheard-of"), named(None, "a\nb")] {
        assert_eq!(refused(&gateway, &asked).await, "MODEL_NOT_FOUND");
    }
    // No format in common.
    assert_eq!(
        refused(&gateway, &asked("codex", "anthropic", "claude-x")).await,
        "MODEL_NOT_FOUND"
    );
    assert_eq!(gateway.catalog().await.default_model.as_deref(), Some("anthropic/claude-next"));
}

#[tokio::test]
async fn local_servers_are_found_unless_they_are_not_wanted() {
    let model = ScriptedModel::start().await.unwrap();
    let found = gateway(|config| local_at(config, "ollama", &model.url()));
    let catalog = found.catalog().await;
    assert_eq!(catalog.default_model.as_deref(), Some("ollama/scripted-1"));
    assert!(catalog.models.iter().all(|model| model.local && model.provider == "ollama"));
    let choice = found.choose(&asked("skein", "ollama", "scripted-2")).await.unwrap();
    assert_eq!(choice.model_name(), "ollama/scripted-2");
    let off = gateway(|config| {
        local_at(config, "ollama", &model.url());
        config.local_models = LocalModels::Off;
    });
    assert!(off.catalog().await.models.is_empty());
    // The same server by its configured name is not found a second time.
    let twice = gateway(|config| {
        local_at(config, "llama.cpp", &model.url());
        config.model_url = Some(model.url());
    });
    assert!(twice.catalog().await.models.iter().all(|model| model.provider == "custom"));
}

#[tokio::test]
async fn what_answers_there_without_models_is_no_model_server() {
    for body in ["<html>", "{}", r#"{"data":[]}"#, r#"{"data":[{"id":"nomic-embed-text"}]}"#] {
        let upstream = Upstream::start(Says::new(200, "text/html", &[body])).await;
        let gateway = gateway(|config| local_at(config, "llama.cpp", &upstream.url));
        let catalog = gateway.catalog().await;
        assert_eq!((catalog.models.len(), catalog.default_agent.as_str()), (0, "demo"), "{body}");
    }
}

#[tokio::test]
async fn a_provider_that_lists_nothing_hides_no_other() {
    let model = ScriptedModel::start().await.unwrap();
    let broken = Upstream::start(Says::new(500, "text/plain", &["no"])).await;
    let gateway = gateway(|config| {
        config.anthropic_base_url = Some(broken.url.clone());
        config.model_url = Some(model.url());
    });
    let catalog = gateway.catalog().await;
    assert_eq!(catalog.models.len(), 2);
    // What it serves can still be named.
    let choice = gateway.choose(&asked("skein", "anthropic", "claude-x")).await.unwrap();
    assert_eq!(choice.model_name(), "anthropic/claude-x");
}

#[tokio::test]
async fn a_callers_own_key_and_address_serve_one_turn() {
    let model = ScriptedModel::start().await.unwrap();
    let bench = Bench::at("http://127.0.0.1:1");
    let own = |url: &str, key: Option<&str>| {
        let model = ModelChoice {
            provider: Some("anthropic".to_owned()),
            model: Some("scripted-1".to_owned()),
            api_key: key.map(str::to_owned),
            base_url: Some(url.to_owned()),
            ..ModelChoice::default()
        };
        let kind = Some("claude-code".to_owned());
        BackendChoice { kind, model: Some(model), ..BackendChoice::default() }
    };
    let (access, meter) =
        bench.open_with(&own(&model.url(), Some("sk-own")), TurnLimits::default()).await;
    assert_eq!(bench.ask(&access, &prompt(Messages, "hello", true)).await.status, 200);
    assert_eq!(model.requests()[0].key.as_deref(), Some("sk-own"));
    drop(meter);
    // Without a key of the caller's, none goes there: least of all the operator's.
    let (access, meter) = bench.open_with(&own(&model.url(), None), TurnLimits::default()).await;
    bench.ask(&access, &prompt(Messages, "hello", true)).await;
    assert_eq!(model.requests()[1].key, None);
    drop(meter);
    for url in ["http://10.0.0.1", "https://169.254.169.254", "https://[fd00::1]", "file:///etc"] {
        assert_eq!(refused(&bench.gateway, &own(url, Some("sk-own"))).await, "MODEL_NOT_FOUND");
    }
}

/// A provider that takes connections and says nothing.
struct Hung {
    url: String,
    connections: Arc<AtomicUsize>,
    _taking: tokio::task::JoinHandle<()>,
}

impl Hung {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::<AtomicUsize>::default();
        let counted = connections.clone();
        let taking = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                held.push(stream);
            }
        });
        Self { url, connections, _taking: taking }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_provider_that_hangs_delays_no_turn_that_can_do_without_its_list() {
    let model = ScriptedModel::start().await.unwrap();
    let hung = Hung::start().await;
    let full_name = ModelChoice { model: Some("custom/x".to_owned()), ..ModelChoice::default() };
    for (asked, expected) in [
        (asked("skein", "custom", "x"), "custom/x"),
        (BackendChoice { model: Some(full_name), ..BackendChoice::default() }, "custom/x"),
        (BackendChoice::default(), "anthropic/scripted-1"),
    ] {
        // The list is given up after a second, and on a slow machine a choice may take as long. Who
        // waits for the list never comes before its end.
        let mut tries = 0;
        loop {
            let gateway = gateway(|config| {
                config.anthropic_base_url = Some(model.url());
                config.model_url = Some(hung.url.clone());
            });
            gateway.refresh();
            let choice = gateway.choose(&asked).await.unwrap();
            assert_eq!(choice.model_name(), expected);
            if !gateway.0.catalog.has_heard_of("custom") {
                break;
            }
            tries += 1;
            assert!(tries < 10, "it was waited for: {asked:?}");
        }
    }
    eventually("the list is asked for", || (hung.connections() >= 3).then_some(())).await;
}

#[tokio::test]
async fn a_provider_is_asked_by_one_at_a_time_however_many_want_to_know() {
    let list = r#"{"data":[{"id":"m-1"}]}"#;
    let mut says = Says::new(200, "application/json", &[list]);
    says.pause = Duration::from_millis(100);
    let upstream = Upstream::start(says).await;
    let gateway = gateway(|config| config.model_url = Some(upstream.url.clone()));
    let all = (0..20).map(|_| gateway.catalog());
    let all = futures::future::join_all(all).await;
    assert!(all.iter().all(|catalog| catalog.models.len() == 1));
    assert_eq!(upstream.arrived().len(), 1);
    // And not again while that is fresh.
    gateway.catalog().await;
    gateway.choose(&BackendChoice::default()).await.unwrap();
    assert_eq!(upstream.arrived().len(), 1);
}

#[tokio::test]
async fn an_agent_that_is_installed_meanwhile_is_there() {
    let model = ScriptedModel::start().await.unwrap();
    let config = ModelsConfig { model_url: Some(model.url()), ..ModelsConfig::default() };
    let installed = Arc::<AtomicBool>::default();
    let looked_at = installed.clone();
    let look = move || {
        let mut agents = agents();
        agents[4].available = looked_at.load(Ordering::SeqCst);
        agents
    };
    let gateway = ModelGateway::new(&config, look).unwrap();
    let opencode = asked("opencode", "custom", "scripted-1");
    assert_eq!(refused(&gateway, &opencode).await, "AGENT_NOT_AVAILABLE");
    installed.store(true, Ordering::SeqCst);
    assert_eq!(gateway.choose(&opencode).await.unwrap().agent, "opencode");
    let catalog = gateway.catalog().await;
    assert!(catalog.agents[4].available);
    assert_eq!(catalog.default_agent, "opencode");
}

#[tokio::test]
async fn a_local_server_that_nobody_has_looked_for_yet_comes_before_the_demo_agent() {
    let model = ScriptedModel::start().await.unwrap();
    let gateway = gateway(|config| local_at(config, "ollama", &model.url()));
    // The agents are known by now, and the server is not.
    let demo = BackendChoice { kind: Some("demo".to_owned()), ..BackendChoice::default() };
    assert_eq!(gateway.choose(&demo).await.unwrap().agent, "demo");
    assert!(!gateway.0.catalog.has_heard_of("ollama"));
    let choice = gateway.choose(&BackendChoice::default()).await.unwrap();
    assert_eq!(choice.model_name(), "ollama/scripted-1");
}
