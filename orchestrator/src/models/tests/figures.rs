//! What the gateway costs: the same requests through it and straight to the model, in turns.

use std::time::Instant;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::*;
use crate::figures::{quantile, report};

const REQUESTS: usize = 200;
const ANSWERS: usize = 20;
/// Tokens of a long answer; the model sends each by itself.
const TOKENS: usize = 4000;

/// A request of an agent, which streams its answer; how long that took in microseconds.
async fn exchange<S>(stream: S, token: &str, text: &str) -> f64
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let body = prompt(ChatCompletions, text, true).to_string();
    let request = Request::post(path_of(ChatCompletions))
        .header("host", "gateway")
        .header("authorization", format!("Bearer {token}"))
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let started = Instant::now();
    let mut response = exchange::send(stream, request).await.unwrap();
    assert_eq!(response.status(), 200);
    while let Some(frame) = response.body_mut().frame().await {
        frame.unwrap();
    }
    started.elapsed().as_secs_f64() * 1e6
}

/// The middle of what was measured straight to the model, and through the gateway.
async fn measure(bench: &Bench, address: &str, text: &str, count: usize) -> [f64; 2] {
    let mut measured = [Vec::new(), Vec::new()];
    for number in 0..count {
        // Each in a turn of its own: the requests of one are slowed down.
        let text = format!("{text} {number}");
        let (access, meter) = bench.open(ChatCompletions, TurnLimits::default()).await;
        let straight = TcpStream::connect(address).await.unwrap();
        measured[0].push(exchange(straight, &access.token, &text).await);
        let through = connect(bench.folder.path()).await.unwrap();
        measured[1].push(exchange(through, &access.token, &text).await);
        meter.close(PATIENCE).await;
    }
    measured.map(|mut all| quantile(&mut all, 0.5))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, for a person to read"]
async fn figures_of_the_gateway() {
    let model = ScriptedModel::start().await.unwrap();
    let url = model.url();
    let address = url.strip_prefix("http://").unwrap();
    let bench = Bench::at(&url);
    measure(&bench, address, "SAY[warm]", 10).await;
    let request = measure(&bench, address, "SAY[ok]", REQUESTS).await;
    let answer = measure(&bench, address, &format!("LONG[{TOKENS}]"), ANSWERS).await;
    let token = [0, 1].map(|way| (answer[way] - request[way]) / TOKENS as f64);
    for (what, [straight, through], unit) in [("request", request, 1e3), ("token", token, 1.0)] {
        report(&format!("gateway_{what}_straight"), straight / unit);
        report(&format!("gateway_{what}_through"), through / unit);
        report(&format!("gateway_{what}_ratio"), through / straight);
    }
}
