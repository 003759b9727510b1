//! Networks and ports.

use std::collections::BTreeMap;

use sandbox_sdk::types::{ChangeNetwork, NetworkPolicy};

use super::client;
use crate::support::Product;

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_reached_is_changed_and_ports_are_opened_and_closed() {
    let product = Product::start().await;
    let client = client(&product);
    let id = product.sandbox().await;
    let sandboxes = client.sandboxes();
    let allow_list = vec!["a.example".to_owned()];
    let change = ChangeNetwork { allow_list: Some(allow_list.clone()), ..Default::default() };
    let policy = NetworkPolicy { allow_list, ..NetworkPolicy::default() };
    assert_eq!(sandboxes.change_network(&id, &change).await.unwrap(), policy);
    assert_eq!(sandboxes.network(&id).await.unwrap(), policy);
    let nothing = ChangeNetwork { block_outbound: Some(true), ..ChangeNetwork::default() };
    let policy = NetworkPolicy { block_outbound: true, ..NetworkPolicy::default() };
    assert_eq!(sandboxes.change_network(&id, &nothing).await.unwrap(), policy);

    let exposed = sandboxes.expose_port(&id, 3000).await.unwrap();
    assert_eq!(sandboxes.expose_port(&id, 3000).await.unwrap(), exposed);
    let urls = sandboxes.port_urls(&id).await.unwrap();
    assert_eq!(urls, BTreeMap::from([(3000, exposed.url)]));
    assert_eq!(sandboxes.network(&id).await.unwrap().ports, [3000]);
    for _ in 0..2 {
        sandboxes.close_port(&id, 3000).await.unwrap();
    }
    assert!(sandboxes.port_urls(&id).await.unwrap().is_empty());
    assert_eq!(sandboxes.expose_port(&id, 80).await.unwrap_err().status(), Some(400));
    assert!(sandboxes.network("sandbox-none").await.unwrap_err().is_not_found());
    product.stop().await;
}
