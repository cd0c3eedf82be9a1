//! `/reports`: a card per network, filtered and sorted by the address of the page.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::filters::Percent;
use crate::look::{Badge, Gauge};
use crate::page::choices::{Chips, words_of};
use crate::page::{Head, Page, Section, View};
use crate::query::Fields;
use crate::session::Caller;
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::{Query, State};
use coordinator::ScanView;
use coordinator::analysis::delta::ChangeKind;
use coordinator::report::{Report, ReportSummary};
use protocol::Timestamp;
use protocol::task::{RunId, ScanId};

#[derive(Template)]
#[template(path = "reports.html")]
pub(crate) struct Reports {
    pub(crate) networks: Vec<NetworkCard>,
    pub(crate) total: usize,
    pub(crate) filter: Filter,
}

/// A network with the result of its newest report.
#[derive(Clone, Template)]
#[template(path = "partials/network.html")]
pub(crate) struct NetworkCard {
    pub(crate) scan: ScanId,
    pub(crate) name: String,
    pub(crate) targets: String,
    pub(crate) status: Badge,
    pub(crate) gauge: Option<Gauge>,
    /// Said in place of a score that does not exist.
    pub(crate) no_score: &'static str,
    pub(crate) opened: usize,
    pub(crate) closed: usize,
    pub(crate) changed: usize,
    pub(crate) time: Option<Timestamp>,
    pub(crate) latest: Option<RunId>,
}

impl HtmlSafe for NetworkCard {}

/// Which networks to show, and in which order. Empty fields do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) band: String,
    pub(crate) sort: String,
}

impl Filter {
    const STATUSES: [(&'static str, &'static str); 5] = [
        ("", "All"),
        ("changed", "Critical and changes"),
        ("critical", "Critical"),
        ("changes", "Changes"),
        ("stable", "Stable"),
    ];
    const BANDS: [(&'static str, &'static str); 5] =
        [("", "All"), ("excellent", "Excellent"), ("good", "Good"), ("monitor", "Monitor"), ("critical", "Critical")];
    const SORTS: [(&'static str, &'static str); 5] = [
        ("", "Newest first"),
        ("oldest", "Oldest first"),
        ("high", "Best score"),
        ("low", "Worst score"),
        ("name", "Name"),
    ];

    fn is_set(&self) -> bool {
        [&self.name, &self.status, &self.band].into_iter().any(|field| !field.is_empty())
    }

    /// Those that are set.
    fn chips(&self) -> Chips {
        let Self { name, status, band, sort } = self;
        let fields = Fields::of([("name", name), ("status", status), ("band", band), ("sort", sort)]);
        let words = |name: &str, value: &str| match name {
            "status" => words_of(&Self::STATUSES, value),
            "band" => words_of(&Self::BANDS, value),
            _ => value.to_owned(),
        };
        Chips::of("/reports", &fields, &[("name", "Name"), ("status", "Status"), ("band", "Score")], words)
    }

    /// The networks that match, in order.
    pub(crate) fn apply(&self, cards: Vec<NetworkCard>) -> Vec<NetworkCard> {
        let mut shown: Vec<NetworkCard> = cards.into_iter().filter(|card| self.matches(card)).collect();
        let score = |card: &NetworkCard| card.gauge.as_ref().map(|gauge| gauge.score);
        match self.sort.as_str() {
            "oldest" => shown.sort_by_key(|card| card.time),
            "high" => shown.sort_by_key(|card| std::cmp::Reverse(score(card))),
            "low" => shown.sort_by_key(|card| score(card).unwrap_or(u8::MAX)),
            "name" => shown.sort_by_key(|card| card.name.to_lowercase()),
            _ => shown.sort_by_key(|card| std::cmp::Reverse(card.time)),
        }
        shown
    }

    fn matches(&self, card: &NetworkCard) -> bool {
        let is_named = card.name.to_lowercase().contains(&self.name.trim().to_lowercase());
        let band = card.gauge.as_ref().map(Gauge::band).unwrap_or_default();
        let has_status = match self.status.as_str() {
            "changed" => ["Critical", "Changes"].contains(&card.status.word.as_str()),
            status => is_or_any(status, &card.status.word),
        };
        is_named && has_status && is_or_any(&self.band, band)
    }
}

fn is_or_any(wanted: &str, word: &str) -> bool {
    wanted.is_empty() || wanted.eq_ignore_ascii_case(word)
}

impl View for Reports {
    fn head(&self) -> Head {
        Head::top(Section::Reports)
    }
}

/// `GET /reports`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<Filter>,
) -> Result<Page<Reports>, WebError> {
    let scans = app.coordinator.scans(&actor).await?;
    let networks = filter.apply(scans.iter().map(NetworkCard::from).collect());
    Ok(Page(Reports { networks, total: scans.len(), filter }))
}

impl From<&ScanView> for NetworkCard {
    fn from(view: &ScanView) -> Self {
        let report = view.last_report.as_ref();
        let count =
            |kinds: &[ChangeKind]| report.map_or(0, |report| kinds.iter().map(|kind| report.count(*kind)).sum());
        Self {
            scan: view.scan.id,
            name: view.scan.definition.name().to_string(),
            targets: view.scan.definition.targets().to_string(),
            status: report.map_or_else(Badge::not_run, Badge::of_report),
            gauge: report.map(Gauge::from),
            no_score: "No score yet: the first run is still to come.",
            opened: count(&[ChangeKind::NewPort]),
            closed: count(&[ChangeKind::ClosedPort]),
            changed: count(&[
                ChangeKind::ServiceChange,
                ChangeKind::OsChange,
                ChangeKind::NameChange,
                ChangeKind::MacChange,
            ]),
            time: report.map(|report| report.made),
            latest: report.map(|report| report.run),
        }
    }
}

impl From<&Report> for Gauge {
    fn from(report: &Report) -> Self {
        Self::from(&ReportSummary::from(report))
    }
}

impl From<&ReportSummary> for Gauge {
    fn from(report: &ReportSummary) -> Self {
        Self { score: report.score.value, coverage: Percent::of_hundredths(report.coverage_hundredths) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(name: &str, score: Option<u8>, status: &str, at: u64) -> NetworkCard {
        NetworkCard {
            scan: ScanId(1),
            name: name.to_owned(),
            targets: String::new(),
            status: Badge::plain(crate::look::Tone::Ok, "circle", status),
            gauge: score.map(|score| Gauge { score, coverage: Percent(100) }),
            no_score: "",
            opened: 0,
            closed: 0,
            changed: 0,
            time: score.map(|_| Timestamp::from_millis(at)),
            latest: None,
        }
    }

    #[test]
    fn cards_are_chosen_and_sorted_by_the_address() {
        let cards = || {
            vec![
                card("Lab", Some(40), "Critical", 3),
                card("office", Some(85), "Changes", 1),
                card("Dmz", None, "Not run yet", 0),
                card("Plant", Some(95), "Stable", 2),
            ]
        };
        let names =
            |filter: Filter| filter.apply(cards()).into_iter().map(|card| card.name).collect::<Vec<_>>().join(" ");
        let sorted = |sort: &str| names(Filter { sort: sort.into(), ..Filter::default() });
        assert_eq!(
            [sorted(""), sorted("name"), sorted("low"), sorted("high")],
            ["Lab Plant office Dmz", "Dmz Lab office Plant", "Lab office Plant Dmz", "Plant office Lab Dmz"]
        );
        assert_eq!(names(Filter { status: "changed".into(), ..Filter::default() }), "Lab office");
        assert_eq!(names(Filter { status: "stable".into(), ..Filter::default() }), "Plant");
        assert_eq!(names(Filter { name: " OFF ".into(), band: "good".into(), ..Filter::default() }), "office");
    }
}
