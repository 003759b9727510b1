//! One connection, from its token to its close code.

use axum::extract::ws::{Message, WebSocket};
use futures::{StreamExt, stream::SplitStream};
use sandbox_sdk::{
    auth::{ReadClaims, TokenError},
    types::{ClientFrame, Connected, Extra, ServerFrame},
};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite;

use super::{
    Gateway,
    admission::Admission,
    authority::Authority,
    frames::{self, Ending, Format},
    guards::Guards,
    heartbeat::Heartbeat,
    inbox::{self, Said},
    outbox::{self, Outbox},
    subscriptions::{Granted, Next, Subscriptions},
};
use crate::{allowance::Allowance, clock::now_ms, store::StoreError};

/// After so many messages that are none the viewer has to go.
const MAX_NONSENSE: u32 = 3;

type Reader = SplitStream<WebSocket>;

struct Connection {
    gateway: Gateway,
    id: String,
    outbox: Outbox,
    guards: Guards,
    subscriptions: Subscriptions,
    format: Format,
    heartbeat: Heartbeat,
    /// The viewer knows that its token is about to expire.
    warned: bool,
    nonsense: u32,
    messages: Allowance,
    replays: Allowance,
}

/// Serves a viewer until either side ends it.
pub(super) async fn serve(gateway: Gateway, socket: WebSocket, admission: Admission) {
    let (sink, mut reader) = socket.split();
    let outbox = Outbox::new(sink, gateway.0.tuning.slow_reader_limit);
    let counting = gateway.clone();
    counting.figures().opened();
    let (outbox, ending) = attend(gateway, outbox, &mut reader, admission).await;
    counting.figures().closed(ending.close, ending.reason);
    outbox.close(ending).await;
    // Unread messages would turn the end of the connection into a reset, and the code would be lost.
    let rest = async { while let Some(Ok(_)) = reader.next().await {} };
    drop(timeout(outbox::FAREWELL, rest).await);
}

async fn attend(
    gateway: Gateway,
    outbox: Outbox,
    reader: &mut Reader,
    admission: Admission,
) -> (Outbox, Ending) {
    let claims = match admit(&gateway, reader, &admission).await {
        Ok(claims) => claims,
        Err(ending) => return (outbox, ending),
    };
    let Some(_seat) = gateway.seat() else {
        return (outbox, Ending::overloaded());
    };
    let mut connection = match Connection::open(gateway, outbox, claims, &admission).await {
        Ok(connection) => connection,
        Err(refused) => return refused,
    };
    let ending = match connection.greet(admission).await {
        Ok(()) => connection.run(reader).await,
        Err(ending) => ending,
    };
    tracing::debug!(
        connection = connection.id,
        close = ending.close,
        reason = ending.reason,
        "viewer gone"
    );
    (connection.outbox, ending)
}

/// Takes the token from the request or from the first message.
async fn admit(
    gateway: &Gateway,
    reader: &mut Reader,
    admission: &Admission,
) -> Result<ReadClaims, Ending> {
    let token = match &admission.token {
        Some(token) => token.clone(),
        None => {
            let _place = gateway.waiting_place().ok_or_else(Ending::overloaded)?;
            timeout(gateway.0.tuning.auth_timeout, first_message(reader))
                .await
                .unwrap_or_else(|_| Err(Ending::token(TokenError::Missing)))?
        }
    };
    let claims = gateway.0.verifier.verify(&token).map_err(Ending::token)?;
    let session = claims.session_id();
    if session.is_some()
        && admission.session_id.is_some()
        && session != admission.session_id.as_deref()
    {
        return Err(Ending::forbidden("the token is for another session"));
    }
    if matches!(admission.since, Some(Err(()))) {
        return Err(Ending::protocol("since must be the number of an event"));
    }
    Ok(claims)
}

async fn first_message(reader: &mut Reader) -> Result<String, Ending> {
    loop {
        match reader.next().await {
            Some(Ok(Message::Text(text))) => {
                return match inbox::read(&text) {
                    Said::Frame(ClientFrame::Auth { token }) => Ok(token),
                    _ => Err(Ending::protocol("the first message must be auth")),
                };
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => {
                return Err(Ending::protocol("the first message must be auth"));
            }
            Some(Err(error)) => return Err(broken(error)),
            Some(Ok(Message::Close(_))) | None => return Err(Ending::gone()),
        }
    }
}

impl Connection {
    async fn open(
        gateway: Gateway,
        outbox: Outbox,
        claims: ReadClaims,
        admission: &Admission,
    ) -> Result<Self, (Outbox, Ending)> {
        let authority = match Authority::of(&claims, &gateway.0.logs).await {
            Ok(Some(authority)) => authority,
            Ok(None) => return Err((outbox, Ending::deleted())),
            Err(error) => {
                tracing::error!(%error, "a session's log could not be opened");
                return Err((outbox, Ending::internal()));
            }
        };
        let tuning = &gateway.0.tuning;
        let now = Instant::now();
        Ok(Self {
            id: uuid::Uuid::now_v7().simple().to_string(),
            guards: Guards::new(claims, authority.anchor(), tuning, gateway.0.closing.clone()),
            subscriptions: Subscriptions::new(gateway.0.logs.clone(), authority),
            format: admission.format,
            heartbeat: Heartbeat::new(tuning.heartbeat, now),
            warned: false,
            nonsense: 0,
            messages: inbox::messages(),
            replays: Allowance::per_minute(tuning.replays_per_minute, now),
            outbox,
            gateway,
        })
    }

    /// The first frame of the connection, before anything else is sent.
    async fn greet(&mut self, admission: Admission) -> Result<(), Ending> {
        let since = admission.since.and_then(Result::ok);
        let authority = self.subscriptions.authority();
        let scope = authority.name();
        // Whose token is for more than a session may name one.
        let session = admission.session_id.map(|session| vec![format!("session:{session}")]);
        let channels = admission.channels.or(session);
        let channels = channels.unwrap_or_else(|| authority.default_channels());
        let granted = self.subscriptions.subscribe(channels, |_| since).await;
        let Granted { channels, denied } = granted.map_err(|error| unread(&error))?;
        let claims = self.guards.claims();
        let mut extra = Extra::new();
        extra.insert("scope".to_owned(), scope.into());
        // None: nothing is cut off a log while its sandbox lives.
        let kept_ms = self.gateway.0.logs.retention().least_ms();
        extra.insert("bufferTtlMs".to_owned(), kept_ms.into());
        let data = Connected {
            connection_id: self.id.clone(),
            session_id: claims.session_id().unwrap_or_default().to_owned(),
            server_instance_id: self.gateway.0.instance.clone(),
            epoch: self.subscriptions.epoch(),
            expires_at: claims.expires_at,
            heartbeat_interval_ms: millis(self.gateway.0.tuning.heartbeat),
            subscribed: channels,
            denied,
            last_seq: self.subscriptions.last_seqs(),
            protocol: 1,
            extra,
        };
        self.send(ServerFrame::Established { data }).await
    }

    async fn run(&mut self, reader: &mut Reader) -> Ending {
        let draining = self.gateway.draining();
        loop {
            let done = tokio::select! {
                biased;
                ending = self.guards.breached() => Err(ending),
                message = reader.next() => self.hear(message).await,
                () = sleep_until(self.heartbeat.due()) => self.ping().await,
                () = sleep(self.until_warning()), if !self.warned => self.warn().await,
                next = self.subscriptions.next() => match next {
                    Ok(next) => self.deliver(next).await,
                    Err(error) => Err(unread(&error)),
                },
                // Last, so that a viewer sees how its turn ended before it is sent away.
                ending = self.guards.deleted(), if self.subscriptions.caught_up() => {
                    self.leave(ending)
                }
                () = draining.cancelled(), if self.subscriptions.caught_up() => {
                    self.leave(Ending::draining())
                }
            };
            if let Err(ending) = done {
                return ending;
            }
        }
    }

    /// Unless the last events have come in the moment before: they are told first.
    fn leave(&self, ending: Ending) -> Result<(), Ending> {
        if self.subscriptions.caught_up() { Err(ending) } else { Ok(()) }
    }

    async fn deliver(&mut self, next: Next) -> Result<(), Ending> {
        match next {
            Next::Frame(frame) => self.send(frame).await,
            Next::Events { channel, events, replay } => {
                let frame = |event| frames::event(self.format, &channel, event, replay);
                let messages: Vec<_> =
                    events.iter().map(|event| Message::text(frame(event))).collect();
                self.write(messages).await
            }
        }
    }

    async fn send(&mut self, frame: ServerFrame) -> Result<(), Ending> {
        if matches!(frame, ServerFrame::ReplayStart { .. }) {
            self.gateway.figures().replay_begun();
        }
        self.write(vec![Message::text(frames::control(&frame))]).await
    }

    async fn write(&mut self, messages: Vec<Message>) -> Result<(), Ending> {
        let count = messages.len();
        self.outbox.write(&self.guards, messages).await?;
        self.gateway.figures().sent(count);
        Ok(())
    }

    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), Ending> {
        let message = message.ok_or_else(Ending::gone)?.map_err(broken)?;
        let now = Instant::now();
        self.heartbeat.hear(now);
        self.messages.take(1, now).map_err(|_| Ending::rate())?;
        let said = match message {
            Message::Text(text) => inbox::read(&text),
            Message::Binary(_) => Said::Nonsense,
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(Ending::gone()),
        };
        match said {
            Said::Subscribe { channels, since } => {
                let since = |channel: &str| since.as_ref().and_then(|since| since.of(channel));
                let granted = self.subscriptions.subscribe(channels, since).await;
                let Granted { channels, denied } = granted.map_err(|error| unread(&error))?;
                self.count_replays(channels.iter().filter(|name| since(name).is_some()).count())?;
                self.send(ServerFrame::Subscribed { channels, denied }).await
            }
            Said::Frame(ClientFrame::Unsubscribe { channels }) => {
                let Granted { channels, denied } = self.subscriptions.unsubscribe(&channels);
                self.send(ServerFrame::Unsubscribed { channels, denied }).await
            }
            Said::Frame(ClientFrame::Replay { since, channel }) => {
                let channel = channel.unwrap_or_else(|| self.subscriptions.authority().own());
                if self.subscriptions.replay(&channel, since) {
                    return self.count_replays(1);
                }
                let channel: String = channel.chars().take(64).collect();
                let words = "this channel is not subscribed";
                self.send(frames::error("NOT_SUBSCRIBED", words, Some(&channel))).await
            }
            Said::Frame(ClientFrame::TokenUpdate { token }) => self.renew(&token).await,
            Said::Frame(ClientFrame::Ping { timestamp }) => {
                self.send(ServerFrame::Pong { timestamp }).await
            }
            // A second `auth` is as good as nothing: the connection has its token.
            Said::Frame(ClientFrame::Pong { .. } | ClientFrame::Auth { .. }) => Ok(()),
            Said::Frame(ClientFrame::Subscribe { .. }) | Said::Nonsense => self.complain().await,
        }
    }

    /// A viewer that asks for too many has to go. Its cursor still works.
    fn count_replays(&mut self, count: usize) -> Result<(), Ending> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.replays.take(count, Instant::now()).map_err(|_| Ending::rate())
    }

    /// Another token takes the place of the first, if it opens the same for the same user.
    async fn renew(&mut self, token: &str) -> Result<(), Ending> {
        let (code, words) = match self.gateway.0.verifier.verify(token) {
            Ok(claims) if claims.same_authority(self.guards.claims()) => {
                let expires_at = claims.expires_at;
                self.guards.renew(claims);
                self.warned = false;
                return self.send(ServerFrame::TokenUpdated { expires_at }).await;
            }
            Ok(_) => ("TOKEN_SCOPE", "the token is for another user or session".to_owned()),
            Err(error) => (error.code(), error.to_string()),
        };
        self.send(frames::error(code, words, None)).await
    }

    async fn complain(&mut self) -> Result<(), Ending> {
        self.nonsense += 1;
        if self.nonsense >= MAX_NONSENSE {
            return Err(Ending::protocol("too many messages that are none"));
        }
        self.send(frames::error("BAD_MESSAGE", "this is no message of the protocol", None)).await
    }

    /// Both kinds of ping: a browser's page sees one, its engine answers the other.
    async fn ping(&mut self) -> Result<(), Ending> {
        if !self.heartbeat.beat(Instant::now()) {
            return Err(Ending::silent());
        }
        let ping = frames::control(&ServerFrame::Ping { timestamp: now_ms() });
        let messages = vec![Message::text(ping), Message::Ping(Vec::new().into())];
        self.write(messages).await
    }

    async fn warn(&mut self) -> Result<(), Ending> {
        // The wall clock may have been set while it was waited for.
        if !self.until_warning().is_zero() {
            return Ok(());
        }
        self.warned = true;
        let remaining = self.guards.remaining();
        let expires_at = self.guards.claims().expires_at;
        let seconds_remaining = remaining.as_secs();
        self.send(ServerFrame::TokenExpiring { seconds_remaining, expires_at }).await
    }

    fn until_warning(&self) -> std::time::Duration {
        self.guards.remaining().saturating_sub(self.gateway.0.tuning.token_expiring_lead)
    }
}

fn unread(error: &StoreError) -> Ending {
    tracing::error!(%error, "a session's log could not be read");
    Ending::internal()
}

/// What a connection ends with that can't be read any more.
fn broken(error: axum::Error) -> Ending {
    use tungstenite::error::{CapacityError, Error};
    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Capacity(CapacityError::MessageTooLong { .. })) => Ending::too_large(),
        Some(Error::Protocol(_) | Error::Utf8(_)) => Ending::protocol("broken frames"),
        _ => Ending::gone(),
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
