//! `/scans/new` and `/scans/{id}/edit`: the form of a scan, the same for a new one and one that is there.

use crate::App;
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use coordinator::UseCaseError;
use coordinator::scan::{DraftError, ScanDraft, ScanField};
use protocol::task::{EngineChoice, RunId, ScanId};

#[derive(Default, Template)]
#[template(path = "scan_form.html")]
pub(crate) struct ScanFormPage {
    pub(crate) form: ScanForm,
    pub(crate) faults: Faults,
    /// `None` for a new scan.
    pub(crate) edited: Option<Edited>,
}

/// The scan that is being changed.
pub(crate) struct Edited {
    pub(crate) id: ScanId,
    /// As it is called now.
    pub(crate) name: String,
    /// Keeps the definition that it was started with.
    pub(crate) open_run: Option<RunId>,
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
    /// What was typed for the other ways stays in the form and does not count.
    pub(crate) repeat: Option<Repeat>,
    pub(crate) interval: String,
    pub(crate) cron: String,
    pub(crate) zone: String,
    pub(crate) scheduled: bool,
}

/// In which way a scan repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Repeat {
    /// Not by itself.
    None,
    /// Every so many minutes.
    Interval,
    /// At times of a local clock.
    Cron,
}

impl Repeat {
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::None, "none", "Only by hand"),
        (Self::Interval, "interval", "Every so many minutes"),
        (Self::Cron, "cron", "At times of the clock (cron)"),
    ];
}

impl ScanForm {
    /// The way that is chosen; where none is, what is filled in tells.
    fn repeat(&self) -> Repeat {
        let is_filled = |text: &str| !text.trim().is_empty();
        self.repeat.unwrap_or(match (is_filled(&self.interval), is_filled(&self.cron)) {
            (_, true) => Repeat::Cron,
            (true, false) => Repeat::Interval,
            (false, false) => Repeat::None,
        })
    }

    /// What is wrong, beside the fields that are shown: that a time is missing belongs to the way that is chosen.
    fn faults(&self, DraftError(list): DraftError) -> Faults {
        let mut faults = Faults::default();
        for (field, fault) in list {
            let is_hidden = field == ScanField::Interval && self.repeat() == Repeat::Cron;
            faults.add(if is_hidden { ScanField::Cron.name() } else { field.name() }, fault.to_string());
        }
        faults
    }
}

impl ScanFormPage {
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

    /// Where the form is sent.
    fn action(&self) -> String {
        self.edited.as_ref().map_or_else(|| "/scans".to_owned(), |scan| format!("/scans/{}/edit", scan.id))
    }

    /// Where one goes who leaves it as it is.
    fn back(&self) -> String {
        self.edited.as_ref().map_or_else(|| "/scans".to_owned(), |scan| format!("/scans/{}", scan.id))
    }
}

impl View for ScanFormPage {
    fn head(&self) -> Head {
        match &self.edited {
            None => Head::below(Section::Scans, "New scan"),
            Some(scan) => Head::below(Section::Scans, "Edit").via(scan.name.as_str(), self.back()),
        }
    }
}

/// `GET /scans/new`
pub(crate) async fn show_new() -> Page<ScanFormPage> {
    Page(ScanFormPage::default())
}

/// `POST /scans`
pub(crate) async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Form(form): Form<ScanForm>,
) -> Result<Response, WebError> {
    match app.coordinator.create_scan(&actor, &form.clone().into()).await {
        Ok(scan) => Ok(Redirect::to(&app.link(&format!("/scans/{}", scan.id))).into_response()),
        Err(UseCaseError::Draft(error)) => Ok(refused(form, error, None)),
        Err(error) => Err(error.into()),
    }
}

/// `GET /scans/{scan}/edit`
pub(crate) async fn show_edit(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Page<ScanFormPage>, WebError> {
    let view = app.coordinator.scan(&actor, scan).await?;
    let form = ScanDraft::from(&view.scan.definition).into();
    let name = view.scan.definition.name().to_string();
    let edited = Some(Edited { id: scan, name, open_run: view.open_run });
    Ok(Page(ScanFormPage { form, faults: Faults::default(), edited }))
}

/// `POST /scans/{scan}/edit`
pub(crate) async fn edit(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
    Form(form): Form<ScanForm>,
) -> Result<Response, WebError> {
    let view = app.coordinator.scan(&actor, scan).await?;
    match app.coordinator.edit_scan(&actor, scan, &form.clone().into()).await {
        Ok(_) => Ok(Redirect::to(&app.link(&format!("/scans/{scan}"))).into_response()),
        Err(UseCaseError::Draft(error)) => {
            let name = view.scan.definition.name().to_string();
            Ok(refused(form, error, Some(Edited { id: scan, name, open_run: view.open_run })))
        }
        Err(error) => Err(error.into()),
    }
}

fn refused(form: ScanForm, error: DraftError, edited: Option<Edited>) -> Response {
    let faults = form.faults(error);
    (StatusCode::UNPROCESSABLE_ENTITY, Page(ScanFormPage { form, faults, edited })).into_response()
}

impl From<ScanForm> for ScanDraft {
    fn from(form: ScanForm) -> Self {
        let chosen = form.repeat;
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
            repeat: _,
            interval,
            cron,
            zone,
            scheduled,
        } = form;
        let counts = |way: Repeat| chosen.is_none_or(|chosen| chosen == way);
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
            interval: if counts(Repeat::Interval) { interval } else { String::new() },
            cron: if counts(Repeat::Cron) { cron } else { String::new() },
            zone,
            scheduled: scheduled && chosen != Some(Repeat::None),
        }
    }
}

impl From<ScanDraft> for ScanForm {
    fn from(draft: ScanDraft) -> Self {
        let ScanDraft {
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
        } = draft;
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
            repeat: None,
            interval,
            cron,
            zone,
            scheduled,
        }
    }
}
