//! Requests for another host.

use axum::body::Body;
use http::{Method, Request};

use crate::support::{Answer, HOST, TestApp};

async fn ask(app: &TestApp, target: &str, hosts: &[&str]) -> Answer {
    let mut request = Request::builder().method(Method::GET).uri(target);
    for host in hosts {
        request = request.header("host", *host);
    }
    app.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_foreign_name_that_points_here_gets_nothing() {
    let app = TestApp::start().await;
    for hosts in [
        &["attacker.test:3000"][..],
        &["127.0.0.1:3001"],
        &["127.0.0.1"],
        &["127.0.0.1:3000.attacker.test"],
        &[HOST, "attacker.test"],
        &[""],
        &[],
    ] {
        assert_eq!(ask(&app, "/", hosts).await.status, 421, "{hosts:?}");
    }
    assert_eq!(ask(&app, "http://attacker.test/", &[HOST]).await.status, 421, "absolute target");
    let said = ask(&app, "/", &["attacker.test"]).await.body;
    assert!(said.contains("SKEIN_ORIGIN"), "the way out is told: {said}");
}

#[tokio::test]
async fn this_machine_goes_by_both_of_its_names() {
    let app = TestApp::start().await;
    for host in [HOST, "localhost:3000", "LOCALHOST:3000"] {
        assert_eq!(ask(&app, "/", &[host]).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn a_configured_origin_replaces_the_default_ones() {
    let app = TestApp::builder().origin("https://chat.example.com").start().await;
    assert_eq!(ask(&app, "/", &["chat.example.com"]).await.status, 200);
    assert_eq!(ask(&app, "/", &[HOST]).await.status, 421);
}
