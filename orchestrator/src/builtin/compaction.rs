//! Makes a conversation fit into what its model can read.
//!
//! No model is asked to sum up: that would cost a request where room is short already, and small
//! models do it badly. Instead old outputs are shortened first, and then the oldest messages become
//! a digest of one line each. The person's request that is being worked on always stays.

use serde_json::Value;

use super::conversation::{Block, Conversation, Message, ToolResult};
use crate::tools::cut_middle;

/// First line of a digest.
const HEADING: &str = "[Earlier parts of this conversation, shortened to save room]";
/// Characters kept of an old output, or of an old argument.
const OLD_TEXT: usize = 300;
/// Characters of one line of the digest.
const LINE: usize = 240;
/// Least that is kept of a recent output, in characters.
const LEAST: usize = 500;

impl Conversation {
    /// Shortens the conversation to about `target` bytes, the newest parts last.
    pub(super) fn shorten(&mut self, target: usize) {
        let recent = self.recent(target / 2);
        self.shorten_old(recent);
        if self.size() > target {
            self.digest(recent, target);
        }
        let mut most = target / 2;
        while self.size() > target && most > LEAST {
            most = (most / 2).max(LEAST);
            self.cut_everything(most);
        }
    }

    /// Index of the first message of the end that has at most `room` bytes. A result is never parted
    /// from its call, and the last exchange is always recent.
    fn recent(&self, room: usize) -> usize {
        let mut used = 0;
        let mut start = self.messages.len();
        for (index, message) in self.messages.iter().enumerate().rev() {
            used += message.size();
            if used > room && start < self.messages.len() {
                break;
            }
            if !matches!(message, Message::Tools { .. }) {
                start = index;
            }
        }
        start
    }

    fn shorten_old(&mut self, recent: usize) {
        for message in self.messages.iter_mut().take(recent) {
            match message {
                Message::Tools { results } => {
                    results.iter_mut().for_each(|result| cut(&mut result.text, OLD_TEXT));
                }
                Message::Assistant { blocks } => {
                    // An old thought is of no use to anybody.
                    blocks.retain(|block| matches!(block, Block::Text { .. } | Block::Call(_)));
                    for block in blocks {
                        if let Block::Call(call) = block {
                            cut_strings(&mut call.input, OLD_TEXT);
                        }
                    }
                }
                Message::User { .. } => {}
            }
        }
    }

    /// Replaces all but the recent messages.
    fn digest(&mut self, recent: usize, target: usize) {
        if recent == 0 {
            return;
        }
        let old: Vec<Message> = self.messages.drain(..recent).collect();
        let task = (self.turn_start < recent).then(|| match old.get(self.turn_start) {
            Some(Message::User { text }) => text.as_str(),
            _ => "",
        });
        let lines: Vec<String> = old.iter().flat_map(lines).collect();
        let mut text = format!("{HEADING}\n{}", newest(&lines, target / 4));
        if let Some(task) = task.filter(|task| !task.is_empty()) {
            // The digest that was there holds the task of a turn that goes on.
            let task = task.rsplit_once(TASK).map_or(task, |(_, task)| task);
            text = format!("{text}{TASK}{}", cut_middle(task, target / 4));
        }
        self.turn_start = (self.turn_start + 1).saturating_sub(recent);
        self.messages.insert(0, Message::User { text });
    }

    fn cut_everything(&mut self, most: usize) {
        for message in &mut self.messages {
            match message {
                Message::User { text } => cut(text, most),
                Message::Tools { results } => {
                    results.iter_mut().for_each(|result| cut(&mut result.text, most));
                }
                Message::Assistant { blocks } => {
                    for block in blocks {
                        match block {
                            Block::Text { text } => cut(text, most),
                            Block::Call(call) => cut_strings(&mut call.input, most),
                            // Neither may be changed.
                            Block::Thinking { .. } | Block::Redacted { .. } => {}
                        }
                    }
                }
            }
        }
    }
}

/// Parts the digest from the request that follows it.
const TASK: &str = "\n\n[The request to work on now]\n";

/// What a message comes down to.
fn lines(message: &Message) -> Vec<String> {
    match message {
        Message::User { text } => match text.strip_prefix(HEADING) {
            Some(digest) => {
                let digest = digest.split_once(TASK);
                let digest = digest.map_or(text.as_str(), |(digest, _)| digest);
                let earlier = digest.lines().filter(|line| *line != HEADING && !line.is_empty());
                earlier.map(str::to_owned).collect()
            }
            None => vec![line("The user asked", text)],
        },
        Message::Assistant { blocks } => blocks.iter().filter_map(block_line).collect(),
        Message::Tools { results } => results.iter().map(result_line).collect(),
    }
}

fn block_line(block: &Block) -> Option<String> {
    match block {
        Block::Text { text } => Some(line("You said", text)),
        Block::Call(call) => {
            Some(line(&format!("You called {}", call.name), &call.input.to_string()))
        }
        Block::Thinking { .. } | Block::Redacted { .. } => None,
    }
}

fn result_line(result: &ToolResult) -> String {
    line(if result.is_error { "  it failed" } else { "  it gave" }, &result.text)
}

fn line(what: &str, text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("- {what}: {}", cut_middle(&text, LINE).replace('\n', " "))
}

/// The first line, which says where it all began, and as many of the last ones as fit.
fn newest(lines: &[String], room: usize) -> String {
    let Some((first, rest)) = lines.split_first() else { return String::new() };
    let mut used = first.len();
    let fitting = rest.iter().rev().take_while(|line| {
        used += line.len() + 1;
        used <= room
    });
    let kept = fitting.count();
    let gap = if kept < rest.len() { "\n…" } else { "" };
    let last = rest[rest.len() - kept..].iter().map(|line| format!("\n{line}"));
    format!("{first}{gap}{}", last.collect::<String>())
}

fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        *text = cut_middle(text, most);
    }
}

fn cut_strings(value: &mut Value, most: usize) {
    match value {
        Value::String(text) => cut(text, most),
        Value::Array(items) => items.iter_mut().for_each(|item| cut_strings(item, most)),
        Value::Object(fields) => fields.values_mut().for_each(|field| cut_strings(field, most)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::builtin::conversation::Call;

    fn user(text: &str) -> Message {
        Message::User { text: text.into() }
    }

    fn round(number: usize, output: usize) -> [Message; 2] {
        let id = format!("call_{number}");
        let input = json!({ "command": format!("step {number}") });
        let call = Call { id: id.clone(), name: "bash".into(), input };
        let text = format!("{number} {}", "x".repeat(output));
        let results = vec![ToolResult { call_id: id, text, is_error: false }];
        [Message::Assistant { blocks: vec![Block::Call(call)] }, Message::Tools { results }]
    }

    fn long_job() -> Conversation {
        let mut conversation = Conversation::default();
        conversation.messages.push(user("my name is Ada"));
        let text = "Good to know.".to_owned();
        conversation.messages.push(Message::Assistant { blocks: vec![Block::Text { text }] });
        conversation.begin_turn("build the whole thing");
        conversation.messages.extend((0..40).flat_map(|number| round(number, 3_000)));
        conversation
    }

    fn paired(messages: &[Message]) -> bool {
        messages.iter().enumerate().all(|(index, message)| match message {
            Message::Tools { results } => index.checked_sub(1).is_some_and(|before| {
                results.iter().all(|r| messages[before].calls().any(|call| call.id == r.call_id))
            }),
            _ => {
                message.calls().next().is_none()
                    || matches!(messages.get(index + 1), Some(Message::Tools { .. }))
            }
        })
    }

    #[test]
    fn a_long_job_fits_and_keeps_its_task_its_newest_steps_and_its_pairs() {
        let mut conversation = long_job();
        conversation.shorten(12_000);
        assert!(conversation.size() <= 12_000, "{}", conversation.size());
        assert!(paired(&conversation.messages));
        let Message::User { text } = &conversation.messages[0] else { panic!() };
        assert!(text.contains("my name is Ada"), "{text}");
        assert!(text.ends_with("build the whole thing"), "{text}");
        let last = conversation.messages.last().unwrap();
        assert!(matches!(last, Message::Tools { results } if results[0].text.starts_with("39 ")));
    }

    #[test]
    fn shortening_again_and_again_keeps_the_task() {
        let mut conversation = long_job();
        for number in 100..160 {
            conversation.messages.extend(round(number, 2_000));
            if conversation.size() > 12_000 {
                conversation.shorten(8_000);
            }
            assert!(conversation.size() <= 12_000 && paired(&conversation.messages));
        }
        let all: Vec<_> = conversation
            .messages
            .iter()
            .filter_map(|message| match message {
                Message::User { text } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(all.len(), 1);
        assert!(all[0].ends_with("build the whole thing"), "{}", all[0]);
        assert_eq!(
            all[0].matches("build the whole thing").count(),
            1 + usize::from(all[0].contains("asked: build"))
        );
        assert_eq!(conversation.turn_start, 0);
    }

    #[test]
    fn old_outputs_go_before_old_words() {
        let mut conversation = long_job();
        let before = conversation.messages.len();
        conversation.shorten(60_000);
        assert_eq!(conversation.messages.len(), before, "no digest was needed");
        assert!(conversation.size() <= 60_000);
        assert_eq!(conversation.turn_start, 2);
    }

    #[test]
    fn one_output_larger_than_the_window_is_cut() {
        let mut conversation = Conversation::default();
        conversation.begin_turn("look");
        conversation.messages.extend(round(0, 100_000));
        conversation.shorten(4_000);
        assert!(conversation.size() <= 4_000);
        assert!(paired(&conversation.messages));
    }

    #[test]
    fn a_new_question_after_a_long_job_is_not_lost() {
        let mut conversation = long_job();
        conversation.messages.push(Message::Assistant { blocks: Vec::new() });
        conversation.begin_turn("and now the tests");
        conversation.shorten(6_000);
        assert!(conversation.size() <= 6_000);
        let Some(Message::User { text }) = conversation.messages.get(conversation.turn_start)
        else {
            panic!()
        };
        assert!(text.ends_with("and now the tests"));
    }
}
