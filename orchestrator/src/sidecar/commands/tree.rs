//! A command that runs, with all its descendants.

use tokio::sync::oneshot;

use super::{super::process_tree, TIMED_OUT};

/// Killed when it is dropped before its end.
pub(super) struct Tree {
    root: i32,
    ended: oneshot::Receiver<u8>,
    over: bool,
}

impl Tree {
    pub(super) fn new(root: i32, ended: oneshot::Receiver<u8>) -> Self {
        Self { root, ended, over: false }
    }

    /// Its exit code, once it has one. What it left in the background goes on.
    pub(super) async fn end(&mut self) -> i32 {
        let code = (&mut self.ended).await;
        self.over = true;
        code.map_or(TIMED_OUT, i32::from)
    }

    pub(super) fn kill(&mut self) {
        process_tree::kill(self.root);
        self.over = true;
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if !self.over {
            self.kill();
        }
    }
}
