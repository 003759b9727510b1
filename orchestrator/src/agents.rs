//! The agents that can work in a sandbox of this orchestrator.

use sandbox_sdk::types::{AgentInfo, WireFormat};

use crate::config::Config;

/// Finds agents.
#[derive(Debug)]
pub(crate) struct Agents;

impl Agents {
    /// Those that are part of this program: the demo agent, and the one that needs only a model.
    pub(crate) fn discover(_: &Config) -> Vec<AgentInfo> {
        let built_in = |id: &str, name: &str, formats| AgentInfo {
            id: id.to_owned(),
            name: name.to_owned(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            available: true,
            formats,
            ..AgentInfo::default()
        };
        vec![
            built_in("demo", "Demo", Vec::new()),
            built_in("skein", "Skein", vec![WireFormat::Messages, WireFormat::ChatCompletions]),
        ]
    }
}
