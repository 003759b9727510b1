//! The real command-line agents, in a sandbox without a network, with a model that does what the prompt
//! says. Agents are taken from the folder that `SKEIN_AGENTS` names, or from the `PATH`; the tests of
//! one that is not there are skipped, and say so.

mod asking;
mod bench;
mod cells;
mod figures;

use orchestrator::agents::Cli;

/// The same tests for each agent.
macro_rules! agents {
    ($($module:ident: $cli:expr),* $(,)?) => {$(
        mod $module {
            use super::*;

            const CLI: Cli = $cli;

            agents!(@tests
                text_comes_in_pieces_and_is_there_once,
                a_tool_really_runs_and_is_told_from_its_input_to_its_output,
                thoughts_are_told_apart_from_the_answer,
                the_next_turn_remembers,
                an_agent_that_was_started_anew_remembers,
                a_stopped_turn_keeps_what_was_said_and_leaves_no_process,
                a_stop_ends_a_tool_that_runs,
                used_up_credits_end_the_turn_at_once,
                a_stream_that_breaks_once_is_told_once,
                a_stream_that_breaks_always_ends_the_turn_after_few_requests,
                broken_json_ends_the_turn_after_few_requests,
                an_overloaded_model_is_asked_again,
                a_killed_agent_ends_the_turn_and_leaves_no_process,
                an_agent_that_hangs_is_ended,
                the_turns_token_is_nowhere_in_the_sandbox,
                a_profile_that_forbids_commands_is_kept_to,
                a_file_of_the_workspace_allows_nothing,
                two_sessions_do_not_mix,
            );
            agents!(@asking
                a_command_runs_only_if_the_person_allows_it,
                a_file_is_changed_only_if_the_person_allows_it,
                a_question_is_answered,
                what_nobody_answers_is_not_done,
                a_turn_that_is_stopped_while_it_asks_does_nothing,
            );
        }
    )*};
    (@tests $($test:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $test() {
            cells::$test(CLI).await;
        }
    )*};
    (@asking $($test:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $test() {
            asking::$test(CLI).await;
        }
    )*};
}

agents! {
    claude_code: Cli::ClaudeCode,
    codex: Cli::Codex,
    opencode: Cli::OpenCode,
}

#[tokio::test]
async fn claude_code_has_its_plan_approved() {
    asking::claude_code_has_its_plan_approved().await;
}

#[tokio::test]
async fn opencode_speaks_every_format() {
    cells::opencode_speaks_every_format().await;
}

#[tokio::test]
async fn opencode_that_hangs_while_it_starts_is_started_anew() {
    cells::opencode_that_hangs_while_it_starts_is_started_anew().await;
}

#[tokio::test]
async fn an_agent_without_a_model_or_not_installed_is_refused() {
    cells::an_agent_without_a_model_or_not_installed_is_refused().await;
}

#[tokio::test]
#[ignore = "measures, for a person to read"]
async fn figures_of_each_agent() {
    for cli in Cli::ALL {
        figures::measure(cli).await;
    }
}
