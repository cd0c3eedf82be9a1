//! Retention: seeing and setting how long runs are kept.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::audit;
use crate::retention::{Retention, RetentionError, default_in_force};
use crate::store::tables::{RETENTION, RETENTION_OF_SCAN, RUNS, RUNS_OF_SCAN, SCANS};
use crate::store::{Draft, Reads, StoreError};
use protocol::Timestamp;
use protocol::task::ScanId;
use protocol::text::Text;

/// How long runs are kept, everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionView {
    /// Where a scan does not say otherwise.
    pub default: Retention,
    /// Every scan, by number.
    pub scans: Vec<ScanRetention>,
}

/// How long the runs of one scan are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanRetention {
    /// Which scan.
    pub scan: ScanId,
    /// Its name.
    pub name: Text,
    /// Its own limits; `None`: the default ones.
    pub own: Option<Retention>,
    /// How many runs it has.
    pub runs: u64,
    /// When the oldest of them was asked for.
    pub oldest: Option<Timestamp>,
}

impl From<RetentionError> for UseCaseError {
    fn from(error: RetentionError) -> Self {
        let field = match error {
            RetentionError::Runs(_) => "runs",
            RetentionError::Days(_) => "days",
        };
        Self::Invalid { field, reason: error.to_string() }
    }
}

impl Coordinator {
    /// How long runs are kept.
    pub async fn retention(&self, actor: &Actor) -> Result<RetentionView, UseCaseError> {
        actor.require(Right::Read)?;
        Ok(self.store().read(view).await?)
    }

    /// Sets how long runs are kept where a scan does not say otherwise. What is beyond goes within the hour.
    pub async fn set_retention(&self, actor: &Actor, retention: Retention) -> Result<Retention, UseCaseError> {
        actor.require(Right::Administer)?;
        let (now, who, retention) = (Timestamp::now(), actor.clone(), retention.checked()?);
        let set = move |draft: &mut Draft| {
            let former = default_in_force(draft)?;
            if former != retention {
                let subject = format!("all scans: {}, was {}", retention.words(), former.words());
                audit::note(draft, &who, "retention set", &subject, now)?;
                draft.put(&RETENTION, &(), &retention)?;
            }
            Ok::<_, UseCaseError>(retention)
        };
        self.store().update(set).await
    }

    /// Sets how long the runs of a scan are kept; `None` takes the default limits again.
    pub async fn set_scan_retention(
        &self,
        actor: &Actor,
        scan: ScanId,
        own: Option<Retention>,
    ) -> Result<ScanRetention, UseCaseError> {
        actor.require(Right::Administer)?;
        let (now, who) = (Timestamp::now(), actor.clone());
        let own = own.map(Retention::checked).transpose()?;
        let set = move |draft: &mut Draft| {
            let found = draft.get(&SCANS, &scan)?.ok_or_else(|| UseCaseError::no_scan(scan))?;
            let former = draft.get(&RETENTION_OF_SCAN, &scan)?;
            if former != own {
                let words = |own: Option<Retention>| own.map_or_else(|| "the default".to_owned(), Retention::words);
                let subject = format!("scan {scan}: {}, was {}", words(own), words(former));
                audit::note(draft, &who, "retention set", &subject, now)?;
                match &own {
                    Some(own) => draft.put(&RETENTION_OF_SCAN, &scan, own)?,
                    None => draft.remove(&RETENTION_OF_SCAN, &scan)?,
                }
            }
            of_scan(draft, scan, found.definition.name().clone()).map_err(UseCaseError::from)
        };
        self.store().update(set).await
    }
}

fn view(reads: &crate::store::View) -> Result<RetentionView, StoreError> {
    let scans = reads.iter(&SCANS).map(|row| {
        let (id, scan) = row?;
        of_scan(reads, id, scan.definition.name().clone())
    });
    Ok(RetentionView { default: default_in_force(reads)?, scans: scans.collect::<Result<_, _>>()? })
}

fn of_scan(reads: &impl Reads, scan: ScanId, name: Text) -> Result<ScanRetention, StoreError> {
    let (mut runs, mut oldest) = (0, None);
    for row in reads.within(&RUNS_OF_SCAN, &scan).unread() {
        let (_, run) = row?.key;
        // One that is being removed has no row of its own any more.
        if reads.contains(&RUNS, &run)? {
            runs += 1;
            oldest = match oldest {
                None => reads.get(&RUNS, &run)?.map(|run| run.created),
                known => known,
            };
        }
    }
    Ok(ScanRetention { scan, name, own: reads.get(&RETENTION_OF_SCAN, &scan)?, runs, oldest })
}
