//! The orchestrator's catalog, kept for a while.
//!
//! It is asked for in the background, one request at a time. Whoever needs it waits a moment at most,
//! and then takes what was known before: a page and a message do not depend on it.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{Options, before_asking};
use crate::{Backend, Prices};

/// After a failure the orchestrator is left alone for so long.
const AGAIN: Duration = Duration::from_secs(3);
/// How long somebody waits for an answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is known of the catalog.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    options: Arc<Options>,
    /// The orchestrator was asked before, whatever came of it.
    told: bool,
    /// It has answered before: the options are its own.
    heard: bool,
    /// It did not answer the last time.
    failed: bool,
    asking: bool,
    /// Until when somebody waits for the answer; none: nobody does.
    patience: Option<Instant>,
    /// When to ask again; none: at once.
    due: Option<Instant>,
}

impl Known {
    /// What is known before the orchestrator was asked.
    pub(crate) fn nothing(prices: &Prices) -> watch::Sender<Self> {
        let options = before_asking(prices);
        watch::Sender::new(Self {
            options,
            told: false,
            heard: false,
            failed: false,
            asking: false,
            patience: None,
            due: None,
        })
    }
}

impl Backend {
    /// The options as they are now, if the orchestrator says so in a moment. One that failed before is
    /// not waited for.
    pub(super) async fn current_options(&self) -> Arc<Options> {
        self.ask_when_due();
        let mut known = self.catalog().subscribe();
        let patience = known.borrow().patience;
        if let Some(until) = patience {
            // Whatever came of it, `known` has the best there is.
            timeout_at(until, known.wait_for(|known| !known.asking)).await.ok();
        }
        known.borrow().options.clone()
    }

    /// The options as they were last heard of; waits for the first answer only. False: there was none
    /// yet, and what is not among them may be there all the same.
    pub(super) async fn known_options(&self) -> (Arc<Options>, bool) {
        if self.catalog().borrow().told {
            self.ask_when_due();
        } else {
            self.current_options().await;
        }
        let known = self.catalog().borrow();
        (known.options.clone(), known.heard)
    }

    /// Asks the orchestrator in the background, when nobody does and the last answer is old.
    pub(crate) fn ask_when_due(&self) {
        let begun = self.catalog().send_if_modified(|known| {
            let now = Instant::now();
            let begins = !known.asking && known.due.is_none_or(|due| due <= now);
            if begins {
                known.asking = true;
                known.patience = (!known.failed).then(|| now + PATIENCE);
            }
            begins
        });
        if begun {
            let backend = self.clone();
            self.in_background("asking for the agents", async move {
                backend.ask().await;
                Ok(())
            });
        }
    }

    async fn ask(&self) {
        let client = self.client();
        let answer = tokio::select! {
            answer = client.agents() => answer,
            () = self.stopped() => return,
        };
        let options = match answer {
            Ok(catalog) => Some(Options::new(&self.config().prices, Some(&catalog))),
            // An orchestrator that has no catalog runs what the price file lists.
            Err(error) if error.is_not_found() => Some(Options::new(&self.config().prices, None)),
            Err(error) => {
                tracing::info!(%error, "the agents and models can't be asked for");
                None
            }
        };
        self.catalog().send_modify(|known| {
            (known.told, known.asking, known.patience) = (true, false, None);
            known.failed = options.is_none();
            let wait = if known.failed { AGAIN } else { self.config().timing.catalog };
            known.due = Some(Instant::now() + wait);
            if let Some(options) = options {
                known.heard = true;
                known.options = Arc::new(options);
            }
        });
    }
}
