//! What a scoped token opens of a sandbox's surface, route by route. What has no row stays closed.

use axum::http::Method;

use super::super::access::Capability;

/// One route, and what opens it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    method: &'static str,
    /// Below the sandbox. `{}` is any segment, `{*}` any rest.
    path: &'static str,
    pub(super) needs: Capability,
    /// The second parameter of the path must be the token's own session or connection.
    pub(super) own: bool,
    /// The credential may stand in the subprotocol, where a browser's page has to put it.
    pub(super) socket: bool,
}

const fn row(method: &'static str, needs: Capability, path: &'static str) -> Row {
    Row { method, path, needs, own: false, socket: false }
}

const fn read(method: &'static str, path: &'static str) -> Row {
    row(method, Capability::Read, path)
}

const fn work(method: &'static str, path: &'static str) -> Row {
    row(method, Capability::Workspace, path)
}

const fn terminal(method: &'static str, path: &'static str) -> Row {
    row(method, Capability::Terminal, path)
}

/// No token that is minted has this one: the product does it.
const fn control(method: &'static str, path: &'static str) -> Row {
    row(method, Capability::Control, path)
}

const fn own(row: Row) -> Row {
    Row { own: true, ..row }
}

const GET: &str = "GET";
const POST: &str = "POST";
const PUT: &str = "PUT";
const PATCH: &str = "PATCH";
const DELETE: &str = "DELETE";

/// All routes of a sandbox's surface. One that anybody refuses is a row of the product's, so that
/// a new one is opened or kept closed on purpose.
pub(super) const TABLE: &[Row] = &[
    read(GET, "/health"),
    read(GET, "/capabilities"),
    read(POST, "/files/read"),
    read(POST, "/files/read-batch"),
    work(POST, "/files/write"),
    read(POST, "/search"),
    read(GET, "/fs/list/{*}"),
    read(GET, "/fs/stat/{*}"),
    read(GET, "/fs/exists/{*}"),
    read(GET, "/fs/download/{*}"),
    read(GET, "/fs/download-dir/{*}"),
    work(POST, "/fs/mkdir/{*}"),
    work(POST, "/fs/upload"),
    work(PUT, "/fs/upload/{*}"),
    work(POST, "/fs/upload-dir"),
    work(DELETE, "/fs/{*}"),
    // Paths without the slash before them: the same questions as above, a folder to be made, and
    // what is to be removed.
    read(GET, "/fs/{*}"),
    work(POST, "/fs/{*}"),
    work(DELETE, "/fs{*}"),
    read(GET, "/git/status"),
    read(GET, "/git/log"),
    read(GET, "/git/diff"),
    read(GET, "/git/branches"),
    work(POST, "/git/add"),
    work(POST, "/git/commit"),
    work(POST, "/git/push"),
    work(POST, "/git/pull"),
    work(POST, "/git/checkout"),
    // What a process was started with and what it prints may be secret: who may see it may run one.
    terminal(GET, "/process"),
    terminal(GET, "/process/{}"),
    terminal(GET, "/process/{}/logs"),
    terminal(POST, "/process/spawn"),
    terminal(POST, "/process/run-code"),
    terminal(DELETE, "/process/{}"),
    read(GET, "/tools"),
    terminal(POST, "/tools/install"),
    terminal(POST, "/tools/use"),
    terminal(POST, "/tools/run"),
    terminal(POST, "/terminals/commands"),
    terminal(POST, "/terminals/commands/stream"),
    terminal(GET, "/terminals"),
    terminal(POST, "/terminals"),
    terminal(GET, "/terminals/{}"),
    terminal(PATCH, "/terminals/{}"),
    terminal(DELETE, "/terminals/{}"),
    terminal(GET, "/terminals/{}/stream"),
    terminal(POST, "/terminals/{}/input"),
    terminal(POST, "/terminals/{}/execute"),
    Row { socket: true, ..own(terminal(GET, "/terminals/{}/ws")) },
    own(read(GET, "/agents/sessions/{}")),
    own(read(GET, "/agents/sessions/{}/status")),
    own(read(GET, "/agents/sessions/{}/plan")),
    own(read(GET, "/agents/sessions/{}/result")),
    own(read(GET, "/agents/sessions/{}/messages")),
    own(read(GET, "/agents/sessions/{}/turns/{}")),
    own(read(GET, "/agents/sessions/{}/events")),
    own(read(GET, "/agents/sessions/{}/interactions")),
    own(work(POST, "/agents/sessions/{}/messages")),
    own(work(POST, "/agents/sessions/{}/dispatch")),
    own(work(POST, "/agents/sessions/{}/abort")),
    own(work(POST, "/agents/sessions/{}/interactions")),
    own(work(POST, "/agents/sessions/{}/interactions/{}")),
    // These are of every session, or of one that the body names.
    control(GET, "/agents/events"),
    control(GET, "/agents/turns/{}"),
    control(POST, "/agents/run"),
    control(POST, "/agents/run/stream"),
    control(POST, "/agents/run/cancel"),
    control(GET, "/agents/session"),
    control(POST, "/agents/session"),
    control(GET, "/agents/sessions"),
    control(POST, "/agents/sessions"),
    control(DELETE, "/agents/sessions/{}"),
    control(POST, "/prompt"),
    // A snapshot carries everything, and the credentials of its storage.
    control(POST, "/snapshots"),
    control(POST, "/snapshots/list"),
    control(POST, "/snapshots/restore"),
    control(GET, "/permissions/users"),
    control(GET, "/permissions/users/agent"),
    control(GET, "/permissions/users/agent/policies"),
    control(POST, "/permissions/users/agent/check"),
    control(GET, "/permissions/users/{*}"),
    control(POST, "/permissions/users"),
    read(GET, "/backend/status"),
    read(GET, "/backend/capabilities"),
    control(GET, "/backend/mcp"),
    control(POST, "/backend/mcp"),
    control(PATCH, "/backend/config"),
    control(POST, "/backend/restart"),
];

/// The row of a route, by the path that the router knows it by.
pub(super) fn find(method: &Method, path: &str) -> Option<&'static Row> {
    let method = if method == Method::HEAD { GET } else { method.as_str() };
    let path = anonymous(path);
    TABLE.iter().find(|row| row.method == method && row.path == path)
}

/// `/fs/list/{*path}` as `/fs/list/{*}`.
fn anonymous(path: &str) -> String {
    let segments = path.split('/').map(|segment| match segment.split_once('{') {
        Some((before, name)) if name.starts_with('*') => format!("{before}{{*}}"),
        Some((before, _)) => format!("{before}{{}}"),
        None => segment.to_owned(),
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::paths;

    #[test]
    fn a_route_is_found_whatever_its_parameters_are_called() {
        let found =
            |method: &str, path: &str| find(&method.parse().unwrap(), path).map(|row| row.needs);
        assert_eq!(found(GET, "/fs/list/{*path}"), Some(Capability::Read));
        assert_eq!(found("HEAD", "/fs/list/{*path}"), Some(Capability::Read));
        assert_eq!(found(DELETE, "/process/{pid}"), Some(Capability::Terminal));
        assert_eq!(found(DELETE, "/fs{*rest}"), Some(Capability::Workspace));
        assert_eq!(found(POST, "/files/write"), Some(Capability::Workspace));
        for (method, path) in [
            (GET, ""),
            (GET, "/"),
            (GET, "/files/write"),
            (DELETE, "/files/read"),
            (POST, "/health"),
            ("OPTIONS", "/health"),
            (GET, "/health/"),
            (GET, "/nobody/thought/of/it"),
        ] {
            assert_eq!(found(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn every_row_is_there_once_and_reading_changes_nothing() {
        let mut seen = BTreeSet::new();
        for row in TABLE {
            assert!(seen.insert(format!("{} {}", row.method, row.path)), "{row:?} stands twice");
            let questions = ["/files/read", "/files/read-batch", "/search"];
            let asks = row.method == GET || questions.contains(&row.path);
            assert!(asks || row.needs != Capability::Read, "{row:?}");
            let of_session = row.path.starts_with("/agents/sessions/{}");
            assert!(!of_session || row.own || row.needs == Capability::Control, "{row:?}");
            assert_eq!(row.socket, row.path.ends_with("/ws"), "{row:?}");
            assert!(!row.socket || row.own, "{row:?}");
        }
    }

    /// Of the refusals there need be none: they open nothing.
    #[test]
    fn every_route_of_a_sandboxs_surface_has_a_row() {
        let served = paths::served();
        let surface: Vec<_> = served.iter().filter(|route| route.of_sandbox().is_some()).collect();
        assert!(surface.len() > 50, "only {} routes were found", surface.len());
        for route in surface {
            assert!(of(route).is_some(), "{route:?} has no row in the table");
        }
    }

    #[test]
    fn every_row_is_of_a_route_that_is_there() {
        let there = paths::served().into_iter().chain(paths::refused());
        let there: BTreeSet<_> = there
            .filter_map(|route| Some((route.method, anonymous(route.of_sandbox()?))))
            .collect();
        for row in TABLE {
            assert!(there.contains(&(row.method, row.path.to_owned())), "{row:?} opens nothing");
        }
    }

    #[test]
    fn the_page_about_the_api_says_what_opens_each_route() {
        for told in paths::told() {
            for route in told.routes.iter().filter(|route| route.of_sandbox().is_some()) {
                let row = of(route);
                let opens = match row.map(|row| row.needs) {
                    Some(Capability::Read) => "read",
                    Some(Capability::Workspace) => "workspace",
                    Some(Capability::Terminal) => "terminal",
                    _ => "sandbox token",
                };
                // What is a token's own stands behind a comma.
                let (says, own) = told.who.split_once(", ").unwrap_or((told.who.as_str(), ""));
                assert_eq!(
                    (says, !own.is_empty()),
                    (opens, row.is_some_and(|row| row.own)),
                    "{route:?}"
                );
            }
        }
    }

    fn of(route: &paths::Route) -> Option<&'static Row> {
        find(&route.method.parse().unwrap(), route.of_sandbox()?)
    }
}
