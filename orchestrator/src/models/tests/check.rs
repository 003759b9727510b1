//! What a person is told whose configuration is checked: one line for each way it can go.

use secrecy::SecretString;

use super::*;
use upstream::Says;

async fn check(configure: impl FnOnce(&mut ModelsConfig)) -> Result<String, String> {
    let mut config = ModelsConfig::default();
    configure(&mut config);
    check_model(&config).await
}

/// Why it failed, which never holds a key.
async fn wrong(configure: impl FnOnce(&mut ModelsConfig)) -> String {
    let line = check(configure).await.unwrap_err();
    assert!(!line.contains('\n') && !line.contains("secret"), "{line}");
    line
}

/// An address where nobody listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_model_that_works_is_asked_once_for_a_few_tokens() {
    let model = ScriptedModel::start().await.unwrap();
    let key = Some(SecretString::from("sk-secret"));
    let line = check(|config| {
        (config.anthropic_base_url, config.anthropic_api_key) = (Some(model.url()), key.clone());
    });
    let line = line.await.unwrap();
    assert!(line.starts_with("ok: anthropic/scripted-1 answered in "), "{line}");
    assert!(line.ends_with(" ms (1250 tokens read, 20 written)"), "{line}");
    let line = check(|config| {
        (config.openai_base_url, config.openai_api_key) = (Some(model.url()), key.clone());
        config.default_model = Some("openai/scripted-2".to_owned());
    });
    assert!(line.await.unwrap().starts_with("ok: openai/scripted-2 "));
    let line = check(|config| config.model_url = Some(model.url()));
    assert!(line.await.unwrap().starts_with("ok: custom/scripted-1 "));

    let asked = model.requests();
    assert_eq!(asked.iter().map(|asked| asked.format).collect::<Vec<_>>(), FORMATS);
    for (asked, limit) in asked.iter().zip(["max_tokens", "max_output_tokens", "max_tokens"]) {
        assert_eq!(asked.body[limit], 64, "{}", asked.body);
        assert!(asked.complete);
    }
    assert_eq!(asked[0].key.as_deref(), Some("sk-secret"));
}

#[tokio::test]
async fn without_a_key_it_says_which_variable_to_set() {
    let line = wrong(|_| {}).await;
    assert!(line.starts_with("no key: ") && line.contains("ANTHROPIC_API_KEY"), "{line}");
    for (named, expected) in [
        ("openai/gpt-5", "no key: set OPENAI_API_KEY to use openai/gpt-5"),
        ("custom/x", "no key: set SKEIN_MODEL_URL to use custom/x"),
    ] {
        let line = wrong(|config| {
            config.anthropic_api_key = Some("sk-secret".into());
            config.default_model = Some(named.to_owned());
        });
        assert_eq!(line.await, expected);
    }
    // The host asks for a key, and none is configured.
    let body = r#"{"error":{"message":"Missing bearer"}}"#;
    let host = Upstream::start(Says::new(401, "application/json", &[body])).await;
    let line = wrong(|config| {
        config.model_url = Some(host.url.clone());
        config.default_model = Some("custom/x".to_owned());
    });
    let address = &host.url;
    assert_eq!(line.await, format!("no key: {address}/v1 asks for one; set SKEIN_MODEL_KEY"));
}

#[tokio::test]
async fn a_key_that_is_refused_is_named_by_its_variable() {
    let model = ScriptedModel::start().await.unwrap();
    let expected =
        format!("key refused: {}/v1 does not accept the key in OPENAI_API_KEY", model.url());
    // Without a name the list of models is refused already, with one it is the request.
    for named in [None, Some("openai/scripted-1".to_owned())] {
        let line = wrong(|config| {
            config.openai_base_url = Some(model.url());
            config.openai_api_key = Some("wrong-secret".into());
            config.default_model = named;
        });
        assert_eq!(line.await, expected);
    }
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn a_part_of_the_key_that_a_host_quotes_is_not_shown() {
    let body = r#"{"error":{"message":"Incorrect API key provided: sk-secr*****"}}"#;
    for status in [401, 403] {
        let host = Upstream::start(Says::new(status, "application/json", &[body])).await;
        let line = wrong(|config| {
            config.model_url = Some(host.url.clone());
            config.model_key = Some("sk-secret".into());
            config.default_model = Some("custom/x".to_owned());
        });
        let line = line.await;
        assert!(line.starts_with("key refused: ") && !line.contains("sk-s"), "{line}");
    }
}

#[tokio::test]
async fn a_model_that_is_not_there_is_answered_with_those_that_are() {
    let model = ScriptedModel::start().await.unwrap();
    let line = wrong(|config| {
        config.model_url = Some(model.url());
        config.default_model = Some("custom/missing-one".to_owned());
    });
    let expected = format!(
        "no such model: {}/v1 has no missing-one; there is scripted-1, scripted-2",
        model.url()
    );
    assert_eq!(line.await, expected);
    // With two providers nobody can be guessed, and nobody is asked.
    let line = wrong(|config| {
        config.anthropic_base_url = Some(model.url());
        config.model_url = Some(model.url());
        config.default_model = Some("unheard-of".to_owned());
    });
    let line = line.await;
    assert!(line.starts_with("no such model: ") && line.contains("unheard-of"), "{line}");
    assert!(line.contains("anthropic/scripted-1, anthropic/scripted-2, custom/"), "{line}");
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn models_that_are_listed_and_not_offered_are_counted_and_named() {
    let model = ScriptedModel::start().await.unwrap();
    // OpenAI's own are called otherwise.
    let mut config = ModelsConfig {
        openai_api_key: Some("sk-secret".into()),
        openai_base_url: Some(model.url()),
        ..ModelsConfig::default()
    };
    let line = check_model(&config).await.unwrap_err();
    assert_eq!(
        line,
        "no such model: The provider lists 2 models, and none that is known to hold a \
         conversation. Name one that does with SKEIN_MODEL; there is openai/scripted-1, \
         openai/scripted-2; for a host other than OpenAI's, use SKEIN_MODEL_URL in place of \
         OPENAI_BASE_URL"
    );
    let gateway = ModelGateway::new(&config, agents).unwrap();
    let rows = gateway.overview(&config).await;
    let words = format!(
        "key in OPENAI_API_KEY, {}/v1: 2 models, none known to hold a conversation",
        model.url()
    );
    assert_eq!(rows[1], ("openai".to_owned(), words));
    config.default_model = Some("openai/missing-one".to_owned());
    let line = check_model(&config).await.unwrap_err();
    let expected = format!(
        "no such model: {}/v1 has no missing-one; there is scripted-1, scripted-2",
        model.url()
    );
    assert_eq!(line, expected);
}

#[tokio::test]
async fn a_host_that_lists_nothing_is_not_said_to_list_models() {
    let host = Upstream::start(Says::new(200, "application/json", &[r#"{"data":[]}"#])).await;
    let line = wrong(|config| config.model_url = Some(host.url.clone())).await;
    let expected = "no such model: The provider tells no models. Name one with SKEIN_MODEL";
    assert_eq!(line, expected);
}

#[tokio::test]
async fn a_host_that_is_not_there_is_told_with_its_address_and_the_cause() {
    let url = nowhere();
    for named in [None, Some("custom/x".to_owned())] {
        let line = wrong(|config| {
            config.model_url = Some(url.clone());
            config.default_model = named;
        });
        let line = line.await;
        assert!(line.starts_with(&format!("not reachable: {url}/v1: ")), "{line}");
        assert!(line.contains("refused"), "{line}");
    }
    let local = vec![("ollama".to_owned(), url.clone())];
    for (local_models, words) in
        [(LocalModels::Auto, url.as_str()), (LocalModels::Off, "SKEIN_LOCAL_MODELS")]
    {
        let line = wrong(|config| {
            config.default_model = Some("ollama/qwen3".to_owned());
            (config.local_servers, config.local_models) = (local.clone(), local_models);
        });
        let line = line.await;
        assert!(line.starts_with("not reachable: ") && line.contains(words), "{line}");
    }
}

#[tokio::test]
async fn what_answers_everything_with_a_page_is_no_model() {
    let page = Upstream::start(Says::new(200, "text/html", &["<html></html>"])).await;
    let line = wrong(|config| {
        config.model_url = Some(page.url.clone());
        config.default_model = Some("custom/x".to_owned());
    });
    let line = line.await;
    assert!(line.starts_with(&format!("not reachable: {}/v1: ", page.url)), "{line}");
}

#[tokio::test]
async fn an_account_that_is_used_up_and_a_host_that_fails_are_told_apart() {
    let quota = r#"{"error":{"message":"You exceeded your quota","code":"insufficient_quota"}}"#;
    for (status, body, expected) in [
        (429, quota, "quota used up: The account at custom is used up: You exceeded your quota"),
        (500, r#"{"error":"broken"}"#, "no answer: custom failed (500): broken"),
        (429, r#"{"error":"slow"}"#, "no answer: custom takes no more requests now: slow"),
    ] {
        let host = Upstream::start(Says::new(status, "application/json", &[body])).await;
        let line = wrong(|config| {
            config.model_url = Some(host.url.clone());
            config.default_model = Some("custom/x".to_owned());
        });
        assert_eq!(line.await, expected);
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_told_by_its_variable() {
    let line = wrong(|config| config.model_url = Some("model.example".to_owned())).await;
    assert!(line.starts_with("not configured: SKEIN_MODEL_URL: "), "{line}");
}

#[tokio::test]
async fn the_overview_names_variables_and_addresses_and_no_key() {
    let model = ScriptedModel::start().await.unwrap();
    let (url, gone) = (model.url(), nowhere());
    let config = ModelsConfig {
        anthropic_api_key: Some("sk-secret".into()),
        anthropic_base_url: Some(url.clone()),
        model_url: Some(gone.clone()),
        local_models: LocalModels::Auto,
        local_servers: vec![("ollama".to_owned(), url.clone()), ("llama.cpp".to_owned(), gone)],
        ..ModelsConfig::default()
    };
    let gateway = ModelGateway::new(&config, agents).unwrap();
    let rows = gateway.overview(&config).await;
    let gone = config.model_url.unwrap();
    let expected = [
        ("anthropic", format!("key in ANTHROPIC_API_KEY, {url}/v1: 2 models")),
        ("openai", "not configured: set OPENAI_API_KEY".to_owned()),
        ("custom", format!("without a key, {gone}/v1: no models listed: it can't be reached")),
        ("ollama", format!("{url} is configured as anthropic")),
        ("llama.cpp", format!("{gone} is configured as custom")),
    ];
    assert_eq!(rows, expected.map(|(id, words)| (id.to_owned(), words)));
}

#[tokio::test]
async fn the_overview_tells_which_local_servers_were_found() {
    let model = ScriptedModel::start().await.unwrap();
    let (url, gone) = (model.url(), nowhere());
    let mut config = ModelsConfig {
        local_models: LocalModels::Auto,
        local_servers: vec![
            ("ollama".to_owned(), url.clone()),
            ("llama.cpp".to_owned(), gone.clone()),
        ],
        ..ModelsConfig::default()
    };
    let gateway = ModelGateway::new(&config, agents).unwrap();
    let rows = gateway.overview(&config).await;
    assert_eq!(rows[3].1, format!("found at {url}: 2 models"));
    assert_eq!(rows[4].1, format!("not found at {gone}"));
    config.local_models = LocalModels::Off;
    let gateway = ModelGateway::new(&config, agents).unwrap();
    assert!(gateway.overview(&config).await[3].1.contains("SKEIN_LOCAL_MODELS is off"));
}
