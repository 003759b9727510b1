//! What sandboxes may reach, and which of their ports can be reached.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Error, Sandboxes, answer::decode};
use crate::types::{ChangeNetwork, ExposedPort, NetworkPolicy};

#[derive(Deserialize)]
struct Urls {
    urls: BTreeMap<u16, String>,
}

impl Sandboxes<'_> {
    /// What a sandbox may reach.
    ///
    /// # Errors
    /// 404 for an unknown sandbox.
    pub async fn network(&self, id: &str) -> Result<NetworkPolicy, Error> {
        let call = self.call_of(Method::GET, id, "/network")?;
        decode(&self.0.send(call).await?, "a network policy")
    }

    /// Changes at once what a sandbox may reach: connections that are not permitted any more are cut.
    /// Answers with what holds now.
    ///
    /// # Errors
    /// 400 for an entry that is none, 404 for an unknown sandbox.
    pub async fn change_network(
        &self,
        id: &str,
        change: &ChangeNetwork,
    ) -> Result<NetworkPolicy, Error> {
        let call = self.call_of(Method::PATCH, id, "/network")?.json(change)?;
        decode(&self.0.send(call).await?, "a network policy")
    }

    /// Opens a port, and says its URL. One that is open stays as it is.
    ///
    /// # Errors
    /// 400 for a port below 1024 and for the sandbox's own, 404 for an unknown sandbox; when too many
    /// are open.
    pub async fn expose_port(&self, id: &str, port: u16) -> Result<ExposedPort, Error> {
        let call = self.call_of(Method::POST, id, "/network/expose")?;
        let call = call.json(&json!({"port": port}))?.repeatable(true);
        decode(&self.0.send(call).await?, "an open port")
    }

    /// Closes a port; its URL dies for good. One that is closed already is no error.
    ///
    /// # Errors
    /// When it is unknown whether it was closed.
    pub async fn close_port(&self, id: &str, port: u16) -> Result<(), Error> {
        let call = self.call_of(Method::DELETE, id, &format!("/network/expose/{port}"))?;
        match self.0.send(call).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// The open ports of a sandbox with their URLs.
    ///
    /// # Errors
    /// 404 for an unknown sandbox.
    pub async fn port_urls(&self, id: &str) -> Result<BTreeMap<u16, String>, Error> {
        let call = self.call_of(Method::GET, id, "/network/urls")?;
        let urls: Urls = decode(&self.0.send(call).await?, "the URLs of ports")?;
        Ok(urls.urls)
    }
}
