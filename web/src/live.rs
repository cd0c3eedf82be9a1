//! Live pages: the coordinator's events as server-sent events, by topic.

mod places;

pub(crate) use places::Places;

use crate::App;
use crate::error::WebError;
use crate::session::bearer::ByToken;
use crate::session::{self, Caller};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event as Message, Sse};
use axum::response::{IntoResponse, Response};
use coordinator::Actor;
use coordinator::events::{Event, EventId, Numbered, Subscription};
use coordinator::tokens::TokenKey;
use futures::Stream;
use serde::Deserialize;
use serde_json::json;
use std::collections::VecDeque;
use std::convert::Infallible;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tower_sessions::Session;

/// When to come back, in seconds, once somebody has too many streams.
const RETRY_AFTER: u64 = 15;

const EVERY_TOPIC: [&str; 4] = ["run", "node", "alerts", "system"];

/// Which topics; all when none is named.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    topics: String,
    #[serde(default)]
    after: String,
}

impl Wanted {
    fn list(&self) -> Vec<&'static str> {
        let is_wanted = |topic: &&str| self.topics.is_empty() || self.topics.split(',').any(|wanted| wanted == *topic);
        EVERY_TOPIC.into_iter().filter(is_wanted).collect()
    }
}

/// `GET /events` and `GET /api/v1/events`: what happens from now on, or after the event in `Last-Event-ID` or else in `after`.
///
/// Events are named by their topic: `run`, `node`, `alerts`, `system`. An event `gap` says that some were missed for
/// good; then an event of each topic without details follows, since everything should be read anew. At most 16 streams
/// of one user are open at a time.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "events",
    params(
        ("topics" = Option<String>, Query, description = "`run`, `node`, `alerts`, `system`, with commas between them; all when left out"),
        ("after" = Option<String>, Query, description = "The id of the last event before what is shown was read"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen")
    ),
    responses((status = 200, description = "Server-sent events", content_type = "text/event-stream"))
)]
pub(crate) async fn events(
    State(app): State<App>,
    caller: Caller,
    session: Option<axum::Extension<Session>>,
    by_token: Option<axum::Extension<ByToken>>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let place = app.places.take(caller.0.name.as_str()).ok_or(WebError::SlowDown(RETRY_AFTER))?;
    let way_in = match (by_token, session) {
        (Some(axum::Extension(by_token)), _) => WayIn::Token(by_token.key),
        (None, Some(axum::Extension(session))) => WayIn::Session(session),
        (None, None) => WayIn::Socket,
    };
    let listener = Listener::new(app, caller, way_in, place, wanted.list(), last_seen(&wanted, &headers));
    let no_buffer = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((no_buffer, Sse::new(listener.stream())).into_response())
}

/// The event after which to go on: the last one that a lost stream told, or the last one before the page was read, so that
/// nothing is missed between the two. An id that cannot be read is one from elsewhere: everything was missed.
fn last_seen(wanted: &Wanted, headers: &HeaderMap) -> Option<EventId> {
    let told = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default());
    let id = told.or(Some(wanted.after.as_str()).filter(|after| !after.is_empty()))?;
    Some(id.parse().unwrap_or_default())
}

/// How the listener came in, and so what ends its stream.
enum WayIn {
    Session(Session),
    Token(TokenKey),
    Socket,
}

/// One open stream.
struct Listener {
    app: App,
    caller: Caller,
    way_in: WayIn,
    topics: Vec<&'static str>,
    waiting: VecDeque<Message>,
    subscription: Subscription,
    heartbeat: Interval,
    has_said_goodbye: bool,
    _place: places::Place,
}

impl Listener {
    fn new(
        app: App,
        caller: Caller,
        way_in: WayIn,
        place: places::Place,
        topics: Vec<&'static str>,
        after: Option<EventId>,
    ) -> Self {
        let mut heartbeat = interval(app.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (waiting, subscription) = (VecDeque::new(), app.coordinator.events().subscribe(after));
        let (has_said_goodbye, _place) = (false, place);
        let mut listener =
            Self { app, caller, way_in, topics, waiting, subscription, heartbeat, has_said_goodbye, _place };
        if listener.subscription.gap {
            listener.tell_to_read_anew(Some(listener.subscription.newest));
        }
        for event in std::mem::take(&mut listener.subscription.replay) {
            listener.queue(&event);
        }
        listener
    }

    fn stream(self) -> impl Stream<Item = Result<Message, Infallible>> + use<> {
        futures::stream::unfold(self, |mut listener| async move {
            let message = listener.next().await?;
            Some((Ok(message), listener))
        })
    }

    /// The next message; `None` ends the stream: the server stops, or the session or token is over.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Some(message);
            }
            tokio::select! {
                () = self.app.stop.cancelled() => return self.goodbye(),
                received = self.subscription.live.recv() => match received {
                    Ok(event) => self.queue(&event),
                    Err(RecvError::Lagged(_)) => self.tell_to_read_anew(None),
                    Err(RecvError::Closed) => return None,
                },
                _ = self.heartbeat.tick() => {
                    if !self.may_listen().await {
                        return None;
                    }
                    self.waiting.push_back(Message::default().comment("here"));
                }
            }
        }
    }

    fn queue(&mut self, event: &Numbered) {
        if self.topics.contains(&event.event.topic()) {
            self.waiting.push_back(message(event));
        }
    }

    /// Some events are lost: a page that reads again on each topic is right again. Whoever loses the connection now
    /// goes on after `newest`.
    fn tell_to_read_anew(&mut self, newest: Option<EventId>) {
        let gap = Message::default().event("gap").data("{}");
        self.waiting.push_back(match newest {
            Some(newest) => gap.id(newest.to_string()),
            None => gap,
        });
        self.waiting.extend(self.topics.iter().map(|topic| Message::default().event(topic).data("{}")));
    }

    /// Once, that the server stops; then nothing.
    fn goodbye(&mut self) -> Option<Message> {
        let is_first = !std::mem::replace(&mut self.has_said_goodbye, true);
        let data = json!({ "news": "stopping" }).to_string();
        (is_first && self.topics.contains(&"system")).then(|| Message::default().event("system").data(data))
    }

    /// Whether this is who began to listen, with the role of then. Where they come from does not matter.
    fn is_caller(&self, now: &Actor) -> bool {
        let Caller(then) = &self.caller;
        (&now.name, now.role) == (&then.name, then.role)
    }

    async fn may_listen(&self) -> bool {
        match &self.way_in {
            WayIn::Socket => true,
            WayIn::Session(session) => {
                let now = session::peek(&self.app, session).await;
                now.is_ok_and(|now| now.is_some_and(|now| self.is_caller(&now.0)))
            }
            WayIn::Token(key) => {
                let now = self.app.coordinator.bearer(*key).await;
                now.is_ok_and(|now| now.is_some_and(|now| self.is_caller(&now.actor)))
            }
        }
    }
}

fn message(event: &Numbered) -> Message {
    let data = match &event.event {
        Event::Run { run, scan, state } => json!({ "run": run, "scan": scan, "state": state.name() }),
        Event::Node { node } => json!({ "node": node.fingerprint() }),
        Event::Alerts { scan } => json!({ "scan": scan }),
        Event::System(news) => json!({ "news": news.name() }),
    };
    Message::default().id(event.id.to_string()).event(event.event.topic()).data(data.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_topics_are_passed_over_and_none_means_all() {
        let list = |topics: &str| Wanted { topics: topics.to_owned(), ..Wanted::default() }.list();
        assert_eq!(list("alerts,run,x"), ["run", "alerts"]);
        assert_eq!(list(""), EVERY_TOPIC);
        assert!(list("x").is_empty());
    }
}
