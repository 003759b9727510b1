//! The product's own look at its books.

use std::path::Path;

use backend::{Backend, BackendConfig, Credits, Limits, Prices, Timing};
use secrecy::SecretString;

/// Checks the books of a server that has ended, in its folder.
pub(crate) async fn assert_books_balance(folder: &Path) {
    let secret = || SecretString::from("0123456789abcdef0123456789abcdef");
    let backend = Backend::connect(BackendConfig {
        database_url: format!("sqlite:{}", folder.join("data/skein.sqlite").display()),
        // Nobody is asked.
        orchestrator_url: "http://127.0.0.1:9".into(),
        sandbox_api_url: None,
        api_key: secret(),
        product_id: "skein".into(),
        signing_secret: secret(),
        gateway_url: "ws://127.0.0.1:9/session".into(),
        sandbox_image: None,
        guest_credits: Credits::ZERO,
        prices: Prices::built_in().unwrap(),
        timing: Timing::default(),
        limits: Limits::default(),
    });
    let audit = backend.await.unwrap().audit().await.unwrap();
    assert!(audit.accounts > 0 && audit.turns > 0, "there is something to look at: {audit:?}");
    assert!(audit.problems.is_empty(), "{:#?}", audit.problems);
}
