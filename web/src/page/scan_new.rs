//! `/scans/new`: the form of a scan.

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::UseCaseError;
use coordinator::scan::{DraftError, ScanDraft};
use protocol::task::EngineChoice;

#[derive(Template)]
#[template(path = "scan_new.html")]
pub(crate) struct ScanNew {
    pub(crate) form: ScanForm,
    pub(crate) faults: Faults,
}

/// A scan as a person types it.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct ScanForm {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) targets: String,
    pub(crate) exclusions: String,
    pub(crate) budget: String,
    pub(crate) special: bool,
    pub(crate) ports: String,
    pub(crate) args: String,
    pub(crate) engine: String,
    pub(crate) site: String,
    pub(crate) interval: String,
    pub(crate) cron: String,
    pub(crate) zone: String,
    pub(crate) scheduled: bool,
}

impl ScanNew {
    fn engines(&self) -> [(EngineChoice, &'static str); 3] {
        EngineChoice::ALL.map(|engine| {
            let words = match engine {
                EngineChoice::Auto => "Automatic: built-in, nmap where needed",
                EngineChoice::Nmap => "nmap only",
                EngineChoice::Builtin => "Built-in only",
            };
            (engine, words)
        })
    }
}

impl View for ScanNew {
    fn head(&self) -> Head {
        Head::below(Section::Scans, "New scan")
    }
}

/// `GET /scans/new`
pub(crate) async fn show() -> Page<ScanNew> {
    Page(ScanNew { form: ScanForm::default(), faults: Faults::default() })
}

/// `POST /scans`
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Form(form): Form<ScanForm>,
) -> Result<Response, WebError> {
    match app.coordinator.create_scan(&actor, &form.clone().into()).await {
        Ok(scan) => Ok(Redirect::to(&app.link(&format!("/scans/{}", scan.id))).into_response()),
        Err(UseCaseError::Draft(error)) => {
            let page = ScanNew { form, faults: error.into() };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

impl From<ScanForm> for ScanDraft {
    fn from(form: ScanForm) -> Self {
        let ScanForm {
            name,
            description,
            targets,
            exclusions,
            budget,
            special,
            ports,
            args,
            engine,
            site,
            interval,
            cron,
            zone,
            scheduled,
        } = form;
        Self {
            name,
            description,
            targets,
            exclusions,
            budget,
            special,
            ports,
            args,
            engine,
            site,
            interval,
            cron,
            zone,
            scheduled,
        }
    }
}

impl From<DraftError> for Faults {
    fn from(DraftError(list): DraftError) -> Self {
        let mut faults = Self::default();
        for (field, fault) in list {
            faults.add(field.name(), fault.to_string());
        }
        faults
    }
}
