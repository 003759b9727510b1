//! The backend's words in the page's, and back.

use crate::model;

/// Maps enums whose variants have the same names on both sides.
macro_rules! same_variants {
    ($($name:ident { $($variant:ident),+ })+) => {$(
        impl From<backend::$name> for model::$name {
            fn from(value: backend::$name) -> Self {
                match value {
                    $(backend::$name::$variant => Self::$variant,)+
                }
            }
        }
    )+};
}

same_variants! {
    Role { User, Assistant }
    MessageState { Complete, Stopped, Failed, Interrupted }
    TurnState { Provisioning, Running, Completed, Failed, Stopped, Interrupted }
    SandboxState { None, Provisioning, Running, Stopped, Failed }
    Permissions { Everything, AskFirst, ReadOnly }
}

impl From<model::Permissions> for backend::Permissions {
    fn from(permissions: model::Permissions) -> Self {
        match permissions {
            model::Permissions::Everything => Self::Everything,
            model::Permissions::AskFirst => Self::AskFirst,
            model::Permissions::ReadOnly => Self::ReadOnly,
        }
    }
}

/// What a request says that an agent may do.
fn permissions(word: &str) -> Result<backend::Permissions, backend::Error> {
    model::Permissions::of_word(word).map(Into::into).ok_or_else(|| backend::Error::Invalid {
        field: "permissions",
        message: "There are no such permissions. Reload the page, and choose anew.".into(),
    })
}

impl From<backend::Credits> for model::Credits {
    fn from(credits: backend::Credits) -> Self {
        Self(credits.micros())
    }
}

impl From<backend::ChatSummary> for model::ChatSummary {
    fn from(chat: backend::ChatSummary) -> Self {
        Self {
            id: chat.id.to_string(),
            title: chat.title,
            updated_at: chat.updated_at,
            running: chat.running,
        }
    }
}

impl From<backend::ChatDetail> for model::ChatPage {
    fn from(chat: backend::ChatDetail) -> Self {
        Self {
            summary: chat.summary.into(),
            messages: chat.messages.into_iter().map(Into::into).collect(),
            earlier: chat.earlier,
            active: chat.active.map(Into::into),
            sandbox: chat.sandbox.into(),
            choice: chat.choice.map(Into::into),
            settled_seq: chat.settled_seq,
        }
    }
}

impl From<backend::EarlierMessages> for model::EarlierPage {
    fn from(found: backend::EarlierMessages) -> Self {
        Self {
            messages: found.messages.into_iter().map(Into::into).collect(),
            earlier: found.earlier,
        }
    }
}

impl From<backend::ActiveTurn> for model::ActiveTurn {
    fn from(turn: backend::ActiveTurn) -> Self {
        Self {
            turn_id: turn.turn_id.to_string(),
            state: turn.state.into(),
            started_at: turn.started_at,
            notice: turn.notice,
            waiting: turn.waiting,
        }
    }
}

impl From<backend::Message> for model::Message {
    fn from(message: backend::Message) -> Self {
        let repeats = message.repeats();
        Self {
            id: message.id,
            turn_id: message.turn_id.to_string(),
            role: message.role.into(),
            parts: message.parts,
            repeats,
            state: message.state.into(),
            error: message.error,
            receipt: message.receipt.map(Into::into),
            created_at: message.created_at,
        }
    }
}

impl From<backend::Receipt> for model::Receipt {
    fn from(receipt: backend::Receipt) -> Self {
        Self {
            agent: receipt.agent,
            model: receipt.model,
            input_tokens: receipt.input_tokens,
            cached_tokens: receipt.cached_tokens,
            output_tokens: receipt.output_tokens,
            charged: receipt.charged.into(),
            duration_ms: receipt.duration_ms,
        }
    }
}

impl From<backend::Choice> for model::Choice {
    fn from(choice: backend::Choice) -> Self {
        let permissions = choice.permissions.into();
        Self { agent: choice.agent, model: choice.model, permissions }
    }
}

impl From<backend::Options> for model::Options {
    fn from(options: backend::Options) -> Self {
        Self {
            agents: options.agents.into_iter().map(Into::into).collect(),
            models: options.models.into_iter().map(Into::into).collect(),
            default: options.default.into(),
        }
    }
}

impl From<backend::AgentOption> for model::AgentOption {
    fn from(agent: backend::AgentOption) -> Self {
        let backend::AgentOption { id, name, problem, models } = agent;
        Self { id, name, problem, models }
    }
}

impl From<backend::ModelOption> for model::ModelOption {
    fn from(model: backend::ModelOption) -> Self {
        Self {
            name: model.name,
            local: model.local,
            context_tokens: model.context_tokens,
            input: model.input.into(),
            output: model.output.into(),
        }
    }
}

impl TryFrom<model::StartTurn> for backend::StartTurn {
    type Error = backend::Error;

    fn try_from(request: model::StartTurn) -> Result<Self, backend::Error> {
        Ok(Self {
            chat_id: request.chat_id.as_deref().map(str::parse).transpose()?,
            turn_id: request.turn_id.parse()?,
            text: request.text,
            agent: request.agent,
            model: request.model,
            permissions: request.permissions.as_deref().map(permissions).transpose()?,
            repeats: request.repeats,
        })
    }
}

impl From<backend::StartedTurn> for model::StartedTurn {
    fn from(started: backend::StartedTurn) -> Self {
        Self {
            chat: started.chat.into(),
            turn_id: started.turn_id.to_string(),
            state: started.state.into(),
            stream: started.stream.map(Into::into),
            user_message: started.user_message.into(),
        }
    }
}

impl From<backend::TurnStatus> for model::TurnStatus {
    fn from(status: backend::TurnStatus) -> Self {
        Self {
            chat_id: status.chat_id.to_string(),
            turn_id: status.turn_id.to_string(),
            state: status.state.into(),
            sandbox: status.sandbox.into(),
            stream: status.stream.map(Into::into),
            outcome: status.outcome.map(Into::into),
            notice: status.notice,
        }
    }
}

impl From<backend::TurnOutcome> for model::TurnOutcome {
    fn from(outcome: backend::TurnOutcome) -> Self {
        Self {
            message: outcome.message.into(),
            balance: outcome.balance.into(),
            error: outcome.error,
        }
    }
}

impl From<backend::StreamGrant> for model::StreamGrant {
    fn from(grant: backend::StreamGrant) -> Self {
        Self {
            url: grant.url,
            token: grant.token,
            expires_at: grant.expires_at,
            session_id: grant.session_id,
            since: grant.since,
        }
    }
}

impl From<model::ReportedUsage> for backend::ReportedUsage {
    fn from(report: model::ReportedUsage) -> Self {
        Self {
            input_tokens: report.input_tokens,
            output_tokens: report.output_tokens,
            duration_ms: report.duration_ms,
        }
    }
}
