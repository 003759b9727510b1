use axum::http::HeaderMap;
use sandbox_sdk::types::TurnLimits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Semaphore,
};

use super::*;
use crate::models::{
    ModelGateway, ModelsConfig, TurnMeter,
    provider::{Clients, Provider},
};

const FORMAT: WireFormat = WireFormat::ChatCompletions;

/// A provider that begins an answer like this, says nothing more, and never hangs up.
async fn falls_silent(beginning: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 64]).await.unwrap();
            stream.write_all(beginning.as_bytes()).await.unwrap();
            open.push(stream);
        }
    });
    url
}

/// A turn whose model may write 1000 tokens.
fn turn_at(url: &str) -> Arc<OpenTurn> {
    let clients = Clients::new().unwrap();
    let provider = Provider::own("custom", url, None, vec![FORMAT], &clients);
    let model = ChosenModel::new(provider.unwrap(), "m-1", None);
    let limits = TurnLimits { max_output_tokens: Some(1000), ..TurnLimits::default() };
    Arc::new(OpenTurn::new("box", "t1", model, limits, 60))
}

/// Asks for all that may be written, and hangs up at once.
async fn hang_up(turn: &Arc<OpenTurn>, number: u8) -> Result<(), Denied> {
    let wanted = Wanted {
        hash: [number; 32],
        input: 10,
        usual: 8,
        outline: Arc::default(),
        caches: false,
        reads_cache: true,
        max_output: Some(1000),
        least_output: 16,
    };
    let admitted = turn.admit(&wanted, FORMAT).await?;
    let drain = Duration::from_millis(50);
    let exchange = Exchange { turn: turn.clone(), format: FORMAT, admitted, drain };
    let head = Head::new(FORMAT, &HeaderMap::new(), None, false);
    let memory = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
    let (answer, answered) = oneshot::channel();
    drop(answered);
    exchange.run(head, Bytes::from_static(b"{}"), memory, answer).await;
    Ok(())
}

#[tokio::test]
async fn an_agent_that_hangs_up_on_every_request_has_no_more_written_than_its_turn_may() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n";
    for beginning in ["", head] {
        let turn = turn_at(&falls_silent(beginning).await);
        hang_up(&turn, 1).await.unwrap();
        let Err(Denied::UsedUp(why)) = hang_up(&turn, 2).await else { panic!("it went out") };
        assert_eq!(why.code.as_deref(), Some("OUT_OF_CREDITS"));
        // People are billed for what it probably read, and for no word that nobody heard.
        let gateway = ModelGateway::new(&ModelsConfig::default(), Vec::new).unwrap();
        let metered = TurnMeter::new(turn, gateway, [0; 32]).close(Duration::ZERO).await;
        assert_eq!((metered.usage.input_tokens, metered.usage.output_tokens), (8, 0));
        let [record] = &metered.requests[..] else { panic!("{metered:?}") };
        assert!(record.estimated && !record.complete, "{record:?}");
    }
}
