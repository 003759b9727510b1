//! Commands and processes.

use futures::{StreamExt, TryStreamExt};
use sandbox_sdk::{
    client::Output,
    types::{Exec, RunCode, SignalProcess, SpawnProcess},
};
use tokio::time::timeout;

use super::client;
use crate::support::{PATIENCE, Product};

/// Says something, and ends once there is a file `go`.
const WAITS: &str = "echo ready; until [ -e go ]; do sleep 0.05; done; echo gone >&2; exit 3";

fn shell(command: &str) -> SpawnProcess {
    SpawnProcess { command: Some(command.to_owned()), ..SpawnProcess::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_heard_while_it_runs() {
    let product = Product::start().await;
    let sandbox = client(&product).sandbox(product.sandbox().await);
    let exec = Exec { command: WAITS.to_owned(), ..Exec::default() };
    let mut pieces = sandbox.exec_stream(&exec).await.unwrap();
    let first = pieces.next().await.unwrap().unwrap();
    assert_eq!(first, Output::Stdout("ready\n".to_owned()));
    sandbox.write_text("go", "").await.unwrap();
    let rest: Vec<Output> = pieces.try_collect().await.unwrap();
    assert_eq!(rest[0], Output::Stderr("gone\n".to_owned()));
    let Some(Output::Exit(exit)) = rest.last() else { panic!("no end: {rest:?}") };
    assert_eq!((exit.exit_code, exit.timed_out, exit.truncated), (3, false, false));
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_goes_on_is_read_by_whoever_asks_and_takes_signals() {
    let product = Product::start().await;
    let sandbox = client(&product).sandbox(product.sandbox().await);
    let pid = sandbox.spawn(&shell(WAITS)).await.unwrap();
    let first = sandbox.process_logs(pid, 0).await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(first, (1, Output::Stdout("ready\n".to_owned())));
    assert!(sandbox.process(pid).await.unwrap().unwrap().running);
    sandbox.write_text("go", "").await.unwrap();
    // Another reader, who has that already.
    let rest = sandbox.process_logs(pid, 1).await.unwrap();
    let rest: Vec<(u64, Output)> = rest.try_collect().await.unwrap();
    assert_eq!(rest[0], (2, Output::Stderr("gone\n".to_owned())));
    assert!(matches!(&rest[1], (3, Output::Exit(exit)) if exit.exit_code == 3), "{rest:?}");

    let sleeper = sandbox.spawn(&shell("sleep 600")).await.unwrap();
    let known = sandbox.processes().await.unwrap();
    assert!([pid, sleeper].iter().all(|pid| known.iter().any(|process| process.pid == *pid)));
    assert!(sandbox.signal_process(sleeper, &SignalProcess::default()).await.unwrap());
    let logs = sandbox.process_logs(sleeper, 0).await.unwrap();
    let logs: Vec<(u64, Output)> = logs.try_collect().await.unwrap();
    let end = logs.last();
    assert!(matches!(end, Some((_, Output::Exit(exit))) if exit.exit_code == 143), "{logs:?}");
    assert!(!sandbox.signal_process(sleeper, &SignalProcess::default()).await.unwrap());
    assert_eq!(sandbox.process(i32::MAX).await.unwrap(), None);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_comes_at_once_is_not_lost() {
    let product = Product::start().await;
    let sandbox = client(&product).sandbox(product.sandbox().await);
    let end = |pid| {
        let sandbox = &sandbox;
        async move {
            let logs = sandbox.process_logs(pid, 0).await.unwrap();
            let logs = timeout(PATIENCE, logs.try_collect::<Vec<(u64, Output)>>()).await;
            logs.expect("the process goes on").unwrap().pop()
        }
    };
    for tree in [true, false].repeat(5) {
        let pid = sandbox.spawn(&shell("sleep 600")).await.unwrap();
        let signal = SignalProcess { tree: Some(tree), ..SignalProcess::default() };
        assert!(sandbox.signal_process(pid, &signal).await.unwrap());
        let end = end(pid).await;
        assert!(matches!(&end, Some((_, Output::Exit(exit))) if exit.exit_code == 143), "{end:?}");
    }
    // One that is stopped at once goes on when it is told to.
    let pid = sandbox.spawn(&shell("exit 4")).await.unwrap();
    for name in ["SIGSTOP", "SIGCONT"] {
        let signal = SignalProcess { signal: Some(name.into()), ..SignalProcess::default() };
        sandbox.signal_process(pid, &signal).await.unwrap();
    }
    let end = end(pid).await;
    assert!(matches!(&end, Some((_, Output::Exit(exit))) if exit.exit_code == 4), "{end:?}");
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_waited_for_tells_how_it_ended() {
    let product = Product::start().await;
    let sandbox = client(&product).sandbox(product.sandbox().await);
    let process = SpawnProcess { stdin: Some("in\n".to_owned()), ..shell("cat; exit 5") };
    let ended = sandbox.run_process(&process).await.unwrap();
    assert_eq!((ended.exit_code, ended.stdout.as_str()), (5, "in\n"));
    let slow = SpawnProcess { timeout_ms: Some(100), ..shell("sleep 600") };
    let ended = sandbox.run_process(&slow).await.unwrap();
    assert_eq!((ended.exit_code, ended.timed_out), (124, true));
    let code = "echo $((6 * 7))".to_owned();
    let code = RunCode { code, language: Some("bash".to_owned()), ..RunCode::default() };
    assert_eq!(sandbox.run_code(&code).await.unwrap().stdout, "42\n");
    product.stop().await;
}
