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
                    Step::Withdraws(key) => {
                        asks.withdraw(&key);
                        watchdog.heard(reporter.running_tools());
                    }
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

#[cfg(test)]
mod tests {
    use sandbox_sdk::types::{Event, EventBody, InteractionAnswer, Outcome};
    use serde_json::json;
    use tokio::{
        sync::mpsc,
        time::{sleep, timeout},
    };

    use super::*;
    use crate::{
        agents::{Cli, Patience},
        interactions::{Broker, Power, Wanted},
        sidecar::{
            AgentRun,
            harness::{asks::What, forwarder::Forwarder, problem},
        },
    };

    const LONG: Duration = Duration::from_secs(60);
    const IDLE: Duration = Duration::from_millis(400);

    /// Asks, says what it is given to say, and ends once it was told.
    struct Asking {
        lines: Vec<&'static str>,
        told: Vec<Decision>,
    }

    impl Conversation for Asking {
        async fn next(&mut self) -> Option<String> {
            match self.lines.pop() {
                Some(line) => Some(line.to_owned()),
                None if self.told.is_empty() => std::future::pending().await,
                None => Some("end".to_owned()),
            }
        }

        async fn take(&mut self, line: &str, _: &mut Reporter) -> Step {
            let wanted = Wanted { power: Power::Command, subject: line.to_owned(), body: None };
            match line {
                "end" => Step::Ends(End::Completed),
                "never mind" => Step::Withdraws("ls".to_owned()),
                line => Step::Asks(Box::new(Ask {
                    key: line.to_owned(),
                    what: What::Permission(wanted),
                    native: Value::Null,
                })),
            }
        }

        async fn decided(&mut self, _: Value, decision: Decision) {
            self.told.push(decision);
        }

        async fn interrupt(&mut self) {}

        fn died(&self) -> TurnError {
            problem("AGENT_DIED", "")
        }

        fn kill(&mut self) {}
    }

    /// Follows the agent while the person does something.
    async fn followed(
        agent: &mut Asking,
        person: impl AsyncFnOnce(Broker, mpsc::Receiver<Event>),
    ) -> End {
        let (events, heard) = mpsc::channel(64);
        let broker = Broker::new(LONG);
        let asker = broker.asker(&AgentRun::unasked(), events.clone());
        let mut reporter = Reporter::new(&AgentRun::unasked(), events);
        let door = Forwarder::start().await.unwrap().door().unwrap();
        let patience = Patience { idle: IDLE, ..Patience::default() };
        let watchdog = Watchdog::new(Cli::OpenCode, patience, &door);
        let stopped = CancellationToken::new();
        let following = follow(agent, &mut reporter, asker, &stopped, watchdog);
        let both = async { tokio::join!(following, person(broker, heard)).0 };
        timeout(LONG, both).await.expect("it ends")
    }

    fn allowed(id: &str) -> InteractionAnswer {
        let data = json!({"grant": "allow_once"}).as_object().unwrap().clone();
        InteractionAnswer { id: id.to_owned(), outcome: Outcome::Accepted, data }
    }

    #[tokio::test]
    async fn an_agent_that_waits_for_a_person_is_not_stuck() {
        let mut agent = Asking { lines: vec!["ls"], told: Vec::new() };
        let end = followed(&mut agent, async |broker, mut heard| {
            assert_eq!(heard.recv().await.unwrap().kind, "interaction");
            sleep(IDLE * 4).await;
            assert!(broker.answer("t", allowed("int_t_1")), "it still waits");
        })
        .await;
        assert_eq!((end, agent.told), (End::Completed, vec![Decision::Allowed]));
    }

    #[tokio::test]
    async fn what_an_agent_does_not_wait_for_any_more_is_taken_back() {
        let mut agent = Asking { lines: vec!["never mind", "pwd", "ls"], told: Vec::new() };
        let end = followed(&mut agent, async |broker, mut heard| {
            let mut asked = Vec::new();
            while let Some(event) = heard.recv().await {
                match event.body() {
                    EventBody::Interaction(request) => asked.push(request.request),
                    EventBody::InteractionCancelled(cancelled) => {
                        assert_eq!(cancelled.reason.as_deref(), Some("withdrawn"));
                        asked.retain(|request| request.id != cancelled.id);
                    }
                    other => panic!("{other:?}"),
                }
                let open: Vec<_> = asked.iter().map(|asked| asked.subject.as_deref()).collect();
                if open == [Some("pwd")] {
                    assert!(broker.answer("t", allowed(&asked[0].id)));
                    break;
                }
            }
        })
        .await;
        assert_eq!((end, agent.told), (End::Completed, vec![Decision::Allowed]));
    }
}
