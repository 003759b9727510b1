//! The task that follows the turn, and what wakes it.

use futures::channel::mpsc::UnboundedSender;

use super::{Conversation, lock};

/// Why the task that follows a turn should look up.
#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "said by the stream only"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The stream said that the turn has ended.
    Done,
    /// The stream is lost, and does not come back by itself.
    Lost,
    /// Connect at once.
    Reconnect,
    /// Nobody needs to follow any more.
    Leave,
}

impl Conversation {
    /// Gives the task that follows the turn a way to be woken. The one before it leaves.
    pub fn set_follower(&self, follower: UnboundedSender<Wake>) {
        self.wake(Wake::Leave);
        *lock(&self.hidden.follower) = Some(follower);
    }

    pub fn has_follower(&self) -> bool {
        lock(&self.hidden.follower).as_ref().is_some_and(|follower| !follower.is_closed())
    }

    pub fn wake(&self, why: Wake) {
        if let Some(follower) = lock(&self.hidden.follower).as_ref() {
            // A follower that has left needs no waking.
            follower.unbounded_send(why).ok();
        }
    }
}
