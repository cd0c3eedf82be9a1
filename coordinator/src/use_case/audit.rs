//! The record of who did what: read, newest first. Nothing changes or removes an entry; the journal's chain of hashes
//! holds each of them (`portdrift db check`).

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::audit::AuditEntry;
use crate::store::tables::AUDIT;
use crate::store::{Reads, StoreError};
use protocol::Timestamp;

/// The most entries that one page gives.
pub const MAX_AUDIT: usize = 1_000;
/// How many entries one page looks at before it stops and says where.
const MOST_LOOKED_AT: usize = 50_000;

/// Which entries are wanted: all that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// By this actor, in full.
    pub actor: Option<String>,
    /// With this text in what was done, such as `node` or `node approve`.
    pub action: Option<String>,
    /// With this text in what it was done to, or in where it came from.
    pub text: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Which page of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// Only entries with a lower number.
    pub before: Option<u64>,
    /// At most so many, and never more than [`MAX_AUDIT`].
    pub limit: usize,
}

/// A page of the record, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditList {
    /// With their numbers, which rise by one.
    pub entries: Vec<(u64, AuditEntry)>,
    /// The next page begins below this number; `None` on the last. It may be given although a page is short, or empty.
    pub next: Option<u64>,
    /// How many entries there are, wanted or not.
    pub total: u64,
}

impl AuditFilter {
    /// Whether an entry is wanted. Texts fit in upper or lower case.
    pub fn takes(&self, entry: &AuditEntry) -> bool {
        let AuditEntry { at, actor, from, action, subject } = entry;
        let has = |text: &Option<String>, words: &dyn Fn() -> String| {
            text.as_ref().is_none_or(|text| words().to_lowercase().contains(&text.trim().to_lowercase()))
        };
        self.since.is_none_or(|since| *at >= since)
            && self.until.is_none_or(|until| *at < until)
            && self.actor.as_ref().is_none_or(|wanted| wanted.trim() == actor.as_str())
            && has(&self.action, &|| action.to_string())
            && has(&self.text, &|| format!("{subject}\n{from}"))
    }
}

impl Coordinator {
    /// A page of the record of who did what; for administrators.
    pub async fn audit(&self, actor: &Actor, filter: &AuditFilter, page: AuditPage) -> Result<AuditList, UseCaseError> {
        actor.require(Right::Administer)?;
        let filter = filter.clone();
        Ok(self.store().read(move |view| list(view, &filter, page)).await?)
    }
}

fn list(reads: &impl Reads, filter: &AuditFilter, page: AuditPage) -> Result<AuditList, StoreError> {
    let total = reads.last(&AUDIT)?.map_or(0, |(number, _)| number);
    let limit = page.limit.clamp(1, MAX_AUDIT);
    let rows = reads.iter(&AUDIT).before(&page.before.unwrap_or(u64::MAX));
    let (mut entries, mut looked_at, mut last) = (Vec::new(), 0, None);
    for row in rows.rev() {
        let (number, entry) = row?;
        if entries.len() == limit || looked_at == MOST_LOOKED_AT {
            return Ok(AuditList { entries, next: last, total });
        }
        (looked_at, last) = (looked_at + 1, Some(number));
        if filter.takes(&entry) {
            entries.push((number, entry));
        }
    }
    Ok(AuditList { entries, next: None, total })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{Origin, Role};
    use crate::audit;
    use crate::fixture::{Fixture, NOW};
    use std::time::Duration;

    async fn fixture() -> Fixture {
        let fixture = Fixture::new().await;
        let write = fixture.store.update(|draft| {
            for index in 0..7u64 {
                let from =
                    if index.is_multiple_of(2) { Origin::Socket } else { Origin::Address([192, 0, 2, 7].into()) };
                let name = if index < 4 { "ada" } else { "bob" };
                let actor = Actor::new(name.into(), Role::Admin).coming_from(from);
                let action = if index == 3 { "node approve" } else { "scan run" };
                audit::note(draft, &actor, action, &format!("{index}"), NOW.plus(Duration::from_secs(index)))?;
            }
            Ok::<_, StoreError>(())
        });
        write.await.unwrap();
        fixture
    }

    async fn subjects(fixture: &Fixture, filter: AuditFilter, page: AuditPage) -> (String, Option<u64>) {
        let found = fixture.store.read(move |view| list(view, &filter, page)).await.unwrap();
        let scans = found.entries.iter().filter(|(_, entry)| entry.at >= NOW && entry.subject.as_str().len() == 1);
        (scans.map(|(_, entry)| entry.subject.as_str()).collect(), found.next)
    }

    #[tokio::test]
    async fn entries_come_newest_first_page_by_page() {
        let fixture = fixture().await;
        let total = fixture.store.read(|view| Ok(view.last(&AUDIT)?.unwrap().0)).await.unwrap();
        let page = |before, limit| AuditPage { before, limit };
        assert_eq!(subjects(&fixture, AuditFilter::default(), page(None, 3)).await, ("654".into(), Some(total - 2)));
        let rest = subjects(&fixture, AuditFilter::default(), page(Some(total - 2), 4)).await;
        assert_eq!(rest.0, "3210");
    }

    #[tokio::test]
    async fn entries_are_found_by_who_what_where_and_when() {
        let fixture = fixture().await;
        let found =
            async |filter: AuditFilter| subjects(&fixture, filter, AuditPage { before: None, limit: 100 }).await.0;
        let any = AuditFilter::default;
        let at = |seconds| Some(NOW.plus(Duration::from_secs(seconds)));
        assert_eq!(found(AuditFilter { actor: Some("bob".into()), ..any() }).await, "654");
        assert_eq!(found(AuditFilter { actor: Some("bo".into()), ..any() }).await, "");
        assert_eq!(found(AuditFilter { action: Some("NODE".into()), ..any() }).await, "3");
        assert_eq!(found(AuditFilter { text: Some("socket".into()), ..any() }).await, "6420");
        assert_eq!(found(AuditFilter { text: Some("192.0.2.7".into()), ..any() }).await, "531");
        assert_eq!(found(AuditFilter { since: at(2), until: at(5), ..any() }).await, "432");
    }
}
