//! Does what an answer calls for, if it may be done.

use futures::StreamExt;

use super::Turn;
use crate::{
    builtin::{
        answer::{Answered, MAX_CALLS, WantedCall},
        conversation::{Block, Call, Message, ToolResult},
        model::Stop,
        toolbox::{self, Invocation, Outcome},
    },
    profile::Permission,
};

/// Calls that run at the same time.
const PARALLEL: usize = 8;

impl Turn {
    /// Does what an answer calls for, and tells the model what came of it.
    pub(super) async fn do_calls(&mut self, answered: Answered) {
        let Answered { mut blocks, calls, stop } = answered;
        let last = calls.len() - 1;
        let mut wanted = Vec::with_capacity(calls.len());
        for (index, call) in calls.iter().enumerate() {
            let cut = stop == Stop::Length && index == last;
            wanted.push(self.understand(call, index, cut));
        }
        for (call, wanted) in calls.iter().zip(&wanted) {
            let input = wanted.as_ref().map_or_else(|_| serde_json::json!({}), Invocation::input);
            let name = toolbox::canonical(&call.name).unwrap_or("unknown").to_owned();
            blocks.push(Block::Call(Call { id: call.id.clone(), name, input }));
        }
        // Before they run: what stops the turn now must not make them undone.
        self.conversation.messages.push(Message::Assistant { blocks });
        let outcomes = self.perform(&calls, wanted).await;
        let mut results: Vec<ToolResult> = calls
            .into_iter()
            .zip(outcomes)
            .map(|(call, outcome)| ToolResult {
                call_id: call.id,
                text: outcome.text,
                is_error: outcome.error.is_some(),
            })
            .collect();
        self.repeats.note(&self.conversation.messages, &mut results);
        self.conversation.messages.push(Message::Tools { results });
    }

    fn understand(&self, call: &WantedCall, index: usize, cut: bool) -> Result<Invocation, String> {
        if index >= MAX_CALLS {
            return Err(format!("Only {MAX_CALLS} calls at once."));
        }
        if cut {
            return Err("This call was cut off: it was too long. Write less at once.".into());
        }
        let tool = toolbox::canonical(&call.name).ok_or_else(|| toolbox::unknown(&call.name))?;
        match toolbox::permission(tool, &self.profile) {
            Permission::Allow | Permission::Ask => Invocation::read(tool, &call.arguments),
            Permission::Deny => Err(format!("Denied: {tool} is not allowed in this turn.")),
        }
    }

    /// Does calls at the same time, except those that want to be alone. Outcomes in their order.
    async fn perform(
        &mut self,
        calls: &[WantedCall],
        wanted: Vec<Result<Invocation, String>>,
    ) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; calls.len()];
        let mut together: Vec<(usize, Invocation)> = Vec::new();
        for (index, wanted) in wanted.into_iter().enumerate() {
            match wanted {
                Ok(invocation) if invocation.is_alone() => {
                    let before = std::mem::take(&mut together);
                    self.run(calls, before, &mut outcomes).await;
                    self.run(calls, vec![(index, invocation)], &mut outcomes).await;
                }
                Ok(invocation) => together.push((index, invocation)),
                Err(message) => {
                    let outcome = Outcome::failed(message);
                    self.voice.settle(calls[index].shown, &outcome).await;
                    outcomes[index] = Some(outcome);
                }
            }
        }
        self.run(calls, together, &mut outcomes).await;
        outcomes.into_iter().flatten().collect()
    }

    async fn run(
        &mut self,
        calls: &[WantedCall],
        invocations: Vec<(usize, Invocation)>,
        outcomes: &mut [Option<Outcome>],
    ) {
        let invocations = self.permitted(calls, invocations, outcomes).await;
        for (index, invocation) in &invocations {
            let call = &calls[*index];
            let tool = toolbox::canonical(&call.name).unwrap_or_default();
            self.voice.work(call.shown, tool, invocation.input(), invocation.title()).await;
        }
        let (tools, asker, most) = (&self.tools, &self.asker, self.room.output());
        let running = invocations.into_iter().map(|(index, invocation)| async move {
            (index, invocation.perform(tools, asker, most).await)
        });
        let mut running = futures::stream::iter(running).buffer_unordered(PARALLEL);
        while let Some((index, outcome)) = running.next().await {
            self.voice.settle(calls[index].shown, &outcome).await;
            outcomes[index] = Some(outcome);
        }
    }

    /// What may be done, once the person was asked for all of it that needs it. The rest is settled.
    async fn permitted(
        &mut self,
        calls: &[WantedCall],
        invocations: Vec<(usize, Invocation)>,
        outcomes: &mut [Option<Outcome>],
    ) -> Vec<(usize, Invocation)> {
        let (asker, profile) = (&self.asker, &self.profile);
        let asked = invocations.into_iter().map(|(index, invocation)| async move {
            let wanted = invocation.wanted().filter(|_| {
                let tool = toolbox::canonical(&calls[index].name).unwrap_or_default();
                toolbox::permission(tool, profile) == Permission::Ask
            });
            let decided = match wanted {
                Some(wanted) => asker.permit(wanted).await,
                None => Ok(()),
            };
            (index, invocation, decided)
        });
        let mut permitted = Vec::new();
        for (index, invocation, decided) in futures::future::join_all(asked).await {
            match decided {
                Ok(()) => permitted.push((index, invocation)),
                Err(words) => {
                    let outcome = Outcome::failed(words);
                    self.voice.settle(calls[index].shown, &outcome).await;
                    outcomes[index] = Some(outcome);
                }
            }
        }
        permitted
    }
}
