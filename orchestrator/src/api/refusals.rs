//! What the protocol knows and this orchestrator cannot do: 501 `NOT_IMPLEMENTED`, with the
//! feature's name and the reason, so that a client need not guess from a missing route.

use axum::{
    Router,
    routing::{MethodFilter, on},
};

use crate::error::ApiError;

/// One refused route.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) methods: MethodFilter,
    pub(super) path: &'static str,
    pub(super) feature: &'static str,
    pub(super) reason: &'static str,
}

const GET: MethodFilter = MethodFilter::GET;
const POST: MethodFilter = MethodFilter::POST;
const PUT: MethodFilter = MethodFilter::PUT;
const PATCH: MethodFilter = MethodFilter::PATCH;
const DELETE: MethodFilter = MethodFilter::DELETE;
const CHANGES: MethodFilter = POST.or(PUT).or(PATCH).or(DELETE);
const ANY: MethodFilter = GET.or(CHANGES);

pub(super) const NO_CRIU: &str =
    "The memory of running processes can't be saved: CRIU does not work inside a sandbox here.";
const NO_FLEETS: &str = "A fleet is many machines, and this orchestrator is one.";
const NO_REPORTS: &str = "Reports are made by a service of the hosted platform.";
const NO_TRACES: &str = "Traces of single sandboxes are kept by a service of the hosted platform.";
const ONE_USER: &str = "A sandbox has one user, who owns everything in it.";
const NO_BUILDS: &str =
    "Images are built where they are kept; a sandbox can be made of one by its name.";
const NO_ACCOUNT: &str = "No provider's account stands behind a sandbox here: agents reach their \
                          models through the orchestrator.";
const NO_CHANGE: &str = "An agent is set up by the profile of its sandbox or of its turn, and is \
                         started with the turn: there is nothing to change or to restart between.";

/// Routes of the API.
pub(super) const API: &[Refusal] = &[
    refuse(POST, "/v1/sandboxes/{id}/checkpoints", "checkpoints", NO_CRIU),
    refuse(DELETE, "/v1/sandboxes/{id}/checkpoints/{checkpoint}", "checkpoints", NO_CRIU),
    refuse(POST, "/v1/sandboxes/{id}/fork", "fork", NO_CRIU),
    refuse(ANY, "/v1/fleets", "fleets", NO_FLEETS),
    refuse(ANY, "/v1/fleets/{*rest}", "fleets", NO_FLEETS),
    refuse(ANY, "/v1/intelligence/reports", "intelligence", NO_REPORTS),
    refuse(ANY, "/v1/intelligence/reports/{*rest}", "intelligence", NO_REPORTS),
    refuse(ANY, "/v1/images", "images", NO_BUILDS),
    refuse(ANY, "/v1/images/{*rest}", "images", NO_BUILDS),
    refuse(GET, "/v1/sandboxes/{id}/trace", "traces", NO_TRACES),
    refuse(POST, "/v1/sandboxes/{id}/exportTrace", "traces", NO_TRACES),
];

/// Routes of a sandbox's own surface.
pub(super) const IN_SANDBOX: &[Refusal] = &[
    refuse(POST, "/permissions/users", "users", ONE_USER),
    refuse(CHANGES, "/permissions/users/{*rest}", "users", ONE_USER),
    refuse(CHANGES, "/permissions/users/agent", "users", ONE_USER),
    refuse(CHANGES, "/permissions/users/agent/policies", "users", ONE_USER),
    refuse(ANY, "/backend/account", "backend account", NO_ACCOUNT),
    refuse(ANY, "/backend/models", "backend account", NO_ACCOUNT),
    refuse(ANY, "/backend/repositories", "backend account", NO_ACCOUNT),
    refuse(ANY, "/backend/agents", "backend account", NO_ACCOUNT),
    refuse(ANY, "/backend/agents/{*rest}", "backend account", NO_ACCOUNT),
    refuse(ANY, "/backend/runs", "backend account", NO_ACCOUNT),
    refuse(ANY, "/backend/runs/{*rest}", "backend account", NO_ACCOUNT),
    refuse(ANY, "/backend/artifacts", "backend account", NO_ACCOUNT),
    refuse(ANY, "/backend/artifacts/{*rest}", "backend account", NO_ACCOUNT),
    refuse(POST, "/backend/mcp", "backend configuration", NO_CHANGE),
    refuse(PATCH, "/backend/config", "backend configuration", NO_CHANGE),
    refuse(POST, "/backend/restart", "backend configuration", NO_CHANGE),
];

const fn refuse(
    methods: MethodFilter,
    path: &'static str,
    feature: &'static str,
    reason: &'static str,
) -> Refusal {
    Refusal { methods, path, feature, reason }
}

/// Routes that answer with their refusal.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(table: &'static [Refusal]) -> Router<S> {
    table.iter().fold(Router::new(), |router, refusal| {
        let answer =
            move || async move { ApiError::not_implemented(refusal.feature, refusal.reason) };
        router.route(refusal.path, on(refusal.methods, answer))
    })
}
