//! Scoped tokens.

use sandbox_sdk::types::{Connection, MintToken, TokenScope};

use super::client;
use crate::support::Product;

fn wish(scope: TokenScope, session: Option<&str>) -> MintToken {
    MintToken { scope, session_id: session.map(str::to_owned), ttl_minutes: Some(5) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_what_its_scope_says_through_the_same_client() {
    let product = Product::start().await;
    let client = client(&product);
    let id = product.sandbox().await;
    product.map("s1", &id).await;
    client.sandbox(&id).write_text("a.txt", "hello").await.unwrap();
    let sandboxes = client.sandboxes();
    for (scope, session, may_write) in
        [(TokenScope::ReadOnly, None, false), (TokenScope::SessionRuntime, Some("s1"), true)]
    {
        let minted = sandboxes.mint_token(&id, &wish(scope, session)).await.unwrap();
        assert_eq!(minted.scope, scope);
        assert!(!format!("{minted:?}").contains(&minted.token));
        let connection = Connection {
            sidecar_url: minted.sidecar_proxy_url,
            auth_token: minted.token,
            auth_token_expires_at: Some(minted.expires_at),
            extra: Default::default(),
        };
        let sandbox = client.sidecar(&connection).unwrap();
        assert_eq!(sandbox.read_text("a.txt").await.unwrap(), "hello");
        let written = sandbox.write_text("b.txt", "").await;
        let status = written.err().and_then(|error| error.status());
        assert_eq!(status, (!may_write).then_some(403), "{scope:?}");
    }
    let session = sandboxes.mint_token(&id, &wish(TokenScope::Session, Some("s1"))).await.unwrap();
    assert_eq!(session.scope, TokenScope::Session);
    sandboxes.mint_token(&id, &wish(TokenScope::Project, None)).await.unwrap();
    let refused = sandboxes.mint_token(&id, &wish(TokenScope::Session, None)).await.unwrap_err();
    assert_eq!(refused.status(), Some(400));
    product.stop().await;
}
