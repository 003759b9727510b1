//! What a crash left: turns that say they run, and nobody runs them.

use sandbox_sdk::types::{Event, EventBody, TurnLimits};

use super::{
    TurnError, Turns,
    ingest::Names,
    meter::Message,
    outcome::Stop,
    runner::{RETRY, Turn},
};
use crate::store::{TurnRow, token_usage};

/// Bytes of events that are looked at together.
const PAGE: usize = 256 * 1024;

impl Turns {
    /// Ends the turns of the last process as interrupted, from what their logs hold.
    pub(crate) async fn recover(&self) -> Result<usize, TurnError> {
        let left = self.0.store.running_turns().await?;
        let count = left.len();
        for (session_id, row) in left {
            self.interrupt(&session_id, row).await?;
        }
        Ok(count)
    }

    async fn interrupt(&self, session_id: &str, row: TurnRow) -> Result<(), TurnError> {
        let session = self.0.store.session(session_id).await?;
        let session = session.ok_or_else(|| TurnError::missing("session", session_id))?;
        let log = self.0.logs.known_session(&session).await?;
        let names = Names::new(session_id, &row.id);
        let mut message = Message::default();
        let (mut at, until) = (row.since(), log.head().seq);
        loop {
            let page = self.0.store.events(session.key, at, until, PAGE).await?;
            let Some(last) = page.last() else { break };
            at = last.seq;
            for event in &page {
                hear(&mut message, &names, &event.decode()?);
            }
        }
        let metered = row.metered()?;
        let turn = Turn {
            sandbox_id: session.sandbox_id,
            log,
            prompt: String::new(),
            files: Vec::new(),
            backend: None,
            limits: TurnLimits::default(),
            input_tokens: row.input_tokens(),
            id: row.id,
        };
        let stop = Stop::interrupted(
            "ORCHESTRATOR_RESTARTED",
            "The orchestrator was restarted in the middle of this turn.",
        );
        tracing::warn!(turn = turn.id, session = session_id, "ending a turn that a crash cut off");
        let used = metered
            .unwrap_or_else(|| token_usage(turn.input_tokens, message.output_tokens()).into());
        // Not for ever: somebody waits for the start, and can do something about the disk.
        Ok(self.end(&turn, message, stop.outcome(), used, RETRY.into_iter()).await?)
    }
}

/// Takes what an event of the log adds to the turn's message.
fn hear(message: &mut Message, names: &Names, event: &Event) {
    match event.body() {
        EventBody::PartUpdated(update) if names.owns(&update.part.message_id) => {
            message.take(*update, u64::MAX);
        }
        EventBody::Interaction(asked) if names.owns(&asked.message_id) => message.ask(*asked),
        EventBody::InteractionResolved(resolved) => message.resolve(resolved),
        EventBody::InteractionCancelled(cancelled) => message.cancel(cancelled),
        _ => {}
    }
}
