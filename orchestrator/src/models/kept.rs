//! What was learnt from somebody else, and is learnt anew without keeping anybody waiting.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use tokio::sync::watch;

/// Who took this long the last time is not waited for.
const SLOW: Duration = Duration::from_secs(1);

/// What was learnt, and how long it is good.
pub(super) type Learnt<T> = (T, Duration);

type Learn<T> = dyn Fn(Option<Arc<T>>) -> BoxFuture<'static, Learnt<T>> + Send + Sync;

/// Something that one task at a time learns in the background, and all others use as it was last
/// known. Cheap to clone.
pub(super) struct Kept<T> {
    learn: Arc<Learn<T>>,
    known: watch::Sender<Known<T>>,
}

struct Known<T> {
    /// Nothing before the first time.
    value: Option<Arc<T>>,
    /// How often it was learnt.
    times: u64,
    /// How long that took, the last time.
    took: Duration,
    /// From when on it is old.
    due: Option<Instant>,
    /// Somebody is at it.
    learning: bool,
}

/// Somebody who is at it, until this is dropped. What was learnt by then is known; nothing was if
/// learning failed, and the next one who asks tries again.
struct Learning<T> {
    known: watch::Sender<Known<T>>,
    started: Instant,
    learnt: Option<Learnt<T>>,
}

impl<T> Drop for Learning<T> {
    fn drop(&mut self) {
        let learnt = self.learnt.take();
        self.known.send_modify(|known| {
            known.learning = false;
            if let Some((value, good_for)) = learnt {
                known.value = Some(Arc::new(value));
                known.times += 1;
                known.took = self.started.elapsed();
                known.due = Some(Instant::now() + good_for);
            }
        });
    }
}

impl<T> Kept<T> {
    /// `learn` gets to know what was known before. Nothing is learnt yet.
    pub(super) fn new(
        learn: impl Fn(Option<Arc<T>>) -> BoxFuture<'static, Learnt<T>> + Send + Sync + 'static,
    ) -> Self {
        let known =
            Known { value: None, times: 0, took: Duration::ZERO, due: None, learning: false };
        Self { learn: Arc::new(learn), known: watch::Sender::new(known) }
    }

    /// What is known, however old.
    pub(super) fn last(&self) -> Option<Arc<T>> {
        self.known.borrow().value.clone()
    }
}

impl<T: Default + Send + Sync + 'static> Kept<T> {
    /// What is known. If that is old, the next one who asks gets newer.
    pub(super) fn now(&self) -> Option<Arc<T>> {
        self.refresh();
        self.last()
    }

    /// The newest there is. It is waited for, unless who tells it is known to be slow, or fails.
    pub(super) async fn newest(&self) -> Arc<T> {
        self.refresh();
        let mut known = self.known.subscribe();
        let wanted = {
            let known = known.borrow();
            let worth_waiting = known.times == 0 || known.took < SLOW;
            known.times + u64::from(known.learning && worth_waiting)
        };
        let is_there = |known: &Known<T>| known.times >= wanted || !known.learning;
        let known = known.wait_for(is_there).await;
        known.ok().and_then(|known| known.value.clone()).unwrap_or_default()
    }

    /// Learns it anew in the background, if it is old and nobody is at it.
    pub(super) fn refresh(&self) {
        let begins = self.known.send_if_modified(|known| {
            let is_old = known.due.is_none_or(|due| due <= Instant::now());
            let begins = is_old && !known.learning;
            known.learning |= begins;
            begins
        });
        if begins {
            let kept = self.clone();
            tokio::spawn(async move {
                let (known, started) = (kept.known.clone(), Instant::now());
                let mut learning = Learning { known, started, learnt: None };
                learning.learnt = Some((kept.learn)(kept.last()).await);
            });
        }
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { learn: self.learn.clone(), known: self.known.clone() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Kept<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Kept").field(&self.last()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures::FutureExt;
    use tokio::sync::Semaphore;

    use super::*;

    /// Counts how often it was asked, and answers with it once it may.
    #[derive(Clone)]
    struct Teller {
        asked: Arc<AtomicU64>,
        may_answer: Arc<Semaphore>,
    }

    impl Teller {
        fn new() -> (Self, Kept<u64>) {
            Self::good_for(Duration::ZERO)
        }

        fn good_for(time: Duration) -> (Self, Kept<u64>) {
            let teller = Self { asked: Arc::default(), may_answer: Arc::new(Semaphore::new(0)) };
            let asked = teller.clone();
            let kept = Kept::new(move |_| {
                let Self { asked, may_answer } = asked.clone();
                let answer = async move {
                    let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
                    may_answer.acquire().await.unwrap().forget();
                    (number, time)
                };
                answer.boxed()
            });
            (teller, kept)
        }

        fn answers(&self) {
            self.may_answer.add_permits(1);
        }
    }

    /// Fails where it would wait for ever.
    async fn soon<T>(value: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), value).await.unwrap()
    }

    #[tokio::test]
    async fn the_first_time_is_waited_for_and_all_who_wait_share_it() {
        let (teller, kept) = Teller::new();
        assert_eq!(kept.now(), None);
        let all = futures::future::join_all((0..20).map(|_| kept.newest()));
        let (all, ()) = tokio::join!(soon(all), async {
            tokio::task::yield_now().await;
            teller.answers();
        });
        assert!(all.iter().all(|value| **value == 1));
        assert_eq!(teller.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_is_old_is_used_while_it_is_learnt_anew() {
        let (teller, kept) = Teller::new();
        teller.answers();
        assert_eq!(*soon(kept.newest()).await, 1);
        for _ in 0..10 {
            // Nobody answers, and nobody waits.
            assert_eq!(kept.now().as_deref(), Some(&1));
            tokio::task::yield_now().await;
        }
        assert_eq!(teller.asked.load(Ordering::SeqCst), 2);
        teller.answers();
        assert_eq!(*soon(kept.newest()).await, 2);
    }

    #[tokio::test]
    async fn what_is_not_old_is_not_asked_for_again() {
        let (teller, kept) = Teller::good_for(Duration::from_secs(3600));
        teller.answers();
        for _ in 0..3 {
            assert_eq!(*soon(kept.newest()).await, 1);
            assert_eq!(kept.now().as_deref(), Some(&1));
        }
        assert_eq!(teller.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn who_fails_keeps_nobody_waiting_and_is_asked_again() {
        let asked = Arc::new(AtomicU64::new(0));
        let kept = Kept::new(move |_| {
            let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
            let answer = async move {
                assert!(number > 1, "it fails the first time");
                (number, Duration::ZERO)
            };
            answer.boxed()
        });
        assert_eq!(*soon(kept.newest()).await, 0);
        assert_eq!(*soon(kept.newest()).await, 2);
    }

    #[tokio::test]
    async fn who_was_slow_is_not_waited_for_again() {
        let (teller, kept) = Teller::new();
        let (value, ()) = tokio::join!(kept.newest(), async {
            tokio::time::sleep(2 * SLOW).await;
            teller.answers();
        });
        assert_eq!(*value, 1);
        // Nobody answers.
        assert_eq!(*soon(kept.newest()).await, 1);
        assert_eq!(*soon(kept.newest()).await, 1);
    }
}
