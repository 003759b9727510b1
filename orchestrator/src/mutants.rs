//! Faults that tests put in on purpose, to see that the checks of the promises notice them.

/// Names the fault that a process has.
pub(crate) const VARIABLE: &str = "SKEIN_MUTANT";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// What is new is sent before what was missed.
    LiveBeforeReplay,
    /// Every start is a new life of the logs.
    EpochPerBoot,
    /// Events are acknowledged that never reach the disk.
    NoDurability,
    /// A viewer that is behind misses some.
    SkippedMessages,
}

impl Mutant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LiveBeforeReplay => "live-before-replay",
            Self::EpochPerBoot => "epoch-per-boot",
            Self::NoDurability => "no-durability",
            Self::SkippedMessages => "skipped-messages",
        }
    }

    /// Whether this process has the fault.
    pub(crate) fn is_on(self) -> bool {
        std::env::var_os(VARIABLE).is_some_and(|name| name == self.name())
    }
}
