use backend::{ChatId, Error, MessageState, ReportedUsage, Role, SandboxState, TurnId};

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
