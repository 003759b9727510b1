//! What is asked of each agent, what happens meanwhile, and how it has to end.
//!
//! What holds for all of them (text, usage, bill, processes) is checked by `turn`.

use std::ops::RangeInclusive;

pub(crate) struct Cell {
    /// One turn each, in one chat: the prompt, which is the model's script, and the answer.
    pub(crate) turns: &'static [(&'static str, Says)],
    pub(crate) meanwhile: Meanwhile,
    /// How the last turn may end; the ones before it complete.
    pub(crate) ends: &'static [Ends],
    /// Requests to the model in each turn.
    pub(crate) requests: RangeInclusive<usize>,
    /// A file in the workspace, and what is in it then.
    pub(crate) leaves: Option<(&'static str, &'static str)>,
}

/// What an answer comes to.
pub(crate) enum Says {
    /// This, once.
    Exactly(&'static str),
    /// Its first words, once.
    ABeginning(&'static str),
    /// A beginning of it, once or not at all.
    AtMost(&'static str),
}

/// What happens while the last turn runs.
#[derive(PartialEq)]
pub(crate) enum Meanwhile {
    Nothing,
    /// The person stops the turn at the first words.
    Stop,
    /// The agent's own process is killed while its tool runs.
    KillAgent,
    /// The orchestrator is killed while the agent's tool runs, with the server around it. Then it is
    /// started again.
    KillOrchestrator,
}

/// State of the turn, and why.
#[derive(Debug, PartialEq)]
pub(crate) enum Ends {
    Completed,
    Stopped,
    /// With this code.
    Failed(&'static str),
    Interrupted(&'static str),
}

/// Requests that a turn with a broken model may cost.
const FEW: usize = 10;

/// Where nothing goes wrong.
const USUAL: Cell = Cell {
    turns: &[],
    meanwhile: Meanwhile::Nothing,
    ends: &[Ends::Completed],
    requests: 1..=1,
    leaves: None,
};

pub(crate) const TEXT: Cell = Cell {
    turns: &[(
        "SAY[Hello there, this is the whole answer.]",
        Says::Exactly("Hello there, this is the whole answer."),
    )],
    ..USUAL
};

pub(crate) const TOOL: Cell = Cell {
    turns: &[(
        "SAY[I look.] RUN[echo made-$((40+2)) >> proof.txt] SAY[Done.]",
        Says::Exactly("I look.\n\nDone."),
    )],
    requests: 2..=2,
    leaves: Some(("proof.txt", "made-42\n")),
    ..USUAL
};

pub(crate) const TWO_TURNS: Cell = Cell {
    turns: &[
        ("SAY[One.] The word is wolpertinger.", Says::Exactly("One.")),
        ("SAY[Two.]", Says::Exactly("Two.")),
    ],
    ..USUAL
};

pub(crate) const STOPPED: Cell = Cell {
    // What is left of the answer ends before the gateway stops to wait for its figures.
    turns: &[(
        "SAY[One two three four five six seven eight nine ten, and then all of them again.] SLOW[300]",
        Says::ABeginning(
            "One two three four five six seven eight nine ten, and then all of them again.",
        ),
    )],
    meanwhile: Meanwhile::Stop,
    ends: &[Ends::Stopped],
    ..USUAL
};

/// The first answer costs nearly all that is held.
pub(crate) const OUT_OF_CREDITS: Cell = Cell {
    turns: &[(
        "USAGE[10,{nearly all}] SAY[First.] RUN[echo one >> proof.txt] SAY[Done.]",
        Says::Exactly("First."),
    )],
    ends: &[Ends::Failed("OUT_OF_CREDITS")],
    leaves: Some(("proof.txt", "one\n")),
    ..USUAL
};

pub(crate) const BROKEN_ONCE: Cell = Cell {
    turns: &[(
        "SAY[Hello wide world, once more.] DROP[2x1]",
        Says::Exactly("Hello wide world, once more."),
    )],
    requests: 2..=4,
    ..USUAL
};

pub(crate) const ALWAYS_BROKEN: Cell = Cell {
    turns: &[(
        "SAY[Hello wide world, once more.] DROP[2]",
        Says::AtMost("Hello wide world, once more."),
    )],
    // Claude Code asks for the answer in one piece, which does not break.
    ends: &[Ends::Completed, Ends::Failed("MODEL_STREAM_CUT")],
    requests: 2..=FEW,
    ..USUAL
};

pub(crate) const OVERLOADED: Cell = Cell {
    turns: &[("FAIL[529x2] SAY[There you are.]", Says::Exactly("There you are."))],
    requests: 3..=3,
    ..USUAL
};

pub(crate) const AGENT_KILLED: Cell = Cell {
    turns: &[(
        "SAY[I wait.] RUN[(setsid sleep {for ever} &); sleep {for ever}]",
        Says::Exactly("I wait."),
    )],
    meanwhile: Meanwhile::KillAgent,
    ends: &[Ends::Failed("AGENT_DIED")],
    ..USUAL
};

pub(crate) const ORCHESTRATOR_KILLED: Cell = Cell {
    turns: AGENT_KILLED.turns,
    meanwhile: Meanwhile::KillOrchestrator,
    ends: &[Ends::Interrupted("ORCHESTRATOR_RESTARTED")],
    ..USUAL
};
