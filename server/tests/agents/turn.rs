//! Plays a cell, and checks what holds for every turn, however it ends.

use std::collections::BTreeMap;

use sandbox_sdk::{
    transcript::Transcript,
    types::{Event, EventBody, Part, PartBody, TokenUsage, TurnRecord, TurnState},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    cells::{Cell, Ends, Meanwhile, Says},
    support::{
        Agent, Bill, HOLD, Keys, PATIENCE, Process, Product, Session, assert_books_balance, cost,
        eventually, there,
    },
};

/// A turn that was settled, as its three witnesses tell it: the product, the orchestrator and the
/// model server.
struct Settled {
    status: Value,
    record: TurnRecord,
    bill: Bill,
    /// What the product took for it, in micro-credits.
    paid: i64,
    /// The body of the last request.
    last_request: Value,
}

/// Plays all turns of the cell in one chat, if the agent is there.
pub(crate) async fn play(agent: Agent, cell: &Cell) {
    if agent.is_here() {
        timeout(PATIENCE, play_all(agent, cell)).await.expect("all turns end in time");
    }
}

async fn play_all(agent: Agent, cell: &Cell) {
    let mut product = Product::start(Keys::usual()).await;
    let (mut chat, mut before) = (None::<String>, None::<String>);
    for (number, (script, says)) in cell.turns.iter().enumerate() {
        let is_last = number + 1 == cell.turns.len();
        let (meanwhile, ends) = match is_last {
            true => (&cell.meanwhile, cell.ends),
            false => (&Meanwhile::Nothing, &[Ends::Completed][..]),
        };
        let script = Script::new(agent, script);
        let (seen, paid) = (product.model.requests().len(), paid(&product, chat.as_ref()).await);
        let started = product.ask(agent, chat.as_deref(), &script.text).await;
        let mut session = product.session(&started.chat).await;
        happen(meanwhile, &mut product, &session, &started.turn, &script).await;
        if *meanwhile == Meanwhile::KillOrchestrator {
            session = product.session(&started.chat).await;
        }
        let status = product.settled(&started.turn).await;
        let log = product.model.requests().split_off(seen);
        let settled = Settled {
            status,
            record: session.record(&started.turn).await,
            bill: Bill::of(&log),
            paid: product.paid().await - paid,
            last_request: log.last().expect("the model was asked").body.clone(),
        };
        settled.assert_ended_as(ends);
        settled.assert_text(says, &session.events(&settled.record).await);
        settled.assert_usage(&session.events(&settled.record).await);
        settled.assert_paid(agent);
        assert!(cell.requests.contains(&settled.bill.requests), "{log:#?}");
        if let Some(before) = &before {
            assert!(settled.last_request.to_string().contains(before), "{before:?} is forgotten");
        }
        nothing_works(&session, settled.record.state).await;
        if let Some((path, content)) = cell.leaves {
            assert_eq!(session.file(path).await, content);
        }
        (chat, before) = (Some(started.chat), Some(script.text));
    }
    assert_books_balance(product.stop().await.path()).await;
}

/// Before the first message there is nobody who could have paid.
async fn paid(product: &Product, chat: Option<&String>) -> i64 {
    if chat.is_some() { product.paid().await } else { 0 }
}

/// A prompt, with what is different from one run to another.
struct Script {
    text: String,
    /// What a process of its own has as its argument.
    for_ever: String,
}

impl Script {
    fn new(agent: Agent, text: &str) -> Self {
        // Seconds that no other process on this machine sleeps.
        let for_ever = format!("{}", 100_000_000 + uuid::Uuid::now_v7().as_u128() % 800_000_000);
        // Twenty thousand micro-credits less than is held: no second request can be paid from that.
        let nearly_all = (HOLD * 1_000_000 - 20_000) * 1000 / agent.price().output;
        let text = text.replace("{for ever}", &for_ever);
        Self { text: text.replace("{nearly all}", &nearly_all.to_string()), for_ever }
    }
}

/// Lets happen what happens while the turn runs.
async fn happen(
    meanwhile: &Meanwhile,
    product: &mut Product,
    session: &Session,
    turn: &str,
    script: &Script,
) {
    let record = session.record(turn).await;
    match meanwhile {
        Meanwhile::Nothing => {}
        Meanwhile::Stop => {
            session.heard(&record, |text| text.starts_with("One")).await;
            product.stop_turn(turn).await;
        }
        Meanwhile::KillAgent => {
            tool_runs(session, &record, script).await;
            let processes = session.processes();
            let agents: Vec<_> = processes.iter().filter(|process| process.is_agent()).collect();
            // The built-in agent is part of the sandbox's init.
            let init = processes.iter().filter(|process| process.is_init);
            let doomed = if agents.is_empty() { init.collect() } else { agents };
            doomed.iter().for_each(|process| process.kill());
        }
        Meanwhile::KillOrchestrator => {
            tool_runs(session, &record, script).await;
            // What the model has told must have been taken in: all else is lost with the process.
            eventually("the first answer is metered", async || {
                let usage = session.record(turn).await.token_usage;
                let is_over = !usage.extra.contains_key("estimated");
                (usage.output_tokens > 0 && is_over).then_some(())
            })
            .await;
            product.kill();
            product.nothing_runs().await;
            product.restart().await;
        }
    }
}

/// Waits until the agent's tool runs, and what it said before has arrived.
async fn tool_runs(session: &Session, record: &TurnRecord, script: &Script) {
    session.heard(record, |text| text == "I wait.").await;
    eventually("the tool runs", async || there(&script.for_ever).then_some(())).await;
}

/// Waits until nothing is at work in the sandbox. An agent that has completed its turn may rest there.
async fn nothing_works(session: &Session, state: TurnState) {
    let rests = state == TurnState::Completed;
    let may_stay = |process: &Process| process.is_init || (rests && process.is_of_agent());
    eventually("no process is left", async || {
        session.processes().iter().all(may_stay).then_some(())
    })
    .await;
}

impl Settled {
    fn assert_ended_as(&self, ends: &[Ends]) {
        let code = self.record.error.as_ref().and_then(|error| error.code.as_deref());
        let code = code.unwrap_or_default();
        let state = self.status["state"].as_str().unwrap();
        let is = |end: &Ends| match end {
            Ends::Completed => self.record.state == TurnState::Completed && state == "completed",
            Ends::Stopped => self.record.state == TurnState::Aborted && state == "stopped",
            Ends::Failed(why) => {
                self.record.state == TurnState::Failed && state == "failed" && code == *why
            }
            Ends::Interrupted(why) => {
                let interrupted = self.record.state == TurnState::Interrupted;
                interrupted && state == "interrupted" && code == *why
            }
        };
        assert!(ends.iter().any(is), "{ends:?}: {} {:#?}", self.status, self.record);
    }

    /// The page that listened, the record and the history have the same text.
    fn assert_text(&self, says: &Says, events: &[Event]) {
        let mut heard = Transcript::default();
        for event in events {
            if let EventBody::PartUpdated(update) = event.body() {
                heard.apply(*update);
            }
        }
        let kept = self.status["outcome"]["message"]["parts"].clone();
        let kept: Vec<Part> = serde_json::from_value(kept).unwrap();
        let text = &self.record.final_text;
        assert_eq!((&heard.text(), &text_of(&kept)), (text, text));
        let is_said = match says {
            Says::Exactly(whole) => text == whole,
            Says::ABeginning(whole) => !text.is_empty() && whole.starts_with(text.trim_end()),
            // What says that it is complete, is.
            Says::AtMost(whole) if self.record.state == TurnState::Completed => text == whole,
            Says::AtMost(whole) => whole.starts_with(text.trim_end()),
        };
        assert!(is_said, "{text:?}");
    }

    /// The record, its two last events and the product's receipt have what the model server says.
    fn assert_usage(&self, events: &[Event]) {
        let usage = &self.record.token_usage;
        assert!(self.bill.allows(usage), "{usage:?} {:?}", self.bill);
        assert_eq!(usage.extra["requests"], self.bill.requests);
        assert_eq!(usage.extra.contains_key("estimated"), self.bill.broken > 0, "{usage:?}");
        // What was heard is counted, if only by its length.
        let heard = self.record.final_text.len() as u64;
        assert!(self.bill.broken == 0 || usage.output_tokens * 4 >= heard, "{usage:?}");

        let told = events.iter().filter_map(|event| match event.body() {
            EventBody::Result(result) => Some(("result", result.token_usage)),
            EventBody::Done(done) => Some(("done", done.token_usage)),
            _ => None,
        });
        let told: BTreeMap<&str, Vec<TokenUsage>> =
            told.fold(BTreeMap::new(), |mut all, (kind, usage)| {
                all.entry(kind).or_default().push(usage);
                all
            });
        let once = vec![usage.clone()];
        assert_eq!(told, BTreeMap::from([("done", once.clone()), ("result", once)]));

        let receipt = &self.status["outcome"]["message"]["receipt"];
        let cached = usage.cache_read_input_tokens.unwrap_or(0);
        let read = usage.input_tokens + cached + usage.cache_creation_input_tokens.unwrap_or(0);
        assert_eq!(
            (&receipt["input_tokens"], &receipt["cached_tokens"], &receipt["output_tokens"]),
            (&json!(read), &json!(cached), &json!(usage.output_tokens))
        );
    }

    /// What was taken from the account is the price of what the model server has in its log.
    fn assert_paid(&self, agent: Agent) {
        let receipt = &self.status["outcome"]["message"]["receipt"];
        let price = cost(&self.record.token_usage, agent.price());
        assert_eq!((self.paid, &receipt["charged"]), (price, &json!(price)), "{receipt}");
        assert!(price > 0);
    }
}

/// The text parts, parted by blank lines.
fn text_of(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match &part.body {
        PartBody::Text(text) if !text.text.is_empty() => Some(text.text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n\n")
}
