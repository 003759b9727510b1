//! What several topics need.

use sandbox_sdk::gateway::GatewayState;
use serde_json::json;

use crate::rig::Rig;

pub(crate) fn reconnecting(state: GatewayState) -> Option<(u32, u64)> {
    match state {
        GatewayState::Reconnecting { attempt, in_ms } => Some((attempt, in_ms)),
        _ => None,
    }
}

pub(crate) fn fresh_token(rig: &Rig, lifetime_s: i64) -> (String, i64) {
    let expires_at = rig.now.unix_ms / 1000 + lifetime_s;
    (format!("fresh-{expires_at}"), expires_at)
}

/// Lets seconds pass on a connection that is not silent.
pub(crate) fn keep_alive(rig: &mut Rig, seconds: u64) {
    for _ in 0..seconds {
        rig.wait(1_000);
        rig.frame(&json!({"type": "pong", "timestamp": 1}));
    }
}
