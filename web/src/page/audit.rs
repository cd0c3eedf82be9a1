//! `/settings/audit`: who did what, when and from where; for administrators. The same as files is in `export::audit`.

use crate::App;
use crate::api::Params;
use crate::api::audit::{Entry, Which};
use crate::error::WebError;
use crate::faults::Faults;
use crate::filters;
use crate::page::choices::{Chips, Pager};
use crate::page::{Head, Page, View};
use crate::query::Fields;
use crate::session::Caller;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use coordinator::{Actor, AuditList};

const PATH: &str = "/settings/audit";

const LABELS: [(&str, &str); 5] =
    [("actor", "Who"), ("action", "What"), ("text", "Text"), ("since", "From"), ("until", "Before")];

#[derive(Template)]
#[template(path = "audit.html")]
pub(crate) struct Audit {
    /// What is asked for.
    pub(crate) fields: Fields,
    pub(crate) rows: Vec<Entry>,
    /// How many entries there are.
    pub(crate) total: u64,
    pub(crate) pager: Pager,
    pub(crate) faults: Faults,
}

impl View for Audit {
    fn head(&self) -> Head {
        Head::settings(PATH, "Audit log")
    }
}

impl Audit {
    fn chips(&self) -> Chips {
        Chips::of(PATH, &self.fields.clone().with("before", ""), &LABELS, |_, value| value.to_owned())
    }

    /// The entries that are asked for as a file.
    fn export(&self, ending: &str) -> String {
        format!("{PATH}.{ending}{}", self.fields.clone().with("before", "").with("limit", ""))
    }
}

/// `GET /settings/audit`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Params(which): Params<Which>,
) -> Result<Response, WebError> {
    let page = Audit {
        fields: which.fields(),
        rows: Vec::new(),
        total: 0,
        pager: Pager::default(),
        faults: Faults::default(),
    };
    match read(&app, &actor, &which).await {
        Ok(AuditList { entries, next, total }) => {
            let pager = pager(&which, next);
            let rows = entries.into_iter().map(Entry::of).collect();
            Ok(Page(Audit { rows, total, pager, ..page }).into_response())
        }
        Err(WebError::Invalid(faults)) => {
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(Audit { faults: faults.into(), ..page })).into_response())
        }
        Err(error) => Err(error),
    }
}

async fn read(app: &App, actor: &Actor, which: &Which) -> Result<AuditList, WebError> {
    let (filter, page) = which.read()?;
    Ok(app.coordinator.audit(actor, &filter, page).await?)
}

fn pager(which: &Which, next: Option<u64>) -> Pager {
    let link = |before: String| format!("{PATH}{}", which.fields().with("before", before));
    Pager {
        first: which.before.is_some().then(|| link(String::new())),
        next: next.map(|number| link(number.to_string())),
    }
}
