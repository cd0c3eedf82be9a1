//! `/help`: keys, and questions that people ask when something does not happen, answered from what is so now.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::look::{Badge, Tone};
use crate::page::{Head, Page, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::State;
use coordinator::checkup::{About, Cause, Question};

#[derive(Template)]
#[template(path = "help.html")]
pub(crate) struct Help {
    pub(crate) answers: Vec<Answer>,
}

/// A question with what was found.
pub(crate) struct Answer {
    pub(crate) id: &'static str,
    pub(crate) question: &'static str,
    /// Said when nothing was found.
    pub(crate) all_well: &'static str,
    pub(crate) causes: Vec<CauseRow>,
}

/// One cause.
pub(crate) struct CauseRow {
    pub(crate) badge: Badge,
    /// What it is about, and the way there.
    pub(crate) about: String,
    pub(crate) path: String,
    pub(crate) words: String,
}

impl View for Help {
    fn head(&self) -> Head {
        Head { title: "Help".to_owned(), ..Head::default() }
    }
}

impl Help {
    const KEYS: [(&'static str, &'static str); 6] = [
        ("/", "Search"),
        ("g then o, a, r, h, s, n", "Go to overview, alerts, reports, hosts, scans, nodes"),
        ("j, k", "Next row, row before"),
        ("Enter", "Open the row"),
        ("x", "Tick the row"),
        ("?", "This page"),
    ];
}

/// `GET /help`
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Page<Help>, WebError> {
    let answers = app.coordinator.checkup(&actor).await?.into_iter().map(Answer::of).collect();
    Ok(Page(Help { answers }))
}

impl Answer {
    fn of((question, causes): (Question, Vec<Cause>)) -> Self {
        let (id, question, all_well) = match question {
            Question::NotRunning => {
                ("not-running", "A scan does not run", "Every scan can run, and nothing stands in its way.")
            }
            Question::NoResults => (
                "no-results",
                "There are no results",
                "The latest run of every scan looked everywhere and found hosts.",
            ),
            Question::NoReport => {
                ("no-report", "There is no report", "Every scan has a report with changes to compare.")
            }
            Question::Slow => (
                "slow",
                "It is slow",
                "No scan is large for its nodes, no node is overloaded, no run is open for long.",
            ),
        };
        Self { id, question, all_well, causes: causes.into_iter().map(CauseRow::from).collect() }
    }
}

impl From<Cause> for CauseRow {
    fn from(Cause { about, is_fault, words }: Cause) -> Self {
        let badge = match is_fault {
            true => Badge::plain(Tone::High, "triangle-alert", "cause"),
            false => Badge::plain(Tone::Muted, "info", "as set"),
        };
        let (about, path) = match about {
            About::Coordinator => ("Coordinator".to_owned(), "/settings/about".to_owned()),
            About::Scans => ("Scans".to_owned(), "/scans".to_owned()),
            About::Scan(id, name) => (name.into(), format!("/scans/{id}")),
            About::Run(id) => (format!("Run {id}"), format!("/runs/{id}")),
            About::Nodes => ("Nodes".to_owned(), "/nodes".to_owned()),
            About::Node(fingerprint, label) => (label.into(), format!("/nodes/{}", fingerprint.compact())),
        };
        Self { badge, about, path, words }
    }
}
