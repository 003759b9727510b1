//! Where a provider's key is, once agents have worked with it: with the orchestrator, and nowhere else.

mod search;

use base64::{Engine, engine::general_purpose::STANDARD};
use sandbox_sdk::types::{BackendChoice, Dispatch, Extra, InputPart, TurnLimits};
use serde_json::json;

use crate::support::{Agent, Keys, Product, Session};
use search::Search;

/// The caller's own, which comes over the orchestrator's API only.
const OWN: &str = "sk-caller/7Qz+x1=9w~0123456789";

/// What each agent is asked. In the first turn it looks for keys itself; in the second the provider
/// refuses the key, and quotes it; the third one's stream breaks off.
const SCRIPTS: [&str; 3] = [
    "RUN[env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; \
     grep -rs sk- /home /workspace /tmp /run; echo has looked] SAY[Done.]",
    "FAIL[401]",
    "SAY[Hello wide world, once more.] DROP[2]",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_in_no_log_no_event_no_database_and_no_sandbox() {
    // With characters that every other way to write it down changes.
    let key = |provider: &str| format!("sk-{provider}/7Qz+x1=9w~0123456789");
    let keys = Keys { anthropic: key("ant"), openai: key("oai"), custom: key("own") };
    let all = [&keys.anthropic, &keys.openai, &keys.custom].map(String::as_str);
    let mut search = Search::new(all.into_iter().chain([OWN]));
    let mut product = Product::start(keys.clone()).await;
    for agent in Agent::ALL.into_iter().filter(|agent| agent.is_here()) {
        let mut chat = None;
        for script in SCRIPTS {
            let started = product.ask(agent, chat.as_deref(), script).await;
            let status = product.settled(&started.turn).await;
            let session = product.session(&started.chat).await;
            if script == SCRIPTS[0] {
                assert!(status.to_string().contains("has looked"), "{status}");
                // Where the agent rests now. One whose turn failed leaves nothing.
                assert!(search.processes(&session.processes()) > 0, "{agent:?}");
            }
            chat = Some(started.chat);
        }
        if agent == Agent::BuiltIn {
            with_callers_own(&product, &product.session(&chat.unwrap()).await).await;
        }
    }
    let requests = product.model.requests();
    let used = |key: &str| requests.iter().any(|request| request.key.as_deref() == Some(key));
    assert!(used(&keys.anthropic) && used(OWN), "the keys were in use");

    let folder = product.stop().await;
    search.files(folder.path());
    for name in ["skein.sqlite", "orchestrator.db", "err", "out"] {
        search.assert_looked_into(name);
    }
    search.assert_nothing_found();
}

/// The same turns of the built-in agent, with a key that the call brings.
async fn with_callers_own(product: &Product, session: &Session) {
    let model = json!({"provider": "custom", "model": "m-1", "apiKey": OWN,
        "baseUrl": format!("{}/v1", product.model.url())});
    let backend = json!({"type": Agent::BuiltIn.id(), "model": model});
    let backend: BackendChoice = serde_json::from_value(backend).unwrap();
    for (number, script) in SCRIPTS.into_iter().enumerate() {
        let dispatch = Dispatch {
            turn_id: format!("own-{number}"),
            parts: vec![InputPart::Text { text: script.to_owned() }],
            backend: Some(backend.clone()),
            limits: TurnLimits::default(),
            extra: Extra::new(),
        };
        session.dispatch(&dispatch).await;
    }
}

#[test]
fn a_key_that_is_there_is_found_however_it_is_written_and_wherever() {
    for (number, written) in search::written(OWN).into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        std::fs::write(folder.path().join("below/file"), format!("x{written}y")).unwrap();
        let mut search = Search::new([OWN]);
        search.files(folder.path());
        search.assert_looked_into("file");
        assert_eq!(search.found.len(), 1, "{number}: {written}");
    }
    // In the middle of something longer, which may begin at any of three places.
    for before in ["", "a", "ab"] {
        let longer = STANDARD.encode(format!("{before}Bearer {OWN} and more"));
        let mut search = Search::new([OWN]);
        search.bytes("a header", longer.as_bytes());
        assert_eq!(search.found.len(), 1, "{before:?}");
    }
}
