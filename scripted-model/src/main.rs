//! Serves until it is stopped. Prints the address to standard error and, to standard output, a line
//! of JSON for each request that came, and another once its answer was sent to the end.

use std::io::{self, Write as _};
use std::time::Duration;

use clap::Parser;
use scripted_model::{Recorded, ScriptedModel};
use serde_json::{Value, json};

/// What a prompt may hold; the crate's documentation says all of it.
const SCRIPT: &str = "In a prompt: SAY[text], LONG[words], THINK[text], RUN[command], \
                      CALL[tool {\"json\": 1}], STEPS[n], SLOW[ms], USAGE[in,out], FAIL[status], DROP[n]. \
                      As in: RUN[ls] SAY[That is all.]";

/// How often the requests are looked at.
const POLL: Duration = Duration::from_millis(200);

/// A model server for tests: the prompt says what it answers.
///
/// It speaks the formats of Anthropic's and OpenAI's APIs on a free port of this machine until it is
/// stopped. Its address is printed to standard error; to standard output comes a line of JSON for each
/// request, and another once its answer was sent to the end.
#[derive(Debug, Parser)]
#[command(name = "scripted-model", version, max_term_width = 100, after_help = SCRIPT)]
struct Cli {}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    // It has no options. What is said all the same is a mistake, and no reason to serve.
    Cli::parse();
    let model = ScriptedModel::start().await?;
    writeln!(io::stderr(), "{}", model.url())?;
    let mut seen = 0;
    let mut open = Vec::new();
    loop {
        tokio::time::sleep(POLL).await;
        let requests = model.requests();
        for (n, request) in requests.iter().enumerate().skip(seen) {
            writeln!(io::stdout(), "{}", came(n, request))?;
            open.push(n);
        }
        seen = requests.len();
        for n in open.extract_if(.., |n| requests[*n].complete) {
            writeln!(io::stdout(), "{}", went(n, &requests[n]))?;
        }
    }
}

/// Without the key.
fn came(n: usize, request: &Recorded) -> Value {
    json!({
        "request": n,
        "path": request.path,
        "status": request.status,
        "model": request.model,
        "body": request.body,
    })
}

fn went(n: usize, request: &Recorded) -> Value {
    json!({
        "request": n,
        "complete": request.complete,
        "usage": {
            "input": request.usage.input,
            "cacheRead": request.usage.cache_read,
            "cacheWrite": request.usage.cache_write,
            "output": request.usage.output,
        },
    })
}
