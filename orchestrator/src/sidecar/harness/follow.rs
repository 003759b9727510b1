//! A turn from the message to its end, for every agent that speaks in lines.

use std::time::Duration;

use sandbox_sdk::types::TurnError;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{End, reporter::Reporter, watchdog::Watchdog};

/// How long an agent may take to stop by itself; the orchestrator waits a little longer.
const INTERRUPT_GRACE: Duration = Duration::from_millis(1500);

/// What is different from agent to agent.
pub(super) trait Conversation {
    /// The next thing it says, or nothing once it has ended. May be dropped without losing anything.
    async fn next(&mut self) -> Option<String>;

    /// Translates it. An end ends the turn; a pause is how long the agent will say nothing.
    async fn take(&mut self, line: &str, reporter: &mut Reporter) -> Step;

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
    Ends(End),
}

/// Follows a turn to its end. After any end but a good one, nothing of the agent is left.
pub(super) async fn follow(
    agent: &mut impl Conversation,
    reporter: &mut Reporter,
    stopped: &CancellationToken,
    watchdog: Watchdog<'_>,
) -> End {
    let end = listen(agent, reporter, stopped, watchdog).await;
    if end != End::Completed {
        agent.kill();
    }
    end
}

async fn listen(
    agent: &mut impl Conversation,
    reporter: &mut Reporter,
    stopped: &CancellationToken,
    mut watchdog: Watchdog<'_>,
) -> End {
    let mut interrupted: Option<Instant> = None;
    loop {
        let deadline = interrupted.unwrap_or_else(Instant::now) + INTERRUPT_GRACE;
        tokio::select! {
            biased;
            () = stopped.cancelled(), if interrupted.is_none() => {
                interrupted = Some(Instant::now());
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
                    Step::Quiet => {}
                    Step::Pauses(pause) => watchdog.pauses(pause),
                }
            }
            stuck = watchdog.bites() => return End::Failed(stuck),
        }
    }
}
