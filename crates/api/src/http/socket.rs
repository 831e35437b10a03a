//! GraphQL over a WebSocket: graphql-transport-ws
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>), whose close codes are these.
//!
//! What async-graphql has of it lets a client begin a second subscription under an id that is in use, waits for the
//! first message for ever, and closes with other codes.
//!
//! A subscription's next answer is made once the one before it was sent: whoever reads slowly holds one answer for each
//! subscription, and whoever does not read at all loses the connection.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    http::{HeaderMap, HeaderValue, Response, header},
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::{AbortHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};

use super::Shared;
use crate::{
    Principal,
    answer::Answer,
    errors::ApiError,
    limits::exceeded,
    request::Request,
    subscriptions::{Opened, Subscription},
};

const PROTOCOL: &str = "graphql-transport-ws";

/// How often the other side is asked whether it is there, which also tells whatever is in between that we are.
const PING_EVERY: Duration = Duration::from_secs(5);

/// How many of these it may leave unanswered.
const PINGS_UNANSWERED: u32 = 4;

/// How long the last message may take, which says why there are no more.
const FAREWELL: Duration = Duration::from_secs(1);

/// The most bytes of a reason to close.
const REASON_BYTES: usize = 123;

/// Answers over a socket. Who asks says so with the request for it, or in the first message: pages cannot set headers.
pub(super) fn upgrade(upgrade: WebSocketUpgrade, shared: Arc<Shared>, said: Option<&HeaderValue>) -> Response<Body> {
    let bytes = shared.api.options().limits.body_bytes;
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(bytes).max_frame_size(bytes);
    let credentials: HeaderMap = said.map(|said| (header::AUTHORIZATION, said.clone())).into_iter().collect();
    upgrade.on_upgrade(async move |mut socket| {
        let cancel = shared.cancel.clone();
        let session = Session::new(shared, credentials);
        let end = match socket.protocol().is_some_and(|protocol| protocol == PROTOCOL) {
            true => tokio::select! {
                end = session.run(&mut socket) => end,
                () = cancel.cancelled() => Some(Close::new(1001, "the server stops")),
            },
            false => Some(Close::new(4406, "this speaks graphql-transport-ws, and nothing else")),
        };
        if let Some(Close { code, reason }) = end {
            let frame = CloseFrame { code, reason: reason.into() };
            // Whoever does not read it finds out.
            let _ = timeout(FAREWELL, socket.send(Message::Close(Some(frame)))).await;
        }
    })
}

/// Why we close.
struct Close {
    code: u16,
    reason: String,
}

impl Close {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(REASON_BYTES));
        Self { code, reason }
    }
}

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    ConnectionInit { payload: Option<Json> },
    Ping { payload: Option<Json> },
    Pong {},
    Subscribe { id: String, payload: Json },
    Complete { id: String },
}

/// What we say.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Say<'a> {
    ConnectionAck,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Json>,
    },
    Next {
        id: &'a str,
        payload: &'a Answer,
    },
    Error {
        id: &'a str,
        payload: &'a [async_graphql::ServerError],
    },
    Complete {
        id: &'a str,
    },
}

/// What comes of an operation.
enum Came {
    Answer(Answer),
    Over,
}

/// An operation that is under way.
struct Running {
    /// Tells it from others that had its id before.
    number: u64,
    task: AbortHandle,
}

/// One connection.
struct Session {
    shared: Arc<Shared>,
    /// What tells who asks.
    credentials: HeaderMap,
    /// Who asks, once that is acknowledged.
    principal: Option<Principal>,
    is_begun: bool,
    running: HashMap<String, Running>,
    /// They end with the session.
    tasks: JoinSet<()>,
    number: u64,
    sender: mpsc::Sender<(String, u64, Came)>,
    came: mpsc::Receiver<(String, u64, Came)>,
}

impl Session {
    fn new(shared: Arc<Shared>, credentials: HeaderMap) -> Self {
        let (sender, came) = mpsc::channel(1);
        let (running, tasks) = Default::default();
        let (principal, is_begun) = (None, false);
        Self { shared, credentials, principal, is_begun, running, tasks, number: 0, sender, came }
    }

    /// Until one side ends it: why, if it is ours.
    async fn run(mut self, socket: &mut WebSocket) -> Option<Close> {
        let limits = self.shared.api.options().limits.clone();
        let begin_by = Instant::now() + limits.init_timeout;
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.reset();
        let mut unanswered = 0;
        loop {
            let said = tokio::select! {
                received = socket.recv() => {
                    unanswered = 0;
                    match received {
                        Some(Ok(Message::Text(text))) => self.said(&text),
                        Some(Ok(Message::Binary(_))) => Err(Close::new(4400, "messages are texts")),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
                        Some(Err(error)) if is_too_long(&error) => {
                            let limit = exceeded("body_bytes", limits.body_bytes, "more");
                            Err(Close::new(1009, limit.to_string()))
                        }
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    }
                }
                Some((id, number, came)) = self.came.recv() => Ok(self.came(&id, number, came)),
                () = sleep_until(begin_by), if !self.is_begun => {
                    Err(Close::new(4408, format!("limit \"init_timeout_ms\" is {}", limits.init_timeout.as_millis())))
                }
                _ = pings.tick() => match unanswered {
                    PINGS_UNANSWERED => Err(Close::new(1001, "pings are not answered")),
                    _ => {
                        unanswered += 1;
                        self.check_still().map(|()| Some(Message::Ping(Default::default())))
                    }
                },
            };
            let message = match said {
                Ok(Some(message)) => message,
                Ok(None) => continue,
                Err(close) => return Some(close),
            };
            match timeout(limits.send_timeout, socket.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => {
                    let limit = format!("limit \"send_timeout_ms\" is {}", limits.send_timeout.as_millis());
                    tracing::info!("{limit}: a client that does not read its socket is disconnected");
                    return Some(Close::new(1008, limit));
                }
            }
        }
    }

    /// Takes what a client says; what is answered at once.
    fn said(&mut self, text: &str) -> Result<Option<Message>, Close> {
        let said = serde_json::from_str(text).map_err(|error| Close::new(4400, format!("no such message: {error}")))?;
        match said {
            Said::ConnectionInit { .. } if self.is_begun => Err(Close::new(4429, "Too many initialisation requests")),
            Said::ConnectionInit { payload } => {
                self.is_begun = true;
                self.authenticate(payload.as_ref())?;
                Ok(Some(message(&Say::ConnectionAck)))
            }
            Said::Ping { payload } => Ok(Some(message(&Say::Pong { payload }))),
            Said::Pong {} => Ok(None),
            Said::Subscribe { id, .. } if self.running.contains_key(&id) => {
                Err(Close::new(4409, format!("Subscriber for {id} already exists")))
            }
            Said::Subscribe { id, payload } => {
                let Some(principal) = self.principal.clone() else { return Err(Close::new(4401, "Unauthorized")) };
                let limits = &self.shared.api.options().limits;
                let place = self.shared.places.clone().try_acquire_owned();
                let exceeds = match place {
                    _ if self.running.len() >= limits.subscriptions => ("subscriptions", limits.subscriptions),
                    Err(_) => ("all_subscriptions", limits.all_subscriptions),
                    Ok(place) => {
                        self.begin(id, payload, principal, place);
                        return Ok(None);
                    }
                };
                let refused = Answer::from(exceeded(exceeds.0, exceeds.1, "more"));
                Ok(Some(message(&Say::Error { id: &id, payload: refused.errors() })))
            }
            Said::Complete { id } => {
                if let Some(running) = self.running.remove(&id) {
                    running.task.abort();
                }
                Ok(None)
            }
        }
    }

    /// Finds out who asks.
    fn authenticate(&mut self, payload: Option<&Json>) -> Result<(), Close> {
        let given = ["Authorization", "authorization"].iter().find_map(|name| payload?.get(name)?.as_str());
        if let Some(given) = given.and_then(|given| HeaderValue::from_str(given).ok())
            && self.credentials.is_empty()
        {
            self.credentials.insert(header::AUTHORIZATION, given);
        }
        self.principal = Some(self.who()?);
        Ok(())
    }

    /// Who asks, by what they said, as things are now.
    fn who(&self) -> Result<Principal, Close> {
        match (&self.shared.auth, &self.shared.anybody) {
            (None, Some(anybody)) => Ok(anybody.clone()),
            (None, None) => Err(Close::new(4403, "Forbidden")),
            (Some(auth), _) => {
                let principal = auth.principal(&self.credentials);
                principal.map_err(|refused| Close::new(4403, format!("Forbidden: {refused}")))
            }
        }
    }

    /// A token that has expired or was taken away, or whose rights are others now, is good for no more.
    fn check_still(&self) -> Result<(), Close> {
        match &self.principal {
            Some(principal) if self.who()? != *principal => Err(Close::new(4403, "Forbidden: the rights have changed")),
            _ => Ok(()),
        }
    }

    /// Begins an operation, which keeps its place until it ends.
    fn begin(&mut self, id: String, payload: Json, principal: Principal, place: OwnedSemaphorePermit) {
        let (shared, sender) = (self.shared.clone(), self.sender.clone());
        let (number, of) = (self.number, id.clone());
        let task = self.tasks.spawn(async move {
            let _place = place;
            // Nobody receives it once the session has ended, and this with it.
            let send = async |came| sender.send((of.clone(), number, came)).await.is_ok();
            let opened = match Request::parse(payload, |asked| shared.persisted.text(asked)) {
                Ok(request) => shared.api.open(request, &principal).await,
                Err(error) => Opened::Once(error.into()),
            };
            match opened {
                Opened::Once(answer) => {
                    send(Came::Answer(answer)).await;
                }
                Opened::Open(mut subscription) => {
                    let subscription: &mut Subscription = &mut subscription;
                    while let Some(answer) = subscription.next().await {
                        if !send(Came::Answer(answer)).await {
                            return;
                        }
                    }
                }
            }
            send(Came::Over).await;
        });
        self.number += 1;
        self.running.insert(id, Running { number, task });
        // Those that have ended are not kept.
        while self.tasks.try_join_next().is_some() {}
    }

    /// What is said of what came of an operation.
    fn came(&mut self, id: &str, number: u64, came: Came) -> Option<Message> {
        // What was given up may have had something on its way.
        self.running.get(id).filter(|running| running.number == number)?;
        match came {
            Came::Answer(answer) if answer.refusal().is_some() => {
                self.running.remove(id);
                Some(message(&Say::Error { id, payload: answer.errors() }))
            }
            Came::Answer(answer) => Some(message(&Say::Next { id, payload: &answer })),
            Came::Over => {
                self.running.remove(id);
                Some(message(&Say::Complete { id }))
            }
        }
    }
}

fn message(say: &Say<'_>) -> Message {
    match serde_json::to_string(say) {
        Ok(text) => Message::Text(text.into()),
        Err(error) => {
            let reason = ApiError::internal("message", error).to_string().into();
            Message::Close(Some(CloseFrame { code: 1011, reason }))
        }
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    error.to_string().contains("too long")
}
