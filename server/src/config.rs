//! Configuration: flags, or environment variables of the same meaning.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;

use crate::Origin;
use crate::telemetry::Format;

/// Skein: a chat with agents that work in sandboxes.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "server", version, max_term_width = 100)]
pub struct Config {
    /// Address to listen on; port 0 takes any free one.
    #[arg(long, env = "SKEIN_ADDR", default_value = "127.0.0.1:3000")]
    pub addr: SocketAddr,
    /// Folder for the database, the secrets and the sandboxes; made if it is missing.
    #[arg(long, env = "SKEIN_DATA", default_value = "data")]
    pub data: PathBuf,
    /// Folder with the built site: the browser's module, styles, fonts.
    #[arg(long, env = "SKEIN_SITE_ROOT", default_value = "target/site")]
    pub site_root: PathBuf,
    /// Origins under which browsers reach this server, parted by commas [default: the listen address,
    /// and on a loopback address `localhost` too].
    #[arg(long, env = "SKEIN_ORIGIN", value_delimiter = ',')]
    pub origin: Vec<Origin>,
    /// Proxies in front of this server, whose X-Forwarded-For and traceparent count: addresses or
    /// networks, parted by commas.
    #[arg(long, env = "SKEIN_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<String>,
    /// `sqlite:…` or `postgres:…` [default: an SQLite file in the data folder].
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// Credits of a new guest; one is worth a US cent.
    #[arg(long, env = "SKEIN_GUEST_CREDITS", default_value_t = 500)]
    pub guest_credits: u32,
    /// New guests an hour from one address; 0 sets no limit.
    #[arg(long, env = "SKEIN_GUESTS_PER_HOUR", default_value_t = 20)]
    pub guests_per_hour: u32,
    /// Messages that an account may send in a minute; 0 sets no limit.
    #[arg(long, env = "SKEIN_TURNS_PER_MINUTE", default_value_t = 30)]
    pub turns_per_minute: u32,
    /// Price file [default: the built-in prices].
    #[arg(long, env = "SKEIN_PRICES")]
    pub prices: Option<PathBuf>,
    /// Share of the traces begun here that the orchestrator is told to record, from 0 to 1.
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value = "1", value_parser = share)]
    pub traces_share: f64,
    #[command(flatten)]
    pub orchestrator: OrchestratorConfig,
    #[command(flatten)]
    pub log: LogConfig,
    /// Set by cargo-leptos while it watches: pages reload by themselves.
    #[arg(long, env = "LEPTOS_WATCH", hide = true)]
    pub watch: Option<String>,
    /// Port of the reload socket while cargo-leptos watches.
    #[arg(long, env = "LEPTOS_RELOAD_PORT", default_value_t = 3001, hide = true)]
    pub reload_port: u16,
}

/// Where sandboxes are had, and with which keys.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Orchestrator")]
pub struct OrchestratorConfig {
    /// Orchestrator that runs elsewhere [default: one in this process].
    #[arg(long = "orchestrator-url", env = "TANGLE_ORCHESTRATOR_URL")]
    pub url: Option<String>,
    /// Key of its API [default: made at the first start].
    #[arg(long, env = "TANGLE_API_KEY", hide_env_values = true)]
    pub api_key: Option<SecretString>,
    /// Signs read tokens and webhooks; at least 32 characters [default: made at the first start].
    #[arg(long, env = "ORCHESTRATOR_SIGNING_SECRET", hide_env_values = true)]
    pub signing_secret: Option<SecretString>,
    /// Name of this product in read tokens.
    #[arg(long, env = "ORCHESTRATOR_PRODUCT_ID", default_value = "skein")]
    pub product_id: String,
    /// Sandbox API, where it is not the orchestrator's own.
    #[arg(long, env = "SANDBOX_API_URL")]
    pub sandbox_api_url: Option<String>,
    /// Image to ask for.
    #[arg(long, env = "SANDBOX_IMAGE")]
    pub sandbox_image: Option<String>,
    /// WebSocket address of the session gateway, as browsers reach it [default: the orchestrator's
    /// `/session`].
    #[arg(long, env = "SKEIN_GATEWAY_URL")]
    pub gateway_url: Option<String>,
    /// Listen address of the orchestrator in this process.
    #[arg(long, env = "SKEIN_ORCHESTRATOR_ADDR", default_value = "127.0.0.1:4095")]
    pub orchestrator_addr: SocketAddr,
    /// Webhook that the orchestrator in this process calls [default: this server's own].
    #[arg(long, env = "SKEIN_WEBHOOK_URL")]
    pub webhook_url: Option<String>,
    /// Pause between the demo agent's pieces of text, in milliseconds; 0 is as fast as possible
    /// [default: 18].
    #[arg(long, env = "SKEIN_DEMO_PACE_MS")]
    pub demo_pace_ms: Option<u64>,
    /// Program that a sandbox starts as its init [default: this one].
    #[arg(long, env = "SKEIN_SIDECAR_BINARY")]
    pub sidecar_binary: Option<PathBuf>,
}

/// What is logged, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Log")]
pub struct LogConfig {
    /// What is logged: `error`, `warn`, `info`, `debug`, or by module as in `info,server=debug`.
    #[arg(long = "log", env = "SKEIN_LOG", default_value = "info")]
    pub filter: String,
    /// How it is written.
    #[arg(long = "log-format", env = "SKEIN_LOG_FORMAT", value_enum, default_value_t)]
    pub format: Format,
}

fn share(text: &str) -> Result<f64, String> {
    // As OpenTelemetry has it: an empty variable is none.
    let text = if text.trim().is_empty() { "1" } else { text.trim() };
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "it must be a number from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::{CommandFactory, Parser};

    use super::*;

    /// The table of the project's README: variables, and their defaults.
    fn documented() -> BTreeMap<&'static str, &'static str> {
        let readme = include_str!("../../README.md");
        let (_, section) = readme.split_once("\n## Configuration\n").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let row = |line: &'static str| {
            let (variable, rest) = line.strip_prefix("| `")?.strip_suffix(" |")?.split_once('`')?;
            let (_, default) = rest.rsplit_once(" | ")?;
            Some((variable, default))
        };
        section.lines().filter_map(row).collect()
    }

    #[test]
    fn the_command_line_holds_together() {
        Config::command().debug_assert();
    }

    #[test]
    fn every_option_has_an_environment_variable_and_a_sentence() {
        for option in Config::command().get_arguments() {
            let name = option.get_id().as_str();
            if matches!(name, "help" | "version") {
                continue;
            }
            assert!(option.get_env().is_some(), "{name} has no variable");
            assert!(option.get_help().is_some(), "{name} has no sentence");
        }
    }

    #[test]
    fn the_readme_lists_every_option_with_its_default_and_nothing_else() {
        let mut rows = documented();
        for option in Config::command().get_arguments().filter(|option| !option.is_hide_set()) {
            let Some(variable) = option.get_env().and_then(|variable| variable.to_str()) else {
                continue;
            };
            let row = rows.remove(variable);
            let row = row.unwrap_or_else(|| panic!("the table lacks {variable}"));
            for default in option.get_default_values() {
                let default = format!("`{}`", default.to_str().unwrap());
                assert!(row.starts_with(&default), "{variable}: {default} in {row}");
            }
        }
        assert!(rows.is_empty(), "no options: {rows:?}");
    }

    #[test]
    fn the_share_of_traces_is_a_number_from_0_to_1() {
        assert_eq!((share(""), share("0.25")), (Ok(1.0), Ok(0.25)));
        assert!(["2", "-1", "NaN", "all"].iter().all(|wrong| share(wrong).is_err()));
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = Config::parse_from([
            "server",
            "--api-key=hunter2-key",
            "--signing-secret=hunter2-sign",
            "--database-url=postgres://u:hunter2@h/d",
        ]);
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
