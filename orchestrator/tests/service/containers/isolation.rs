//! What a sandbox in a container sees and reaches.

use serde_json::json;

use super::engine::Engine;
use crate::{network::Origin, support::Product};

on_every_engine!(
    a_sandbox_is_alone_and_writes_to_its_own_folders_only,
    its_list_is_all_that_a_sandbox_reaches,
);

/// The trimmed standard output of a command that has to go well.
async fn said(product: &Product, sandbox: &str, command: &str) -> String {
    let result = product.exec(sandbox, command).await;
    assert_eq!(result["exitCode"], 0, "{command}: {result}");
    result["stdout"].as_str().unwrap().trim().to_owned()
}

async fn a_sandbox_is_alone_and_writes_to_its_own_folders_only(engine: &Engine) {
    let product = engine.product().await;
    let (id, other) = (product.sandbox().await, product.sandbox().await);
    for sandbox in [&id, &other] {
        assert_eq!(engine.running(sandbox).await.len(), 1);
    }
    let theirs = "echo secret | tee /workspace/theirs /home/agent/theirs > /tmp/theirs";
    said(&product, &other, theirs).await;

    let users = [said(&product, &id, "id -u").await, said(&product, &other, "id -u").await];
    assert!(!users.contains(&"0".to_owned()) && users[0] != users[1], "{users:?}");
    for (command, expected) in [
        // The image's own tools, and none of its own libraries.
        ("ls -d /lib /lib64 /usr/lib 2> /dev/null; true", ""),
        ("tr '\\0' '\\n' < /proc/1/cmdline | grep -x sidecar", "sidecar"),
        ("cat /proc/1/environ 2> /dev/null | tr '\\0' '\\n' | grep SIDECAR; true", ""),
        ("sed -n 's/:.*//p' /proc/net/dev | tr -d ' '", "lo"),
        ("sed -n 's/^CapEff:[[:space:]]*0*$/none/p' /proc/self/status", "none"),
        ("sed -n 's/^CapBnd:[[:space:]]*0*$/none/p' /proc/self/status", "none"),
        ("pwd; echo $HOME; whoami", "/workspace\n/home/agent\nagent"),
        (
            "for at in / /bin /etc /opt /opt/skein /home /root /srv /var /sys; do \
             touch $at/file 2> /dev/null && echo $at; done; true",
            "",
        ),
        (
            "for at in /workspace /home/agent /tmp; do echo mine > $at/file && cat $at/file; done",
            "mine\nmine\nmine",
        ),
        (
            "find / '(' -path /proc -o -path /sys ')' -prune -o -name theirs -print 2> /dev/null; true",
            "",
        ),
    ] {
        assert_eq!(said(&product, &id, command).await, expected, "{command}");
    }
    product.stop().await;
}

async fn its_list_is_all_that_a_sandbox_reaches(engine: &Engine) {
    let (product, origin, foreign) =
        (engine.product().await, Origin::start().await, Origin::start().await);
    let (here, there) = (&origin.address, &foreign.address);
    let body = json!({"network": {"allow_list": [here]}});
    let made = product.post("/v1/sandboxes", body).await.expect(201);
    let id = made["id"].as_str().unwrap();
    product.sandbox_is(id, "running").await;

    let answer = said(&product, id, &proxied(here)).await;
    assert!(answer.contains(" 200 ") && answer.ends_with("reached"), "{answer}");
    for (command, words) in [
        (proxied(there), " 403 "),
        (proxied("169.254.169.254"), " 403 "),
        // Past the proxy there is nothing but the sandbox itself.
        (direct(here), "refused"),
    ] {
        let answer = said(&product, id, &command).await;
        assert!(answer.contains(words) && !answer.contains("reached"), "{command}: {answer}");
    }

    let without = product.sandbox().await;
    assert_eq!(said(&product, &without, "echo $http_proxy$HTTPS_PROXY").await, "");
    let answer = said(&product, &without, &direct(here)).await;
    assert!(answer.contains("refused"), "{answer}");
    product.stop().await;
}

/// Asks the proxy for a page, as programs do that are told of it; the image's own are not among them.
fn proxied(host: &str) -> String {
    // Whoever has said all he wants to say has hung up, to the proxy.
    format!(
        "port=${{http_proxy##*:}}; (printf 'GET http://{host}/path HTTP/1.0\\r\\n\\r\\n'; sleep 20) \
         | nc 127.0.0.1 ${{port%/}}"
    )
}

fn direct(host: &str) -> String {
    let (address, port) = host.rsplit_once(':').unwrap();
    format!("nc -w 20 {address} {port} < /dev/null 2>&1; true")
}
