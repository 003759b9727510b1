//! Joins the machine, a transport and the application's handlers.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use futures::{FutureExt, StreamExt, channel::mpsc};

use super::{
    GatewayOptions, GatewayState, GatewayStats, Handlers, RefreshedToken,
    machine::{Effect, Input, Machine, Notice, Now, Settings},
    options::{RefreshFuture, TokenRefresh},
    storage::BoxedStorage,
    transport::{self, Incoming, Sleep, Socket},
};
use crate::backoff::Jitter;

/// Shows one viewer the events of an agent session. Clones control the same connection; it is closed
/// when the last of them is dropped.
#[derive(Clone)]
pub struct SessionGatewayClient {
    commands: mpsc::UnboundedSender<Command>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Clone, Copy, Default)]
struct Shared {
    state: GatewayState,
    stats: GatewayStats,
}

enum Command {
    Connect,
    Disconnect,
    Nudge,
    Replay(u64),
    ClearReplay,
    UpdateToken(String, Option<i64>),
}

impl fmt::Debug for SessionGatewayClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionGatewayClient").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl SessionGatewayClient {
    /// Makes a client; it connects when told to. Natively it must be made within a Tokio runtime, else
    /// `on_error` is called and the client stays [`GatewayState::Failed`].
    pub fn new(options: GatewayOptions, mut handlers: Handlers) -> Self {
        let (commands, receiver) = mpsc::unbounded();
        let shared = Arc::new(Mutex::new(Shared::default()));
        if transport::can_spawn() {
            let driver = Driver::new(options, handlers, receiver, Arc::clone(&shared));
            transport::spawn(driver.run());
        } else {
            let message = "a gateway client needs a Tokio runtime".to_owned();
            handlers.call(&Notice::Error { message, code: None });
            lock(&shared).state = GatewayState::Failed;
        }
        Self { commands, shared }
    }

    /// Connects, or tries again at once.
    pub fn connect(&self) {
        self.command(Command::Connect);
    }

    /// Closes the connection and stays away until [`connect`](Self::connect).
    pub fn disconnect(&self) {
        self.command(Command::Disconnect);
    }

    /// The page is visible again, or the network came back: reconnects now instead of later, and finds
    /// out at once whether an open connection still lives.
    pub fn nudge(&self) {
        self.command(Command::Nudge);
    }

    /// Asks for the events after `since`. Those delivered already do not come again, unless `since` lies
    /// before where this client began: then everything after it is delivered once more, in order.
    pub fn replay(&self, since: u64) {
        self.command(Command::Replay(since));
    }

    /// Forgets which events were delivered, in memory and in the storage.
    pub fn clear_replay_state(&self) {
        self.command(Command::ClearReplay);
    }

    /// Takes another token, without interrupting an open connection. `expires_at` in Unix seconds; absent:
    /// read from the token.
    pub fn update_token(&self, token: impl Into<String>, expires_at: Option<i64>) {
        self.command(Command::UpdateToken(token.into(), expires_at));
    }

    /// Where the connection stands.
    pub fn state(&self) -> GatewayState {
        lock(&self.shared).state
    }

    /// Counters, for display and tests.
    pub fn stats(&self) -> GatewayStats {
        lock(&self.shared).stats
    }

    fn command(&self, command: Command) {
        // Nobody listens any more only after the runtime has ended.
        self.commands.unbounded_send(command).ok();
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the driver was waiting for.
enum Wake {
    Command(Command),
    /// The last client was dropped.
    Orphaned,
    Socket(Incoming),
    Refreshed(RefreshedToken),
    Timer,
}

struct Driver {
    machine: Machine,
    handlers: Handlers,
    commands: mpsc::UnboundedReceiver<Command>,
    shared: Arc<Mutex<Shared>>,
    socket: Option<Socket>,
    /// The moment it rings at, on the monotonic clock.
    timer: Option<(u64, Sleep)>,
    refresh: Option<TokenRefresh>,
    refreshing: Option<RefreshFuture>,
    storage: Option<BoxedStorage>,
    storage_key: String,
}

impl Driver {
    fn new(
        options: GatewayOptions,
        handlers: Handlers,
        commands: mpsc::UnboundedReceiver<Command>,
        shared: Arc<Mutex<Shared>>,
    ) -> Self {
        let storage_key = format!("{}{}", options.replay_storage_key_prefix, options.session_id);
        let storage = options.replay_storage;
        let settings = Settings {
            url: options.url,
            token: options.token,
            expires_at: options.expires_at,
            session_id: options.session_id,
            channels: options.channels.unwrap_or_default(),
            since: options.since,
            auto_reconnect: options.auto_reconnect,
            can_refresh: options.token_refresh.is_some(),
            persist: storage.is_some(),
            stored: storage.as_ref().and_then(|storage| storage.get_item(&storage_key)),
            seed: Jitter::random_seed(),
        };
        Self {
            machine: Machine::new(settings, transport::now()),
            handlers,
            commands,
            shared,
            socket: None,
            timer: None,
            refresh: options.token_refresh,
            refreshing: None,
            storage,
            storage_key,
        }
    }

    async fn run(mut self) {
        loop {
            match poll_fn(|cx| self.poll_wake(cx)).await {
                Wake::Command(command) => match command {
                    Command::Connect => self.step(Input::Connect),
                    Command::Disconnect => self.step(Input::Disconnect),
                    Command::Nudge => self.step(Input::Nudge),
                    Command::Replay(since) => self.step(Input::Replay { since }),
                    Command::ClearReplay => self.step(Input::ClearReplay),
                    Command::UpdateToken(token, expires_at) => {
                        self.step(Input::UpdateToken { token, expires_at });
                    }
                },
                Wake::Orphaned => {
                    self.step(Input::Disconnect);
                    return;
                }
                Wake::Socket(Incoming::Text(text)) => self.step(Input::Frame(&text)),
                Wake::Socket(Incoming::Closed { code, reason }) => {
                    self.socket = None;
                    self.step(Input::Closed { code, reason });
                }
                Wake::Refreshed(result) => self.step(Input::Refreshed(result)),
                Wake::Timer => self.step(Input::Tick),
            }
        }
    }

    /// Frames before the timer: when both are due after a pause of the whole page, what came counts.
    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        if let Poll::Ready(command) = self.commands.poll_next_unpin(cx) {
            return Poll::Ready(command.map_or(Wake::Orphaned, Wake::Command));
        }
        if let Some(socket) = &mut self.socket
            && let Poll::Ready(incoming) = socket.poll_next(cx)
        {
            return Poll::Ready(Wake::Socket(incoming));
        }
        if let Some(refreshing) = &mut self.refreshing
            && let Poll::Ready(result) = refreshing.poll_unpin(cx)
        {
            self.refreshing = None;
            return Poll::Ready(Wake::Refreshed(result));
        }
        if let Some((_, sleep)) = &mut self.timer
            && Pin::new(sleep).poll_unpin(cx).is_ready()
        {
            self.timer = None;
            return Poll::Ready(Wake::Timer);
        }
        Poll::Pending
    }

    fn step(&mut self, input: Input<'_>) {
        let now = transport::now();
        for effect in self.machine.handle(now, input) {
            self.carry_out(effect);
        }
        self.publish();
        self.set_timer(now);
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Open { url, protocols } => self.socket = Some(Socket::open(url, protocols)),
            Effect::Send(text) => {
                if let Some(socket) = &mut self.socket {
                    socket.send(text);
                }
            }
            Effect::Close { code, reason } => {
                if let Some(socket) = self.socket.take() {
                    socket.close(code, reason);
                }
            }
            Effect::RefreshToken => {
                self.refreshing = self.refresh.as_mut().map(|refresh| refresh())
            }
            Effect::Persist(text) => {
                if let Some(storage) = &self.storage {
                    storage.set_item(&self.storage_key, &text);
                }
            }
            Effect::Forget => {
                if let Some(storage) = &self.storage {
                    storage.remove_item(&self.storage_key);
                }
            }
            Effect::Notify(notice) => {
                // A handler that asks for the state gets the one it is told of.
                if let Notice::State(state) = &notice {
                    lock(&self.shared).state = *state;
                }
                self.handlers.call(&notice);
            }
        }
    }

    fn publish(&self) {
        let mut shared = lock(&self.shared);
        shared.state = self.machine.state();
        shared.stats = self.machine.stats();
    }

    /// A timer that rings too early does no harm, so one is replaced only by an earlier one: the deadline
    /// moves with every frame.
    fn set_timer(&mut self, now: Now) {
        let Some(deadline) = self.machine.deadline() else {
            self.timer = None;
            return;
        };
        if self.timer.as_ref().is_none_or(|(at, _)| *at > deadline) {
            let pause = deadline.saturating_sub(now.mono_ms);
            self.timer = Some((deadline, transport::sleep(pause)));
        }
    }
}
