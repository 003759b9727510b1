//! What an agent needs: time until it says something, memory, processes.

use std::{fs, time::Duration};

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
        let idle = bench.sandbox.running.sidecar().health().await.unwrap().processes;
        let threads = bench
            .sandbox
            .output("cat /proc/[0-9]*/status | awk '/^Threads:/ {n += $2} END {print n}'")
            .await;
        println!(
            "{}: {cores} cores: cold {} ms, warm {warm:?} ms; {idle} processes and {threads} threads \
             in between; most: {}",
            cli.name(),
            cold.first_delta.unwrap_or(Duration::MAX).as_millis(),
            groups()
        );
        println!("{}", bench.sandbox.output("du -sm /home/agent | cut -f1").await);
    }
}

/// What the control groups of sandboxes have counted.
fn groups() -> String {
    let folders = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"];
    let mut told = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with(&format!("skein-{}-", std::process::id())) {
                continue;
            }
            for file in ["memory.max_usage_in_bytes", "memory.usage_in_bytes", "pids.current"] {
                if let Ok(text) = fs::read_to_string(entry.path().join(file)) {
                    told.push(format!("{file} {}", text.trim()));
                }
            }
        }
    }
    told.join(", ")
}
