//! Terminals.

use futures::TryStreamExt;
use sandbox_sdk::{
    client::TerminalOutput,
    types::{OpenTerminal, ResizeTerminal},
};

use super::client;
use crate::support::Product;

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_what_its_program_makes_of_what_is_typed() {
    let product = Product::start().await;
    let sandbox = client(&product).sandbox(product.sandbox().await);
    let command = "read line; stty size; echo got-$line; exit 4".to_owned();
    let wanted = OpenTerminal { command: Some(command), ..OpenTerminal::default() };
    let opened = sandbox.open_terminal(&wanted).await.unwrap();
    let id = opened.session_id.as_str();
    assert_eq!((opened.cols, opened.rows, opened.is_running), (80, 24, true));
    let size = ResizeTerminal { cols: 61, rows: 17 };
    let resized = sandbox.resize_terminal(id, &size).await.unwrap();
    assert_eq!((resized.cols, resized.rows), (61, 17));
    assert!(sandbox.terminals().await.unwrap().iter().any(|one| one.session_id == id));

    let shown = sandbox.watch_terminal(id).await.unwrap();
    sandbox.type_into_terminal(id, "hello\n").await.unwrap();
    let shown: Vec<TerminalOutput> = shown.try_collect().await.unwrap();
    let text = |shown: &TerminalOutput| match shown {
        TerminalOutput::Text(text) => text.clone(),
        TerminalOutput::Lost | TerminalOutput::Exit(_) => String::new(),
    };
    let text: String = shown.iter().map(text).collect();
    assert!(text.contains("17 61") && text.contains("got-hello"), "{text}");
    let end = shown.last();
    assert!(matches!(end, Some(TerminalOutput::Exit(exit)) if exit.exit_code == 4), "{shown:?}");
    let late = sandbox.type_into_terminal(id, "more").await.unwrap_err();
    assert_eq!(late.status(), Some(409));
    for _ in 0..2 {
        sandbox.close_terminal(id).await.unwrap();
    }
    assert_eq!(sandbox.terminal(id).await.unwrap(), None);
    product.stop().await;
}
