//! Agents that stay after their turn, ready for the next one of the session.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Agent, Setup};

/// Agents that stay at once. Each holds some hundred megabytes of the sandbox's memory.
const MOST: usize = 1;

#[derive(Clone, Default)]
pub(super) struct WarmAgents(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By session, with the number under which it came.
    agents: HashMap<String, (u64, Agent)>,
    counted: u64,
}

impl WarmAgents {
    /// The session's agent, if there is one that was started the same way and still lives.
    pub(super) async fn take(&self, session_id: &str, setup: &Setup) -> Option<Agent> {
        let (_, mut agent) = self.state().agents.remove(session_id)?;
        if agent.setup == *setup && agent.is_alive() {
            return Some(agent);
        }
        agent.close().await;
        None
    }

    /// Keeps an agent for a while.
    pub(super) fn keep(&self, session_id: String, agent: Agent, linger: Duration) {
        let mut state = self.state();
        state.counted += 1;
        let number = state.counted;
        let mut gone = Vec::new();
        gone.extend(state.agents.insert(session_id.clone(), (number, agent)));
        while state.agents.len() > MOST {
            let oldest = state.agents.iter().min_by_key(|(_, (number, _))| *number);
            let Some(oldest) = oldest.map(|(session, _)| session.clone()) else { break };
            gone.extend(state.agents.remove(&oldest));
        }
        drop(state);
        for (_, agent) in gone {
            tokio::spawn(agent.close());
        }
        let warm = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(linger).await;
            if let Some(agent) = warm.expire(&session_id, number) {
                agent.close().await;
            }
        });
    }

    /// The session's agent, if it is still the one that came under that number.
    fn expire(&self, session_id: &str, number: u64) -> Option<Agent> {
        let mut state = self.state();
        let same = state.agents.get(session_id).is_some_and(|(at, _)| *at == number);
        let expired = if same { state.agents.remove(session_id) } else { None };
        expired.map(|(_, agent)| agent)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
