//! A turn from the message to its end, for every agent that speaks in lines.

use std::time::Duration;

use sandbox_sdk::types::TurnError;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    End,
    asks::{Ask, Asks, Decision},
    reporter::Reporter,
    watchdog::Watchdog,
};
use crate::interactions::Asker;

/// How long an agent may take to stop by itself; the orchestrator waits a little longer.
const INTERRUPT_GRACE: Duration = Duration::from_millis(1500);

/// What is different from agent to agent.
pub(super) trait Conversation {
    /// The next thing it says, or nothing once it has ended. May be dropped without losing anything.
    async fn next(&mut self) -> Option<String>;

    /// Translates it. An end ends the turn; a pause is how long the agent will say nothing.
    async fn take(&mut self, line: &str, reporter: &mut Reporter) -> Step;

    /// Tells it what a person has decided. `native` is what its request came with.
    async fn decided(&mut self, native: Value, decision: Decision);

    /// Asks it to stop.
    async fn interrupt(&mut self);

    /// Why it is silent for good.
    fn died(&self) -> TurnError;

    /// Kills it with all that it started.
    fn kill(&mut self);
}

/// What a line meant for the turn.
pub(super) enum Step {
    Goes,
    /// It is no sign that the agent goes on.
    Quiet,
    Pauses(Duration),
    /// It waits for a person.
    Asks(Box<Ask>),
    /// It does not wait for the one of that name any more.
    Withdraws(String),
    Ends(End),
}

/// Follows a turn to its end. After any end but a good one, nothing of the agent is left.
pub(super) async fn follow(
    agent: &mut impl Conversation,
    reporter: &mut Reporter,
    asker: Asker,
    stopped: &CancellationToken,
    watchdog: Watchdog<'_>,
) -> End {
    let end = listen(agent, reporter, asker, stopped, watchdog).await;
    if end != End::Completed {
        agent.kill();
    }
    end
}

async fn listen(
    agent: &mut impl Conversation,
    reporter: &mut Reporter,
    asker: Asker,
    stopped: &CancellationToken,
    mut watchdog: Watchdog<'_>,
) -> End {
    let mut asks = Asks::new(asker);
    let mut interrupted: Option<Instant> = None;
    loop {
        let deadline = interrupted.unwrap_or_else(Instant::now) + INTERRUPT_GRACE;
        tokio::select! {
            biased;
            () = stopped.cancelled(), if interrupted.is_none() => {
                interrupted = Some(Instant::now());
                asks.clear();
                tokio::time::timeout(INTERRUPT_GRACE, agent.interrupt()).await.ok();
            }
            () = sleep_until(deadline), if interrupted.is_some() => return End::Aborted,
            line = agent.next() => {
                let Some(line) = line else {
                    let died = || End::Failed(agent.died());
                    return interrupted.map_or_else(died, |_| End::Aborted);
                };
                match agent.take(&line, reporter).await {
                    Step::Ends(_) if interrupted.is_some() => return End::Aborted,
                    Step::Ends(end) => return end,
                    Step::Goes => watchdog.heard(reporter.running_tools()),
                    Step::Asks(ask) if interrupted.is_none() => asks.push(*ask),
                    Step::Withdraws(key) => asks.withdraw(&key),
                    Step::Asks(_) | Step::Quiet => {}
                    Step::Pauses(pause) => watchdog.pauses(pause),
                }
            }
            (native, decision) = asks.next() => {
                agent.decided(native, decision).await;
                watchdog.heard(reporter.running_tools());
            }
            // Nobody is stuck who waits for a person.
            stuck = watchdog.bites(), if !asks.any() => return End::Failed(stuck),
        }
    }
}
