//! What an agent waits for in a turn: questions and permissions that a person has to decide.

use std::collections::HashMap;

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::interactions::{Asker, Question, Wanted};

/// A request of an agent.
#[derive(Debug)]
pub(super) struct Ask {
    /// The agent's own name of it.
    pub(super) key: String,
    pub(super) what: What,
    /// What the answer has to be written with.
    pub(super) native: Value,
}

#[derive(Debug)]
pub(super) enum What {
    Permission(Wanted),
    Questions(Vec<Question>),
    Plan(String),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed,
    /// In the order of the questions.
    Answered(Vec<Vec<String>>),
    /// Words for the agent.
    Denied(String),
}

/// The words and the options of a question: all agents write them alike.
pub(super) fn question(asked: &Value) -> Question {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let option = |option: &Value| (text(&option["label"]), Some(text(&option["description"])));
    let options = asked["options"].as_array().into_iter().flatten().map(option).collect();
    Question { text: text(&asked["question"]), options, ..Question::default() }
}

/// What was asked, by the agent's name of it, with what came of it unless it was taken back.
type Ended = (String, Option<(Value, Decision)>);

/// All that an agent waits for. Dropping it takes everything back.
pub(super) struct Asks {
    asker: Asker,
    open: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// Of what is open.
    withdrawals: HashMap<String, CancellationToken>,
}

impl Asks {
    pub(super) fn new(asker: Asker) -> Self {
        Self { asker, open: FuturesUnordered::new(), withdrawals: HashMap::new() }
    }

    pub(super) fn push(&mut self, ask: Ask) {
        let Ask { key, what, native } = ask;
        let (asker, withdrawn) = (self.asker.clone(), CancellationToken::new());
        self.withdrawals.insert(key.clone(), withdrawn.clone());
        self.open.push(Box::pin(async move {
            let decided = withdrawn.run_until_cancelled(decide(&asker, what)).await;
            (key, decided.map(|decision| (native, decision)))
        }));
    }

    /// The agent does not wait for this any more.
    pub(super) fn withdraw(&mut self, key: &str) {
        if let Some(withdrawn) = self.withdrawals.remove(key) {
            withdrawn.cancel();
        }
    }

    /// Whether a person is waited for.
    pub(super) fn any(&self) -> bool {
        !self.withdrawals.is_empty()
    }

    /// The next thing that was decided. May be dropped without losing any.
    pub(super) async fn next(&mut self) -> (Value, Decision) {
        loop {
            let Some((key, decided)) = self.open.next().await else {
                std::future::pending::<()>().await;
                continue;
            };
            self.withdrawals.remove(&key);
            if let Some(decided) = decided {
                return decided;
            }
        }
    }

    /// Takes everything back.
    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.withdrawals.clear();
    }
}

async fn decide(asker: &Asker, what: What) -> Decision {
    let allowed = |decided: Result<(), String>| match decided {
        Ok(()) => Decision::Allowed,
        Err(words) => Decision::Denied(words),
    };
    match what {
        What::Permission(wanted) => allowed(asker.permit(wanted).await),
        What::Plan(plan) => allowed(asker.approve(&plan).await),
        What::Questions(questions) => match asker.question(&questions).await {
            Ok(answers) => Decision::Answered(answers),
            Err(words) => Decision::Denied(words),
        },
    }
}
