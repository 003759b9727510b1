//! Which channels a token opens, and whose log each of them is.
//!
//! `session:{id}` and `agent:{id}` are a session's log, or that of the session it is mapped to;
//! `project:{id}` is what happens to a sandbox, and on `system` nothing is sent in this version. Any
//! other name is nobody's.

use std::sync::Arc;

use sandbox_sdk::auth::{ReadClaims, Scope};

use crate::{
    log::{EventLog, SessionLog, Shown},
    store::StoreError,
};

const SYSTEM: &str = "system";
/// Longest name of a channel that is looked at, in bytes.
const MAX_NAME: usize = 256;

/// A channel, and its log if it has one.
pub(super) type Channel = (String, Option<Arc<SessionLog>>);

/// What a connection stands and falls with. It stays this if another log takes a name.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    /// The session's, or the project's own.
    pub(super) log: Arc<SessionLog>,
    /// That of the session it is mapped to, whose events are shown in place of its own.
    pub(super) runtime: Option<Arc<SessionLog>>,
    /// From before the mapping was looked up: more moves mean that it is another one now.
    pub(super) moves: u64,
}

impl Anchor {
    fn new(log: Arc<SessionLog>) -> Self {
        let moves = log.head().moves;
        Self { log, runtime: None, moves }
    }

    fn shown(&self) -> Arc<SessionLog> {
        self.runtime.as_ref().unwrap_or(&self.log).clone()
    }
}

/// What a token says that its holder may watch.
#[derive(Debug)]
pub(super) struct Authority {
    scope: Scope,
    anchor: Option<Anchor>,
}

impl Authority {
    /// `None`: the session is mapped to one that is not there any more.
    pub(super) async fn of(
        claims: &ReadClaims,
        logs: &EventLog,
    ) -> Result<Option<Self>, StoreError> {
        let scope = claims.scope.clone();
        let anchor = match &scope {
            Scope::Session(session) => {
                let mut anchor = Anchor::new(logs.session(session).await?);
                match logs.shown(session).await? {
                    Shown::Own => {}
                    Shown::Runtime(log) => anchor.runtime = Some(log),
                    Shown::Nothing => return Ok(None),
                }
                Some(anchor)
            }
            Scope::Project(project) => Some(Anchor::new(logs.session(&life_of(project)).await?)),
            Scope::Projects(_) => None,
        };
        Ok(Some(Self { scope, anchor }))
    }

    pub(super) fn anchor(&self) -> Option<Anchor> {
        self.anchor.clone()
    }

    /// What it is called in the first frame.
    pub(super) fn name(&self) -> &'static str {
        match self.scope {
            Scope::Session(_) => "session",
            Scope::Project(_) => "project",
            Scope::Projects(_) => "batch",
        }
    }

    /// The channel of who names none; of several projects, that of the first.
    pub(super) fn own(&self) -> String {
        match &self.scope {
            Scope::Session(session) => format!("session:{session}"),
            Scope::Project(project) => format!("project:{project}"),
            Scope::Projects(projects) => {
                format!("project:{}", projects.first().map_or("", String::as_str))
            }
        }
    }

    /// What is watched from the beginning by who asks for nothing.
    pub(super) fn default_channels(&self) -> Vec<String> {
        match self.scope {
            Scope::Projects(_) => vec!["project:*".to_owned()],
            Scope::Session(_) | Scope::Project(_) => vec![self.own()],
        }
    }

    /// The channels that a name or a pattern stands for now, at most so many of each kind; `None`:
    /// the token does not open it. A session's token opens no pattern.
    pub(super) async fn matching(
        &self,
        logs: &EventLog,
        wish: &str,
        most: usize,
    ) -> Result<Option<Vec<Channel>>, StoreError> {
        if wish.len() > MAX_NAME {
            return Ok(None);
        }
        if wish == SYSTEM {
            return Ok(Some(vec![(SYSTEM.to_owned(), None)]));
        }
        let (projects, batch) = match &self.scope {
            Scope::Session(session) => {
                let mut prefixes = ["session:", "agent:"].into_iter();
                let own =
                    prefixes.any(|prefix| wish.strip_prefix(prefix) == Some(session.as_str()));
                let shown = self.anchor.as_ref().map(Anchor::shown);
                return Ok(own.then(|| vec![(wish.to_owned(), shown)]));
            }
            Scope::Project(project) => (std::slice::from_ref(project), false),
            Scope::Projects(projects) => (projects.as_slice(), true),
        };
        match wish.split_once(':') {
            None if wish == "*" && batch => {
                let mut all = self.lives(logs, projects, most).await?;
                all.extend(sessions(logs, projects, "session", most).await?);
                Ok(Some(all))
            }
            Some(("project", "*")) if batch => self.lives(logs, projects, most).await.map(Some),
            Some((kind @ ("session" | "agent"), "*")) => {
                sessions(logs, projects, kind, most).await.map(Some)
            }
            Some(("project", id)) => match projects.iter().find(|project| *project == id) {
                Some(project) => self.lives(logs, std::slice::from_ref(project), 1).await.map(Some),
                None => Ok(None),
            },
            Some(("session" | "agent", id)) => {
                let log = shown_of(logs, id, projects).await?;
                Ok(log.map(|log| vec![(wish.to_owned(), Some(log))]))
            }
            _ => Ok(None),
        }
    }

    /// The channels of the projects themselves.
    async fn lives(
        &self,
        logs: &EventLog,
        projects: &[String],
        most: usize,
    ) -> Result<Vec<Channel>, StoreError> {
        let mut channels = Vec::new();
        for project in projects.iter().take(most) {
            let log = match &self.anchor {
                Some(anchor) => anchor.log.clone(),
                None => logs.session(&life_of(project)).await?,
            };
            channels.push((format!("project:{project}"), Some(log)));
        }
        Ok(channels)
    }
}

/// The sessions of the projects, the newest first.
async fn sessions(
    logs: &EventLog,
    projects: &[String],
    kind: &str,
    most: usize,
) -> Result<Vec<Channel>, StoreError> {
    let mut channels = Vec::new();
    for project in projects.iter().take(most) {
        for session in logs.newest_sessions(project, most).await? {
            if channels.len() >= most {
                return Ok(channels);
            }
            if let Some(log) = shown_of(logs, &session, std::slice::from_ref(project)).await? {
                channels.push((format!("{kind}:{session}"), Some(log)));
            }
        }
    }
    Ok(channels)
}

/// The log that is shown for a session of the projects.
async fn shown_of(
    logs: &EventLog,
    id: &str,
    projects: &[String],
) -> Result<Option<Arc<SessionLog>>, StoreError> {
    let Some(own) = logs.session_of(id, projects).await? else { return Ok(None) };
    match logs.shown(id).await? {
        Shown::Own => Ok(Some(own)),
        // Looked up among the projects, too: the name may be another session's by now.
        Shown::Runtime(log) => logs.session_of(log.id(), projects).await,
        Shown::Nothing => Ok(None),
    }
}

/// The log of what happens to a sandbox.
fn life_of(project: &str) -> String {
    format!("@{project}")
}
