use sandbox_sdk::types::{ModelInfo, WireFormat};

use super::*;

const PRICES: &str = r#"
version = "1"
default = "demo"
hold = 200
minimum_hold = 10
[models]
demo = { agent = "demo", input = 100, output = 500, max_input_tokens = 9, max_output_tokens = 9 , minimum_hold = 0 }
"anthropic/*" = { input = 300, output = 1500 }
"openai/cheap" = { input = 10, output = 50 }
"ollama/*" = { input = 0, output = 0 }
"#;

fn prices() -> Prices {
    Prices::parse(PRICES).unwrap()
}

fn agent(id: &str, formats: &[WireFormat]) -> AgentInfo {
    AgentInfo {
        id: id.into(),
        name: id.to_uppercase(),
        available: true,
        formats: formats.to_vec(),
        ..AgentInfo::default()
    }
}

fn model(provider: &str, id: &str, formats: &[WireFormat]) -> ModelInfo {
    ModelInfo {
        provider: provider.into(),
        id: id.into(),
        formats: formats.to_vec(),
        local: provider == "ollama",
        ..ModelInfo::default()
    }
}

fn catalog() -> AgentCatalog {
    use WireFormat::{ChatCompletions, Messages, Responses};
    let missing = AgentInfo {
        available: false,
        problem: Some("It is not installed.".into()),
        ..agent("codex", &[Responses])
    };
    AgentCatalog {
        agents: vec![
            agent("demo", &[]),
            agent("claude-code", &[Messages]),
            agent("opencode", &[Messages, ChatCompletions]),
            missing,
        ],
        models: vec![
            model("anthropic", "big", &[Messages]),
            model("openai", "cheap", &[Responses, ChatCompletions]),
            model("openai", "unpriced", &[Responses, ChatCompletions]),
            model("ollama", "small", &[ChatCompletions]),
        ],
        default_agent: "opencode".into(),
        default_model: Some("openai/cheap".into()),
        ..AgentCatalog::default()
    }
}

fn options() -> Options {
    Options::new(&prices(), Some(&catalog()))
}

fn choice(agent: &str, model: &str) -> Choice {
    Choice::new(agent, model)
}

fn refused(chosen: Result<Choice, Error>) -> (&'static str, String) {
    match chosen {
        Err(Error::Invalid { field, message }) => (field, message),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_agent_is_offered_the_models_it_can_speak_to_and_that_have_a_price() {
    let options = options();
    let of = |id| options.agent(id).unwrap().models.clone();
    assert_eq!(of("demo"), ["demo"]);
    assert_eq!(of("claude-code"), ["anthropic/big"]);
    assert_eq!(of("opencode"), ["anthropic/big", "openai/cheap", "ollama/small"]);
    assert_eq!(options.models.len(), 4, "each model once, and none without a price");
    let local = options.model("ollama/small").unwrap();
    assert_eq!((local.local, local.input), (true, Credits::ZERO));
}

#[test]
fn an_agent_that_cannot_be_used_says_why() {
    let mut catalog = catalog();
    let problem = |catalog: &AgentCatalog, id| {
        let options = Options::new(&prices(), Some(catalog));
        let agent = options.agent(id).unwrap();
        assert!(agent.problem.is_none() || agent.models.is_empty());
        agent.problem.clone().unwrap_or_default()
    };
    assert_eq!(problem(&catalog, "claude-code"), "");
    assert_eq!(problem(&catalog, "codex"), "It is not installed.");
    catalog.agents[3].available = true;
    catalog.models.remove(1);
    assert!(problem(&catalog, "codex").contains("no price"));
    catalog.models.clear();
    assert!(problem(&catalog, "codex").contains("No model is connected"));
    assert_eq!(problem(&catalog, "demo"), "");
}

#[test]
fn an_agent_without_a_model_begins_with_the_price_files_default() {
    let before_it =
        PRICES.replace("demo = {", "a-dearer-one = {").replace("input = 100", "input = 900");
    let entry = before_it.lines().find(|line| line.starts_with("a-dearer-one")).unwrap();
    let prices = Prices::parse(&format!("{PRICES}{entry}\n")).unwrap();
    let catalog = AgentCatalog { default_agent: "demo".into(), ..catalog() };
    let options = Options::new(&prices, Some(&catalog));
    assert_eq!(options.agent("demo").unwrap().models, ["a-dearer-one", "demo"]);
    assert_eq!(options.default, choice("demo", "demo"));
}

#[test]
fn the_default_is_the_orchestrators_where_it_can_be_used() {
    assert_eq!(options().default, choice("opencode", "openai/cheap"));
    let mut catalog = catalog();
    catalog.default_model = Some("openai/unpriced".into());
    let default = |catalog: &AgentCatalog| Options::new(&prices(), Some(catalog)).default;
    assert_eq!(default(&catalog), choice("opencode", "anthropic/big"));
    catalog.default_agent = "codex".into();
    assert_eq!(default(&catalog), choice("demo", "demo"));
    catalog.agents.remove(0);
    assert_eq!(default(&catalog), choice("claude-code", "anthropic/big"));
}

#[test]
fn without_a_catalog_there_is_what_the_price_file_lists_with_its_agent() {
    let options = Options::new(&prices(), None);
    assert_eq!(options.agents.len(), 1);
    assert_eq!(options.default, choice("demo", "demo"));
    assert_eq!(refused(options.choose(None, Some("anthropic/big"), None)).0, "model");
}

#[test]
fn what_a_request_leaves_open_is_as_before_or_as_usual() {
    let options = options();
    let last = || Some(choice("claude-code", "anthropic/big"));
    assert_eq!(options.choose(None, None, None).unwrap(), options.default);
    assert_eq!(options.choose(None, None, last()).unwrap(), last().unwrap());
    let gone = Some(choice("codex", "openai/gone"));
    assert_eq!(options.choose(None, None, gone).unwrap(), options.default);
    let chosen = |agent, model, last| options.choose(agent, model, last).unwrap();
    assert_eq!(chosen(Some("demo"), None, last()), choice("demo", "demo"));
    assert_eq!(chosen(Some("opencode"), None, last()), options.default);
    let ollama = choice("opencode", "ollama/small");
    assert_eq!(chosen(Some("opencode"), None, Some(ollama.clone())), ollama);
    assert_eq!(chosen(None, Some("anthropic/big"), None), choice("opencode", "anthropic/big"));
    assert_eq!(chosen(None, Some("anthropic/big"), last()), last().unwrap());
    assert_eq!(chosen(None, Some("demo"), last()), choice("demo", "demo"));
}

#[test]
fn what_is_not_offered_is_refused_in_words() {
    let options = options();
    let refused = |agent, model| refused(options.choose(agent, model, None));
    assert_eq!(refused(Some("nobody"), None).0, "agent");
    let missing = refused(Some("codex"), Some("openai/cheap"));
    assert_eq!(missing, ("agent", "CODEX can't be used. It is not installed.".into()));
    let mismatch = refused(Some("claude-code"), Some("openai/cheap"));
    assert_eq!(mismatch, ("model", "CLAUDE-CODE can't work with openai/cheap.".into()));
    for unknown in ["openai/unpriced", "openai/none", "", "demo/"] {
        assert_eq!(refused(Some("opencode"), Some(unknown)).0, "model", "{unknown}");
        assert_eq!(refused(None, Some(unknown)).0, "model", "{unknown}");
    }
}
