//! What server functions take and give: the product's words, as the page sees them.
//!
//! Ids are opaque strings. Times are milliseconds since the Unix epoch unless a field says otherwise.

use std::fmt;

use sandbox_sdk::types::Part;
use serde::{Deserialize, Serialize};

/// An amount of credits, in millionths. One credit is worth one US cent.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Credits(pub i64);

/// Whole credits are shown without a fraction, others with two digits; what is more than nothing is
/// never shown as nothing.
impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ONE: u64 = 1_000_000;
        let micro = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        if micro.is_multiple_of(ONE) {
            return write!(f, "{sign}{}", micro / ONE);
        }
        if micro < ONE / 100 {
            return write!(f, "{sign}<0.01");
        }
        let hundredths = (micro % ONE) / (ONE / 100);
        write!(f, "{sign}{}.{hundredths:02}", micro / ONE)
    }
}

/// What an account can spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceView {
    /// What is left, turns in progress already taken off.
    pub available: Credits,
    /// What turns in progress have reserved.
    pub held: Credits,
    /// Nobody signed up: the account lives in this browser's cookie, or will with the first message.
    pub guest: bool,
}

/// A chat in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatSummary {
    pub id: String,
    pub title: String,
    pub updated_at: i64,
    /// A turn is in progress.
    pub running: bool,
}

/// A chat with its settled history, or the end of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatPage {
    pub summary: ChatSummary,
    /// In order, whole turns; of a turn in progress only the person's message.
    pub messages: Vec<Message>,
    /// There are messages before these.
    pub earlier: bool,
    pub active: Option<ActiveTurn>,
    pub sandbox: SandboxState,
    /// What its last turn was run with.
    pub choice: Option<Choice>,
    /// Events of the session's log up to this number are part of `messages`.
    pub settled_seq: u64,
}

/// Messages that stand before others of their chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlierPage {
    /// In order, whole turns.
    pub messages: Vec<Message>,
    /// There are messages before these.
    pub earlier: bool,
}

/// A turn in progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActiveTurn {
    pub turn_id: String,
    pub state: TurnState,
    pub started_at: i64,
    /// Something the person should know, such as that the sandbox was replaced.
    pub notice: Option<String>,
    /// What the agent waits for the person to say: parts of its message.
    pub waiting: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub id: String,
    /// A person's message and the answer to it share their turn.
    pub turn_id: String,
    pub role: Role,
    pub parts: Vec<Part>,
    /// The person had the chat's last question asked again.
    pub repeats: bool,
    pub state: MessageState,
    /// Why the answer failed, in words.
    pub error: Option<String>,
    /// What the answer used and cost; none for a person's message.
    pub receipt: Option<Receipt>,
    pub created_at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    User,
    Assistant,
}

/// How a settled message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    Complete,
    /// Stopped on request: what stands is part of an answer.
    Stopped,
    Failed,
    /// Cut off from outside, for example by a restart.
    Interrupted,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub agent: String,
    pub model: String,
    /// Those from a cache included.
    pub input_tokens: u64,
    pub cached_tokens: u64,
    pub output_tokens: u64,
    pub charged: Credits,
    pub duration_ms: u64,
}

/// An agent and a model, by name, and what the agent may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub agent: String,
    pub model: String,
    pub permissions: Permissions,
}

/// What an agent may do without asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permissions {
    /// Whatever the sandbox allows.
    #[default]
    Everything,
    /// It asks before commands and edits.
    AskFirst,
    /// Neither commands nor edits.
    ReadOnly,
}

impl Permissions {
    pub const ALL: [Self; 3] = [Self::Everything, Self::AskFirst, Self::ReadOnly];

    /// The word that it travels as and is kept as.
    pub fn word(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::AskFirst => "ask_first",
            Self::ReadOnly => "read_only",
        }
    }

    /// None for a word that this version does not know: it is never taken for another one.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.word() == word)
    }
}

/// What a message can be sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    pub agents: Vec<AgentOption>,
    pub models: Vec<ModelOption>,
    /// What is chosen where nobody has chosen.
    pub default: Choice,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentOption {
    pub id: String,
    /// For people.
    pub name: String,
    /// Why it can't be chosen now.
    pub problem: Option<String>,
    /// Names of the models it works with.
    pub models: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelOption {
    /// `provider/model`, or a name of the price list for an agent that needs no model.
    pub name: String,
    /// It runs on the server's own machine.
    pub local: bool,
    pub context_tokens: Option<u64>,
    /// Credits for a million tokens read.
    pub input: Credits,
    /// Credits for a million tokens written.
    pub output: Credits,
}

impl Options {
    pub fn agent(&self, id: &str) -> Option<&AgentOption> {
        self.agents.iter().find(|agent| agent.id == id)
    }

    pub fn model(&self, name: &str) -> Option<&ModelOption> {
        self.models.iter().find(|model| model.name == name)
    }

    pub fn offers(&self, choice: &Choice) -> bool {
        self.agent(&choice.agent).is_some_and(|agent| agent.models.contains(&choice.model))
    }

    /// Whether there is anything to choose.
    pub fn is_choice(&self) -> bool {
        self.agents.iter().map(|agent| agent.models.len()).sum::<usize>() > 1
    }

    /// Another agent, with the model of before where it can work with that.
    pub fn with_agent(&self, id: &str, before: &Choice) -> Option<Choice> {
        let agent = self.agent(id)?;
        let usual = [&before.model, &self.default.model].into_iter();
        let model = usual.chain(&agent.models).find(|model| agent.models.contains(model))?;
        let (agent, model) = (agent.id.clone(), model.clone());
        Some(Choice { agent, model, permissions: before.permissions })
    }
}

/// A message to send. Sending the same turn again is a look-up, never a second run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartTurn {
    /// None opens a new chat.
    pub chat_id: Option<String>,
    /// A UUIDv7 that the browser chose: the idempotency key of everything in the turn.
    pub turn_id: String,
    pub text: String,
    /// None: as in the chat's last turn, or else as usual.
    pub agent: Option<String>,
    pub model: Option<String>,
    /// A word of [`Permissions`]; another one is refused. None: as in the chat's last turn, else as in
    /// the account's last one, else everything.
    #[serde(default)]
    pub permissions: Option<String>,
    /// The chat's last question is asked again.
    #[serde(default)]
    pub repeats: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartedTurn {
    pub chat: ChatSummary,
    pub turn_id: String,
    pub state: TurnState,
    /// Where to watch; none while the sandbox is being made, then `turn_status` brings it.
    pub stream: Option<StreamGrant>,
    pub user_message: Message,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnStatus {
    pub chat_id: String,
    pub turn_id: String,
    pub state: TurnState,
    pub sandbox: SandboxState,
    pub stream: Option<StreamGrant>,
    /// Present once the turn is settled.
    pub outcome: Option<TurnOutcome>,
    /// Something the person should know, such as that the sandbox was replaced.
    pub notice: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnOutcome {
    /// The answer as it is kept; it takes the place of what was streamed.
    pub message: Message,
    pub balance: Credits,
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    /// The sandbox is being made ready.
    Provisioning,
    Running,
    Completed,
    Failed,
    Stopped,
    Interrupted,
}

impl TurnState {
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Provisioning | Self::Running)
    }
}

/// Where the sandbox of a chat stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxState {
    /// The chat has none yet.
    None,
    /// Being made, or woken.
    Provisioning,
    Running,
    /// At rest; the next message wakes it.
    Stopped,
    /// Gone or broken; the next message makes another.
    Failed,
}

/// The right to watch one session, for a while. The token is a secret: it travels only in answers to
/// the browser's own calls, never in a rendered page.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamGrant {
    /// WebSocket address of the session gateway.
    pub url: String,
    pub token: String,
    /// Unix seconds.
    pub expires_at: i64,
    pub session_id: String,
    /// Sequence number after which unsettled events begin.
    pub since: u64,
}

impl fmt::Debug for StreamGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamGrant")
            .field("url", &self.url)
            .field("expires_at", &self.expires_at)
            .field("session_id", &self.session_id)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

/// What the stream said the turn used. Stored beside the orchestrator's own figures and compared with
/// them; nothing is ever charged from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedUsage {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub duration_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_shown_with_two_digits_unless_whole() {
        let shown = |micro| Credits(micro).to_string();
        assert_eq!(shown(500_000_000), "500");
        assert_eq!(shown(499_987_654), "499.98");
        assert_eq!(shown(10_000), "0.01");
        assert_eq!(shown(-1_500_000), "-1.50");
        assert_eq!(shown(0), "0");
    }

    #[test]
    fn another_agent_keeps_the_model_it_can_work_with() {
        let agent = |id: &str, models: &[&str]| AgentOption {
            id: id.into(),
            name: id.into(),
            problem: None,
            models: models.iter().map(|model| (*model).to_owned()).collect(),
        };
        let choice = |agent: &str, model: &str| Choice {
            agent: agent.into(),
            model: model.into(),
            permissions: Permissions::AskFirst,
        };
        let options = Options {
            agents: vec![agent("a", &["x", "y", "z"]), agent("b", &["z", "y"]), agent("c", &[])],
            models: Vec::new(),
            default: choice("a", "y"),
        };
        let with = |id, model| options.with_agent(id, &choice("a", model));
        assert_eq!(with("b", "z"), Some(choice("b", "z")));
        assert_eq!(with("b", "x"), Some(choice("b", "y")), "the usual one");
        assert_eq!(with("c", "x"), None);
        assert!(options.is_choice() && options.offers(&choice("b", "y")));
        assert!(!options.offers(&choice("b", "x")));
        let demo = Options { agents: vec![agent("a", &["x"]), agent("c", &[])], ..options };
        assert!(!demo.is_choice(), "what can't be used is no choice");
    }

    #[test]
    fn what_an_agent_may_do_has_one_word_everywhere() {
        for permissions in Permissions::ALL {
            assert_eq!(Permissions::of_word(permissions.word()), Some(permissions));
            assert_eq!(serde_json::to_value(permissions).unwrap(), permissions.word());
        }
        for unknown in ["", "root", "Everything", "default"] {
            assert_eq!(Permissions::of_word(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_trace_of_credits_is_not_shown_as_nothing() {
        assert_eq!(Credits(1).to_string(), "<0.01");
        assert_eq!(Credits(9_999).to_string(), "<0.01");
    }

    #[test]
    fn a_stream_grant_shows_no_token_when_debugged() {
        let grant = StreamGrant {
            url: "ws://127.0.0.1:1/session".into(),
            token: "top-secret".into(),
            expires_at: 1,
            session_id: "s".into(),
            since: 0,
        };
        assert!(!format!("{grant:?}").contains("top-secret"));
    }
}
