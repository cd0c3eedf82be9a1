//! `/scans/check`: what targets and ports come to, while they are typed.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::filters::Percent;
use crate::page::scan_new::ScanForm;
use crate::page::{Fragment, Head, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::{Query, State};
use coordinator::scan::{DraftError, ScanDraft, ScanField};
use coordinator::{Reach, UseCaseError};

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
}

impl View for ScanCheck {
    fn head(&self) -> Head {
        Head::default()
    }
}

/// `GET /scans/check`: of the form, only what says which cells to look at.
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(form): Query<ScanForm>,
) -> Result<Fragment<ScanCheck>, WebError> {
    let ScanForm { targets, exclusions, budget, special, ports, site, .. } = form;
    if targets.trim().is_empty() {
        return Ok(Fragment(ScanCheck::default()));
    }
    let name = "check".to_owned();
    let draft = ScanDraft { name, targets, exclusions, budget, special, ports, site, ..ScanDraft::default() };
    match app.coordinator.check_scan(&actor, &draft, None).await {
        Ok(reach) => Ok(Fragment(ScanCheck { faults: Vec::new(), sum: Some(reach.into()) })),
        Err(UseCaseError::Draft(error)) => Ok(Fragment(ScanCheck { faults: told(error), sum: None })),
        Err(error) => Err(error.into()),
    }
}

fn told(DraftError(faults): DraftError) -> Vec<String> {
    let word = |field| match field {
        ScanField::Exclusions => "Leave out: ",
        ScanField::Budget => "Most addresses: ",
        ScanField::Ports => "Ports: ",
        ScanField::Site => "Site: ",
        ScanField::Targets
        | ScanField::Name
        | ScanField::Description
        | ScanField::Args
        | ScanField::Engine
        | ScanField::Interval
        | ScanField::Cron
        | ScanField::Zone => "",
    };
    faults.into_iter().map(|(field, fault)| format!("{}{fault}", word(field))).collect()
}

impl From<Reach> for Sum {
    fn from(reach: Reach) -> Self {
        let Reach { addresses, ports, uncovered, coming: _, name_taken: _ } = reach;
        Self {
            addresses,
            ports,
            uncovered: uncovered.count(),
            uncovered_share: Percent::of(uncovered.count(), addresses),
            uncovered_text: uncovered.to_string(),
        }
    }
}
