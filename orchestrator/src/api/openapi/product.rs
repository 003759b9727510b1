//! Operations of the product, without those of sessions.

use sandbox_sdk::types::{
    AgentCatalog, BatchRun, CreateProject, CreateSandbox, Project, Sandbox, SnapshotEntry,
    SnapshotTaken, TakeSnapshot, UpdateSandbox,
};

use super::{
    drivers,
    operation::{Opens, Operation, delete, get, patch, post, tagged},
    shape::{
        Shape, always, date, done, fields, flag, list, maybe, named, number, object, of, or_null,
        text, told, warned, whole, word,
    },
};
use crate::api::sandboxes::STATUSES;

pub(super) fn operations() -> Vec<Operation> {
    sandboxes()
        .chain(projects())
        .chain(snapshots())
        .chain(network())
        .chain(tokens())
        .chain(account())
        .chain(machine())
        .collect()
}

fn sandboxes() -> impl Iterator<Item = Operation> {
    let page = fields([always("sandboxes", list(of::<Sandbox>())), always("total", whole())]);
    tagged(
        "Sandboxes",
        [
            post("/v1/sandboxes", "Makes a sandbox, or finds it by its idempotency key.")
                .header("Idempotency-Key")
                .may_take(of::<CreateSandbox>())
                .gives(201, of::<Sandbox>())
                .gives(200, of::<Sandbox>()),
            get("/v1/sandboxes", "Lists sandboxes.")
                .query("status", list(word(STATUSES)))
                .query("limit", whole())
                .query("offset", whole())
                .gives(200, page),
            get("/v1/sandboxes/{id}", "Shows a sandbox.").gives(200, of::<Sandbox>()),
            patch("/v1/sandboxes/{id}", "Keeps a sandbox alive, and changes what it was given.")
                .takes(of::<UpdateSandbox>())
                .gives(200, of::<Sandbox>()),
            delete("/v1/sandboxes/{id}", "Removes a sandbox and all its files.").gives(200, done()),
            post("/v1/sandboxes/{id}/stop", "Ends its processes, and keeps its files.")
                .gives(200, of::<Sandbox>()),
            post("/v1/sandboxes/{id}/resume", "Starts it again.").gives(200, of::<Sandbox>()),
            get("/v1/sandboxes/{id}/events", "Tells what happens to it.")
                .query("since", whole())
                .query("lastEventId", whole())
                .header("Last-Event-ID")
                .streams(),
            get("/v1/sandboxes/{id}/driver", "Tells what isolates it, and how hard.")
                .gives(200, drivers::of_sandbox()),
            get("/v1/sandboxes/{id}/checkpoints", "Lists its checkpoints: always none.")
                .gives(200, fields([always("checkpoints", list(object()))])),
        ],
    )
}

fn projects() -> impl Iterator<Item = Operation> {
    let project = fields([always("project", of::<Project>())]);
    tagged(
        "Projects",
        [
            post("/projects", "Makes a sandbox by its older name, or finds it.")
                .takes(of::<CreateProject>())
                .gives(201, project.clone())
                .gives(200, project.clone()),
            get("/projects/{id}", "Shows the sandbox of that name.").gives(200, project),
            delete("/projects/{id}", "Removes it and all its files.").gives(200, done()),
        ],
    )
}

fn snapshots() -> impl Iterator<Item = Operation> {
    let restored = [always("success", flag()), always("snapshot", of::<SnapshotEntry>())];
    tagged(
        "Snapshots",
        [
            post("/v1/sandboxes/{id}/snapshot", "Keeps its files, or some of them.")
                .may_take(of::<TakeSnapshot>())
                .gives(200, of::<SnapshotTaken>()),
            get("/v1/sandboxes/{id}/snapshots", "Lists what was kept.")
                .gives(200, fields([always("snapshots", list(of::<SnapshotEntry>()))])),
            delete("/v1/sandboxes/{id}/snapshots/{snapshot}", "Removes a snapshot.")
                .gives(200, done()),
            post("/v1/sandboxes/{id}/snapshots/{snapshot}/restore", "Puts a snapshot back.")
                .may_take(fields([maybe("destinationPath", or_null(text()))]))
                .gives(200, fields(restored)),
        ],
    )
}

fn network() -> impl Iterator<Item = Operation> {
    let policy = fields([
        always("blockOutbound", flag()),
        always("allowList", list(text())),
        always("ports", list(whole())),
    ]);
    let opened = fields([always("port", whole()), always("url", text())]);
    let change = fields([
        maybe("blockOutbound", flag()),
        maybe("allowList", list(text())),
        maybe("ports", list(whole())),
    ]);
    let show =
        get("/v1/sandboxes/{id}/network", "Tells what it may reach.").gives(200, policy.clone());
    let change = patch("/v1/sandboxes/{id}/network", "Changes at once what it may reach.")
        .takes(change)
        .gives(200, policy);
    let expose = post("/v1/sandboxes/{id}/network/expose", "Opens a port, and says its URL.")
        .takes(fields([always("port", whole())]))
        .gives(200, opened);
    let close = delete("/v1/sandboxes/{id}/network/expose/{port}", "Closes a port for good.")
        .gives(200, done());
    let urls = get("/v1/sandboxes/{id}/network/urls", "Lists the open ports with their URLs.")
        .gives(200, fields([always("urls", named(text()))]));
    tagged(
        "Network",
        [
            show.at("/v1/sidecars/{id}/network"),
            change.at("/v1/sidecars/{id}/network"),
            expose.at("/v1/sidecars/{id}/network/expose"),
            close.at("/v1/sidecars/{id}/network/expose/{port}"),
            urls.at("/v1/sidecars/{id}/network/urls"),
            show,
            change,
            expose,
            close,
            urls,
        ],
    )
}

fn tokens() -> impl Iterator<Item = Operation> {
    let scope = || word(["session", "project", "read-only", "session-runtime"]);
    let wish = fields([
        always("scope", scope()),
        maybe("sessionId", or_null(text())),
        maybe("ttlMinutes", or_null(whole())),
    ]);
    let token = fields([
        always("token", text()),
        always("expiresAt", date()),
        always("scope", scope()),
        always("sidecarProxyUrl", text()),
    ]);
    let mint = post("/v1/sandboxes/{id}/tokens", "Makes a scoped token, for at most 15 minutes.")
        .takes(wish)
        .gives(201, token);
    tagged("Tokens", [mint.at("/projects/{id}/tokens"), mint])
}

fn account() -> impl Iterator<Item = Operation> {
    let usage = get("/usage", "Tells what was used in the month so far.").gives(
        200,
        fields([
            always("success", flag()),
            always("computeMinutes", number()),
            always("activeSandboxes", whole()),
            always("totalSandboxes", whole()),
            always("periodStart", date()),
            always("periodEnd", date()),
            always("data", object()),
        ]),
    );
    let subscription = get("/usage/subscription", "Tells what may be used.").gives(200, object());
    let batch = post("/batch/run", "Runs many tasks, each in a sandbox of its own.")
        .takes(of::<BatchRun>())
        .streams();
    tagged(
        "Secrets, usage, batch",
        [
            get("/v1/secrets", "Lists the names of secrets.")
                .gives(200, fields([always("secrets", list(secret()))])),
            post("/v1/secrets", "Keeps a value for environments.")
                .takes(fields([always("name", text()), always("value", text())]))
                .gives(201, warned(secret())),
            get("/v1/secrets/{name}", "Shows the value of a secret.")
                .gives(200, fields([always("name", text()), always("value", text())])),
            patch("/v1/secrets/{name}", "Gives a secret another value.")
                .takes(fields([always("value", text())]))
                .gives(200, warned(secret())),
            delete("/v1/secrets/{name}", "Removes a secret.").gives(200, done()),
            usage.at("/v1/usage"),
            usage,
            subscription.at("/v1/usage/subscription"),
            subscription,
            batch.at("/v1/sandboxes/batch/run"),
            batch,
        ],
    )
}

/// What a secret shows without its value.
fn secret() -> Shape {
    fields([always("name", text()), always("createdAt", date()), always("updatedAt", date())])
}

fn machine() -> impl Iterator<Item = Operation> {
    let backend = || {
        fields([
            always("type", text()),
            always("name", text()),
            always("version", or_null(text())),
            always("available", flag()),
            always("problem", or_null(text())),
            always("formats", list(text())),
        ])
    };
    let backends = [always("backends", list(backend())), always("default", text())];
    tagged(
        "Machine",
        [
            get("/health", "Tells whether the database answers, and the epoch.")
                .opened_by(Opens::Nobody)
                .gives(200, fields([always("status", text()), always("epoch", text())])),
            get("/openapi.json", "Shows this document.")
                .opened_by(Opens::Nobody)
                .gives(200, object()),
            gateway(),
            get("/metrics", "Shows figures that Prometheus reads.")
                .gives_media(200, "application/openmetrics-text"),
            get("/drivers", "Tells of the drivers and what they can do.")
                .gives(200, fields([always("drivers", list(drivers::listed()))])),
            get("/v1/system/criu-status", "Tells that there is no CRIU, and why.")
                .gives(200, fields([always("available", flag()), always("reason", text())])),
            get("/v1/agents", "Lists agents and models, with the defaults.")
                .gives(200, of::<AgentCatalog>()),
            get("/v1/backends", "Lists the agents there are.").gives(200, fields(backends)),
            get("/v1/backends/{type}", "Shows one of the agents.").gives(200, backend()),
        ],
    )
}

fn gateway() -> Operation {
    let token = "The read token of a page that can't put it into a header. One in a header counts.";
    let channels = "Names with commas between them. The session's own channel, if there are none.";
    let since = "What came after this number is sent first.";
    let alias = "`1`: an event's data stands in `properties` as well. Not together with `flat`.";
    let flat = "`flat`: frames are the events themselves, with their channel in a field.";
    get("/session", "Opens the session gateway, a WebSocket for viewers.")
        .opened_by(Opens::ReadToken)
        .query("token", told(text(), token))
        .query("sessionId", text())
        .query("channels", told(text(), channels))
        .query("since", told(whole(), since))
        .query("alias", told(word(["1"]), alias))
        .query("format", told(word(["flat"]), flat))
        .upgrades()
}
