use backend::{ChatId, Error, Message, MessageState, Role, StartTurn, TurnId, TurnState};
use sandbox_sdk::{
    auth::{ReadTokenVerifier, VerifierConfig},
    types::PartBody,
};

use crate::support::{
    Fault, World,
    database::TestDatabase,
    on_both_databases,
    world::{ANSWER_COST, DEMO_PRICES, GATEWAY, SECRET, question, until},
};

fn text(message: &Message) -> &str {
    match &message.parts[0].body {
        PartBody::Text(text) => &text.text,
        other => panic!("not text: {other:?}"),
    }
}

on_both_databases!(a_first_message_makes_a_chat_a_sandbox_and_an_answer, async |world: World| {
    let account = world.guest().await;
    let started = world.ask(&account, None, "  List the files\n").await.unwrap();
    assert_eq!(started.state, TurnState::Provisioning);
    assert_eq!(started.stream, None, "no token before the session is mapped");
    assert_eq!(started.chat.title, "List the files");
    assert_eq!(text(&started.user_message), "List the files");

    world.dispatched(&account, &started.turn_id).await;
    assert_eq!(world.orchestrator.prompt(started.turn_id.as_str()), "List the files");
    assert_eq!(world.status(&account, &started.turn_id).await.state, TurnState::Running);
    world.answer(&started.turn_id);
    let outcome = world.complete(&account, &started.turn_id).await;
    assert_eq!(outcome.message.role, Role::Assistant);
    assert_eq!(outcome.message.state, MessageState::Complete);
    assert_eq!(text(&outcome.message), "Done.");
    assert_eq!(outcome.balance.micros(), 500_000_000 - ANSWER_COST);
    assert_eq!(outcome.message.receipt.unwrap().charged.micros(), ANSWER_COST);
    assert_eq!(world.balance(&account).await, (500_000_000 - ANSWER_COST, 0));
    world.assert_books_balance().await;
});

on_both_databases!(a_warm_sandbox_is_used_again_at_once_with_its_session, async |world: World| {
    let account = world.guest().await;
    let chat = world.warm_chat(&account).await;
    let first = world.backend.refresh_token(&account, &chat).await.unwrap();
    let started = world.ask(&account, Some(&chat), "and now?").await.unwrap();
    assert_eq!(started.state, TurnState::Running);
    let stream = started.stream.unwrap();
    assert_eq!(stream.session_id, first.session_id, "the agent remembers the conversation");
    assert_eq!(stream.since, 5, "what is in the history is not replayed");
    assert_eq!(world.orchestrator.sandboxes(), 1);
    world.dispatched(&account, &started.turn_id).await;
});

on_both_databases!(a_token_is_for_one_session_and_comes_after_its_mapping, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    let stream = world.status(&account, &started.turn_id).await.stream.unwrap();
    assert_eq!(stream.url, GATEWAY);
    let verifier = ReadTokenVerifier::new(VerifierConfig::new("skein", SECRET)).unwrap();
    let claims = verifier.verify(&stream.token).unwrap();
    assert_eq!(claims.session_id(), Some(stream.session_id.as_str()));
    assert_eq!(claims.user_id, account.id().as_str());
    assert_eq!(claims.expires_at, stream.expires_at);
    let mapping = world.orchestrator.mapping(&stream.session_id).unwrap();
    assert_eq!(mapping.user_id, account.id().as_str());
    assert_eq!(claims.sandbox_id, Some(mapping.sandbox_id));
    assert!(!format!("{stream:?}").contains(&stream.token));

    let steps = world.orchestrator.log();
    let kinds: Vec<_> = steps.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(kinds[..3], ["create", "map", "dispatch"]);
});

on_both_databases!(no_token_is_given_while_the_session_is_not_mapped, async |world: World| {
    world.orchestrator.fault("map", Fault::HangBefore);
    let account = world.guest().await;
    let started = world.ask(&account, None, "hello").await.unwrap();
    until("the mapping is asked for", async || world.orchestrator.count("map") == 1).await;
    assert!(world.status(&account, &started.turn_id).await.stream.is_none());
    let refreshed = world.backend.refresh_token(&account, &started.chat.id).await;
    assert!(matches!(refreshed, Err(Error::Conflict { .. })));
    world.orchestrator.heal();
    world.dispatched(&account, &started.turn_id).await;
    world.backend.refresh_token(&account, &started.chat.id).await.unwrap();
});

on_both_databases!(
    the_same_turn_sent_many_times_at_once_is_one_message_and_one_run,
    async |world: World| {
        let account = world.guest().await;
        let warm = world.warm_chat(&account).await;
        for (chat, runs) in [(None, 2), (Some(warm), 3)] {
            let turn = TurnId::generate();
            let sent = (0..8).map(|_| {
                world.backend.start_turn(&account, question(chat.as_ref(), &turn, "once"))
            });
            let sent = futures::future::join_all(sent).await;
            let chats: Vec<_> = sent.into_iter().map(|started| started.unwrap().chat.id).collect();
            assert!(chats.iter().all(|chat| *chat == chats[0]));
            world.dispatched(&account, &turn).await;
            assert_eq!(world.orchestrator.runs(), runs);
            assert_eq!(world.orchestrator.count(&format!("dispatch {turn}")), 1);
            let held = world.balance(&account).await.1;
            assert_eq!(held, 12_000_000, "one hold");
            world.answer(&turn);
            world.complete(&account, &turn).await;
            let history = world.backend.open_chat(&account, &chats[0]).await.unwrap().messages;
            assert_eq!(history.iter().filter(|m| m.turn_id == turn).count(), 2);
        }
        assert_eq!(world.backend.chats(&account).await.unwrap().len(), 2);
        world.assert_books_balance().await;
    }
);

on_both_databases!(
    the_same_turn_later_is_a_look_up_of_what_was_asked_first,
    async |world: World| {
        let account = world.guest().await;
        let started = world.running(&account).await;
        let again = question(Some(&started.chat.id), &started.turn_id, "something else");
        let again = world.backend.start_turn(&account, again).await.unwrap();
        assert_eq!(again.user_message, started.user_message);
        assert_eq!(again.state, TurnState::Running);
        assert!(again.stream.is_some());

        world.answer(&started.turn_id);
        world.complete(&account, &started.turn_id).await;
        let late = world
            .backend
            .start_turn(&account, question(None, &started.turn_id, "hello"))
            .await
            .unwrap();
        assert_eq!(late.state, TurnState::Completed);
        assert!(late.stream.is_none());
        assert_eq!(world.orchestrator.runs(), 1);
        assert_eq!(world.database.number("SELECT COUNT(*) FROM messages").await, 2);
    }
);

on_both_databases!(a_turn_id_belongs_to_one_chat, async |world: World| {
    let account = world.guest().await;
    let chat = world.warm_chat(&account).await;
    let started = world.running(&account).await;
    let elsewhere = question(Some(&chat), &started.turn_id, "hello");
    assert!(matches!(
        world.backend.start_turn(&account, elsewhere).await,
        Err(Error::Conflict { .. })
    ));
});

on_both_databases!(a_chat_does_one_turn_at_a_time, async |world: World| {
    let account = world.guest().await;
    let started = world.running(&account).await;
    let asked = (0..4).map(|_| world.ask(&account, Some(&started.chat.id), "more"));
    for refused in futures::future::join_all(asked).await {
        let Err(Error::Conflict { message }) = refused else { panic!("{refused:?}") };
        assert!(message.contains("still working"));
    }
    assert_eq!(world.database.number("SELECT COUNT(*) FROM turns").await, 1);
    assert_eq!(world.balance(&account).await.1, 12_000_000);
    world.answer(&started.turn_id);
    world.complete(&account, &started.turn_id).await;
    world.ask(&account, Some(&started.chat.id), "more").await.unwrap();
});

on_both_databases!(two_chats_work_at_the_same_time, async |world: World| {
    let account = world.guest().await;
    let (one, two) = (world.running(&account).await, world.running(&account).await);
    assert_ne!(one.chat.id, two.chat.id);
    assert_eq!(world.orchestrator.sandboxes(), 2);
    for started in [&two, &one] {
        world.answer(&started.turn_id);
        world.complete(&account, &started.turn_id).await;
    }
    assert_eq!(world.balance(&account).await, (500_000_000 - 2 * ANSWER_COST, 0));
});

on_both_databases!(
    a_message_must_have_one_to_a_hundred_thousand_characters,
    async |database: TestDatabase| {
        let world = World::with(database, |config| {
            let prices = DEMO_PRICES.replace("20_000", "200_000");
            config.prices = backend::Prices::parse(&prices).unwrap();
        })
        .await;
        let account = world.guest().await;
        for wrong in ["", " \n\t ", &"x".repeat(100_001)] {
            let refused = world.ask(&account, None, wrong).await;
            assert!(matches!(refused, Err(Error::Invalid { field: "text", .. })));
        }
        assert_eq!(world.database.number("SELECT COUNT(*) FROM turns").await, 0);
        let longest = format!("  {}  ", "ü".repeat(100_000));
        world.ask(&account, None, &longest).await.unwrap();
    }
);

on_both_databases!(text_of_any_kind_comes_back_as_it_was, async |world: World| {
    let account = world.guest().await;
    let nasty =
        "'; DROP TABLE turns; -- \u{0}\u{1}\u{202e}🦀 <script>alert(1)</script> \\u0000 $1 {{x}}";
    let started = world.ask(&account, None, nasty).await.unwrap();
    let history = world.backend.open_chat(&account, &started.chat.id).await.unwrap().messages;
    assert_eq!(text(&history[0]), nasty);
    world.dispatched(&account, &started.turn_id).await;
    assert_eq!(world.orchestrator.prompt(started.turn_id.as_str()), nasty);
});

on_both_databases!(
    a_question_that_is_asked_again_says_so_and_is_billed_once_more,
    async |world: World| {
        let account = world.guest().await;
        let first = world.running(&account).await;
        world.answer(&first.turn_id);
        world.complete(&account, &first.turn_id).await;
        let turn = TurnId::generate();
        let request = StartTurn {
            repeats: true,
            ..question(Some(&first.chat.id), &turn, text(&first.user_message))
        };
        let again = world.backend.start_turn(&account, request).await.unwrap();
        assert!(again.user_message.repeats() && !first.user_message.repeats());
        world.dispatched(&account, &turn).await;
        world.answer(&turn);
        world.complete(&account, &turn).await;
        let history = world.backend.open_chat(&account, &first.chat.id).await.unwrap().messages;
        let repeats: Vec<bool> = history.iter().map(Message::repeats).collect();
        assert_eq!(repeats, [false, false, true, false]);
        assert_eq!(world.balance(&account).await, (500_000_000 - 2 * ANSWER_COST, 0));
    }
);

on_both_databases!(only_what_was_asked_last_can_be_asked_again, async |world: World| {
    let account = world.guest().await;
    let first = world.running(&account).await;
    world.answer(&first.turn_id);
    world.complete(&account, &first.turn_id).await;
    let request = StartTurn {
        repeats: true,
        ..question(Some(&first.chat.id), &TurnId::generate(), "Something else")
    };
    let second = world.backend.start_turn(&account, request).await.unwrap();
    assert!(!second.user_message.repeats(), "what is new is shown");
});

on_both_databases!(an_unknown_model_is_refused_and_nothing_is_stored, async |world: World| {
    let account = world.guest().await;
    for model in ["gpt-0", "", "DEMO"] {
        let request = StartTurn {
            model: Some(model.to_owned()),
            ..question(None, &TurnId::generate(), "hi")
        };
        let refused = world.backend.start_turn(&account, request).await;
        assert!(matches!(refused, Err(Error::Invalid { field: "model", .. })));
    }
    assert_eq!(world.database.number("SELECT COUNT(*) FROM turns").await, 0);
    assert!(world.orchestrator.log().is_empty());
});

on_both_databases!(
    a_message_that_is_too_long_for_the_model_is_refused_in_words,
    async |world: World| {
        let account = world.guest().await;
        let refused = world.ask(&account, None, &"word ".repeat(19_000)).await;
        let Err(Error::Invalid { field: "text", message }) = refused else { panic!("{refused:?}") };
        assert!(message.contains("too long for the model"));
    }
);

on_both_databases!(a_chat_that_does_not_exist_is_not_made_by_asking_in_it, async |world: World| {
    let account = world.guest().await;
    let asked = world.ask(&account, Some(&ChatId::generate()), "hi").await;
    assert!(matches!(asked, Err(Error::NotFound)));
    assert_eq!(world.balance(&account).await, (500_000_000, 0));
    assert_eq!(world.database.number("SELECT COUNT(*) FROM chats").await, 0);
});
