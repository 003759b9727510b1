//! Fields that stand beside the named ones of a type: requests are searched for them, and answers
//! get them, by their names. A derived schema says nothing of them.

#[cfg(test)]
mod tests;

use sandbox_sdk::types::{CreateSandbox, SnapshotStorage};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::shape::{
    Shape, date, either, fields as object_of, flag, list, maybe, named, number, object, of,
    or_null, text, told, whole, word,
};
use crate::{builtin::MAX_THINKING_TOKENS, profile::Profile, sandboxes::driver_names};

/// The name of a schema, and an object of the fields beside its own.
type Beside<T> = (&'static str, T);

/// All of them, as schemas.
pub(super) fn fields(
    asked: &mut SchemaGenerator,
    answered: &mut SchemaGenerator,
) -> Vec<Beside<Value>> {
    let of_asked = of_asked().map(|(name, shape)| (name, shape.schema(asked)));
    let of_answered = of_answered().map(|(name, shape)| (name, shape.schema(answered)));
    of_asked.into_iter().chain(of_answered).collect()
}

/// Puts fields beside those that the schema of that name has.
pub(super) fn add(schemas: &mut Map<String, Value>, name: &str, mut fields: Value) {
    let properties = schemas.get_mut(name).and_then(|schema| schema.get_mut("properties"));
    if let (Some(Value::Object(properties)), Value::Object(more)) =
        (properties, fields["properties"].take())
    {
        properties.extend(more);
    }
}

fn of_asked() -> [Beside<Shape>; 5] {
    let config = "Fields of the sandbox. They may stand in the project itself and in its container \
                  as well; what stands there counts.";
    let thinking = "How many tokens the built-in agent's model may think for.";
    [
        ("CreateSandbox", of_sandbox()),
        (
            "CreateProject",
            object_of([maybe("config", told(or_null(of::<CreateSandbox>()), config))]),
        ),
        ("Resources", of_resources()),
        ("BackendChoice", of_backend()),
        ("ModelChoice", object_of([maybe(MAX_THINKING_TOKENS, told(whole(), thinking))])),
    ]
}

fn of_answered() -> [Beside<Shape>; 5] {
    let warnings = || {
        let words = "What was asked for and makes no difference, and why. Absent: there is none.";
        maybe("warnings", told(list(text()), words))
    };
    let outcome = || {
        let words = "Stands in the answer to its creation alone.";
        maybe("outcome", told(word(["created", "idempotent_replay"]), words))
    };
    let estimated = "A provider did not tell all that was used: it was counted from what passed.";
    [
        ("Sandbox", object_of([warnings(), outcome()])),
        ("Project", object_of([warnings(), outcome()])),
        ("Connection", object_of([maybe("runtimeUrl", told(text(), "Newer name of sidecarUrl."))])),
        ("SessionStatus", of_session()),
        (
            "TokenUsage",
            object_of([
                maybe("requests", told(whole(), "Requests to models.")),
                maybe("estimated", told(flag(), estimated)),
            ]),
        ),
    ]
}

fn of_sandbox() -> Shape {
    let driver = Shape::Plain(json!({"type": "string", "enum": driver_names()}));
    let driver = either([of_driver(driver.clone()), driver, null()]);
    let tools = named(either([text(), whole()]));
    let unused = || told(Shape::Plain(json!({})), "Makes no difference, and is warned of.");
    object_of([
        maybe("driver", told(driver, "What is to run it; any that is enabled will do otherwise.")),
        maybe("network", told(or_null(of_network()), "What it may reach, and what reaches it.")),
        maybe(
            "tools",
            told(
                or_null(tools),
                "Tools that must be there, at most 16, with their versions: {\"node\": \"22\"}. \
                 Refused with 501 where one is not.",
            ),
        ),
        maybe(
            "fromSnapshot",
            told(or_null(text()), "The snapshot whose files it begins with. Not with git."),
        ),
        maybe(
            "storage",
            told(
                or_null(of::<SnapshotStorage>()),
                "The caller's own bucket, where its snapshots are kept instead of here.",
            ),
        ),
        maybe(
            "bare",
            told(or_null(flag()), "Without a sidecar: refused with 501 when it is true."),
        ),
        maybe(
            "permissions",
            told(or_null(object()), "Users: refused with 501 when any are asked for."),
        ),
        maybe("agentIdentifier", told(or_null(text()), "Only `default` is known.")),
        maybe("sshEnabled", unused()),
        maybe("sshPublicKey", unused()),
        maybe("webTerminalEnabled", unused()),
    ])
}

/// `kind`: the names that it goes by.
fn of_driver(kind: Shape) -> Shape {
    let gpu = "A GPU: refused with 501 when one is asked for.";
    let hosts = "Which machines will do: refused with 501, there is one.";
    object_of([
        maybe("type", or_null(kind)),
        maybe("gpuRequired", told(or_null(flag()), gpu)),
        maybe("gpuCount", told(or_null(whole()), gpu)),
        maybe("enableCriu", told(or_null(flag()), "Refused with 501 when it is true.")),
        maybe("minHostSpecs", told(or_null(object()), hosts)),
        maybe("targetHostIds", told(or_null(list(text())), hosts)),
    ])
}

fn of_network() -> Shape {
    let block = "True: it reaches nothing but what allowList names. False: without such a list, \
                 every public address.";
    let list_of = "At most 256 host names, `*.suffix`es, addresses or CIDRs, each with or without \
                   a port. An empty list names nothing.";
    let ports = "Ports from 1024 on that can be reached at URLs of their own.";
    let network = object_of([
        maybe("blockOutbound", told(or_null(flag()), block)),
        maybe("block_outbound", told(or_null(flag()), "Another spelling of blockOutbound.")),
        maybe("allowList", told(or_null(list(text())), list_of)),
        maybe("allow_list", told(or_null(list(text())), "Another spelling of allowList.")),
        maybe("ports", told(or_null(list(whole())), ports)),
    ]);
    told(network, "Its names are read whatever their case, with or without `-` and `_` in them.")
}

/// Their other spellings.
fn of_resources() -> Shape {
    let memory = || told(or_null(whole()), "Another spelling of memoryMB: mebibytes.");
    let disk = || told(or_null(whole()), "Another spelling of storageMb: mebibytes.");
    object_of([
        maybe("cpu", told(or_null(number()), "Another spelling of cpuCores.")),
        maybe("memory", memory()),
        maybe("memoryMb", memory()),
        maybe("storage", disk()),
        maybe("storageMB", disk()),
    ])
}

fn of_backend() -> Shape {
    let profile = either([word(["default", "read-only", "careful"]), of::<Profile>(), null()]);
    let inline = "Adds to the profile, and can only narrow what that permits.";
    let beside = || told(or_null(text()), "Of the model, where `model` is its name alone.");
    object_of([
        maybe("profile", told(profile, "How the agent is told to behave, by name or in full.")),
        maybe("inlineProfile", told(or_null(of::<Profile>()), inline)),
        maybe("provider", beside()),
        maybe("apiKey", beside()),
        maybe("baseUrl", beside()),
        maybe("authFiles", told(or_null(list(object())), "Refused with 501 when there are any.")),
    ])
}

fn of_session() -> Shape {
    let execution = object_of([maybe("id", text()), maybe("status", word(["running"]))]);
    let waits = word(["blocked_on_approval", "awaiting_plan_decision", "awaiting_question"]);
    let ended = word(["completed", "failed", "aborted", "interrupted"]);
    object_of([
        maybe("id", told(text(), "The same as sessionId.")),
        maybe("reconnectable", told(flag(), "A turn runs whose events can be followed.")),
        maybe("activeExecution", told(execution, "The turn that runs.")),
        maybe("waitsFor", told(waits, "What a person is asked for first.")),
        maybe("lastEventAt", told(date(), "When its log got the last event.")),
        maybe("terminalReason", told(ended, "How the last turn ended, once nothing runs.")),
    ])
}

fn null() -> Shape {
    Shape::Plain(json!({"type": "null"}))
}
