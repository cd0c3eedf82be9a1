//! What every page shares: its frame with navigation, crumbs and live stream, put around it once, on the way out.

pub(crate) mod about;
pub(crate) mod alert;
pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod choices;
pub(crate) mod compare;
pub(crate) mod confirm;
pub(crate) mod enrol;
pub(crate) mod first_run;
pub(crate) mod forgot;
pub(crate) mod found;
pub(crate) mod general;
pub(crate) mod help;
pub(crate) mod history;
pub(crate) mod host;
pub(crate) mod hosts;
pub(crate) mod login;
pub(crate) mod logs;
pub(crate) mod mesh;
pub(crate) mod navigation;
pub(crate) mod node;
pub(crate) mod nodes;
pub(crate) mod overview;
pub(crate) mod profile;
pub(crate) mod register;
pub(crate) mod report;
pub(crate) mod reports;
pub(crate) mod retention;
pub(crate) mod rules;
pub(crate) mod run;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod scan;
pub(crate) mod scan_check;
pub(crate) mod scan_form;
pub(crate) mod scans;
pub(crate) mod schedule;
pub(crate) mod search;
pub(crate) mod services;
pub(crate) mod settings;
pub(crate) mod settled;
pub(crate) mod setup;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod verify;

use crate::error::Problem;
use crate::filters;
use crate::session::Caller;
use askama::filters::HtmlSafe;
use askama::{DynTemplate, Template, Values};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use coordinator::Counts;
use coordinator::accounts::{Preferences, Theme};
use coordinator::events::EventId;
use jiff::tz::TimeZone;
use protocol::Timestamp;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A page of its own: template `T` in the common frame.
pub(crate) struct Page<T>(pub(crate) T);

/// A part of a page, for a place in one that is already shown.
pub(crate) struct Fragment<T>(pub(crate) T);

/// What a template must tell about itself to stand in the frame.
pub(crate) trait View: DynTemplate + Send + Sync + 'static {
    /// Title, place in the navigation, the way to it.
    fn head(&self) -> Head;
}

/// What the frame shows of a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) title: String,
    pub(crate) section: Option<Section>,
    pub(crate) crumbs: Vec<Crumb>,
    /// The path of its tab among the settings; empty elsewhere.
    pub(crate) tab: &'static str,
}

impl Head {
    /// The first page of a section.
    pub(crate) fn top(section: Section) -> Self {
        Self { title: section.word().to_owned(), section: Some(section), ..Self::default() }
    }

    /// A page below the first one of its section.
    pub(crate) fn below(section: Section, title: impl Into<String>) -> Self {
        let crumb = Crumb { word: section.word().to_owned(), path: section.path().to_owned() };
        Self { title: title.into(), section: Some(section), crumbs: vec![crumb], ..Self::default() }
    }

    /// With one more step between the section and the page.
    pub(crate) fn via(mut self, word: impl Into<String>, path: impl Into<String>) -> Self {
        self.crumbs.push(Crumb { word: word.into(), path: path.into() });
        self
    }
}

/// One step on the way to a page.
#[derive(Clone, Debug)]
pub(crate) struct Crumb {
    pub(crate) word: String,
    pub(crate) path: String,
}

/// The places of the side navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Alerts,
    Reports,
    Hosts,
    Scans,
    Nodes,
    Settings,
}

impl Section {
    pub(crate) const ALL: [Self; 7] =
        [Self::Overview, Self::Alerts, Self::Reports, Self::Hosts, Self::Scans, Self::Nodes, Self::Settings];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Alerts => "Alerts",
            Self::Reports => "Reports",
            Self::Hosts => "Hosts",
            Self::Scans => "Scans",
            Self::Nodes => "Nodes",
            Self::Settings => "Settings",
        }
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Alerts => "/alerts",
            Self::Reports => "/reports",
            Self::Hosts => "/hosts",
            Self::Scans => "/scans",
            Self::Nodes => "/nodes",
            Self::Settings => "/settings",
        }
    }

    fn icon(self) -> &'static str {
        match self {
            Self::Overview => "layout-dashboard",
            Self::Alerts => "bell",
            Self::Reports => "file-diff",
            Self::Hosts => "server",
            Self::Scans => "radar",
            Self::Nodes => "network",
            Self::Settings => "settings",
        }
    }

    fn count(self, counts: &Counts) -> Option<(usize, &'static str)> {
        let (count, word) = match self {
            Self::Overview | Self::Reports | Self::Hosts | Self::Settings => return None,
            Self::Alerts => (counts.alerts_open, "open"),
            Self::Scans => (counts.runs_open, "running"),
            Self::Nodes => (counts.nodes_pending, "pending"),
        };
        (count > 0).then_some((count, word))
    }
}

/// What filters need to know while a template is drawn.
pub(crate) struct Context {
    pub(crate) base_path: String,
    pub(crate) now: Timestamp,
    /// In which times are shown.
    pub(crate) zone: TimeZone,
}

impl Context {
    /// The name under which filters ask for it.
    pub(crate) const KEY: &'static str = "context";
}

impl Values for Context {
    fn get_value<'a>(&'a self, key: &str) -> Option<&'a dyn Any> {
        (key == Self::KEY).then_some(self as &dyn Any)
    }
}

/// Who looks at the page, and what the navigation counts for them.
pub(crate) struct Frame {
    pub(crate) caller: Option<Caller>,
    pub(crate) preferences: Preferences,
    pub(crate) counts: Counts,
    /// Why nothing new is begun, while the disk is short of room.
    pub(crate) shortage: Option<String>,
    /// The last event before the page was read; its stream goes on after it.
    pub(crate) newest: EventId,
}

/// A page on its way out, not yet drawn.
#[derive(Clone)]
pub(crate) struct Undrawn {
    view: Arc<dyn View>,
    is_framed: bool,
}

impl Undrawn {
    /// A page in the common frame.
    pub(crate) fn framed(view: impl View) -> Self {
        Self { view: Arc::new(view), is_framed: true }
    }

    /// Whether it stands in the frame.
    pub(crate) fn is_framed(&self) -> bool {
        self.is_framed
    }

    /// Draws it; a template that fails is a fault of ours and becomes an error page.
    pub(crate) fn draw(&self, frame: &Frame, context: &Context) -> Result<Html<String>, Problem> {
        let drawn = self.view.dyn_render_with_values(context).and_then(|main| match self.is_framed {
            true => Layout { head: self.view.head(), frame, main: Drawn(main) }.render_with_values(context),
            false => Ok(main),
        });
        drawn.map(Html).map_err(|error| {
            tracing::error!(%error, title = self.view.head().title, "a template could not be drawn");
            Problem::of(StatusCode::INTERNAL_SERVER_ERROR)
        })
    }
}

/// Text that a template has drawn, and so escaped, already.
struct Drawn(String);

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Drawn {}

#[derive(Template)]
#[template(path = "layout.html")]
struct Layout<'a> {
    head: Head,
    frame: &'a Frame,
    main: Drawn,
}

impl Layout<'_> {
    fn navigation(&self) -> navigation::Navigation {
        navigation::Navigation::of(&self.head, self.frame.counts)
    }

    fn tabs(&self) -> Option<settings::Tabs> {
        settings::Tabs::above(&self.head, self.frame.caller.as_ref()?.0.role)
    }
}

impl<T: View> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        undrawn(self.0, true)
    }
}

impl<T: View> IntoResponse for Fragment<T> {
    fn into_response(self) -> Response {
        undrawn(self.0, false)
    }
}

fn undrawn(view: impl View, is_framed: bool) -> Response {
    let mut response = StatusCode::OK.into_response();
    response.extensions_mut().insert(Undrawn { view: Arc::new(view), is_framed });
    response
}
