//! Writes a script from one sentence and runs it.

use super::{has, put};
use crate::demo::{
    memory::Memory,
    narrator::{Narrator, Stopped},
    request::Script,
    wording::{code, duration, quoted},
};

struct Known {
    name: &'static str,
    what: &'static str,
    python: &'static str,
    shell: &'static str,
}

const PRIMES: Known = Known {
    name: "primes",
    what: "prints the prime numbers below 100",
    python: include_str!("../texts/primes.py"),
    shell: include_str!("../texts/primes.sh"),
};

const FIBONACCI: Known = Known {
    name: "fibonacci",
    what: "prints the first 20 Fibonacci numbers",
    python: include_str!("../texts/fibonacci.py"),
    shell: include_str!("../texts/fibonacci.sh"),
};

const FIZZBUZZ: Known = Known {
    name: "fizzbuzz",
    what: "counts to 20, with Fizz and Buzz",
    python: include_str!("../texts/fizzbuzz.py"),
    shell: include_str!("../texts/fizzbuzz.sh"),
};

pub(in crate::demo) async fn write_script(
    narrator: &mut Narrator,
    memory: &mut Memory,
    script: Script,
) -> Result<(), Stopped> {
    let known = match script {
        Script::Primes | Script::Unspecified => PRIMES,
        Script::Fibonacci => FIBONACCI,
        Script::FizzBuzz => FIZZBUZZ,
    };
    if script == Script::Unspecified {
        let text = "I can write three scripts: prime numbers, Fibonacci numbers and FizzBuzz. You \
                    named none of them, so here is the first.";
        narrator.say(text).await?;
    }
    let (path, text, command) = if has(narrator, "python3").await? {
        let path = format!("{}.py", known.name);
        (path.clone(), known.python, format!("python3 {path}"))
    } else {
        let path = format!("{}.sh", known.name);
        (path.clone(), known.shell, format!("sh {path}"))
    };
    if !put(narrator, &path, text).await? {
        return Ok(());
    }
    memory.worked_on(&path);
    let outcome = narrator.bash(command.clone()).await?;
    let text = match &outcome.error {
        None => format!(
            "{} {}. Running it with {} took {}, and it printed:\n\n{}\n\nSay `run it again`, or \
             change it with `replace … with … in {path}`.",
            code(&path),
            known.what,
            code(&command),
            duration(outcome.millis),
            quoted(&outcome.text)
        ),
        Some(error) => format!("{} failed ({error}):\n\n{}", code(&path), quoted(&outcome.stderr)),
    };
    narrator.say(&text).await
}
