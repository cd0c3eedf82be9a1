//! The record of who did what, newest first.

use super::Params;
use crate::App;
use crate::error::WebError;
use crate::query::Fields;
use crate::session::Caller;
use axum::Json;
use axum::extract::State;
use coordinator::{AuditEntry, AuditFilter, AuditPage, MAX_AUDIT};
use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// How many entries a page has when nothing else is asked for.
const USUAL_PAGE: usize = 100;

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct Entry {
    /// Its number, which rises by one.
    pub number: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who: a user's name, `os:` and an account of the machine, or `mesh`.
    pub actor: String,
    /// From where: an address, or `local socket`; empty when it was the program itself.
    pub from: String,
    /// What, such as `node approve`.
    pub action: String,
    /// To what, and how.
    pub subject: String,
}

/// A page of the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditPageView {
    /// Newest first.
    pub entries: Vec<Entry>,
    /// How many there are in all, wanted or not.
    pub total: u64,
    /// The next page begins below this number: pass it as `before`. Absent on the last page; a page may be short, or empty, although it is there.
    pub next: Option<u64>,
}

/// Which page of which entries; all that is given must fit.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Who, in full.
    pub(crate) actor: String,
    /// A text in what was done, such as `node`.
    pub(crate) action: String,
    /// A text in what it was done to, or where it came from.
    pub(crate) text: String,
    /// Not before this day or time (RFC 3339, UTC).
    pub(crate) since: String,
    /// Before this day or time.
    pub(crate) until: String,
    /// Only entries with a lower number.
    pub(crate) before: Option<u64>,
    /// At most so many, 100 when left out, never more than 1,000.
    pub(crate) limit: Option<usize>,
}

impl Which {
    /// As it stands behind the `?`.
    pub(crate) fn fields(&self) -> Fields {
        let Self { actor, action, text, since, until, before, limit } = self;
        let number = |number: Option<String>| number.unwrap_or_default();
        Fields::of([
            ("actor", actor),
            ("action", action),
            ("text", text),
            ("since", since),
            ("until", until),
            ("limit", &number(limit.map(|limit| limit.to_string()))),
            ("before", &number(before.map(|before| before.to_string()))),
        ])
    }

    /// What it says.
    pub(crate) fn read(&self) -> Result<(AuditFilter, AuditPage), WebError> {
        let mut faults = BTreeMap::new();
        let mut time = |field: &'static str, text: &str| match moment(text) {
            Ok(time) => time,
            Err(fault) => {
                faults.insert(field, fault);
                None
            }
        };
        let (since, until) = (time("since", &self.since), time("until", &self.until));
        if !faults.is_empty() {
            return Err(WebError::Invalid(faults));
        }
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let (actor, action, text) = (given(&self.actor), given(&self.action), given(&self.text));
        let limit = self.limit.unwrap_or(USUAL_PAGE).min(MAX_AUDIT);
        Ok((AuditFilter { actor, action, text, since, until }, AuditPage { before: self.before, limit }))
    }
}

/// A time, or a day as its first moment.
fn moment(text: &str) -> Result<Option<Timestamp>, String> {
    match text.trim() {
        "" => Ok(None),
        text => {
            let whole = if text.contains(['T', 't', ' ']) { text.to_owned() } else { format!("{text}T00:00:00Z") };
            let bad = |_| format!("{text:?} is neither a day nor a time; write 2026-01-31 or 2026-01-31T12:00:00Z");
            whole.parse().map(Some).map_err(bad)
        }
    }
}

impl Entry {
    /// As it is told.
    pub(crate) fn of((number, entry): (u64, AuditEntry)) -> Self {
        let AuditEntry { at, actor, from, action, subject } = entry;
        let (actor, action, subject) = (actor.into(), action.into(), subject.into());
        Self { number, at, actor, from: from.to_string(), action, subject }
    }
}

/// Who did what, newest first; for administrators.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(Which), responses((status = 200, body = AuditPageView)))]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Params(which): Params<Which>,
) -> Result<Json<AuditPageView>, WebError> {
    let (filter, page) = which.read()?;
    let coordinator::AuditList { entries, next, total } = app.coordinator.audit(&actor, &filter, page).await?;
    Ok(Json(AuditPageView { entries: entries.into_iter().map(Entry::of).collect(), total, next }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_means_its_first_moment_and_anything_else_is_refused_by_field() {
        let read = |since: &str, until: &str| {
            Which { since: since.into(), until: until.into(), ..Which::default() }.read().map(|(filter, _)| filter)
        };
        let filter = read("2026-01-31", " 2026-01-31T12:00:00+01:00 ").unwrap();
        let told = [filter.since, filter.until].map(|time| time.unwrap().to_string());
        assert_eq!(told, ["2026-01-31T00:00:00.000Z", "2026-01-31T11:00:00.000Z"]);
        insta::assert_snapshot!(
            read("yesterday", "31.1.2026").unwrap_err(),
            @r#"since: "yesterday" is neither a day nor a time; write 2026-01-31 or 2026-01-31T12:00:00Z; until: "31.1.2026" is neither a day nor a time; write 2026-01-31 or 2026-01-31T12:00:00Z"#
        );
    }
}
