//! The project's commands: set-up, build, run, test, lint and bench.
//!
//! Kept light on purpose: this is the first thing that compiles on a fresh clone.

mod agents;
mod bench;
mod console;
mod interrupt;
mod job;
mod lint;
mod run;
mod site;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Skein's commands. Each one sets up what it needs first.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    /// Show the output of every tool, not only of those that fail.
    #[arg(long, short, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the product and start it; Ctrl-C stops it.
    Run(run::Options),
    /// Build what is deployed: the server's binary and the compressed site.
    Build,
    /// Run the tests of every layer, the browser's included.
    Test(test::Options),
    /// Check format, lints, documentation, licences and the crypto provider.
    Lint,
    /// Measure sizes and times, and print them beside their budgets.
    Bench(bench::Options),
    /// List the coding agents and models there are, install an agent, or check a model.
    Agents(agents::Options),
    /// Install the build tools and nothing else.
    Setup,
    /// Rebuild and reload on every change; needs cargo-leptos.
    Watch,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    console::set_verbose(cli.verbose);
    match interrupt::install().and_then(|()| perform(cli.command)) {
        Ok(code) => code,
        Err(error) if interrupt::received() => {
            console::say(&format!("stopped: {error:#}"));
            ExitCode::from(130)
        }
        Err(error) => {
            console::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> anyhow::Result<ExitCode> {
    let workspace = workspace::Workspace::load()?;
    match command {
        Command::Run(options) => run::run(&workspace, &options),
        Command::Build => run::build(&workspace),
        Command::Test(options) => test::run(&workspace, &options),
        Command::Lint => lint::run(&workspace),
        Command::Bench(options) => bench::run(&workspace, &options),
        Command::Agents(options) => agents::run(&workspace, &options),
        Command::Setup => tools::setup(&workspace),
        Command::Watch => run::watch(&workspace),
    }
}
