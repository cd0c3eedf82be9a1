//! Live pages: the coordinator's events as server-sent events, by topic.

use crate::App;
use crate::error::WebError;
use crate::session::{self, Caller};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event as Message, Sse};
use axum::response::{IntoResponse, Response};
use coordinator::events::{Event, Numbered, Subscription};
use futures::Stream;
use serde::Deserialize;
use serde_json::json;
use std::collections::VecDeque;
use std::convert::Infallible;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tower_sessions::Session;

const EVERY_TOPIC: [&str; 3] = ["run", "node", "alerts"];

/// Which topics; all when none is named.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    topics: String,
}

impl Wanted {
    fn list(&self) -> Vec<&'static str> {
        let is_wanted = |topic: &&str| self.topics.is_empty() || self.topics.split(',').any(|wanted| wanted == *topic);
        EVERY_TOPIC.into_iter().filter(is_wanted).collect()
    }
}

/// `GET /events` and `GET /api/v1/events`: what happens from now on, or after the event in `Last-Event-ID`.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "events",
    params(("topics" = Option<String>, Query, description = "`run`, `node`, `alerts`, with commas between them; all when left out")),
    responses((status = 200, description = "Server-sent events", content_type = "text/event-stream"))
)]
pub(crate) async fn events(
    State(app): State<App>,
    caller: Caller,
    session: Option<axum::Extension<Session>>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let after = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let subscription = app.coordinator.events().subscribe(after);
    let listener = Listener::new(app, caller, session.map(|session| session.0), wanted.list(), subscription);
    let no_buffer = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((no_buffer, Sse::new(listener.stream())).into_response())
}

/// One open stream.
struct Listener {
    app: App,
    caller: Caller,
    session: Option<Session>,
    topics: Vec<&'static str>,
    waiting: VecDeque<Message>,
    subscription: Subscription,
    heartbeat: Interval,
}

impl Listener {
    fn new(
        app: App,
        caller: Caller,
        session: Option<Session>,
        topics: Vec<&'static str>,
        subscription: Subscription,
    ) -> Self {
        let mut heartbeat = interval(app.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut listener = Self { app, caller, session, topics, waiting: VecDeque::new(), subscription, heartbeat };
        if listener.subscription.gap {
            listener.tell_to_read_anew();
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

    /// The next message; `None` ends the stream: the server stops, or the session is over.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Some(message);
            }
            tokio::select! {
                () = self.app.stop.cancelled() => return None,
                received = self.subscription.live.recv() => match received {
                    Ok(event) => self.queue(&event),
                    Err(RecvError::Lagged(_)) => self.tell_to_read_anew(),
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

    /// Some events are lost: a page that reads again on each topic is right again.
    fn tell_to_read_anew(&mut self) {
        let all = self.topics.iter().map(|topic| Message::default().event(topic).data("{}"));
        self.waiting.extend(all);
    }

    async fn may_listen(&self) -> bool {
        let Some(session) = &self.session else { return true };
        match session::peek(&self.app, session).await {
            Ok(now) => {
                now.is_some_and(|now| (now.0.name, now.0.role) == (self.caller.0.name.clone(), self.caller.0.role))
            }
            Err(_) => false,
        }
    }
}

fn message(event: &Numbered) -> Message {
    let data = match &event.event {
        Event::Run { run, scan, state } => json!({ "run": run, "scan": scan, "state": state.name() }),
        Event::Node { node } => json!({ "node": node.fingerprint() }),
        Event::Alerts { scan } => json!({ "scan": scan }),
    };
    Message::default().id(event.number.to_string()).event(event.event.topic()).data(data.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_topics_are_passed_over_and_none_means_all() {
        let list = |topics: &str| Wanted { topics: topics.to_owned() }.list();
        assert_eq!(list("alerts,run,x"), ["run", "alerts"]);
        assert_eq!(list(""), EVERY_TOPIC);
        assert!(list("x").is_empty());
    }
}
