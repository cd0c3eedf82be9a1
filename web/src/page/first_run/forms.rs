//! What the forms of the first steps do.

use super::{DAILY, FirstSteps, LookForm, NodeForm, Step};
use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::page::Page;
use crate::session::Caller;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::scan::{DraftError, Scan, ScanDraft};
use coordinator::{Actor, FirstRun, UseCaseError};
use protocol::task::ScanId;
use serde::Deserialize;

/// What a quick look asks for: the hundred most common ports, and the services behind open ones.
const QUICK: &str = "-F -sV";

/// The first scan as a person types it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    name: String,
    targets: String,
}

/// Whether the scan is to run by itself from now on.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Repeat {
    repeat: bool,
}

/// On to whatever comes next now.
fn on(app: &App) -> Response {
    Redirect::to(&app.link("/first-run")).into_response()
}

fn refused(step: Step, faults: Faults) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, Page(FirstSteps { step, faults })).into_response()
}

/// `POST /first-run/node`
pub(crate) async fn use_this_machine(
    State(app): State<App>,
    Caller(actor): Caller,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let values = |wanted: &'static str| pairs.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value);
    let chosen: Vec<&String> = values("network").collect();
    let typed = values("ranges").next().map_or("", |typed| typed.trim());
    let ranges: Vec<&str> =
        chosen.iter().map(|network| network.as_str()).chain(Some(typed).filter(|typed| !typed.is_empty())).collect();
    match app.coordinator.use_this_machine(&actor, &ranges.join(", ")).await.map_err(WebError::from) {
        Ok(()) => Ok(on(&app)),
        Err(WebError::Invalid(faults)) => match Step::next(&app, &actor).await? {
            Step::Node(form) => {
                let mut form = NodeForm { ranges: typed.to_owned(), ..form };
                form.networks.iter_mut().for_each(|tick| tick.is_set = chosen.contains(&&tick.network));
                Ok(refused(Step::Node(form), faults.into()))
            }
            Step::Wait { .. } | Step::Look(_) | Step::Run(_) | Step::Again(_) | Step::Report { .. } => Ok(on(&app)),
        },
        Err(error) => Err(error),
    }
}

/// `POST /first-run/scan`
pub(crate) async fn look(
    State(app): State<App>,
    Caller(actor): Caller,
    Form(Wanted { name, targets }): Form<Wanted>,
) -> Result<Response, WebError> {
    let FirstRun::NoRun { scan, ranges: _ } = app.coordinator.first_run(&actor).await? else { return Ok(on(&app)) };
    let scan = match scan {
        Some(scan) => scan.id,
        None => {
            let form = LookForm { existing: None, name: name.clone(), targets: targets.clone() };
            let args = QUICK.to_owned();
            let draft = ScanDraft { name, targets, args, interval: DAILY.to_string(), ..ScanDraft::default() };
            match app.coordinator.create_scan(&actor, &draft).await {
                Ok(scan) => scan.id,
                Err(UseCaseError::Draft(error)) => return Ok(refused(Step::Look(form), faults(error))),
                Err(error) => return Err(error.into()),
            }
        }
    };
    start(&app, &actor, scan).await
}

fn faults(DraftError(list): DraftError) -> Faults {
    let mut faults = Faults::default();
    list.into_iter().for_each(|(field, fault)| faults.add(field.name(), fault.to_string()));
    faults
}

/// `POST /first-run/again`
pub(crate) async fn look_again(
    State(app): State<App>,
    Caller(actor): Caller,
    Form(Repeat { repeat }): Form<Repeat>,
) -> Result<Response, WebError> {
    let FirstRun::Looked(look) = app.coordinator.first_run(&actor).await? else { return Ok(on(&app)) };
    let Scan { id, definition, .. } = look.scan;
    if repeat && !definition.scheduled() {
        let draft = ScanDraft { scheduled: true, ..ScanDraft::from(&definition) };
        let has_cadence = definition.cadence().is_some();
        let interval = if has_cadence { draft.interval } else { DAILY.to_string() };
        app.coordinator.edit_scan(&actor, id, &ScanDraft { interval, ..draft }).await?;
    }
    start(&app, &actor, id).await
}

/// Sent twice, it runs once.
async fn start(app: &App, actor: &Actor, scan: ScanId) -> Result<Response, WebError> {
    match app.coordinator.start_run(actor, scan).await {
        Ok(_) | Err(UseCaseError::AlreadyRunning(_)) => Ok(on(app)),
        Err(error) => Err(error.into()),
    }
}
