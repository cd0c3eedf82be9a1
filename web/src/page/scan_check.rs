//! `/scans/check`: what a form comes to, while it is typed.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::filters::Percent;
use crate::page::scan_form::ScanForm;
use crate::page::{Fragment, Head, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::{Query, State};
use coordinator::scan::{DraftError, FieldError, ScanDraft, ScanField};
use coordinator::{Reach, UseCaseError};
use protocol::Timestamp;
use protocol::task::ScanId;
use serde::Deserialize;

#[derive(Default, Template)]
#[template(path = "scan_check.html")]
pub(crate) struct ScanCheck {
    pub(crate) faults: Vec<String>,
    pub(crate) sum: Option<Sum>,
}

/// What a definition asks for.
pub(crate) struct Sum {
    pub(crate) addresses: u128,
    /// `None`: the engine's own set.
    pub(crate) ports: Option<u32>,
    pub(crate) uncovered: u128,
    pub(crate) uncovered_share: Percent,
    pub(crate) uncovered_text: String,
    /// When it would run next by itself.
    pub(crate) coming: Vec<Timestamp>,
}

impl View for ScanCheck {
    fn head(&self) -> Head {
        Head::default()
    }
}

/// In place of which scan.
#[derive(Deserialize)]
pub(crate) struct InPlaceOf {
    scan: Option<ScanId>,
}

/// `GET /scans/check`: what saving the form would come to.
///
/// Addresses are counted even while the rest of the form is half written.
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(InPlaceOf { scan }): Query<InPlaceOf>,
    Query(form): Query<ScanForm>,
) -> Result<Fragment<ScanCheck>, WebError> {
    if form.targets.trim().is_empty() {
        return Ok(Fragment(ScanCheck::default()));
    }
    let mut draft = ScanDraft::from(form);
    if draft.name.trim().is_empty() {
        draft.name = UNNAMED.to_owned();
    }
    let faults = match app.coordinator.check_scan(&actor, &draft, scan).await {
        Ok(reach) => {
            let taken = reach.name_taken.filter(|_| draft.name != UNNAMED).map(FieldError::NameTaken);
            let faults = told(taken.map(|fault| (ScanField::Name, fault)));
            return Ok(Fragment(ScanCheck { faults, sum: Some(reach.into()) }));
        }
        Err(UseCaseError::Draft(DraftError(faults))) => told(faults),
        Err(error) => return Err(error.into()),
    };
    match app.coordinator.check_scan(&actor, &cells_of(draft), None).await {
        Ok(reach) => Ok(Fragment(ScanCheck { faults, sum: Some(reach.into()) })),
        Err(UseCaseError::Draft(_)) => Ok(Fragment(ScanCheck { faults, sum: None })),
        Err(error) => Err(error.into()),
    }
}

/// Stands in for a name that is still to be typed.
const UNNAMED: &str = "a new scan";

/// Only what says which cells are looked at.
fn cells_of(draft: ScanDraft) -> ScanDraft {
    let ScanDraft { targets, exclusions, budget, special, ports, site, .. } = draft;
    let name = UNNAMED.to_owned();
    ScanDraft { name, targets, exclusions, budget, special, ports, site, ..ScanDraft::default() }
}

fn told(faults: impl IntoIterator<Item = (ScanField, FieldError)>) -> Vec<String> {
    let word = |field| match field {
        ScanField::Targets => "",
        ScanField::Exclusions => "Leave out: ",
        ScanField::Budget => "Most addresses: ",
        ScanField::Ports => "Ports: ",
        ScanField::Site => "Site: ",
        ScanField::Name => "Name: ",
        ScanField::Description => "Description: ",
        ScanField::Args => "Arguments: ",
        ScanField::Engine => "Engine: ",
        ScanField::Interval | ScanField::Cron => "Repeat: ",
        ScanField::Zone => "Time zone: ",
    };
    faults.into_iter().map(|(field, fault)| format!("{}{fault}", word(field))).collect()
}

impl From<Reach> for Sum {
    fn from(reach: Reach) -> Self {
        let Reach { addresses, ports, uncovered, coming, name_taken: _ } = reach;
        Self {
            addresses,
            ports,
            uncovered: uncovered.count(),
            uncovered_share: Percent::of(uncovered.count(), addresses),
            uncovered_text: uncovered.to_string(),
            coming,
        }
    }
}
