use backend::{
    Account, ChatId, Error, Message, MessageState, ReportedUsage, Role, SandboxState, TurnId,
};
use sandbox_sdk::types::PartBody;

use crate::support::{World, on_both_databases, world::question};

on_both_databases!(a_chat_is_listed_and_opened_with_its_history, async |world: World| {
    let account = world.guest().await;
    let chat = world.warm_chat(&account).await;
    let detail = world.backend.open_chat(&account, &chat).await.unwrap();
    assert_eq!(detail.summary.title, "hello");
    assert_eq!(detail.sandbox, SandboxState::Running);
    assert!(detail.active.is_none());
    assert_eq!(detail.settled_seq, 5);
    let [asked, answered] = &detail.messages[..] else { panic!("two messages") };
    assert_eq!((asked.role, answered.role), (Role::User, Role::Assistant));
    assert_eq!(asked.turn_id, answered.turn_id);
    assert_eq!(answered.state, MessageState::Complete);
    assert_eq!(answered.receipt.as_ref().unwrap().duration_ms, 1500);
    assert_eq!(world.backend.chats(&account).await.unwrap(), [detail.summary]);
});

on_both_databases!(an_open_chat_shows_the_turn_that_runs, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    let detail = world.backend.open_chat(&account, &started.chat.id).await.unwrap();
    assert_eq!(detail.active.unwrap().turn_id, started.turn_id);
    assert_eq!(detail.messages, [started.user_message]);
    assert!(detail.summary.running);
    assert!(world.backend.chats(&account).await.unwrap()[0].running);
});

/// What the person said in each of the turns; every one of them is whole.
fn questions(messages: &[Message]) -> Vec<String> {
    let turns = messages.chunks(2).map(|turn| {
        let [asked, answered] = turn else { panic!("a turn is cut in two") };
        assert_eq!((asked.role, answered.role), (Role::User, Role::Assistant));
        assert_eq!(asked.turn_id, answered.turn_id);
        let PartBody::Text(text) = &asked.parts[0].body else { panic!("a text") };
        text.text.clone()
    });
    turns.collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Asks these in a chat, or in a new one, one after the other is answered.
async fn answered(
    world: &World,
    account: &Account,
    mut chat: Option<ChatId>,
    questions: Vec<String>,
) -> ChatId {
    for text in questions {
        let started = world.ask(account, chat.as_ref(), &text).await.unwrap();
        world.dispatched(account, &started.turn_id).await;
        world.answer(&started.turn_id);
        world.complete(account, &started.turn_id).await;
        chat = Some(started.chat.id);
    }
    chat.unwrap()
}

on_both_databases!(a_long_chat_is_read_from_its_end_turn_by_turn, async |world: World| {
    let account = world.guest().await;
    let chat = answered(&world, &account, None, numbers(1..13)).await;
    let all = world.backend.open_chat(&account, &chat).await.unwrap();
    assert_eq!((questions(&all.messages), all.earlier), (numbers(1..13), false));

    let chat = answered(&world, &account, Some(chat), numbers(13..28)).await;
    let end = world.backend.open_chat(&account, &chat).await.unwrap();
    assert_eq!((questions(&end.messages), end.earlier), (numbers(16..28), true));
    let before = async |first: &Message| {
        world.backend.earlier_messages(&account, &chat, &first.turn_id).await.unwrap()
    };
    let middle = before(&end.messages[0]).await;
    assert_eq!((questions(&middle.messages), middle.earlier), (numbers(4..16), true));
    let rest = before(&middle.messages[0]).await;
    assert_eq!((questions(&rest.messages), rest.earlier), (numbers(1..4), false));
    let none = before(&rest.messages[0]).await;
    assert_eq!((none.messages.len(), none.earlier), (0, false));
    let edge = before(&middle.messages[18]).await;
    assert_eq!((questions(&edge.messages), edge.earlier), (numbers(1..13), false));

    let whole = world.backend.open_whole_chat(&account, &chat).await.unwrap();
    assert_eq!((questions(&whole.messages), whole.earlier), (numbers(1..28), false));
    assert_eq!(
        (whole.summary, whole.sandbox, whole.choice, whole.settled_seq),
        (end.summary, end.sandbox, end.choice, end.settled_seq)
    );

    let running = world.ask(&account, Some(&chat), "28").await.unwrap();
    let opened = world.backend.open_chat(&account, &chat).await.unwrap();
    let (last, settled) = opened.messages.split_last().unwrap();
    assert_eq!((questions(settled), opened.earlier), (numbers(17..28), true));
    assert_eq!(last.turn_id, running.turn_id);
    assert_eq!(opened.active.unwrap().turn_id, running.turn_id);
});

on_both_databases!(earlier_messages_are_those_of_the_chat_and_its_owner, async |world: World| {
    let owner = world.guest().await;
    let chat = answered(&world, &owner, None, numbers(1..3)).await;
    let other_chat = world.warm_chat(&owner).await;
    let messages = world.backend.open_chat(&owner, &chat).await.unwrap().messages;
    let last = &messages[2].turn_id;
    let stranger = world.guest().await;
    for (account, chat, before) in [
        (&stranger, &chat, last),
        (&owner, &other_chat, last),
        (&owner, &ChatId::generate(), last),
        (&owner, &chat, &TurnId::generate()),
    ] {
        let found = world.backend.earlier_messages(account, chat, before).await;
        assert!(matches!(found, Err(Error::NotFound)), "{found:?}");
    }
    let whole = world.backend.open_whole_chat(&stranger, &chat).await;
    assert!(matches!(whole, Err(Error::NotFound)), "{whole:?}");
    let found = world.backend.earlier_messages(&owner, &chat, last).await.unwrap();
    assert_eq!(questions(&found.messages), ["1"]);
    world.backend.delete_chat(&owner, &chat).await.unwrap();
    let found = world.backend.earlier_messages(&owner, &chat, last).await;
    assert!(matches!(found, Err(Error::NotFound)), "{found:?}");
});

on_both_databases!(the_chat_that_changed_last_comes_first, async |world: World| {
    let account = world.guest().await;
    let first = world.warm_chat(&account).await;
    let second = world.warm_chat(&account).await;
    let ids = async || {
        world.backend.chats(&account).await.unwrap().into_iter().map(|c| c.id).collect::<Vec<_>>()
    };
    assert_eq!(ids().await, [second.clone(), first.clone()]);
    world.ask(&account, Some(&first), "again").await.unwrap();
    assert_eq!(ids().await, [first, second]);
});

on_both_databases!(a_chat_is_renamed_to_one_line, async |world: World| {
    let account = world.guest().await;
    let chat = world.warm_chat(&account).await;
    let renamed = world.backend.rename_chat(&account, &chat, "  My\nfiles \u{0} ").await.unwrap();
    assert_eq!(renamed.title, "My files");
    assert_eq!(world.backend.chats(&account).await.unwrap()[0].title, "My files");
    let empty = world.backend.rename_chat(&account, &chat, " \n\u{7} ").await;
    assert!(matches!(empty, Err(Error::Invalid { field: "title", .. })));
});

on_both_databases!(somebody_elses_chat_and_turn_are_not_found, async |world: World| {
    let owner = world.guest().await;
    let started = world.running(&owner).await;
    let (chat, turn) = (&started.chat.id, &started.turn_id);
    let other = world.guest().await;
    let before = world.orchestrator.log().len();

    assert!(matches!(world.backend.open_chat(&other, chat).await, Err(Error::NotFound)));
    assert!(matches!(world.backend.rename_chat(&other, chat, "mine").await, Err(Error::NotFound)));
    assert!(matches!(world.backend.delete_chat(&other, chat).await, Err(Error::NotFound)));
    assert!(matches!(world.backend.refresh_token(&other, chat).await, Err(Error::NotFound)));
    assert!(matches!(world.ask(&other, Some(chat), "hi").await, Err(Error::NotFound)));
    assert!(matches!(world.backend.turn_status(&other, turn).await, Err(Error::NotFound)));
    assert!(matches!(world.backend.stop_turn(&other, turn).await, Err(Error::NotFound)));
    let report = ReportedUsage::default();
    assert!(matches!(
        world.backend.complete_turn(&other, turn, report).await,
        Err(Error::NotFound)
    ));
    let stolen = world.backend.start_turn(&other, question(None, turn, "hi")).await;
    assert!(matches!(stolen, Err(Error::Conflict { .. })));
    assert!(world.backend.chats(&other).await.unwrap().is_empty());

    assert_eq!(world.orchestrator.log().len(), before, "nothing was asked of the orchestrator");
    assert!(world.orchestrator.is_running(turn.as_str()));
    assert_eq!(world.balance(&other).await, (500_000_000, 0));
    assert_eq!(world.backend.open_chat(&owner, chat).await.unwrap().summary.title, "hello");
});

on_both_databases!(what_never_was_is_not_found, async |world: World| {
    let account = world.guest().await;
    let (chat, turn) = (ChatId::generate(), TurnId::generate());
    assert!(matches!(world.backend.open_chat(&account, &chat).await, Err(Error::NotFound)));
    assert!(matches!(world.backend.delete_chat(&account, &chat).await, Err(Error::NotFound)));
    assert!(matches!(world.ask(&account, Some(&chat), "hi").await, Err(Error::NotFound)));
    assert!(matches!(world.backend.turn_status(&account, &turn).await, Err(Error::NotFound)));
    assert!(matches!(world.backend.settle(&turn).await, Err(Error::NotFound)));
});
