//! What a prompt asks the server to do.

mod scan;

use std::time::Duration;

use serde_json::Value;

/// A prompt, read as directives.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Script {
    /// Directives up to the last tool call: they shape the first answer.
    pub(crate) lead: Passage,
    pub(crate) calls: Vec<Call>,
    /// Rounds of one call each, instead of all calls at once.
    pub(crate) steps: Option<usize>,
    /// Directives after the last tool call: they shape the final answer.
    pub(crate) tail: Passage,
    /// Before each delta.
    pub(crate) delay: Duration,
    pub(crate) usage: Option<FixedUsage>,
}

/// What one answer says and suffers.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Passage {
    pub(crate) thinking: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) fail: Option<Fault<u16>>,
    pub(crate) cut: Option<Fault<Cut>>,
    pub(crate) malformed: Option<Fault<()>>,
}

/// The end of a stream before its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cut {
    /// Deltas that still come.
    pub(crate) after: usize,
    pub(crate) how: CutHow,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum CutHow {
    /// The connection breaks, which every HTTP client notices.
    Broken,
    /// The response ends as if that were all: only the format's own end is missing.
    Silent,
}

/// Something that goes wrong, each time or only the first few times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault<T> {
    pub(crate) what: T,
    pub(crate) times: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call {
    /// A command for whichever tool of the request runs commands.
    Shell(String),
    /// Any tool, whether or not the request offers it, with arguments as they are to be sent.
    Tool { name: String, arguments: String },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FixedUsage {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_write: u64,
}

impl Script {
    pub(crate) fn parse(prompt: &str) -> Self {
        let mut script = Self::default();
        for directive in scan::directives(prompt) {
            script.apply(directive.name, directive.argument);
        }
        if script.steps.is_some() && script.calls.is_empty() {
            script.calls.push(Call::Shell("echo step".to_owned()));
        }
        script
    }

    /// How many answers call tools before the final one.
    pub(crate) fn rounds(&self) -> usize {
        self.steps.unwrap_or(usize::from(!self.calls.is_empty()))
    }

    /// The calls of one round, counted from 0.
    pub(crate) fn calls_of(&self, round: usize) -> Vec<Call> {
        if round >= self.rounds() {
            return Vec::new();
        }
        match self.steps {
            None => self.calls.clone(),
            Some(_) => {
                self.calls.get(round % self.calls.len().max(1)).cloned().into_iter().collect()
            }
        }
    }

    /// How many rounds are over, given the tool results since the prompt.
    pub(crate) fn rounds_done(&self, results: usize) -> usize {
        match self.steps {
            None => usize::from(results > 0),
            Some(_) => results,
        }
    }

    fn apply(&mut self, name: &str, argument: Option<&str>) {
        let number = || argument.and_then(|argument| argument.trim().parse().ok());
        let text = argument.unwrap_or_default();
        match name {
            "RUN" => self.call(Call::Shell(text.to_owned())),
            "CALL" => self.call(tool_call(text)),
            "STEPS" => {
                self.steps = number();
                self.close_lead();
            }
            "SAY" => add(&mut self.tail.text, text),
            "LONG" => {
                let words = number().unwrap_or(100);
                add(&mut self.tail.text, &long_text(words));
            }
            "THINK" => add(&mut self.tail.thinking, text),
            "SLOW" => self.delay = Duration::from_millis(text.trim().parse().unwrap_or_default()),
            "USAGE" => self.usage = fixed_usage(text),
            "FAIL" => self.tail.fail = fault(text),
            "DROP" => self.tail.cut = cut(argument.unwrap_or("3"), CutHow::Broken),
            "TRUNCATE" => self.tail.cut = cut(text, CutHow::Silent),
            _ => {
                self.tail.malformed =
                    Some(Fault { what: (), times: argument.and_then(|a| a.trim().parse().ok()) });
            }
        }
    }

    fn call(&mut self, call: Call) {
        self.calls.push(call);
        self.close_lead();
    }

    /// All that was said so far comes with, or before, the tool call that was just read.
    fn close_lead(&mut self) {
        let said = std::mem::take(&mut self.tail);
        self.lead.join(said);
    }
}

impl Passage {
    fn join(&mut self, later: Self) {
        if let Some(text) = later.text {
            add(&mut self.text, &text);
        }
        if let Some(thinking) = later.thinking {
            add(&mut self.thinking, &thinking);
        }
        self.fail = later.fail.or(self.fail);
        self.cut = later.cut.or(self.cut);
        self.malformed = later.malformed.or(self.malformed);
    }
}

fn add(whole: &mut Option<String>, text: &str) {
    match whole {
        Some(whole) => {
            whole.push(' ');
            whole.push_str(text);
        }
        None => *whole = Some(text.to_owned()),
    }
}

/// `529` or `529x2`.
fn fault<T: std::str::FromStr>(argument: &str) -> Option<Fault<T>> {
    let (what, times) = match argument.split_once('x') {
        Some((what, times)) => (what, Some(times.trim().parse().ok()?)),
        None => (argument, None),
    };
    Some(Fault { what: what.trim().parse().ok()?, times })
}

/// `3` or `3x2`.
fn cut(argument: &str, how: CutHow) -> Option<Fault<Cut>> {
    let Fault { what: after, times } = fault(argument)?;
    Some(Fault { what: Cut { after, how }, times })
}

/// `in,out`, then perhaps `cache read` and `cache write`.
fn fixed_usage(argument: &str) -> Option<FixedUsage> {
    let mut numbers = argument.split(',').map(|number| number.trim().parse::<u64>());
    let mut next = || numbers.next().transpose().ok();
    Some(FixedUsage {
        input: next()??,
        output: next()??,
        cache_read: next()?.unwrap_or(0),
        cache_write: next()?.unwrap_or(0),
    })
}

/// `name {"json": "arguments"}`. What is not JSON is passed on as it is, for models do that, too.
fn tool_call(argument: &str) -> Call {
    let (name, arguments) =
        argument.trim().split_once(char::is_whitespace).unwrap_or((argument, ""));
    let arguments = match arguments.trim() {
        "" => "{}".to_owned(),
        given => serde_json::from_str::<Value>(given)
            .map_or_else(|_| given.to_owned(), |value| value.to_string()),
    };
    Call::Tool { name: name.trim().to_owned(), arguments }
}

/// Words that can be counted: `word1 word2 …`, a sentence of ten a time.
fn long_text(words: usize) -> String {
    let mut text = String::with_capacity(words * 8);
    for n in 1..=words {
        text.push_str("word");
        text.push_str(&n.to_string());
        if n == words {
            text.push('.');
        } else {
            text.push_str(if n % 10 == 0 { ". " } else { " " });
        }
    }
    text
}

#[cfg(test)]
mod tests;
