//! What the application does with what comes.

use std::fmt;

use super::{
    machine::{Backpressure, GatewayState, Notice, Reset},
    options::MaybeSend,
};
use crate::types::{Connected, Event};

#[cfg(not(target_arch = "wasm32"))]
macro_rules! boxed {
    ($($signature:tt)*) => { Box<dyn $($signature)* + Send> };
}
#[cfg(target_arch = "wasm32")]
macro_rules! boxed {
    ($($signature:tt)*) => { Box<dyn $($signature)*> };
}

/// Declares the handlers once: a field each, and the method that sets it.
macro_rules! handlers {
    ($($(#[$doc:meta])* $name:ident($($argument:ty),*);)*) => {
        /// What to call when something comes; everything may be left out.
        ///
        /// Handlers run one after the other, in the order of what happened, and must not block.
        #[derive(Default)]
        pub struct Handlers {
            $($name: Option<boxed!(FnMut($($argument),*))>,)*
        }

        impl Handlers {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(
                    mut self,
                    handler: impl FnMut($($argument),*) + MaybeSend + 'static,
                ) -> Self {
                    self.$name = Some(Box::new(handler));
                    self
                }
            )*
        }
    };
}

handlers! {
    /// The gateway let us in: first and after every reconnect.
    on_connect(&Connected);
    /// An event of the log: channel, event, sequence number. Each comes once, in the order of its channel.
    on_agent_event(&str, &Event, u64);
    /// Events from before now follow: channel, first sequence number not known yet less one, how many.
    on_replay_start(&str, u64, u64);
    /// All events up to this sequence number have come: channel, number.
    on_replay_complete(&str, u64);
    /// Events are missing that will not come again: take the durable message instead.
    on_reset(Reset);
    /// We are too slow for the gateway. Only for information: nothing is lost.
    on_backpressure(&Backpressure);
    /// The token ends in so many seconds. It is being refreshed, where a refresh was given.
    on_token_expiring(u64);
    /// The token has ended, or was refused.
    on_token_expired();
    /// The connection's state changed.
    on_state(GatewayState);
    /// The connection is gone: close code and reason. It comes back on its own unless the state says
    /// otherwise.
    on_disconnect(u16, &str);
    /// Something went wrong: words, and a stable code where there is one.
    on_error(&str, Option<&str>);
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handlers")
    }
}

impl Handlers {
    /// No handlers yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn call(&mut self, notice: &Notice) {
        macro_rules! call {
            ($name:ident($($argument:expr),*)) => {
                if let Some(handler) = &mut self.$name { handler($($argument),*) }
            };
        }
        match notice {
            Notice::Connected(connected) => call!(on_connect(connected)),
            Notice::Event { channel, event, seq } => call!(on_agent_event(channel, event, *seq)),
            Notice::ReplayStart { channel, since, total } => {
                call!(on_replay_start(channel, *since, *total));
            }
            Notice::ReplayComplete { channel, last_seq } => {
                call!(on_replay_complete(channel, *last_seq));
            }
            Notice::Reset(reset) => call!(on_reset(reset.clone())),
            Notice::Backpressure(warning) => call!(on_backpressure(warning)),
            Notice::TokenExpiring { seconds } => call!(on_token_expiring(*seconds)),
            Notice::TokenExpired => call!(on_token_expired()),
            Notice::State(state) => call!(on_state(*state)),
            Notice::Disconnected { code, reason } => call!(on_disconnect(*code, reason)),
            Notice::Error { message, code } => call!(on_error(message, code.as_deref())),
        }
    }
}
