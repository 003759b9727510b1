//! Search.

use sandbox_sdk::types::{SearchFiles, SearchMatch};

use super::client;
use crate::support::Product;

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_found_with_their_places() {
    let product = Product::start().await;
    let sandbox = client(&product).sandbox(product.sandbox().await);
    sandbox.write_text("src/a.rs", "one\nä Needle\nthree\n").await.unwrap();
    sandbox.write_text("b.txt", "needle\n").await.unwrap();
    let search = SearchFiles {
        pattern: "n[e]+dle".to_owned(),
        glob: Some("*.rs".to_owned()),
        ignore_case: true,
        context: 1,
        ..SearchFiles::default()
    };
    let found = sandbox.search(&search).await.unwrap();
    let expected = SearchMatch {
        path: "src/a.rs".to_owned(),
        line: 2,
        column: 3,
        text: "ä Needle".to_owned(),
        before: vec!["one".to_owned()],
        after: vec!["three".to_owned()],
    };
    assert_eq!((found.matches, found.truncated), (vec![expected], false));
    let all = SearchFiles { pattern: ".".to_owned(), max_results: Some(1), ..Default::default() };
    assert!(sandbox.search(&all).await.unwrap().truncated);
    let none = SearchFiles { pattern: "(".to_owned(), ..SearchFiles::default() };
    assert_eq!(sandbox.search(&none).await.unwrap_err().status(), Some(400));
    product.stop().await;
}
