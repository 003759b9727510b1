//! Version control in a sandbox.

use serde_json::{Value, json};

use crate::support::Product;

/// Whether this machine has git; without it there is nothing to see here.
pub(crate) fn is_there() -> bool {
    let there = std::process::Command::new("git").arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: git is not installed");
    }
    there
}

struct Git {
    product: Product,
    id: String,
}

impl Git {
    async fn start() -> Self {
        let product = Product::start().await;
        let id = product.sandbox().await;
        Self { product, id }
    }

    fn path(&self, path: &str) -> String {
        format!("/v1/sandboxes/{}/runtime/git/{path}", self.id)
    }

    async fn get(&self, path: &str) -> Value {
        self.product.get(&self.path(path)).await.expect(200)
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.product.post(&self.path(path), body).await.expect(200)
    }

    async fn sh(&self, command: &str) {
        let result = self.product.exec(&self.id, command).await;
        assert_eq!(result["exitCode"], 0, "{result}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_from_an_empty_repository_to_another_ones_branch() {
    if !is_there() {
        return;
    }
    let git = Git::start().await;
    for path in ["status", "log", "diff", "branches"] {
        git.product.get(&git.path(path)).await.refused(409, "INVALID_STATE");
    }
    git.sh(
        "git init -q -b main . && git init -q --bare -b main /tmp/far && git remote add origin /tmp/far",
    )
    .await;
    let status = git.get("status").await;
    assert_eq!((&status["branch"], &status["head"]), (&json!("main"), &json!("")));
    assert_eq!(git.get("log").await, json!({"commits": []}));
    assert_eq!(git.get("branches").await, json!({"branches": []}));

    git.sh("printf 'a\\nb\\n' > a.txt; echo x > \"$(printf 'odd\\nname')\"").await;
    assert_eq!(git.get("status").await["untracked"], json!(["a.txt", "odd\nname"]));
    let added = git.post("add", json!({"paths": ["a.txt"], "all": true})).await;
    let warned = json!(["all is not known here and was passed over"]);
    assert_eq!(added, json!({"success": true, "warnings": warned}));
    assert_eq!(git.get("status").await["staged"], json!(["a.txt"]));
    let made = git.post("commit", json!({"message": "First\n\nBody", "amend": false})).await;
    assert_eq!((&made["author"], &made["message"]), (&json!("Agent"), &json!("First\n\nBody")));
    let again = git.post("commit", json!({"message": "Better", "amend": true})).await;
    assert_ne!(made["sha"], again["sha"]);
    let log = git.get("log?limit=5").await;
    assert_eq!(log["commits"], json!([again]));
    let refused = git.product.post(&git.path("commit"), json!({"message": "Nothing"})).await;
    refused.refused(409, "INVALID_STATE");

    git.post("push", json!({"force": false})).await;
    let status = git.get("status").await;
    assert_eq!((&status["ahead"], &status["behind"]), (&json!(0), &json!(0)));
    git.post("checkout", json!({"ref": "topic", "create": true})).await;
    git.sh("echo c >> a.txt").await;
    let diff = git.get("diff").await;
    let file = json!({"path": "a.txt", "status": "modified", "additions": 1, "deletions": 0});
    assert_eq!((&diff["files"], &diff["additions"]), (&json!([file]), &json!(1)));
    assert!(diff["raw"].as_str().unwrap().contains("\n+c\n"), "{diff}");
    assert_eq!(git.get("diff?ref=main").await["files"], json!([file]));
    git.post("add", json!({"paths": ["."]})).await;
    git.post("commit", json!({"message": "Topic"})).await;
    let branches = git.get("branches").await;
    let current = |at: usize| branches["branches"][at]["current"].clone();
    assert_eq!((current(0), current(1)), (json!(false), json!(true)), "{branches}");
    git.post("checkout", json!({"ref": "main"})).await;
    assert_eq!(git.get("branches").await["branches"][0]["upstream"], "origin/main");

    git.sh("git clone -q /tmp/far /tmp/other && cd /tmp/other && echo y > new && git add new && \
            git -c user.name=b -c user.email=b commit -qm Other && git push -q")
        .await;
    git.post("pull", json!({"rebase": true})).await;
    assert_eq!(git.get("log").await["commits"][0]["message"], "Other");
    assert_eq!(git.get("status?cwd=/tmp/other").await["isDirty"], false);
    git.product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_asked_for_is_taken_for_an_option_and_no_repository_starts_a_viewer() {
    if !is_there() {
        return;
    }
    let git = Git::start().await;
    git.sh(
        "git init -q -b main . && echo a > a && git add a && git -c user.name=a -c user.email=a \
         commit -qm a && echo b >> a && git config diff.external 'touch /tmp/ran;' && \
         git config core.fsmonitor 'touch /tmp/ran;' && git config core.pager 'touch /tmp/ran;' && \
         git config diff.evil.textconv 'touch /tmp/ran;' && echo '* diff=evil' > .gitattributes",
    )
    .await;
    for path in ["status", "log", "diff", "branches"] {
        git.get(path).await;
    }
    git.sh("test ! -e /tmp/ran").await;
    // Nor does one change how answers are to be read.
    git.sh("git config color.diff always && git config i18n.logOutputEncoding UTF-16").await;
    assert_eq!(git.get("log").await["commits"][0]["message"], "a");
    let diff = git.get("diff").await;
    assert!(!diff["raw"].as_str().unwrap().contains('\u{1b}'), "{diff}");
    for path in [
        "diff?ref=--output=/tmp/ran",
        "diff?ref=none",
        "log?limit=0",
        "log?limit=-1",
        "log?limit=x",
        "status?cwd=/none",
    ] {
        git.product.get(&git.path(path)).await.refused(400, "VALIDATION_ERROR");
    }
    for (path, body) in [
        ("checkout", json!({"ref": "--orphan=x"})),
        ("checkout", json!({"ref": "-", "create": true})),
        ("checkout", json!({"ref": "a"})),
        ("checkout", json!({"ref": "a b", "create": true})),
        ("add", json!({"paths": []})),
        ("add", json!({"paths": ["none"]})),
        ("add", json!({"paths": ["a\0b"]})),
        ("commit", json!({"message": " "})),
        ("commit", json!({"message": "a\0b"})),
    ] {
        git.product.post(&git.path(path), body).await.refused(400, "VALIDATION_ERROR");
    }
    git.sh("test ! -e /tmp/ran && grep -q b a").await;
    git.product.post(&git.path("push"), json!({})).await.refused(409, "INVALID_STATE");
    git.product.stop().await;
}
