//! The agents, and what their models cost.

use std::path::PathBuf;

use orchestrator::agents::{Cli, installed};

/// Credits that are held for a turn.
pub(crate) const HOLD: u64 = 200;

/// Every kind of token has a price of its own, so that a mix-up shows.
pub(crate) const PRICES: &str = r#"
version = "matrix"
default = "demo"
hold = 200
minimum_hold = 1
[models]
demo = { agent = "demo", input = 0, output = 0 }
"anthropic/*" = { input = 300, output = 1500, cache_read = 30, cache_write = 375 }
"openai/*" = { input = 125, output = 1000, cache_read = 12.5, cache_write = 150 }
"custom/*" = { input = 500, output = 4000, cache_read = 50, cache_write = 600 }
"#;

/// Thousandths of a micro-credit for a token.
#[derive(Clone, Copy)]
pub(crate) struct Price {
    pub(crate) input: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_write: u64,
    pub(crate) output: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Agent {
    ClaudeCode,
    Codex,
    OpenCode,
    BuiltIn,
}

impl Agent {
    pub(crate) const ALL: [Self; 4] =
        [Self::ClaudeCode, Self::Codex, Self::OpenCode, Self::BuiltIn];

    pub(crate) fn id(self) -> &'static str {
        self.cli().map_or("skein", Cli::id)
    }

    fn cli(self) -> Option<Cli> {
        match self {
            Self::ClaudeCode => Some(Cli::ClaudeCode),
            Self::Codex => Some(Cli::Codex),
            Self::OpenCode => Some(Cli::OpenCode),
            Self::BuiltIn => None,
        }
    }

    /// Between them they speak every format that there is.
    pub(crate) fn model(self) -> &'static str {
        match self {
            Self::ClaudeCode | Self::BuiltIn => "anthropic/scripted-1",
            Self::Codex => "openai/scripted-1",
            Self::OpenCode => "custom/scripted-1",
        }
    }

    /// As `PRICES` has it.
    pub(crate) fn price(self) -> Price {
        let price = |input, cache_read, cache_write, output| Price {
            input,
            cache_read,
            cache_write,
            output,
        };
        match self {
            Self::ClaudeCode | Self::BuiltIn => price(300_000, 30_000, 375_000, 1_500_000),
            Self::Codex => price(125_000, 12_500, 150_000, 1_000_000),
            Self::OpenCode => price(500_000, 50_000, 600_000, 4_000_000),
        }
    }

    /// Whether it can be had here; where it can't, that is said.
    pub(crate) fn is_here(self) -> bool {
        let Some(cli) = self.cli() else { return true };
        let path = std::env::var_os("PATH");
        let folders: Vec<PathBuf> = agents_folder().into_iter().collect();
        let found = installed(&folders, path.as_deref());
        let is_here = found.iter().any(|found| found.cli == cli);
        if !is_here {
            println!("skipped: {} is not installed; SKEIN_AGENTS names the folder", cli.name());
        }
        is_here
    }
}

/// Where agents are installed, if somebody said so.
pub(crate) fn agents_folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SKEIN_AGENTS").filter(|folder| !folder.is_empty())?;
    Some(std::path::absolute(folder).unwrap())
}
