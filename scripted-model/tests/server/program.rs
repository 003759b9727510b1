//! The program: what it says of itself, and that it serves.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

/// Ends with its test.
struct Program(Child);

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scripted-model"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// The first line on standard error: the address of one that serves, a complaint, or nothing.
    fn says_first(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn asked_for_help_or_its_version_it_answers_and_ends() {
    for (argument, expected) in
        [("--help", "Usage: scripted-model"), ("--version", "scripted-model 0.")]
    {
        let mut program = Program::start(&[argument]);
        assert_eq!(program.says_first(), "", "{argument}: it does not serve");
        let mut said = String::new();
        program.0.stdout.as_mut().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.contains(expected), "{said}");
        assert!(program.0.wait().unwrap().success());
    }
}

#[test]
fn what_it_does_not_know_is_refused() {
    for argument in ["--port=8080", "serve"] {
        let mut program = Program::start(&[argument]);
        let said = program.says_first();
        assert!(said.starts_with("error: unexpected argument"), "{argument}: {said}");
        assert_eq!(program.0.wait().unwrap().code(), Some(2));
    }
}

#[tokio::test]
async fn without_arguments_it_serves_at_the_address_that_it_prints() {
    let mut program = Program::start(&[]);
    let url = program.says_first();
    let models = reqwest::get(format!("{url}/v1/models")).await.unwrap();
    assert_eq!(models.status(), 200);
}
