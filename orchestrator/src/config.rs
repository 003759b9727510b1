//! Configuration of the orchestrator, from flags and the environment.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::builder::RangedU64ValueParser;
use http::Uri;
use secrecy::SecretString;

use crate::{
    driver::ContainersConfig,
    models::ModelsConfig,
    network::{DefaultNetwork, NetworkReach},
    snapshots::SnapshotsConfig,
};

/// More than any machine has room for.
const MOST_SANDBOXES: u64 = 1_000_000;

/// What an orchestrator needs to know. Everything has a default.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Address to listen on; port 0 takes any free one.
    #[arg(long, env = "SKEIN_ORCHESTRATOR_ADDR", default_value = "127.0.0.1:4095")]
    pub addr: SocketAddr,
    /// Data folder; the orchestrator keeps its own in `orchestrator/` below it.
    #[arg(long, env = "SKEIN_DATA", default_value = "data", global = true)]
    pub data: PathBuf,
    /// Base URL under which clients reach this orchestrator, when it is not the listen address.
    #[arg(long, env = "SKEIN_ORCHESTRATOR_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// URL that is told when a turn has ended.
    #[arg(long, env = "SKEIN_WEBHOOK_URL")]
    pub webhook_url: Option<String>,
    /// Origins of pages that may open the session gateway.
    #[arg(
        long,
        env = "SKEIN_ALLOWED_ORIGINS",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:3000,http://localhost:3000",
        value_parser = origin
    )]
    pub allowed_origins: Vec<String>,
    /// Product whose read tokens are accepted.
    #[arg(long, env = "ORCHESTRATOR_PRODUCT_ID", default_value = "skein")]
    pub product_id: String,
    /// API key instead of the one in the secrets file.
    #[arg(long, env = "TANGLE_API_KEY", hide_env_values = true)]
    pub api_key: Option<SecretString>,
    /// Signing secret instead of the one in the secrets file.
    #[arg(long, env = "ORCHESTRATOR_SIGNING_SECRET", hide_env_values = true)]
    pub signing_secret: Option<SecretString>,
    /// The signing secret before the current one. Tokens that it signed are accepted until its end;
    /// what it sealed opens for as long as it is given.
    #[arg(long, env = "ORCHESTRATOR_PREVIOUS_SIGNING_SECRET", hide_env_values = true)]
    pub previous_signing_secret: Option<SecretString>,
    /// When the previous signing secret ends, in milliseconds since the Unix epoch.
    #[arg(long, env = "ORCHESTRATOR_PREVIOUS_SIGNING_SECRET_EXPIRES_AT")]
    pub previous_signing_secret_expires_at: Option<i64>,
    /// Pause between the demo agent's pieces of text, in milliseconds; 0 is as fast as possible.
    #[arg(long, env = "SKEIN_DEMO_PACE_MS", default_value_t = 18)]
    pub demo_pace_ms: u64,
    /// Sandboxes that may exist at once.
    #[arg(
        long,
        env = "SKEIN_MAX_SANDBOXES",
        default_value_t = 1000,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MOST_SANDBOXES)
    )]
    pub max_sandboxes: usize,
    /// Sandboxes that may run at once. A start that finds all places taken stops the sandbox that was
    /// idle longest; its files stay. A sandbox is idle while no command, no turn, no other request to
    /// it and no connection to its ports or terminals is under way: background processes, terminals
    /// that nobody watches and viewers of its sessions do not count.
    #[arg(
        long,
        env = "SKEIN_MAX_RUNNING_SANDBOXES",
        default_value_t = 32,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MOST_SANDBOXES)
    )]
    pub max_running: usize,
    /// Seconds after which an idle sandbox is stopped; its files stay.
    #[arg(long, env = "SKEIN_SANDBOX_IDLE_SECONDS", default_value_t = 900)]
    pub idle_timeout_seconds: u64,
    /// Seconds from its first start after which a sandbox that asks for no lifetime ends for good,
    /// with its files [default: never].
    #[arg(
        long,
        env = "SKEIN_SANDBOX_LIFETIME_SECONDS",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub max_lifetime_seconds: Option<u64>,
    /// Longest duration of a turn, in seconds; a dispatch may ask for less.
    #[arg(long, env = "SKEIN_MAX_TURN_SECONDS", default_value_t = 900)]
    pub max_turn_seconds: u64,
    /// Events kept of each session [default: all, as long as the sandbox lives]. Turns are kept whole,
    /// and what is younger than 15 minutes is kept in any case.
    #[arg(long, env = "SKEIN_LOG_EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    pub log_events: Option<u64>,
    /// Hours that events of sessions are kept [default: as long as the sandbox lives]. Turns are kept
    /// whole.
    #[arg(long, env = "SKEIN_LOG_HOURS", value_parser = clap::value_parser!(u64).range(1..))]
    pub log_hours: Option<u64>,
    /// Requests a minute with the product's key; as many again with the tokens of each sandbox.
    #[arg(
        long,
        env = "SKEIN_MAX_REQUESTS_PER_MINUTE",
        default_value_t = 60_000,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub max_requests_per_minute: u32,
    /// Sessions that may be made in a minute with the product's key; as many again with the tokens of
    /// each sandbox.
    #[arg(
        long,
        env = "SKEIN_MAX_NEW_SESSIONS_PER_MINUTE",
        default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub max_new_sessions_per_minute: u32,
    /// Longest time an agent waits for a person's answer, in seconds. It does not count as time of
    /// the turn.
    #[arg(long, env = "SKEIN_ANSWER_SECONDS", default_value_t = 600)]
    pub answer_seconds: u64,
    /// What a sandbox may reach that asks for nothing.
    #[arg(long, env = "SKEIN_SANDBOX_NETWORK", value_enum, default_value_t = DefaultNetwork::None)]
    pub sandbox_network: DefaultNetwork,
    /// The most that a sandbox may ask for: nothing, what an allow-list names, or all public
    /// addresses.
    #[arg(long, env = "SKEIN_NETWORK_ALLOWED", value_enum, default_value_t = NetworkReach::Open)]
    pub network_allowed: NetworkReach,
    /// Domain below which open ports of sandboxes have their names; a URL where something stands
    /// before this program. It needs a wildcard record, and should not be one of your pages' own.
    #[arg(long, env = "SKEIN_PREVIEW_DOMAIN", default_value = "localhost")]
    pub preview_domain: String,
    /// Megabytes of the largest upload to a sandbox and the largest download from one. A sandbox's own
    /// limits may allow less.
    #[arg(long, env = "SKEIN_MAX_TRANSFER_MB", default_value_t = 512)]
    pub max_transfer_mb: u64,
    /// Program that a sandbox starts as its init, when it is not this one.
    #[arg(long, env = "SKEIN_SIDECAR_BINARY")]
    pub sidecar_binary: Option<PathBuf>,
    #[command(flatten)]
    pub containers: ContainersConfig,
    #[command(flatten)]
    pub models: ModelsConfig,
    #[command(flatten)]
    pub snapshots: SnapshotsConfig,
    /// Folder of the coding agents that are installed for sandboxes. Those in `agents/` in the data
    /// folder and on the PATH are found, too.
    #[arg(long, env = "SKEIN_AGENTS", global = true)]
    pub agents: Option<PathBuf>,
    /// Times and sizes of the protocol, which only tests change.
    #[arg(skip)]
    pub tuning: Tuning,
}

/// Times and sizes of the session gateway and of housekeeping.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// A connection without a token must send one within this time.
    pub auth_timeout: Duration,
    /// Pause between two pings; a viewer that answers none for two of them is gone.
    pub heartbeat: Duration,
    /// How long before its end a token is announced to expire.
    pub token_expiring_lead: Duration,
    /// How long a viewer may wait for a session that nobody has registered.
    pub unknown_session_grace: Duration,
    /// A viewer that takes nothing for this long is closed; any other client after twice as long.
    pub slow_reader_limit: Duration,
    /// How long a viewer may take to be told the last of a deleted session.
    pub farewell: Duration,
    /// Viewers that may be connected at once.
    pub max_connections: usize,
    /// Sockets that may be open at once without having shown a token yet.
    pub max_unadmitted: usize,
    /// Replays that a viewer may ask for in a minute, on one connection.
    pub replays_per_minute: u32,
    /// Connections that may be open at once for anything but the session gateway.
    pub max_http: usize,
    /// Bytes the kernel may buffer for a viewer; `None` leaves it to the kernel.
    pub socket_send_buffer: Option<u32>,
    /// Pause between two looks for idle sandboxes.
    pub idle_check: Duration,
    /// Pause between two looks for events that are not kept any longer.
    pub retention_check: Duration,
    /// Time a running turn has to end when the orchestrator shuts down.
    pub shutdown_grace: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            auth_timeout: Duration::from_secs(5),
            heartbeat: Duration::from_secs(30),
            token_expiring_lead: Duration::from_secs(60),
            unknown_session_grace: Duration::from_secs(30),
            slow_reader_limit: Duration::from_secs(30),
            farewell: Duration::from_secs(2),
            max_connections: 20_000,
            max_unadmitted: 256,
            replays_per_minute: 120,
            max_http: 4096,
            socket_send_buffer: None,
            idle_check: Duration::from_secs(10),
            retention_check: Duration::from_secs(60),
            shutdown_grace: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// The defaults, with the given data folder. Reads no environment.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 4095)),
            data: data.into(),
            public_url: None,
            webhook_url: None,
            allowed_origins: ["http://127.0.0.1:3000", "http://localhost:3000"]
                .map(str::to_owned)
                .to_vec(),
            product_id: "skein".to_owned(),
            api_key: None,
            signing_secret: None,
            previous_signing_secret: None,
            previous_signing_secret_expires_at: None,
            demo_pace_ms: 18,
            max_sandboxes: 1000,
            max_running: 32,
            idle_timeout_seconds: 900,
            max_lifetime_seconds: None,
            max_turn_seconds: 900,
            log_events: None,
            log_hours: None,
            max_requests_per_minute: 60_000,
            max_new_sessions_per_minute: 1000,
            answer_seconds: 600,
            sandbox_network: DefaultNetwork::None,
            network_allowed: NetworkReach::Open,
            preview_domain: "localhost".to_owned(),
            max_transfer_mb: 512,
            sidecar_binary: None,
            containers: ContainersConfig::default(),
            models: ModelsConfig::default(),
            snapshots: SnapshotsConfig::default(),
            agents: None,
            tuning: Tuning::default(),
        }
    }

    /// Where installed agents are looked for before the `PATH`.
    pub(crate) fn agents_folders(&self) -> Vec<PathBuf> {
        self.agents.iter().cloned().chain([self.data.join("agents")]).collect()
    }
}

/// An origin as browsers send it: a scheme, a host and maybe a port. Anything else would never be
/// equal to one, in silence.
fn origin(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_origin = text.parse::<Uri>().is_ok_and(|uri| {
        let host = uri.authority().map(|authority| authority.as_str());
        uri.scheme().is_some()
            && host.is_some_and(|host| !host.contains(['@', '*']))
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
            && !text.contains('#')
    });
    if is_origin {
        Ok(text.to_owned())
    } else {
        Err("this is no origin; write it as https://chat.example.com".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        config: Config,
    }

    fn parse(words: &[&str]) -> Result<Config, String> {
        let cli = Cli::try_parse_from([&["orchestrator"][..], words].concat());
        cli.map(|cli| cli.config).map_err(|error| error.to_string())
    }

    #[test]
    fn there_is_room_for_a_sandbox_at_least() {
        for limit in ["--max-sandboxes", "--max-running"] {
            let words = parse(&[limit, "0"]).unwrap_err();
            assert!(words.contains(limit), "{words}");
            assert!(parse(&[limit, "18446744073709551615"]).is_err(), "{limit}");
            parse(&[limit, "1"]).unwrap();
        }
    }

    #[test]
    fn what_can_be_no_origin_is_refused_in_words() {
        let origins = "https://chat.example.com,http://[::1]:3000/, http://localhost:3000";
        let config = parse(&["--allowed-origins", origins]).unwrap();
        assert_eq!(config.allowed_origins[2], "http://localhost:3000");
        for wrong in [
            "",
            "*",
            "null",
            "chat.example.com",
            "chat.example.com:3000",
            "//chat.example.com",
            "https://",
            "https://chat.example.com/page",
            "https://chat.example.com/?q",
            "https://chat.example.com/#top",
            "https://*.example.com",
            "https://me@chat.example.com",
            "https://chat.example.com,other",
        ] {
            let words = parse(&["--allowed-origins", wrong]).unwrap_err();
            assert!(words.contains("is no origin"), "{wrong}: {words}");
        }
    }
}
