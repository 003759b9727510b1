//! Every agent through the whole product: the server's own program with its database and its
//! orchestrator, real sandboxes, the real model gateway, and behind it a model that does what the
//! prompt says. Nothing needs a network.
//!
//! Command-line agents are taken from the folder that `SKEIN_AGENTS` names, or from the `PATH`; the
//! tests of one that is not there are skipped, and say so.
#![cfg(feature = "embedded")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "it is all a test")]

mod cells;
mod keys;
mod support;
mod turn;

use support::Agent;

/// The same cells for each agent.
macro_rules! matrix {
    ($($agent:ident: $which:expr),* $(,)?) => {$(
        mod $agent {
            use super::*;

            const AGENT: Agent = $which;

            matrix!(@cells
                a_text_is_there_once: TEXT,
                a_tool_runs_once: TOOL,
                the_second_of_two_turns_knows_the_first: TWO_TURNS,
                a_stopped_turn_keeps_what_was_said: STOPPED,
                credits_that_run_out_in_the_middle_end_the_turn: OUT_OF_CREDITS,
                a_stream_that_breaks_once_is_told_once: BROKEN_ONCE,
                a_stream_that_always_breaks_costs_few_requests: ALWAYS_BROKEN,
                a_model_that_is_overloaded_twice_is_asked_a_third_time: OVERLOADED,
                a_killed_agent_ends_the_turn: AGENT_KILLED,
                a_killed_orchestrator_interrupts_the_turn: ORCHESTRATOR_KILLED,
            );
        }
    )*};
    (@cells $($test:ident: $cell:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            turn::play(AGENT, &cells::$cell).await;
        }
    )*};
}

matrix! {
    claude_code: Agent::ClaudeCode,
    codex: Agent::Codex,
    opencode: Agent::OpenCode,
    built_in: Agent::BuiltIn,
}
