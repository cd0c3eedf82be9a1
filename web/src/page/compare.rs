//! `/compare?network=&from=&to=`: any two runs of a network against each other, as a report compares.

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::filters::absolute_text;
use crate::page::choices::{Chips, Choice, Pager};
use crate::page::report::{Filter, Listed, Listing, NoteGroup, counted, note_groups};
use crate::page::{Head, Page, Section, View};
use crate::query::Fields;
use crate::session::Caller;
use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use coordinator::report::ReportSummary;
use coordinator::{Actor, Comparison};
use protocol::task::{RunId, ScanId};

#[derive(Template)]
#[template(path = "compare.html")]
pub(crate) struct Compare {
    pub(crate) which: Which,
    /// Numbers and names of networks.
    pub(crate) networks: Vec<(String, String)>,
    /// Numbers and times of the network's runs that have a report, the newest first.
    pub(crate) runs: Vec<(String, String)>,
    pub(crate) filter: Filter,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) faults: Faults,
}

/// What is to be compared, as it stands in the address.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Which {
    pub(crate) network: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) from: RunId,
    pub(crate) to: RunId,
    pub(crate) sentence: String,
    pub(crate) hosts: (u64, u64),
    pub(crate) shared_addresses: u64,
    pub(crate) newly_covered: u64,
    pub(crate) no_longer_covered: u64,
    /// Lines beyond the limit.
    pub(crate) left_out: u64,
    pub(crate) listed: Listed,
    pub(crate) notes: Vec<NoteGroup>,
}

impl View for Compare {
    fn head(&self) -> Head {
        let head = Head::below(Section::Reports, "Compare runs");
        let name = self.networks.iter().find(|(number, _)| *number == self.which.network);
        match name {
            Some((number, name)) => head.via(name.as_str(), format!("/networks/{number}/history")),
            None => head,
        }
    }
}

/// `GET /compare`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(which): Query<Which>,
    Query(filter): Query<Filter>,
) -> Result<Response, WebError> {
    let (wanted, faults) = filter.read();
    let mut page = Compare::choices(&app, &actor, which, filter, faults).await?;
    if page.which.is_whole() && page.faults.is_empty() {
        match page.compare(&app, &actor).await {
            Ok((comparison, rules)) => {
                let listed = Listing::of_changes(&comparison.changes, &rules).list(&wanted, page.filter.start());
                page.outcome = Some(Outcome::of(&comparison, listed));
            }
            Err(WebError::Invalid(faults)) => page.faults = faults.into(),
            Err(WebError::Conflict(reason) | WebError::NotFound(reason)) => page.faults.add("from", reason),
            Err(error) => return Err(error),
        }
    }
    let status = if page.faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok((status, Page(page)).into_response())
}

impl Which {
    fn is_whole(&self) -> bool {
        [&self.network, &self.from, &self.to].into_iter().all(|field| !field.trim().is_empty())
    }

    fn scan(&self) -> Result<ScanId, WebError> {
        let bad = |_| WebError::field("network", format!("{:?} is no network's number; choose one", self.network));
        self.network.trim().parse().map_err(bad)
    }
}

fn run(field: &'static str, text: &str) -> Result<RunId, WebError> {
    let bad = |_| WebError::field(field, format!("{text:?} is no run's number; choose one"));
    text.trim().parse().map_err(bad)
}

impl Compare {
    const PATH: &'static str = "/compare";

    async fn choices(
        app: &App,
        actor: &Actor,
        mut which: Which,
        filter: Filter,
        mut faults: Faults,
    ) -> Result<Self, WebError> {
        let scans = app.coordinator.scans(actor).await?;
        let networks: Vec<(String, String)> =
            scans.iter().map(|view| (view.scan.id.to_string(), view.scan.definition.name().to_string())).collect();
        if let (true, [(only, _)]) = (which.network.is_empty(), networks.as_slice()) {
            which.network.clone_from(only);
        }
        let mut runs = Vec::new();
        if !which.network.trim().is_empty() {
            let history = match which.scan() {
                Ok(scan) => app.coordinator.history(actor, scan).await.map_err(WebError::from),
                Err(error) => Err(error),
            };
            match history {
                Ok(history) => runs = history.iter().map(choice).collect(),
                Err(WebError::Invalid(more)) => faults = more.into(),
                Err(WebError::NotFound(reason)) => faults.add("network", reason),
                Err(error) => return Err(error),
            }
        }
        Ok(Self { which, networks, runs, filter, outcome: None, faults })
    }

    async fn compare(
        &self,
        app: &App,
        actor: &Actor,
    ) -> Result<(Comparison, Vec<coordinator::analysis::alert::Rule>), WebError> {
        let (scan, from, to) = (self.which.scan()?, run("from", &self.which.from)?, run("to", &self.which.to)?);
        let comparison = app.coordinator.compare_runs(actor, scan, from, to).await?;
        Ok((comparison, app.coordinator.rules(actor).await?))
    }

    fn network_choice(&self) -> Choice<'_> {
        Choice::of("network", "Network", words(&self.networks), &self.which.network)
    }

    /// What is not chosen yet is proposed: the two newest runs.
    fn run_choices(&self) -> [Choice<'_>; 2] {
        let newest = |place: usize| self.runs.get(place).or(self.runs.last()).map_or("", |(number, _)| number.as_str());
        let (from, to) = (self.which.from.trim(), self.which.to.trim());
        [
            Choice::of("from", "Earlier run", words(&self.runs), if from.is_empty() { newest(1) } else { from }),
            Choice::of("to", "Later run", words(&self.runs), if to.is_empty() { newest(0) } else { to }),
        ]
    }

    fn fields(&self) -> Fields {
        let Which { network, from, to } = &self.which;
        let chosen = Fields::of([("network", network), ("from", from), ("to", to)]);
        self.filter.fields().given().fold(chosen, |fields, (name, value)| fields.with(name, value))
    }

    fn swapped(&self) -> String {
        format!("{}{}", Self::PATH, self.fields().with("from", &self.which.to).with("to", &self.which.from))
    }

    /// This comparison with every line of it.
    fn whole(&self) -> String {
        let Which { network, from, to } = &self.which;
        format!("{}{}", Self::PATH, Fields::of([("network", network), ("from", from), ("to", to)]))
    }

    fn kind_choice<'a>(&'a self, listed: &'a Listed) -> Choice<'a> {
        Choice::of("kind", "Kind", listed.kinds(), &self.filter.kind)
    }

    fn chips(&self) -> Chips {
        self.filter.chips(Self::PATH, &self.fields())
    }

    fn pager(&self, listed: &Listed) -> Pager {
        self.filter.pager(Self::PATH, self.fields(), listed)
    }
}

fn words(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(value, words)| (value.as_str(), words.as_str()))
}

fn choice(report: &ReportSummary) -> (String, String) {
    let hosts = counted(report.hosts_up.into(), "host", "hosts");
    (report.run.to_string(), format!("run {}, {}, {hosts}", report.run, absolute_text(report.made)))
}

impl Outcome {
    fn of(comparison: &Comparison, listed: Listed) -> Self {
        let changes = counted(u64::try_from(comparison.changes.len()).unwrap_or(u64::MAX), "change", "changes");
        let sentence = match (comparison.from == comparison.to, comparison.changes.is_empty()) {
            (true, _) => "This is one and the same run; choose another one to compare it with".to_owned(),
            (false, true) => format!("Nothing changed from run {} to run {}", comparison.from, comparison.to),
            (false, false) => format!("{changes} from run {} to run {}", comparison.from, comparison.to),
        };
        Self {
            from: comparison.from,
            to: comparison.to,
            sentence,
            hosts: comparison.hosts,
            shared_addresses: comparison.shared_addresses,
            newly_covered: comparison.newly_covered_cells,
            no_longer_covered: comparison.no_longer_covered_cells,
            left_out: comparison.left_out,
            listed,
            notes: note_groups(&comparison.notes),
        }
    }
}
