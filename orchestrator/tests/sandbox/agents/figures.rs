//! What an agent needs: time until it says something, memory, processes.

use std::time::Duration;

use orchestrator::{agents::Cli, driver::Limits};

use super::bench::Bench;

pub(super) async fn measure(cli: Cli) {
    for cores in [1.0, 2.0] {
        let limits =
            Limits { memory_mb: 8192, processes: 2000, cpu_cores: cores, ..Limits::default() };
        let Some(bench) = Bench::with(cli, |spec| spec.limits = limits).await else { return };
        let cold = bench.ask("t1", "SAY[Hello there.]").await;
        let mut warm = Vec::new();
        for number in 0..3 {
            let turn = bench.ask(&format!("w{number}"), "SAY[Hello again.]").await;
            turn.assert_completed("Hello again.");
            warm.push(turn.first_delta.unwrap_or_default().as_millis());
        }
        let script = "RUN[seq 1000 | tail -1; ls -R /usr/lib | head -c 100000 | wc -c] SAY[Done.]";
        let turn = bench.ask("t2", script).await;
        turn.assert_completed("Done.");
        let processes = bench.sandbox.running.sidecar().health().await.unwrap().processes;
        let sum = |file: &str, field: &str| {
            // The sidecar's own cannot be read.
            let files = format!("/proc/[0-9]*/{file}");
            let command = format!("grep -hs ^{field}: {files} | awk '{{n += $2}} END {{print n}}'");
            let sandbox = &bench.sandbox;
            async move { sandbox.sh(&command).await.stdout.trim().parse::<u64>().unwrap_or(0) }
        };
        let home = bench.sandbox.output("du -sm /home/agent | cut -f1").await;
        println!(
            "{}, {cores} cores: first words after {} ms cold and {warm:?} ms warm; {processes} processes, \
             {} threads; memory {} MB now, {} MB at most; {home} MB of files",
            cli.name(),
            cold.first_delta.unwrap_or(Duration::MAX).as_millis(),
            sum("status", "Threads").await,
            sum("smaps_rollup", "Pss").await / 1024,
            sum("status", "VmHWM").await / 1024,
        );
    }
}
