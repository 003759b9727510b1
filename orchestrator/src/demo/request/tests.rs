//! What people write, and what it is taken for.

use super::*;
use crate::demo::wording;

fn write(path: &str, content: &str, run: bool) -> Request {
    Request::Write { path: path.into(), content: content.into(), run }
}

fn edit(path: &str, old: &str, new: &str) -> Request {
    Request::Edit { path: path.into(), old: old.into(), new: new.into() }
}

#[test]
fn commands_are_taken_as_they_are_written() {
    let messages = [
        "run: ls -la",
        "Run `ls -la`",
        "run ls -la",
        "Please run the command ls -la",
        "$ ls -la",
        "Run:\n```sh\nls -la\n```",
        "Can you run `ls -la` for me?",
    ];
    for message in messages {
        assert_eq!(Request::parse(message), Request::Command("ls -la".into()), "{message}");
    }
    assert_eq!(Request::parse("run `sleep 5`"), Request::Command("sleep 5".into()));
    assert_eq!(Request::parse("Run sleep 5"), Request::Command("sleep 5".into()));
    assert_eq!(
        Request::parse("run: echo 'a b' > x.txt && cat x.txt"),
        Request::Command("echo 'a b' > x.txt && cat x.txt".into())
    );
}

#[test]
fn files_are_run_by_name_and_by_pronoun() {
    for message in
        ["run hello.py", "Run `hello.py`", "Execute the file hello.py", "please run hello.py."]
    {
        assert_eq!(Request::parse(message), Request::RunFile("hello.py".into()), "{message}");
    }
    for message in ["run it", "Run it again.", "please run it"] {
        assert_eq!(Request::parse(message), Request::RunAgain, "{message}");
    }
}

#[test]
fn listing_is_understood_with_and_without_a_folder() {
    for message in
        ["list the files", "List files", "ls", "What files are there?", "Show me the files"]
    {
        assert_eq!(Request::parse(message), Request::List(None), "{message}");
    }
    assert_eq!(Request::parse("list the files in src/"), Request::List(Some("src/".into())));
}

#[test]
fn reading_needs_a_file() {
    for message in
        ["read notes.txt", "Show me notes.txt", "What is in `notes.txt`?", "cat notes.txt"]
    {
        assert_eq!(Request::parse(message), Request::Read("notes.txt".into()), "{message}");
    }
    assert_eq!(Request::parse("read /etc/shadow"), Request::Read("/etc/shadow".into()));
    assert_eq!(Request::parse("read me a poem"), Request::Unknown);
}

#[test]
fn content_comes_quoted_fenced_or_after_a_word() {
    let messages = [
        "write notes.txt containing \"buy milk\"",
        "Create a file notes.txt with the content buy milk",
        "Create a file called `notes.txt` that says “buy milk”",
        "write \"buy milk\" to notes.txt",
        "Write to notes.txt: buy milk",
        "save notes.txt with the text 'buy milk'",
    ];
    for message in messages {
        assert_eq!(Request::parse(message), write("notes.txt", "buy milk", false), "{message}");
    }
    assert_eq!(
        Request::parse("Write hello.py and run it:\n```python\nprint(1)\n```"),
        write("hello.py", "print(1)\n", true)
    );
    assert_eq!(
        Request::parse("write hello.sh containing echo hi and run it"),
        write("hello.sh", "echo hi", true)
    );
    assert_eq!(Request::parse("create an empty file x.txt"), write("x.txt", "", false));
}

#[test]
fn edits_name_the_old_text_the_new_text_and_the_file() {
    let expected = edit("notes.txt", "milk", "oat milk");
    let messages = [
        "replace \"milk\" with \"oat milk\" in notes.txt",
        "Replace milk with oat milk in notes.txt",
        "change `milk` to `oat milk` in the file notes.txt",
        "In notes.txt, replace \"milk\" with \"oat milk\"",
    ];
    for message in messages {
        assert_eq!(Request::parse(message), expected, "{message}");
    }
}

#[test]
fn longer_jobs_are_told_apart() {
    let cases = [
        ("Write a small program, run it, fix what fails", Request::FixLoop),
        ("Explain a repository", Request::ExplainRepository),
        ("Clean a spreadsheet", Request::CleanSpreadsheet(None)),
        (
            "clean sales-2025.csv, the export",
            Request::CleanSpreadsheet(Some("sales-2025.csv".into())),
        ),
        ("Write and run a script", Request::WriteScript(Script::Unspecified)),
        ("Write and run a script that prints primes", Request::WriteScript(Script::Primes)),
        ("Find the slow part", Request::FindSlowPart(None)),
        ("Find the slow part of app.py", Request::FindSlowPart(Some("app.py".into()))),
        ("What did I just ask?", Request::Recall),
        ("what do you remember", Request::Recall),
    ];
    for (message, expected) in cases {
        assert_eq!(Request::parse(message), expected, "{message}");
    }
}

#[test]
fn what_it_offers_it_understands() {
    let offered = wording::capabilities();
    let offers: Vec<_> = offered.split('`').skip(1).step_by(2).collect();
    assert!(offers.len() > 10, "{offers:?}");
    for offer in offers {
        assert_ne!(Request::parse(offer), Request::Unknown, "{offer}");
    }
    assert_eq!(Request::parse("do a longer job"), Request::FixLoop);
    for message in ["What can you do?", "help", "Hello!", "hi"] {
        assert_eq!(Request::parse(message), Request::Help, "{message}");
    }
}

#[test]
fn a_note_is_told_apart_from_a_question_about_it() {
    let note = Request::Remember("the demo is on Friday".into());
    for message in [
        "remember: the demo is on Friday",
        "Remember that the demo is on Friday",
        "please remember the demo is on Friday",
    ] {
        assert_eq!(Request::parse(message), note, "{message}");
    }
    for message in ["what do you remember?", "do you remember the demo?"] {
        assert_eq!(Request::parse(message), Request::Recall, "{message}");
    }
}

#[test]
fn what_can_only_be_read_is_no_command() {
    for message in ["run notes.txt", "run: notes.txt", "Run `notes.txt`", "run the file notes.txt"]
    {
        assert_eq!(Request::parse(message), Request::RunFile("notes.txt".into()), "{message}");
    }
    let command = |command: &str| Request::Command(command.into());
    assert_eq!(Request::parse("run wc notes.txt"), command("wc notes.txt"));
    assert_eq!(Request::parse("run mkfs.ext4"), command("mkfs.ext4"));
    assert_eq!(Request::parse("read it"), Request::ReadIt);
}

#[test]
fn a_long_answer_may_name_its_length() {
    let length = |length| Request::LongAnswer { length };
    assert_eq!(Request::parse("write a long markdown answer"), length(DEFAULT_LENGTH));
    assert_eq!(Request::parse("Give me a long explanation of sandboxes"), length(DEFAULT_LENGTH));
    assert_eq!(Request::parse("a long answer of 20k characters"), length(20_000));
    assert_eq!(Request::parse("a long answer of 900,000 characters"), length(MAX_LENGTH));
}

#[test]
fn anything_else_is_not_understood() {
    for message in
        ["", "remember:", "what is the meaning of life?", "translate this", "🦀", "write a poem"]
    {
        assert_eq!(Request::parse(message), Request::Unknown, "{message}");
    }
}

#[test]
fn odd_text_never_breaks_the_reading() {
    for message in
        ["```", "run `", "replace  with  in a.b", "İrun: İ x.py", "write : ``` a.b ```", "run: "]
    {
        Request::parse(message);
    }
}

#[test]
fn a_starter_with_its_subtitle_is_still_that_starter() {
    let cases = [
        ("Explain a repository: clone it, map it, run its tests", Request::ExplainRepository),
        ("Clean a spreadsheet: drop a CSV, get a tidy one back", Request::CleanSpreadsheet(None)),
        (
            "Write and run a script: from one sentence to output",
            Request::WriteScript(Script::Unspecified),
        ),
        ("Find the slow part: profile a program, propose a fix", Request::FindSlowPart(None)),
    ];
    for (message, expected) in cases {
        assert_eq!(Request::parse(message), expected, "{message}");
    }
}
