//! Scans: seeing, making, changing, and checking what was typed.

#[cfg(test)]
mod tests;

use super::UseCaseError;
use super::{nodes, reports};
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::audit;
use crate::report::ReportSummary;
use crate::run::Run;
use crate::scan::{DraftError, FieldError, MAX_NAME_CHARS, Scan, ScanDefinition, ScanDraft, ScanField};
use crate::store::tables::{OPEN_RUNS, REPORT_SUMMARIES, RUNS, RUNS_OF_SCAN, SCANS};
use crate::store::{Draft, Reads, StoreError};
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use protocol::{TargetSet, Timestamp};
use std::collections::BTreeSet;

/// How many coming runs a check names.
const COMING: usize = 3;

/// The most copies of one name that are tried.
const MOST_COPIES: usize = 1_000;

/// Of how many runs over a part the reports count, when no run over all comes before.
const MOST_PARTS: usize = 64;

/// A scan with where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanView {
    /// The definition.
    pub scan: Scan,
    /// The run that has not ended.
    pub open_run: Option<RunId>,
    /// The latest run.
    pub last_run: Option<Run>,
    /// The report that says where the network stands, without its lines: that of the latest run over all of it, or a
    /// later one over a part of it when that is worse, by status and then by score.
    pub last_report: Option<ReportSummary>,
}

/// What a draft would cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Addresses to scan.
    pub addresses: u128,
    /// Ports of each; `None` for the engine's own set.
    pub ports: Option<u32>,
    /// Addresses that no approved node of the site has in its ranges.
    pub uncovered: TargetSet,
    /// The next three runs by itself.
    pub coming: Vec<Timestamp>,
    /// An active scan that is called so already: saving would be refused.
    pub name_taken: Option<ScanId>,
}

pub(crate) fn view(reads: &impl Reads, scan: Scan) -> Result<ScanView, StoreError> {
    let (mut last_run, mut standing, mut parts) = (None, None::<ReportSummary>, 0);
    for row in reads.within(&RUNS_OF_SCAN, &scan.id).rev() {
        let ((_, id), ()) = row?;
        let run = reads.get(&RUNS, &id)?;
        let is_of_part = run.as_ref().is_some_and(Run::is_of_part);
        last_run = last_run.or(run);
        let Some(summary) = reads.get(&REPORT_SUMMARIES, &id)? else { continue };
        let rank = |summary: &ReportSummary| (summary.status, summary.score.value);
        if standing.as_ref().is_none_or(|worst| rank(&summary) < rank(worst)) {
            standing = Some(summary);
        }
        parts += 1;
        if !is_of_part || parts >= MOST_PARTS {
            break;
        }
    }
    let last_report = standing;
    Ok(ScanView { open_run: reads.get(&OPEN_RUNS, &scan.id)?, scan, last_run, last_report })
}

impl Coordinator {
    /// Every active scan, by number.
    pub async fn scans(&self, actor: &Actor) -> Result<Vec<ScanView>, UseCaseError> {
        let mut scans = self.every_scan(actor).await?;
        scans.retain(|view| view.scan.active);
        Ok(scans)
    }

    /// Every scan, deactivated ones too, by number.
    pub async fn every_scan(&self, actor: &Actor) -> Result<Vec<ScanView>, UseCaseError> {
        actor.require(Right::Read)?;
        let read = |view_: &crate::store::View| all(view_)?.into_iter().map(|scan| view(view_, scan)).collect();
        Ok(self.store().read(read).await?)
    }

    /// One scan.
    pub async fn scan(&self, actor: &Actor, id: ScanId) -> Result<ScanView, UseCaseError> {
        actor.require(Right::Read)?;
        let found =
            self.store().read(move |reads| reads.get(&SCANS, &id)?.map(|scan| view(reads, scan)).transpose()).await?;
        found.ok_or_else(|| UseCaseError::no_scan(id))
    }

    /// Checks what was typed, for a new scan or in place of `edited`, and says how far it reaches; changes nothing.
    pub async fn check_scan(
        &self,
        actor: &Actor,
        draft: &ScanDraft,
        edited: Option<ScanId>,
    ) -> Result<Reach, UseCaseError> {
        actor.require(Right::Read)?;
        let (definition, now) = (draft.check()?, Timestamp::now());
        self.store().read(move |reads| Ok(reach(reads, definition, edited, now))).await?
    }

    /// Saves a new scan.
    pub async fn create_scan(&self, actor: &Actor, draft: &ScanDraft) -> Result<Scan, UseCaseError> {
        actor.require(Right::Operate)?;
        let (definition, now, who) = (draft.check()?, Timestamp::now(), actor.clone());
        let scan = self.store().update(move |draft| create(draft, &who, definition, "scan create", now)).await?;
        self.schedule().follow(scan.id).await;
        Ok(scan)
    }

    /// Takes a new definition as a whole. A run that is under way keeps the one it was started with.
    ///
    /// The next run by itself stays where it is, unless cadence or scheduling were changed.
    pub async fn edit_scan(&self, actor: &Actor, id: ScanId, draft: &ScanDraft) -> Result<Scan, UseCaseError> {
        actor.require(Right::Operate)?;
        let definition = draft.check()?;
        self.change_scan(actor, id, "scan edit", move |scan, now| {
            scan.redefine(definition, now);
            Ok(())
        })
        .await
    }

    /// Saves a copy under the name "NAME copy", with scheduling off.
    pub async fn duplicate_scan(&self, actor: &Actor, id: ScanId) -> Result<Scan, UseCaseError> {
        actor.require(Right::Operate)?;
        let (now, who) = (Timestamp::now(), actor.clone());
        let made = self.store().update(move |draft| {
            let original = draft.get(&SCANS, &id)?.ok_or_else(|| UseCaseError::no_scan(id))?;
            let name = name_of_copy(draft, original.definition.name())?;
            let copy = ScanDraft { name, scheduled: false, ..ScanDraft::from(&original.definition) };
            create(draft, &who, copy.check()?, "scan duplicate", now)
        });
        made.await
    }

    /// Lets a deactivated scan run again; by itself for the first time after now. Refused when its name was taken.
    pub async fn activate_scan(&self, actor: &Actor, id: ScanId) -> Result<Scan, UseCaseError> {
        self.change_scan(actor, id, "scan activate", |scan, now| {
            if !scan.active {
                scan.set_active(true, now);
            }
            Ok(())
        })
        .await
    }

    /// Takes a scan out of use; its history stays. A run that is under way ends as it would: what nodes have found
    /// already is worth its report, and who wants it stopped cancels it.
    pub async fn deactivate_scan(&self, actor: &Actor, id: ScanId) -> Result<Scan, UseCaseError> {
        self.change_scan(actor, id, "scan deactivate", |scan, now| {
            scan.set_active(false, now);
            Ok(())
        })
        .await
    }

    /// Switches running by itself on or off; the definition stays.
    pub async fn schedule_scan(&self, actor: &Actor, id: ScanId, scheduled: bool) -> Result<Scan, UseCaseError> {
        let action = if scheduled { "scan schedule on" } else { "scan schedule off" };
        self.change_scan(actor, id, action, move |scan, now| {
            let draft = ScanDraft { scheduled, ..ScanDraft::from(&scan.definition) };
            scan.redefine(draft.check()?, now);
            Ok(())
        })
        .await
    }

    /// Changes a scan in one commit with its audit entry; what stays as it was leaves neither.
    async fn change_scan(
        &self,
        actor: &Actor,
        id: ScanId,
        action: &'static str,
        change: impl FnOnce(&mut Scan, Timestamp) -> Result<(), DraftError> + Send + 'static,
    ) -> Result<Scan, UseCaseError> {
        actor.require(Right::Operate)?;
        let (now, who) = (Timestamp::now(), actor.clone());
        let scan = self
            .store()
            .update(move |draft| {
                let before = draft.get(&SCANS, &id)?.ok_or_else(|| UseCaseError::no_scan(id))?;
                let mut scan = before.clone();
                change(&mut scan, now)?;
                if scan != before {
                    refuse_other_site(draft, &before, &scan)?;
                    refuse_taken_name(draft, &scan)?;
                    audit::note(draft, &who, action, &format!("{id} {}", scan.definition.name()), now)?;
                    draft.put(&SCANS, &id, &scan)?;
                }
                Ok::<_, UseCaseError>(scan)
            })
            .await?;
        self.schedule().follow(id).await;
        Ok(scan)
    }
}

pub(super) fn all(reads: &impl Reads) -> Result<Vec<Scan>, StoreError> {
    reads.iter(&SCANS).map(|row| row.map(|(_, scan)| scan)).collect()
}

fn create(
    draft: &mut Draft,
    who: &Actor,
    definition: ScanDefinition,
    action: &str,
    now: Timestamp,
) -> Result<Scan, UseCaseError> {
    let id = ScanId(draft.last(&SCANS)?.map_or(0, |(id, _)| id.0) + 1);
    let scan = Scan::new(id, definition, who.name.clone(), now);
    refuse_taken_name(draft, &scan)?;
    audit::note(draft, who, action, &format!("{id} {}", scan.definition.name()), now)?;
    draft.put(&SCANS, &id, &scan)?;
    Ok(scan)
}

fn reach(
    reads: &impl Reads,
    definition: ScanDefinition,
    edited: Option<ScanId>,
    now: Timestamp,
) -> Result<Reach, UseCaseError> {
    let nodes = nodes::all(reads)?;
    let approved = nodes.iter().filter_map(|node| node.approval()).filter(|node| node.site == *definition.site());
    let reachable = approved.fold(TargetSet::empty(), |all, node| all.union(&node.ranges));
    let wanted = definition.wanted();
    let (addresses, ports) = (wanted.count(), definition.ports().map(|ports| ports.count()));
    let scan = match edited {
        None => Scan::new(ScanId(0), definition, Text::default(), now),
        Some(id) => {
            let before = reads.get(&SCANS, &id)?.ok_or_else(|| UseCaseError::no_scan(id))?;
            let mut scan = before.clone();
            scan.redefine(definition, now);
            refuse_other_site(reads, &before, &scan)?;
            scan
        }
    };
    let name_taken = named_like(reads, &scan)?;
    Ok(Reach { addresses, ports, uncovered: wanted.minus(&reachable), coming: scan.coming(COMING), name_taken })
}

/// Another active scan with the name of this one, if this one is active: the command line finds scans by name.
fn named_like(reads: &impl Reads, scan: &Scan) -> Result<Option<ScanId>, StoreError> {
    let name = folded(scan.definition.name());
    let is_like = |other: &Scan| other.active && other.id != scan.id && folded(other.definition.name()) == name;
    Ok(if scan.active { all(reads)?.iter().find(|other| is_like(other)).map(|other| other.id) } else { None })
}

fn refuse_taken_name(reads: &impl Reads, scan: &Scan) -> Result<(), UseCaseError> {
    match named_like(reads, scan)? {
        Some(other) => Err(DraftError::one(ScanField::Name, FieldError::NameTaken(other)).into()),
        None => Ok(()),
    }
}

/// Addresses mean other hosts at another site: a scan that has a report, or is about to, stays at its site.
fn refuse_other_site(reads: &impl Reads, before: &Scan, after: &Scan) -> Result<(), UseCaseError> {
    let site = before.definition.site();
    let has_looked = || -> Result<bool, StoreError> {
        let report = reports::history(reads, before.id).next().transpose()?;
        Ok(report.is_some() || reads.contains(&OPEN_RUNS, &before.id)?)
    };
    if site != after.definition.site() && has_looked()? {
        return Err(DraftError::one(ScanField::Site, FieldError::OtherSite(site.clone())).into());
    }
    Ok(())
}

fn folded(name: &Text) -> String {
    name.as_str().to_lowercase()
}

/// "NAME copy" or, when that is taken, "NAME copy 2" and so on; cut to fit.
fn name_of_copy(reads: &impl Reads, name: &Text) -> Result<String, UseCaseError> {
    let taken: BTreeSet<String> =
        all(reads)?.iter().filter(|scan| scan.active).map(|scan| folded(scan.definition.name())).collect();
    let endings = std::iter::once(" copy".to_owned()).chain((2..=MOST_COPIES).map(|number| format!(" copy {number}")));
    let mut names = endings.map(|ending| {
        let room = MAX_NAME_CHARS.saturating_sub(ending.len());
        let start: String = name.as_str().chars().take(room).collect();
        format!("{}{ending}", start.trim_end())
    });
    let free = names.find(|name| !taken.contains(&name.to_lowercase()));
    free.ok_or_else(|| UseCaseError::Conflict(format!("{name} has {MOST_COPIES} copies already; rename some first")))
}
