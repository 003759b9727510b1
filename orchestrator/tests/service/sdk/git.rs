//! Version control.

use sandbox_sdk::{
    client::SandboxHandle,
    types::{Exec, GitChangedFile},
};

use super::client;
use crate::{git::is_there, support::Product};

async fn sh(sandbox: &SandboxHandle, command: &str) {
    let exec = Exec { command: command.to_owned(), ..Exec::default() };
    let result = sandbox.exec(&exec).await.unwrap();
    assert_eq!(result.exit_code, 0, "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_committed_and_goes_to_another_repository_and_back() {
    if !is_there() {
        return;
    }
    let product = Product::start().await;
    let sandbox = client(&product).sandbox(product.sandbox().await);
    let git = sandbox.git();
    assert_eq!(git.status().await.unwrap_err().status(), Some(409));
    sh(
        &sandbox,
        "git init -q -b main . && git init -q --bare -b main /tmp/far && git remote add origin /tmp/far",
    )
    .await;
    sandbox.write_text("a.txt", "one\n").await.unwrap();
    assert_eq!(git.status().await.unwrap().untracked, ["a.txt"]);
    git.add(&["a.txt"]).await.unwrap();
    assert_eq!(git.status().await.unwrap().staged, ["a.txt"]);
    let made = git.commit("First").await.unwrap();
    let better = git.amend("Better").await.unwrap();
    assert_eq!((made.message.as_str(), better.message.as_str()), ("First", "Better"));
    assert_eq!(git.log(Some(5)).await.unwrap(), [better]);
    git.push(false).await.unwrap();

    git.checkout("topic", true).await.unwrap();
    sandbox.write_text("a.txt", "one\ntwo\n").await.unwrap();
    let diff = git.diff(None).await.unwrap();
    let changed = GitChangedFile {
        path: "a.txt".to_owned(),
        status: "modified".to_owned(),
        additions: 1,
        deletions: 0,
    };
    assert_eq!(diff.files, [changed]);
    assert!(diff.raw.contains("\n+two\n"), "{}", diff.raw);
    assert_eq!(git.diff(Some("none")).await.unwrap_err().status(), Some(400));
    git.add(&["."]).await.unwrap();
    git.commit("Topic").await.unwrap();
    let branches = git.branches().await.unwrap();
    let branches: Vec<_> = branches.iter().map(|one| (one.name.as_str(), one.current)).collect();
    assert_eq!(branches, [("main", false), ("topic", true)]);

    sh(
        &sandbox,
        "git clone -q /tmp/far /tmp/other && cd /tmp/other && echo y > new && git add new && \
         git -c user.name=b -c user.email=b commit -qm Other && git push -q",
    )
    .await;
    git.checkout("main", false).await.unwrap();
    git.pull(true).await.unwrap();
    assert_eq!(git.log(None).await.unwrap()[0].message, "Other");
    let other = git.clone().in_folder("/tmp/other").status().await.unwrap();
    assert_eq!((other.branch.as_str(), other.is_dirty), ("main", false));
    product.stop().await;
}
