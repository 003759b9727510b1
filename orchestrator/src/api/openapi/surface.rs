//! Operations of a sandbox's surface, without those of sessions and of files. Paths begin below the
//! sandbox.

use sandbox_sdk::types::{
    ErrorBody, Exec, ExecResult, OpenTerminal, ProcessInfo, ResizeTerminal, RunCode, SignalProcess,
    SnapshotStorage, SpawnProcess, TerminalInfo, TerminalInput,
};

use super::{
    files,
    operation::{EVENTS, Operation, delete, get, patch, post, tagged},
    shape::{
        Shape, always, both, data, date, fields, flag, integer, list, maybe, named, object, of,
        or_null, text, warned, whole, word,
    },
};

pub(super) fn operations() -> Vec<Operation> {
    about()
        .chain(commands())
        .chain(files::operations())
        .chain(processes())
        .chain(terminals())
        .chain(tools())
        .chain(snapshots())
        .collect()
}

fn about() -> impl Iterator<Item = Operation> {
    let user = || {
        fields([
            always("userId", text()),
            always("username", text()),
            always("homeDir", text()),
            always("role", text()),
            always("sshKeys", list(text())),
            always("createdAt", date()),
        ])
    };
    let status = fields([
        always("type", text()),
        always("status", word(["running", "starting", "stopped", "unknown"])),
        maybe("version", text()),
        maybe("error", text()),
    ]);
    let capabilities = fields([
        always("streaming", flag()),
        always("toolUse", flag()),
        always("reasoning", flag()),
        always("multimodal", flag()),
        always("contextWindow", whole()),
    ]);
    let server = fields([always("status", word(["running", "stopped", "error"]))]);
    let servers = fields([always("servers", named(server))]);
    tagged(
        "Tools, users, backend",
        [
            get("/health", "Tells whether it answers; a stopped one is resumed.")
                .gives(200, data(object())),
            get("/capabilities", "Tells what clients may count on.").gives(200, counted_on()),
            get("/backend/status", "Tells which agent it has, and whether it is there.")
                .gives(200, status),
            get("/backend/capabilities", "Tells what the agent and its model can do.")
                .gives(200, capabilities),
            get("/backend/mcp", "Names the servers of its profile.").gives(200, servers),
            get("/permissions/users", "Lists the one user.")
                .gives(200, fields([always("users", list(user()))])),
            get("/permissions/users/agent", "Shows the one user.").gives(200, user()),
            get("/permissions/users/agent/policies", "Tells what the one user may do: everything.")
                .gives(200, fields([always("rules", list(object()))])),
            post("/permissions/users/agent/check", "Tells whether a path is the one user's.")
                .takes(fields([always("path", text()), always("action", word(["read", "write"]))]))
                .gives(200, fields([always("allowed", flag())])),
            get("/permissions/users/{*rest}", "Finds nobody, as there is one user.")
                .gives(404, of::<ErrorBody>()),
        ],
    )
}

/// What the protocol's clients look at before they begin.
fn counted_on() -> Shape {
    let interactions = [always("responseDedupe", flag()), always("kinds", list(text()))];
    let cancel = ["byExecutionId", "bySession", "noopIsNoError"].map(|name| always(name, flag()));
    fields([
        always("schema", whole()),
        always(
            "dispatch",
            fields(["runControlRef", "executionIdOnAdmission"].map(|name| always(name, flag()))),
        ),
        always("cancel", fields(cancel)),
        always(
            "runs",
            fields(["eventReplay", "executionScopedStatus"].map(|name| always(name, flag()))),
        ),
        always("interactions", fields(interactions)),
        always("interactiveAgent", fields([always("supported", flag())])),
    ])
}

fn commands() -> impl Iterator<Item = Operation> {
    let result = fields([
        always("success", flag()),
        always("result", of::<ExecResult>()),
        maybe("warnings", list(text())),
    ]);
    tagged(
        "Commands",
        [
            post("/terminals/commands", "Runs a command to its end, with its output.")
                .takes(of::<Exec>())
                .gives(200, result)
                .gives_media(200, EVENTS),
            post("/terminals/commands/stream", "Runs a command, and streams its output.")
                .takes(of::<Exec>())
                .streams(),
        ],
    )
}

fn processes() -> impl Iterator<Item = Operation> {
    // The result if it was waited for, else the id alone.
    let started = || {
        data(fields([
            always("pid", integer()),
            maybe("exitCode", integer()),
            maybe("stdout", text()),
            maybe("stderr", text()),
            maybe("durationMs", whole()),
            maybe("truncated", flag()),
            maybe("timedOut", flag()),
            maybe("warnings", list(text())),
        ]))
    };
    let signalled = fields([always("pid", integer()), always("signalled", flag())]);
    tagged(
        "Processes",
        [
            post("/process/spawn", "Starts a command or a program that goes on.")
                .takes(of::<SpawnProcess>())
                .gives(200, started()),
            post("/process/run-code", "Runs code of a language that is there.")
                .takes(of::<RunCode>())
                .gives(200, started()),
            get("/process", "Lists the processes that were started so.")
                .gives(200, data(list(of::<ProcessInfo>()))),
            get("/process/{pid}", "Shows one of them.").gives(200, data(of::<ProcessInfo>())),
            delete("/process/{pid}", "Sends it a signal.")
                .may_take(of::<SignalProcess>())
                .gives(200, data(signalled)),
            get("/process/{pid}/logs", "Streams what it writes.")
                .query("since", whole())
                .query("lastEventId", whole())
                .header("Last-Event-ID")
                .streams(),
        ],
    )
}

fn terminals() -> impl Iterator<Item = Operation> {
    let resized = data(of::<TerminalInfo>());
    // The same fields stand in the envelope and beside it.
    let opened = || both(data(of::<TerminalInfo>()), of::<TerminalInfo>());
    let input = post("/terminals/{terminal}/input", "Types into a terminal.")
        .takes(of::<TerminalInput>())
        .gives(200, data(fields([always("sessionId", text())])));
    let gone = || {
        fields([
            always("deleted", flag()),
            always("sessionId", text()),
            always("session_id", text()),
        ])
    };
    let closed = both(data(gone()), gone());
    tagged(
        "Terminals",
        [
            get("/terminals", "Lists the terminals.").gives(200, data(list(of::<TerminalInfo>()))),
            post("/terminals", "Opens a terminal.")
                .takes(of::<OpenTerminal>())
                .gives(200, warned(opened())),
            get("/terminals/{terminal}", "Shows a terminal.").gives(200, opened()),
            patch("/terminals/{terminal}", "Gives a terminal another size.")
                .takes(of::<ResizeTerminal>())
                .gives(200, resized),
            delete("/terminals/{terminal}", "Ends a terminal.").gives(200, closed),
            get("/terminals/{terminal}/stream", "Streams what a terminal shows.").streams(),
            input.at("/terminals/{terminal}/execute"),
            input,
            get("/terminals/{terminal}/ws", "Opens a terminal over a WebSocket.")
                .query("cols", whole())
                .query("rows", whole())
                .query("cwd", text())
                .query("command", text())
                .upgrades(),
        ],
    )
}

fn tools() -> impl Iterator<Item = Operation> {
    let tool = fields([
        always("name", text()),
        always("version", text()),
        always("path", text()),
        always("active", flag()),
    ]);
    let have = post("/tools/install", "Finds a tool in a version that is there already.")
        .takes(fields([always("tool", text()), maybe("version", text())]))
        .gives(
            200,
            fields([always("success", flag()), always("tool", text()), always("version", text())]),
        );
    let run = fields([
        always("tool", text()),
        maybe("args", list(text())),
        maybe("cwd", or_null(text())),
        maybe("env", named(text())),
        maybe("timeout", or_null(whole())),
    ]);
    tagged(
        "Tools, users, backend",
        [
            get("/tools", "Lists the tools there are.")
                .gives(200, fields([always("tools", list(tool))])),
            have.at("/tools/use"),
            have,
            post("/tools/run", "Runs a tool with its arguments, without a shell.")
                .takes(run)
                .gives(200, of::<ExecResult>()),
        ],
    )
}

fn snapshots() -> impl Iterator<Item = Operation> {
    let snapshot = || {
        fields([
            always("id", text()),
            always("createdAt", date()),
            always("sizeBytes", whole()),
            always("tags", list(text())),
            always("paths", list(text())),
        ])
    };
    let one = || fields([always("success", flag()), always("snapshot", snapshot())]);
    let project = || maybe("projectId", or_null(text()));
    let storage = || maybe("storage", or_null(of::<SnapshotStorage>()));
    let wanted = [project(), storage(), maybe("tags", list(text())), maybe("paths", list(text()))];
    let back = [
        project(),
        storage(),
        maybe("snapshotId", or_null(text())),
        maybe("destinationPath", or_null(text())),
    ];
    tagged(
        "Snapshots",
        [
            post("/snapshots", "Keeps files in a bucket that the request brings.")
                .takes(fields(wanted))
                .gives(200, one()),
            post("/snapshots/list", "Lists what is in that bucket.")
                .takes(fields([project(), storage()]))
                .gives(
                    200,
                    fields([always("success", flag()), always("snapshots", list(snapshot()))]),
                ),
            post("/snapshots/restore", "Puts back the newest, or the one named.")
                .takes(fields(back))
                .gives(200, one()),
        ],
    )
}
