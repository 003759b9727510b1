//! Operations of sessions: the product's, and those of a sandbox's surface.

use sandbox_sdk::types::{
    Abort, Aborted, BackendChoice, CreateSandbox, Dispatch, DispatchReceipt, InputPart,
    InteractionAnswer, InteractionRequest, Outcome, Part, SessionMapping, SessionStatus,
    TokenUsage, TurnError, TurnLimits, TurnRecord, TurnState,
};

use super::{
    operation::{Operation, delete, get, post, put, tagged},
    shape::{
        Shape, always, data, date, done, fields, flag, integer, list, maybe, named, object, of,
        or_null, text, warned, whole, word,
    },
};

const TAG: &str = "Sessions and runs";

pub(super) fn of_product() -> impl Iterator<Item = Operation> {
    let session = || {
        fields([
            always("id", text()),
            always("status", text()),
            always("projectId", text()),
            always("activeExecutionId", or_null(text())),
        ])
    };
    let mapped = fields([always("success", flag()), maybe("runtimeSessionId", text())]);
    let new = fields([
        maybe("projectId", or_null(text())),
        maybe("config", or_null(of::<CreateSandbox>())),
    ]);
    tagged(
        TAG,
        [
            put("/v1/session/{sid}/mapping", "Says whose a session is, and where it runs.")
                .takes(of::<SessionMapping>())
                .gives(200, warned(mapped)),
            post("/v1/sessions", "Makes a session, and maybe a sandbox for it.")
                .may_take(new)
                .gives(201, warned(session())),
            get("/v1/sessions/{sid}", "Shows a session.").gives(200, session()),
            delete("/v1/sessions/{sid}", "Removes a session, and the sandbox made for it.")
                .gives(200, done()),
            post("/v1/sessions/{sid}/message", "Starts a turn with a text.")
                .takes(fields([always("message", text())]))
                .gives(200, of::<DispatchReceipt>()),
            followed(get("/v1/sessions/{sid}/events", "Follows the log of a session.")),
        ],
    )
}

pub(super) fn in_sandbox() -> impl Iterator<Item = Operation> {
    runs().chain(sessions()).chain(records()).chain(interactions())
}

/// A log from a number on.
fn followed(operation: Operation) -> Operation {
    let operation = operation.query("since", whole()).query("lastEventId", whole());
    operation.header("Last-Event-ID").streams()
}

fn runs() -> impl Iterator<Item = Operation> {
    let prompt = fields([
        always("message", text()),
        maybe("sessionId", or_null(text())),
        maybe("turnId", or_null(text())),
        maybe("backend", or_null(of::<BackendChoice>())),
        maybe("interactions", or_null(named(flag()))),
    ]);
    let cancel =
        fields([maybe("executionId", or_null(text())), maybe("sessionId", or_null(text()))]);
    tagged(
        TAG,
        [
            post("/prompt", "Starts a turn with a text, and does not wait.")
                .takes(prompt)
                .gives(202, of::<DispatchReceipt>())
                .gives(200, of::<DispatchReceipt>()),
            post("/agents/run", "Runs a turn, and answers with its result.")
                .header("X-Execution-ID")
                .takes(run())
                .gives(200, result()),
            followed(post("/agents/run/stream", "Runs a turn and streams it, or resumes it."))
                .header("X-Execution-ID")
                .takes(run()),
            post("/agents/run/cancel", "Stops an execution, or what runs in a session.")
                .header("X-Execution-ID")
                .may_take(cancel)
                .gives(200, of::<Aborted>()),
            post("/agents/sessions/{sid}/dispatch", "Starts the session's one turn, or finds it.")
                .header("X-Execution-ID")
                .takes(run())
                .gives(202, of::<DispatchReceipt>())
                .gives(200, of::<DispatchReceipt>()),
            post("/agents/sessions/{sid}/messages", "Starts a turn, or finds it by its id.")
                .takes(of::<Dispatch>())
                .gives(202, of::<DispatchReceipt>())
                .gives(200, of::<DispatchReceipt>()),
            post("/agents/sessions/{sid}/abort", "Stops what runs in a session.")
                .may_take(of::<Abort>())
                .gives(200, of::<Aborted>()),
            get("/agents/events", "Follows all sessions of the sandbox from now on.").streams(),
        ],
    )
}

fn sessions() -> impl Iterator<Item = Operation> {
    let new = fields([
        maybe("sessionId", or_null(text())),
        maybe("backend", or_null(of::<BackendChoice>())),
    ]);
    let create = post("/agents/sessions", "Makes a session, or finds it.")
        .may_take(new)
        .gives(201, of::<SessionStatus>())
        .gives(200, of::<SessionStatus>());
    let entry = fields([
        always("id", text()),
        always("sessionId", text()),
        always("state", word(["running", "idle"])),
        always("activeExecutionId", or_null(text())),
        always("createdAt", date()),
    ]);
    let all = get("/agents/sessions", "Lists the sandbox's sessions, the newest first.")
        .query("limit", whole())
        .query("offset", whole())
        .gives(200, fields([always("sessions", list(entry)), always("total", whole())]));
    let status = get("/agents/sessions/{sid}", "Tells where a session stands.")
        .gives(200, of::<SessionStatus>());
    tagged(
        TAG,
        [
            create.at("/agents/session"),
            create,
            all.at("/agents/session"),
            all,
            status.at("/agents/sessions/{sid}/status"),
            status,
            delete("/agents/sessions/{sid}", "Ends a session and forgets it.").gives(200, done()),
            followed(get("/agents/sessions/{sid}/events", "Follows the log of a session."))
                .query("executionId", text()),
        ],
    )
}

fn records() -> impl Iterator<Item = Operation> {
    let message = fields([always("info", object()), always("parts", list(object()))]);
    let said = [always("messages", list(message)), always("before", or_null(whole()))];
    tagged(
        TAG,
        [
            get("/agents/sessions/{sid}/messages", "Tells what was said, from the records.")
                .query("limit", whole())
                .query("before", whole())
                .gives(200, fields(said)),
            get("/agents/sessions/{sid}/result", "Tells what came of an execution.")
                .query("executionId", text())
                .gives(200, result()),
            get("/agents/sessions/{sid}/turns/{turn}", "Shows the record of a turn.")
                .gives(200, of::<TurnRecord>()),
            get("/agents/turns/{turn}", "Shows the record of a turn by its id alone.")
                .query("sessionId", text())
                .gives(200, of::<TurnRecord>()),
        ],
    )
}

fn interactions() -> impl Iterator<Item = Operation> {
    let waiting = fields([always("interactions", list(of::<InteractionRequest>()))]);
    let answer = fields([always("outcome", of::<Outcome>()), maybe("data", or_null(object()))]);
    let plan = fields([always("plan", or_null(of::<InteractionRequest>()))]);
    tagged(
        TAG,
        [
            get("/agents/sessions/{sid}/plan", "Shows the plan that waits for a decision.")
                .gives(200, plan),
            get("/agents/sessions/{sid}/interactions", "Lists what the agent asks and waits for.")
                .gives(200, data(waiting)),
            post("/agents/sessions/{sid}/interactions", "Answers what the agent asks.")
                .takes(of::<InteractionAnswer>())
                .gives(200, done()),
            post(
                "/agents/sessions/{sid}/interactions/{request}",
                "Answers what the agent asks, by its id in the path.",
            )
            .takes(answer)
            .gives(200, done()),
        ],
    )
}

/// What is asked of a run: `message`, `parts` or both.
fn run() -> Shape {
    fields([
        maybe("identifier", or_null(word(["default"]))),
        maybe("message", or_null(text())),
        maybe("parts", or_null(list(of::<InputPart>()))),
        maybe("sessionId", or_null(text())),
        maybe("turnId", or_null(text())),
        maybe("backend", or_null(of::<BackendChoice>())),
        maybe("limits", of::<TurnLimits>()),
        maybe("interactions", or_null(named(flag()))),
    ])
}

/// An ended execution, or one that goes on.
fn result() -> Shape {
    let timing = fields([
        always("startedAt", integer()),
        always("endedAt", or_null(integer())),
        always("durationMs", or_null(integer())),
    ]);
    fields([
        always("success", flag()),
        always("sessionId", text()),
        always("executionId", text()),
        always("state", of::<TurnState>()),
        always("finalText", text()),
        always("parts", list(of::<Part>())),
        always("tokenUsage", of::<TokenUsage>()),
        always("error", or_null(of::<TurnError>())),
        always("timing", timing),
        always("metadata", object()),
        maybe("warnings", list(text())),
    ])
}
