//! A sandbox that tries to lead its own file routes astray.

use reqwest::Method;
use serde_json::json;

use crate::support::Product;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_regular_file_inside_is_never_sent() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let fs = |rest: &str| format!("/v1/sandboxes/{id}/runtime/fs/{rest}");
    product
        .exec(&id, "mkfifo fifo; ln -s /dev/zero zero; ln -s /proc/self/root root; ln -s loop loop")
        .await;
    for (path, status) in [
        ("fifo", 400),
        ("zero", 400),
        ("loop", 400),
        ("root", 400),
        ("root/etc/passwd", 403),
        ("root/workspace/none", 403),
        ("none", 404),
    ] {
        let answer = product.get(&fs(&format!("download/workspace/{path}"))).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let put = product.request(Method::PUT, &fs(&format!("upload/workspace/{path}/x")));
        let answer = product.send(put.body("x")).await;
        assert!(path == "none" || !answer.status.is_success(), "{path}: {}", answer.body);
    }
    for path in ["etc/passwd", "proc/self/environ", "opt/skein/config.json", "dev/zero"] {
        product.get(&fs(&format!("download/{path}"))).await.refused(403, "FORBIDDEN");
        product.delete(&fs(path)).await.refused(403, "FORBIDDEN");
    }
    product.delete(&fs("workspace")).await.refused(400, "VALIDATION_ERROR");
    // A link goes itself, not what it leads to.
    product.delete(&fs("workspace/root?recursive=true")).await.expect(200);
    product.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_becomes_a_link_meanwhile_leads_nothing_out() {
    let product = Product::start().await;
    let id = product.sandbox().await;
    let runtime = format!("/v1/sandboxes/{id}/runtime");
    let swap = product.exec(
        &id,
        "mkdir -p real /dev/shm/victim; printf safe > /dev/shm/victim/keep; \
         while [ ! -e /tmp/stop ]; do mv real other; ln -s /dev/shm/victim real; rm real; \
         mv other real; done 2> /dev/null",
    );
    let attack = async {
        for round in 0..40 {
            let write = json!({"path": "real/keep", "content": "changed"});
            product.post(&format!("{runtime}/files/write"), write).await;
            let put = format!("{runtime}/fs/upload/workspace/real/new{round}");
            product.send(product.request(Method::PUT, &put).body("new")).await;
            let make = format!("{runtime}/fs/mkdir/workspace/real/folder{round}?recursive=true");
            product.post(&make, json!({})).await;
            product.delete(&format!("{runtime}/fs/workspace/real/keep")).await;
            if round % 10 == 9 {
                product.delete(&format!("{runtime}/fs/workspace/real?recursive=true")).await;
            }
        }
        product.exec(&id, "touch /tmp/stop").await;
    };
    tokio::join!(swap, attack);
    let victim = "cat /dev/shm/victim/keep; echo; ls -A /dev/shm/victim";
    assert_eq!(product.exec(&id, victim).await["stdout"], "safe\nkeep\n");
    product.stop().await;
}
