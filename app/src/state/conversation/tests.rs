use super::*;
use crate::model::{Credits, Message, MessageState, Permissions, Receipt, Role, TurnOutcome};
use crate::state::samples::{chat, message};

fn keys(conversation: &Conversation) -> Vec<String> {
    conversation.entries.get_untracked().iter().map(Entry::key).collect()
}

#[test]
fn a_message_keeps_its_place_from_sent_to_settled() {
    let conversation = Conversation::unborn();
    conversation.begin("t1", "hello", false, 0);
    let before = keys(&conversation);
    conversation.settle(TurnOutcome {
        message: message("t1", Role::Assistant, "hi"),
        balance: Credits(0),
        error: None,
    });
    assert_eq!(keys(&conversation), before);
    assert_eq!(conversation.turn.get_untracked(), None);
    conversation
        .load(chat(vec![message("t1", Role::User, "hello"), message("t1", Role::Assistant, "hi")]));
    assert_eq!(keys(&conversation), before);
}

#[test]
fn a_message_that_was_refused_is_taken_back_whole() {
    let conversation = Conversation::unborn();
    conversation.begin("t1", "hello", false, 0);
    conversation.take_back("t1");
    assert!(keys(&conversation).is_empty());
    assert_eq!(conversation.turn.get_untracked(), None);
}

#[test]
fn a_question_that_is_asked_again_is_shown_once_and_a_failed_answer_makes_room() {
    let ended = |first: MessageState, charged: i64| {
        let conversation = Conversation::loading("c".into());
        let receipt = Receipt {
            agent: "demo".into(),
            model: "demo".into(),
            input_tokens: 1,
            cached_tokens: 0,
            output_tokens: 1,
            charged: Credits(charged),
            duration_ms: 1,
        };
        let answer = message("t1", Role::Assistant, "hm");
        let answer = Message { state: first, receipt: Some(receipt), ..answer };
        let again = Message { repeats: true, ..message("t2", Role::User, "hello") };
        let answers = [answer, again, message("t2", Role::Assistant, "hi")];
        conversation
            .load(chat([vec![message("t1", Role::User, "hello")], answers.into()].concat()));
        assert_eq!(conversation.question("t2").as_deref(), Some("hello"), "to ask once more");
        conversation.shown().iter().map(Entry::key).collect::<Vec<_>>()
    };
    for first in [MessageState::Failed, MessageState::Interrupted] {
        assert_eq!(ended(first, 0), ["person-t1", "agent-t2"], "{first:?}");
    }
    // What was paid for stays.
    for first in [MessageState::Complete, MessageState::Stopped, MessageState::Failed] {
        assert_eq!(ended(first, 1), ["person-t1", "agent-t1", "agent-t2"], "{first:?}");
    }
}

#[test]
fn a_retry_that_is_taken_back_leaves_the_failed_answer_where_it_was() {
    let conversation = Conversation::loading("c".into());
    let failed = Message { state: MessageState::Failed, ..message("t1", Role::Assistant, "hm") };
    conversation.load(chat(vec![message("t1", Role::User, "hello"), failed]));
    let shown = || conversation.shown().iter().map(Entry::key).collect::<Vec<_>>();
    conversation.begin("t2", "hello", true, 0);
    assert_eq!(shown(), ["person-t1", "agent-t2"]);
    conversation.take_back("t2");
    assert_eq!(shown(), ["person-t1", "agent-t1"]);
}

#[test]
fn the_same_text_sent_again_is_the_same_turn_until_it_has_arrived() {
    let conversation = Conversation::unborn();
    let mut next = 0;
    let mut fresh = || {
        next += 1;
        next.to_string()
    };
    assert_eq!(conversation.turn_id_for("a", &mut fresh), "1");
    assert_eq!(conversation.turn_id_for("a", &mut fresh), "1");
    assert_eq!(conversation.turn_id_for("b", &mut fresh), "2");
    conversation.was_sent();
    assert_eq!(conversation.turn_id_for("b", &mut fresh), "3");
}

#[test]
fn a_turn_that_is_being_stopped_does_not_run_again() {
    let conversation = Conversation::unborn();
    conversation.begin("t1", "hello", false, 0);
    conversation.set_stage("t1", Stage::Stopping, 1);
    conversation.set_stage("t1", Stage::Running, 2);
    assert_eq!(conversation.turn.get_untracked().unwrap().stage, Stage::Stopping);
    conversation.set_stage("other", Stage::Running, 2);
    assert_eq!(conversation.turn.get_untracked().unwrap().since, 1);
}

#[test]
fn a_stop_that_failed_lets_its_own_turn_go_on_and_no_other() {
    let conversation = Conversation::unborn();
    let stage = || conversation.turn.get_untracked().unwrap().stage;
    conversation.begin("t1", "hello", false, 0);
    conversation.set_stage("t1", Stage::Stopping, 1);
    conversation.go_on("t1", Stage::Provisioning);
    assert_eq!(stage(), Stage::Provisioning);
    conversation.begin("t2", "again", false, 2);
    conversation.go_on("t1", Stage::Running);
    assert_eq!(stage(), Stage::Sending);
}

#[test]
fn what_the_server_repeats_is_said_once_and_goes_when_it_is_over() {
    let conversation = Conversation::unborn();
    let said = || conversation.notice.get_untracked().map(|notice| notice.words);
    conversation.hear(Some("Away.".into()));
    assert_eq!(said().as_deref(), Some("Away."));
    conversation.notice.set(None);
    conversation.hear(Some("Away.".into()));
    assert_eq!(said(), None, "it was dismissed");
    conversation.hear(Some("Still away.".into()));
    conversation.hear(None);
    assert_eq!(said(), None);
    conversation.hear(Some("Away.".into()));
    conversation.say("Something else.");
    conversation.hear(None);
    assert_eq!(said().as_deref(), Some("Something else."));
}

#[test]
fn a_chat_is_asked_for_again_only_when_it_has_changed() {
    let conversation = Conversation::loading("c".into());
    let mut page = chat(vec![]);
    page.summary.updated_at = 5;
    assert!(conversation.is_older_than(5));
    conversation.load(page);
    assert!(!conversation.is_older_than(5));
    let mut answer = message("t1", Role::Assistant, "hi");
    answer.created_at = 7;
    conversation.settle(TurnOutcome { message: answer, balance: Credits(0), error: None });
    assert!(!conversation.is_older_than(7) && conversation.is_older_than(8));
}

#[test]
fn a_choice_follows_the_chat_unless_it_was_made_here_and_not_sent_yet() {
    let choice = |model: &str| Choice {
        agent: "a".into(),
        model: model.into(),
        permissions: Permissions::default(),
    };
    let conversation = Conversation::loading("c".into());
    let load = |model: &str| {
        conversation.load(ChatPage { choice: Some(choice(model)), ..chat(vec![]) });
        conversation.choice.get_untracked().unwrap().model
    };
    assert_eq!(load("first"), "first");
    assert_eq!(load("another tab's"), "another tab's");
    conversation.choose(choice("mine"));
    assert_eq!(load("another tab's"), "mine");
    conversation.choice_was_sent();
    assert_eq!(load("another tab's"), "another tab's");
}
