//! Notices that an agent is stuck: it says nothing, and there is nothing that it could be waiting for.

use std::time::Duration;

use sandbox_sdk::types::TurnError;
use tokio::time::{Instant, sleep};

use super::{forwarder::Door, problem};
use crate::agents::{Cli, Patience};

const TICK: Duration = Duration::from_millis(250);

pub(super) struct Watchdog<'a> {
    cli: Cli,
    patience: Patience,
    door: &'a Door,
    heard: Instant,
    tools: usize,
}

impl<'a> Watchdog<'a> {
    pub(super) fn new(cli: Cli, patience: Patience, door: &'a Door) -> Self {
        Self { cli, patience, door, heard: Instant::now(), tools: 0 }
    }

    /// The agent said something, and so many tools run now. Those may be silent for as long as the turn
    /// may last: the agent has limits of its own for them.
    pub(super) fn heard(&mut self, tools: usize) {
        self.heard = Instant::now();
        self.tools = tools;
    }

    /// The agent announced that it pauses.
    pub(super) fn pauses(&mut self, pause: Duration) {
        self.heard = Instant::now() + pause;
    }

    /// Waits until the agent is stuck.
    pub(super) async fn bites(&self) -> TurnError {
        loop {
            let (model, waiting) = self.door.traffic();
            let last = model.map_or(self.heard, |model| model.max(self.heard));
            let silent = Instant::now().saturating_duration_since(last);
            let name = self.cli.name();
            if waiting {
                if silent > self.patience.model {
                    let seconds = silent.as_secs();
                    let message = format!("The model has sent nothing for {seconds} s.");
                    return problem("MODEL_SILENT", message);
                }
            } else if self.tools == 0 && silent > self.patience.idle {
                let seconds = silent.as_secs();
                let message = format!("{name} has said nothing for {seconds} s and was ended.");
                return problem("AGENT_STUCK", message);
            }
            sleep(TICK).await;
        }
    }
}
