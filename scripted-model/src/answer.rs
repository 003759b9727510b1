//! From a request and its script to an answer, before any format.

use std::time::Duration;

use sandbox_sdk::types::WireFormat;
use uuid::Uuid;

use crate::faults::{Fate, Faults, Kind};
use crate::recorded::Usage;
use crate::request::Request;
use crate::script::{Call, Cut, FixedUsage, Passage, Script};
use crate::tools::Tool;

const GREETING: &str = "Hello from the scripted model — all is well.";
const AFTER_TOOLS: &str = "The tools ran; this is the final answer.";
const TITLE: &str = "Scripted conversation";

#[derive(Debug)]
pub(crate) enum Reply {
    /// An error with this HTTP status.
    Fail(u16),
    Answer(Answer),
}

/// An answer that every format can say in its own way.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) model: String,
    pub(crate) thinking: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) calls: Vec<ToolCall>,
    pub(crate) usage: Usage,
    /// Part of the usage's output.
    pub(crate) reasoning_tokens: u64,
    pub(crate) delay: Duration,
    /// Whether a broken event stands in the stream.
    pub(crate) malformed: bool,
    /// Where and how its stream ends too early.
    pub(crate) cut: Option<Cut>,
}

#[derive(Debug)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    pub(crate) name: String,
    /// JSON, unless the script says otherwise or the tool takes free text.
    pub(crate) arguments: String,
    pub(crate) custom: bool,
}

/// Decides what the `serial`-th request (from 0) with this key is answered.
pub(crate) fn decide(request: &Request, key: &str, serial: u64, faults: &Faults) -> Reply {
    if request.wants_title {
        return Reply::Answer(answer(request, serial, &Script::default(), title(), Vec::new()));
    }
    let script = Script::parse(request.conversation.newest());
    let round = script.rounds_done(request.conversation.results);
    let (passage, stage) = passage(&script, round);
    let mut fate =
        Fate::new(faults, (key, request.format as u8, &request.conversation.prompts, stage));
    if let Some(fail) = passage.fail
        && fate.strikes(Kind::Fail, fail.times)
    {
        return Reply::Fail(fail.what);
    }
    // An answer in one piece has no deltas to be cut after.
    let cut = passage.cut.filter(|cut| request.stream && fate.strikes(Kind::Cut, cut.times));
    let malformed =
        passage.malformed.is_some_and(|broken| fate.strikes(Kind::Malformed, broken.times));
    fate.settle();

    let (calls, missing) = tool_calls(request, &script, round);
    let speech = Speech {
        thinking: passage.thinking.clone(),
        text: missing.or_else(|| text(passage, &script, &calls)),
    };
    let mut answer = answer(request, serial, &script, speech, calls);
    answer.cut = cut.map(|cut| cut.what);
    answer.malformed = malformed;
    Reply::Answer(answer)
}

/// What is said in a round: before the tools, nothing in between, and after them. The stage tells
/// the first from the last, for counting their faults.
fn passage(script: &Script, round: usize) -> (&Passage, u8) {
    static NOTHING: Passage =
        Passage { thinking: None, text: None, fail: None, cut: None, malformed: None };
    if round >= script.rounds() {
        (&script.tail, 2)
    } else if round == 0 {
        (&script.lead, 0)
    } else {
        (&NOTHING, 1)
    }
}

struct Speech {
    thinking: Option<String>,
    text: Option<String>,
}

fn title() -> Speech {
    Speech { thinking: None, text: Some(TITLE.to_owned()) }
}

fn text(passage: &Passage, script: &Script, calls: &[ToolCall]) -> Option<String> {
    let fixed = if script.calls.is_empty() { GREETING } else { AFTER_TOOLS };
    passage.text.clone().or_else(|| calls.is_empty().then(|| fixed.to_owned()))
}

/// The calls of this round; or, if a command is wanted and no tool runs one, a text that says so.
fn tool_calls(request: &Request, script: &Script, round: usize) -> (Vec<ToolCall>, Option<String>) {
    let mut calls = Vec::new();
    for call in script.calls_of(round) {
        let (name, arguments) = match call {
            Call::Tool { name, arguments } => (name, arguments),
            Call::Shell(command) => match Tool::shell(&request.tools) {
                Some(tool) => (tool.name.clone(), tool.command_arguments(&command).to_string()),
                None => {
                    let text = format!("No tool of this request runs commands: {command}");
                    return (Vec::new(), Some(text));
                }
            },
        };
        let custom = request.tools.iter().any(|tool| tool.name == name && tool.custom);
        calls.push(ToolCall { id: call_id(request.format), name, arguments, custom });
    }
    (calls, None)
}

fn call_id(format: WireFormat) -> String {
    let id = Uuid::now_v7().simple();
    match format {
        WireFormat::Messages => format!("toolu_{id}"),
        WireFormat::Responses | WireFormat::ChatCompletions => format!("call_{id}"),
    }
}

fn answer(
    request: &Request,
    serial: u64,
    script: &Script,
    speech: Speech,
    calls: Vec<ToolCall>,
) -> Answer {
    let usage = usage(request, serial, script.usage);
    let thoughts = speech.thinking.as_deref().map_or(0, |text| text.split_whitespace().count());
    Answer {
        model: request.model.clone(),
        thinking: speech.thinking,
        text: speech.text,
        calls,
        usage,
        reasoning_tokens: u64::try_from(thoughts).unwrap_or(u64::MAX).min(usage.output),
        delay: script.delay,
        malformed: false,
        cut: None,
    }
}

/// Every request costs something else, so that a mix-up shows.
fn usage(request: &Request, serial: u64, fixed: Option<FixedUsage>) -> Usage {
    // OpenAI's formats have no word for it.
    let tells_writes = request.format == WireFormat::Messages;
    match fixed {
        Some(fixed) => Usage {
            input: fixed.input,
            cache_read: fixed.cache_read,
            cache_write: if tells_writes { fixed.cache_write } else { 0 },
            output: fixed.output,
        },
        None => Usage {
            input: 1000 + 7 * serial,
            cache_read: 200 + 3 * serial,
            cache_write: if tells_writes { 50 + serial } else { 0 },
            output: (20 + 5 * serial).min(request.max_tokens.unwrap_or(u64::MAX)),
        },
    }
}
