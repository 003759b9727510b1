//! Every path of the API: as the sources have it, and as `docs/api.md` tells it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use axum::routing::MethodFilter;

use super::refusals::{self, Refusal};

/// Begins a path of a sandbox's surface, which stands at three places.
const SURFACE: char = '…';
/// Begin the product's own paths. All others are of a sandbox's surface.
const PRODUCTS: [&str; 7] =
    ["/v1/", "/projects", "/metrics", "/batch/", "/usage", "/drivers", "/openapi.json"];
/// Sources in which `.route(` names no path of the API: this one, that of the refusals, which are a
/// table, and tests.
const NAMELESS: [&str; 3] = ["paths.rs", "refusals.rs", "tests.rs"];
/// What stands above the tables of the page.
const HEAD: &str = "| method and path | what it does | who | status |";

const METHODS: &[(&str, MethodFilter)] = &[
    ("GET", MethodFilter::GET),
    ("POST", MethodFilter::POST),
    ("PUT", MethodFilter::PUT),
    ("PATCH", MethodFilter::PATCH),
    ("DELETE", MethodFilter::DELETE),
];

/// A path with one of its methods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    pub(super) path: String,
    pub(super) method: &'static str,
}

/// A row of the page.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) routes: Vec<Route>,
    pub(super) who: String,
    status: String,
}

impl Route {
    /// The path below the sandbox, if it is one of a sandbox's surface.
    pub(super) fn of_sandbox(&self) -> Option<&str> {
        self.path.strip_prefix(SURFACE)
    }
}

/// The routes that do something.
pub(super) fn served() -> BTreeSet<Route> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let top = folder.join("api.rs");
    let mut served = BTreeSet::new();
    for file in sources(&folder.join("api")).into_iter().chain([top.clone()]) {
        for (path, methods) in calls(&fs::read_to_string(&file).unwrap()) {
            let is_products = file == top || PRODUCTS.iter().any(|own| path.starts_with(own));
            let path = if is_products { path } else { format!("{SURFACE}{path}") };
            served.extend(methods.into_iter().map(|method| Route { path: path.clone(), method }));
        }
    }
    served
}

/// The routes that answer with their refusal.
pub(super) fn refused() -> BTreeSet<Route> {
    let products = refusals::API.iter().map(|refusal| (refusal, refusal.path.to_owned()));
    let in_sandbox =
        refusals::IN_SANDBOX.iter().map(|refusal| (refusal, format!("{SURFACE}{}", refusal.path)));
    let route = |(refusal, path): (&Refusal, String)| {
        let methods = METHODS.iter().filter(|(_, one)| refusal.methods.or(*one) == refusal.methods);
        methods.map(|&(method, _)| Route { path: path.clone(), method }).collect::<Vec<_>>()
    };
    products.chain(in_sandbox).flat_map(route).collect()
}

/// What the page tells.
pub(super) fn told() -> Vec<Told> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    let page = fs::read_to_string(page).unwrap();
    let mut is_table = false;
    let rows = page.lines().filter(|line| {
        is_table = *line == HEAD || (is_table && line.starts_with('|'));
        is_table && *line != HEAD && !line.starts_with("|--")
    });
    rows.map(row).collect()
}

fn row(line: &str) -> Told {
    let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [paths, _, who, status] = cells[..] else { panic!("{line} has not four cells") };
    let routes = paths.split('`').skip(1).step_by(2).flat_map(|code| {
        let (methods, path) = code.rsplit_once(' ').unwrap_or_else(|| panic!("{code}: no method"));
        let known = METHODS.iter().map(|&(method, _)| method);
        let is_named =
            |method: &&str| methods == "any" || methods.split(", ").any(|one| one == *method);
        let named: Vec<_> = known.filter(is_named).collect();
        let count = if methods == "any" { METHODS.len() } else { methods.split(", ").count() };
        assert_eq!(named.len(), count, "{code}: an unknown method");
        named.into_iter().map(move |method| Route { path: path.to_owned(), method })
    });
    Told { routes: routes.collect(), who: who.to_owned(), status: status.to_owned() }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    let is_source = |path: &PathBuf| path.extension().is_some_and(|end| end == "rs");
    let names_paths = |path: &PathBuf| !NAMELESS.iter().any(|name| path.ends_with(name));
    files.filter(is_source).filter(names_paths).collect()
}

/// The paths that a source gives to `route`, and the methods that each of them takes.
fn calls(source: &str) -> Vec<(String, Vec<&'static str>)> {
    let source = source.split_once("\nmod tests {").map_or(source, |(source, _)| source);
    let calls = source.split(".route(").skip(1).map(arguments);
    let read = |call: &str| {
        let literal = call.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
        let (path, handlers) = literal.unwrap_or_else(|| panic!("{call} names no path"));
        let methods = methods(handlers);
        assert!(!methods.is_empty(), "no method of {path} is known");
        (path.to_owned(), methods)
    };
    calls.map(read).collect()
}

/// What stands before the parenthesis that ends the call.
fn arguments(rest: &str) -> &str {
    let mut depth = 1;
    let end = rest.find(|letter: char| {
        depth += match letter {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    });
    &rest[..end.unwrap_or(rest.len())]
}

fn methods(handlers: &str) -> Vec<&'static str> {
    let called = handlers.split('(').filter_map(|before| before.rsplit(is_no_name).next());
    called
        .filter_map(|name| match name {
            "get" | "looking" => Some("GET"),
            "post" | "changing" => Some("POST"),
            "put" => Some("PUT"),
            "patch" => Some("PATCH"),
            "delete" => Some("DELETE"),
            _ => None,
        })
        .collect()
}

fn is_no_name(letter: char) -> bool {
    !letter.is_ascii_alphanumeric() && letter != '_'
}

#[test]
fn the_page_tells_every_path_with_its_methods_and_none_that_is_not_there() {
    let (is, says_no): (Vec<_>, Vec<_>) =
        told().into_iter().partition(|row| !row.status.starts_with("refused: "));
    for (what, page, sources) in [("served", is, served()), ("refused", says_no, refused())] {
        let page: BTreeSet<_> = page.into_iter().flat_map(|row| row.routes).collect();
        let untold: Vec<_> = sources.difference(&page).collect();
        assert!(untold.is_empty(), "docs/api.md does not say that these are {what}: {untold:#?}");
        let untrue: Vec<_> = page.difference(&sources).collect();
        assert!(untrue.is_empty(), "docs/api.md says that these are {what}: {untrue:#?}");
    }
}

#[test]
fn the_page_tells_each_path_once_and_in_its_own_words() {
    let mut seen = BTreeSet::new();
    for row in told() {
        assert!(!row.routes.is_empty(), "{row:?} names no path");
        let says = |word: &str| row.status.starts_with(&format!("{word}: "));
        let known = matches!(row.status.as_str(), "full" | "ours")
            || ["full", "partly", "refused", "ours"].into_iter().any(says);
        assert!(known, "{row:?} has no status");
        let keys = ["product key", "nobody", "read token"];
        for route in row.routes {
            let is_products = route.of_sandbox().is_none();
            assert_eq!(is_products, keys.contains(&row.who.as_str()), "{route:?}: {}", row.who);
            assert!(seen.insert(route.clone()), "{route:?} is told twice");
        }
    }
}

#[test]
fn a_call_is_read_to_its_end() {
    let source = r#"
        .route("/a", get(list).post(make))
        .route("/b", routing::get(get).delete(other::delete))
        .route(
            "/c/{id}",
            looking("/c").patch(move |x: Path| async move { put_aside(x) }),
        )
        .merge(more(post))
    "#;
    let expected = [
        ("/a".to_owned(), vec!["GET", "POST"]),
        ("/b".to_owned(), vec!["GET", "DELETE"]),
        ("/c/{id}".to_owned(), vec!["GET", "PATCH"]),
    ];
    assert_eq!(calls(source), expected);
}
