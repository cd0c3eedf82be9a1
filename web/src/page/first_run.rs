//! `/first-run`: from the first sign-in to the first delta, a step at a time. Which step is shown follows from what is
//! there, so that the page can be left and taken up again, and a form that is sent twice is done once.

mod forms;

pub(crate) use forms::{look, look_again, use_this_machine};

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::look::{Badge, Progress};
use crate::page::report::changes_words;
use crate::page::run::{bar, phase_words};
use crate::page::scan::cadence_words;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::State;
use coordinator::{Actor, FirstLook, FirstRun, LocalNodeState, Right, RunView};
use protocol::TargetSet;
use protocol::task::RunId;
use std::time::Duration;

#[derive(Template)]
#[template(path = "first_run.html")]
pub(crate) struct FirstSteps {
    pub(crate) step: Step,
    pub(crate) faults: Faults,
}

/// What is to be done next, or waited for.
pub(crate) enum Step {
    /// No node is in; this machine can be the first.
    Node(NodeForm),
    /// The node is not there yet.
    Wait {
        /// What is known about that; may be empty.
        words: String,
        /// Why it will not come by itself; may be empty.
        failure: String,
    },
    /// Nothing was scanned yet.
    Look(LookForm),
    /// A run goes on.
    Run(Box<Watched>),
    /// The baseline is there, or the first look failed.
    Again(Again),
    /// The first report is there.
    Report {
        /// Which.
        run: RunId,
        /// What changed, in a few words.
        words: String,
    },
}

/// What this machine's node may scan.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeForm {
    /// Networks that the machine is in.
    pub(crate) networks: Vec<Tick>,
    /// More addresses, as typed.
    pub(crate) ranges: String,
    /// Whether the program brings a node along.
    pub(crate) has_local: bool,
    /// Why the last try failed; may be empty.
    pub(crate) failure: String,
}

/// A network that can be chosen.
#[derive(Clone, Debug)]
pub(crate) struct Tick {
    pub(crate) network: String,
    pub(crate) addresses: u128,
    pub(crate) is_set: bool,
}

/// The first scan.
#[derive(Clone, Debug, Default)]
pub(crate) struct LookForm {
    /// A scan that is there already; then nothing is to be typed.
    pub(crate) existing: Option<String>,
    pub(crate) name: String,
    pub(crate) targets: String,
}

/// A run that goes on.
pub(crate) struct Watched {
    pub(crate) id: RunId,
    pub(crate) is_first: bool,
    pub(crate) state: Badge,
    pub(crate) phase: &'static str,
    pub(crate) progress: Progress,
    pub(crate) hosts: u32,
    pub(crate) elapsed: Duration,
    pub(crate) left: Option<Duration>,
}

/// What came of the first look.
pub(crate) struct Again {
    pub(crate) run: RunId,
    pub(crate) network: String,
    pub(crate) hosts: u32,
    pub(crate) ports: u32,
    /// Whether there is a baseline to compare with.
    pub(crate) has_report: bool,
    /// Why the run did not look everywhere; may be empty.
    pub(crate) reason: String,
    /// How often it would run; `None` when it runs by itself already.
    pub(crate) offer: Option<String>,
}

/// One of the steps in the row on top.
pub(crate) struct Stage {
    pub(crate) word: &'static str,
    pub(crate) is_done: bool,
    pub(crate) is_now: bool,
}

const STAGES: [&str; 5] = ["Administrator", "First node", "First look", "Second look", "First report"];

/// Minutes of the schedule that is offered.
const DAILY: u32 = 1440;

impl View for FirstSteps {
    fn head(&self) -> Head {
        Head { title: "First steps".to_owned(), section: Some(Section::Overview), ..Head::default() }
    }
}

/// `GET /first-run`
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Page<FirstSteps>, WebError> {
    Ok(Page(FirstSteps { step: Step::next(&app, &actor).await?, faults: Faults::default() }))
}

/// What comes next, in a few words, for who can do it and as long as there is something to do.
pub(crate) async fn next_words(app: &App, actor: &Actor) -> Result<Option<&'static str>, WebError> {
    if !actor.role.may(Right::Administer) {
        return Ok(None);
    }
    Ok(match app.coordinator.first_run(actor).await? {
        FirstRun::NoNode { .. } => Some("let a first node in, for instance on this machine"),
        FirstRun::NodeAway { .. } => Some("wait for the first node"),
        FirstRun::NoRun { .. } => Some("take a first look"),
        FirstRun::Running { .. } => Some("watch the run that is under way"),
        FirstRun::Looked(_) => Some("look a second time, since only then a report can say what changed"),
        FirstRun::Done(_) => None,
    })
}

impl FirstSteps {
    fn stages(&self) -> Vec<Stage> {
        let now = match &self.step {
            Step::Node(_) | Step::Wait { .. } => 1,
            Step::Look(_) => 2,
            Step::Run(run) if run.is_first => 2,
            Step::Run(_) | Step::Again(_) => 3,
            Step::Report { .. } => 4,
        };
        let stage = |(place, word)| Stage { word, is_done: place < now, is_now: place == now };
        STAGES.into_iter().enumerate().map(stage).collect()
    }

    /// Whether the step ends without the person.
    fn is_waiting(&self) -> bool {
        match &self.step {
            Step::Wait { .. } | Step::Run(_) => true,
            Step::Node(_) | Step::Look(_) | Step::Again(_) | Step::Report { .. } => false,
        }
    }
}

impl Step {
    async fn next(app: &App, actor: &Actor) -> Result<Self, WebError> {
        Ok(match app.coordinator.first_run(actor).await? {
            FirstRun::NoNode { local: Some(LocalNodeState::Running), networks: _ } => {
                Self::Wait { words: "it makes its key and asks to be let in".to_owned(), failure: String::new() }
            }
            FirstRun::NoNode { local, networks } => Self::Node(NodeForm::of(local, &networks)),
            FirstRun::NodeAway { label, reason, local } => {
                Self::Wait { words: format!("{label} is in, but not there: {reason}"), failure: failure(local) }
            }
            FirstRun::NoRun { scan, ranges } => Self::Look(LookForm {
                existing: scan.map(|scan| scan.definition.name().to_string()),
                name: "Local network".to_owned(),
                targets: ranges.to_string(),
            }),
            FirstRun::Running { run, is_first } => {
                Self::Run(Box::new(Watched::of(&app.coordinator.run(actor, run).await?, is_first)))
            }
            FirstRun::Looked(look) => Self::Again(Again::of(*look)),
            FirstRun::Done(report) => {
                let words = changes_words(report.as_ref()).unwrap_or_else(|| "Nothing changed".to_owned());
                Self::Report { run: report.run, words }
            }
        })
    }
}

fn failure(local: Option<LocalNodeState>) -> String {
    match local {
        Some(LocalNodeState::Failed { reason }) => reason,
        Some(LocalNodeState::Idle | LocalNodeState::Running) | None => String::new(),
    }
}

impl NodeForm {
    fn of(local: Option<LocalNodeState>, networks: &[TargetSet]) -> Self {
        let tick =
            |network: &TargetSet| Tick { network: network.to_string(), addresses: network.count(), is_set: true };
        let networks = networks.iter().map(tick).collect();
        Self { networks, ranges: String::new(), has_local: local.is_some(), failure: failure(local) }
    }
}

impl Watched {
    fn of(RunView { run, tasks: _, progress }: &RunView, is_first: bool) -> Self {
        Self {
            id: run.id,
            is_first,
            state: run.state.into(),
            phase: phase_words(progress.phase),
            progress: bar(run, progress),
            hosts: progress.hosts_found,
            elapsed: progress.elapsed,
            left: progress.left,
        }
    }
}

impl Again {
    fn of(FirstLook { scan, run, report }: FirstLook) -> Self {
        let outcome = run.outcome.as_ref();
        let offer = cadence_words(&scan.definition).unwrap_or_else(|| "daily".to_owned());
        Self {
            run: run.id,
            network: scan.definition.name().to_string(),
            hosts: report.as_ref().map_or(0, |report| report.hosts_up),
            ports: report.as_ref().map_or(0, |report| report.open_ports),
            has_report: report.is_some(),
            reason: outcome.map(|outcome| outcome.reason.to_string()).unwrap_or_default(),
            offer: (!scan.definition.scheduled()).then_some(offer),
        }
    }
}
