//! The local orchestrator in this process, for everybody who did not name another.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Parser;
use orchestrator::{Orchestrator, Secrets};

use super::{Reach, StartError};
use crate::Origins;
use crate::config::Config;
use crate::router::WEBHOOK;

/// The orchestrator's own settings, from its environment variables alone: its flags would clash with
/// the server's.
#[derive(Debug, Parser)]
struct Environment {
    #[command(flatten)]
    config: orchestrator::Config,
}

/// Starts it on its own address, with the installation's secrets.
///
/// `web` is where this server listens: there it is told which turns have ended.
pub(super) async fn start(
    config: &Config,
    web: SocketAddr,
    origins: &Origins,
) -> Result<(Reach, Orchestrator), StartError> {
    let mut settings = Environment::try_parse_from(["orchestrator"])
        .map_err(|error| StartError::Orchestrator(Box::new(error)))?
        .config;
    let ours = &config.orchestrator;
    let secrets = Secrets::load_or_create(&config.data)
        .map_err(|error| StartError::Orchestrator(Box::new(error)))?;
    let api_key = ours.api_key.clone().unwrap_or(secrets.api_key);
    let signing_secret = ours.signing_secret.clone().unwrap_or(secrets.signing_secret);
    let api_key = super::checked(api_key, "TANGLE_API_KEY")?;
    let signing_secret = super::checked(signing_secret, "ORCHESTRATOR_SIGNING_SECRET")?;

    settings.addr = ours.orchestrator_addr;
    settings.data = config.data.clone();
    settings.api_key = Some(api_key.clone());
    settings.signing_secret = Some(signing_secret.clone());
    settings.product_id = ours.product_id.clone();
    settings.allowed_origins = origins.to_strings();
    settings.webhook_url = Some(ours.webhook_url.clone().unwrap_or_else(|| own_webhook(web)));
    settings.demo_pace_ms = ours.demo_pace_ms.unwrap_or(settings.demo_pace_ms);
    settings.sidecar_binary = ours.sidecar_binary.clone().or(settings.sidecar_binary);

    let running = orchestrator::start(settings)
        .await
        .map_err(|error| StartError::Orchestrator(Box::new(error)))?;
    let url = format!("http://{}", reachable(running.local_addr()));
    Ok((Reach { url, api_key, signing_secret }, running))
}

fn own_webhook(web: SocketAddr) -> String {
    format!("http://{}{WEBHOOK}", reachable(web))
}

/// An address to connect to: what listens everywhere is reached over loopback.
fn reachable(listening: SocketAddr) -> SocketAddr {
    match listening.ip() {
        ip if ip.is_unspecified() => {
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listening.port())
        }
        _ => listening,
    }
}

#[cfg(test)]
mod tests {
    use super::own_webhook;

    #[test]
    fn the_orchestrator_calls_back_over_an_address_that_can_be_reached() {
        let called = |web: &str| own_webhook(web.parse().unwrap());
        assert_eq!(called("127.0.0.1:3000"), "http://127.0.0.1:3000/webhooks/orchestrator");
        assert_eq!(called("0.0.0.0:80"), "http://127.0.0.1:80/webhooks/orchestrator");
        assert_eq!(called("[::1]:3000"), "http://[::1]:3000/webhooks/orchestrator");
    }
}
