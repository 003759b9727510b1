//! On the server there is nobody to watch: the same names, and nothing behind them.

use crate::model::{ReportedUsage, StreamGrant};
use crate::state::{AgentMessage, Conversation};

#[derive(Debug)]
pub struct Stream;

pub fn open(_: Conversation, _: AgentMessage, _: StreamGrant) -> Stream {
    Stream
}

impl Stream {
    pub fn reported(&self) -> ReportedUsage {
        ReportedUsage::default()
    }

    pub fn nudge(&self) {}

    pub fn renew(&self, _: StreamGrant) {}

    pub fn is_connected(&self) -> bool {
        false
    }

    pub fn is_lost(&self) -> bool {
        false
    }

    pub fn is_lively(&self) -> bool {
        false
    }
}
