//! What a test has the orchestrator do.

use sandbox_sdk::types::{
    AgentCatalog, Part, PartBody, SandboxStatus, TextPart, TokenUsage, TurnError, TurnRecord,
    TurnState,
};

use super::{EVENTS_OF_A_TURN, Fault, Orchestrator};

impl Orchestrator {
    /// From now on calls of this kind (`agents`, `create`, `read`, `resume`, `delete`, `map`, `dispatch`,
    /// `abort`, `record`, `waiting`, `answer`) go wrong.
    pub(crate) fn fault(&self, call: &'static str, fault: Fault) {
        self.book().faults.insert(call, fault);
    }

    /// Every call fails as if a proxy stood before a dead service.
    pub(crate) fn go_down(&self) {
        for call in [
            "agents", "create", "read", "resume", "delete", "map", "dispatch", "abort", "record",
            "waiting", "answer",
        ] {
            self.fault(call, Fault::Refuse(503));
        }
    }

    /// All calls work again; those that hang go on.
    pub(crate) fn heal(&self) {
        self.book().faults.clear();
        self.inner.changes.send_modify(|count| *count += 1);
    }

    /// New sandboxes have this status.
    pub(crate) fn sandboxes_are_born(&self, status: SandboxStatus) {
        self.book().born = Some(status);
    }

    /// From now on it says that it can run these.
    pub(crate) fn has_agents(&self, catalog: AgentCatalog) {
        self.book().catalog = Some(catalog);
    }

    pub(crate) fn set_sandboxes(&self, status: &SandboxStatus) {
        for made in self.book().sandboxes.values_mut() {
            made.status = status.clone();
        }
    }

    /// All sandboxes, sessions and records are gone.
    pub(crate) fn forget_everything(&self) {
        let mut book = self.book();
        book.sandboxes.clear();
        book.mappings.clear();
        book.turns.clear();
    }

    pub(crate) fn forget_turns(&self) {
        self.book().turns.clear();
    }

    /// What the running turn has said and used so far.
    pub(crate) fn say(&self, turn: &str, text: &str, usage: TokenUsage) {
        self.change(turn, |record| {
            record.parts = vec![Part {
                id: format!("prt_{turn}_0"),
                session_id: record.session_id.clone(),
                message_id: format!("msg_{turn}"),
                body: PartBody::Text(TextPart { text: text.to_owned(), ..Default::default() }),
            }];
            record.final_text = text.to_owned();
            record.token_usage = usage;
            record.last_seq = record.first_seq + EVENTS_OF_A_TURN - 1;
        });
    }

    /// The turn's agent asks, and waits.
    pub(crate) fn asks(&self, turn: &str, request: serde_json::Value) {
        let session = self.turn(turn).record.session_id;
        self.book().waiting.push((session, serde_json::from_value(request).unwrap()));
    }

    /// Nobody waits for an answer any more.
    pub(crate) fn withdraws(&self) {
        self.book().waiting.clear();
    }

    /// The turn ends.
    pub(crate) fn end(&self, turn: &str, state: TurnState) {
        self.change(turn, |record| {
            record.state = state;
            record.ended_at = Some(record.started_at + 1500);
        });
    }

    /// The turn fails with this code.
    pub(crate) fn fail(&self, turn: &str, code: &str, message: &str) {
        self.change(turn, |record| {
            let (code, message) = (Some(code.to_owned()), message.to_owned());
            record.error = Some(TurnError { message, code, ..Default::default() });
        });
        self.end(turn, TurnState::Failed);
    }

    pub(crate) fn change(&self, turn: &str, change: impl FnOnce(&mut TurnRecord)) {
        let mut book = self.book();
        let found = book.turns.iter_mut().find(|((_, id), _)| id == turn);
        change(&mut found.expect("a dispatched turn").1.record);
    }
}
