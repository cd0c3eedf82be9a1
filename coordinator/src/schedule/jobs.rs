//! What the running scheduler holds, beside what the store says: pure.

use crate::scan::Scan;
use protocol::Timestamp;
use protocol::task::ScanId;
use protocol::text::Text;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A wake-up as the scheduler keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeldJob {
    pub(super) id: Uuid,
    /// `None` when it is not one of ours.
    pub(super) scan: Option<ScanId>,
    /// When it wakes, in whole seconds since 1970.
    pub(super) second: u64,
}

/// A wake-up of the running scheduler, or a scan that lacks one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Whose wake-up; `None` when the scheduler does not say.
    pub scan: Option<ScanId>,
    /// The scan's name; empty when there is no such scan.
    pub name: Text,
    /// The scheduler's number for it; `None` when it holds none.
    pub job: Option<String>,
    /// When the scheduler will wake, in whole seconds, never before the run is due.
    pub wakes: Option<Timestamp>,
    /// When the scan is due by the store.
    pub due: Option<Timestamp>,
    /// When the scheduler last woke for this scan since the coordinator started.
    pub woken: Option<Timestamp>,
    /// What does not agree with the store.
    pub fault: Option<JobFault>,
}

/// How scheduler and store differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobFault {
    /// The scan is due, but nothing will wake.
    Missing,
    /// It wakes at another time than the scan is due.
    OtherTime,
    /// It wakes for nothing: no scan is due.
    NotDue,
    /// There is another wake-up for this scan.
    Doubled,
}

impl JobFault {
    /// Says it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Missing => "the scan is due, but no wake-up is held for it",
            Self::OtherTime => "it wakes at another time than the scan is due",
            Self::NotDue => "it wakes, but no scan is due",
            Self::Doubled => "there is another wake-up for this scan",
        }
    }
}

impl JobView {
    /// Whose it is, for a log.
    pub(super) fn describe(&self) -> String {
        match (self.scan, &self.job) {
            (Some(scan), _) => format!("scan {scan}"),
            (None, Some(job)) => format!("job {job}"),
            (None, None) => "no job".to_owned(),
        }
    }
}

/// The second at which the scheduler is to wake for `due`: not before it, and not 0, which stands for never.
pub(super) fn second_of(due: Timestamp) -> u64 {
    due.as_millis().div_ceil(1_000).max(1)
}

/// Puts each held job beside its scan, in the order of scans; scans that are due and have none are there too.
pub(super) fn compare(held: Vec<HeldJob>, scans: &[Scan], woken: &BTreeMap<ScanId, Timestamp>) -> Vec<JobView> {
    let mut views: Vec<JobView> = Vec::new();
    let mut jobs: BTreeMap<Option<ScanId>, Vec<HeldJob>> = BTreeMap::new();
    for job in held {
        jobs.entry(job.scan).or_default().push(job);
    }
    for scan in scans {
        let of_scan = jobs.remove(&Some(scan.id)).unwrap_or_default();
        if of_scan.is_empty() && scan.next_due.is_none() {
            continue;
        }
        let view = |job: Option<&HeldJob>, is_first: bool| JobView {
            scan: Some(scan.id),
            name: scan.definition.name().clone(),
            due: scan.next_due,
            woken: woken.get(&scan.id).copied(),
            ..view_of(job, scan.next_due, is_first)
        };
        views.extend(of_scan.iter().enumerate().map(|(place, job)| view(Some(job), place == 0)));
        if of_scan.is_empty() {
            views.push(view(None, true));
        }
    }
    let strangers = jobs.into_values().flatten();
    views.extend(strangers.map(|job| JobView { scan: job.scan, ..view_of(Some(&job), None, true) }));
    views
}

fn view_of(job: Option<&HeldJob>, due: Option<Timestamp>, is_first: bool) -> JobView {
    let fault = match (job, due) {
        (None, None) => None,
        (None, Some(_)) => Some(JobFault::Missing),
        (Some(_), None) => Some(JobFault::NotDue),
        (Some(_), Some(_)) if !is_first => Some(JobFault::Doubled),
        (Some(job), Some(due)) => (job.second != second_of(due)).then_some(JobFault::OtherTime),
    };
    JobView {
        scan: None,
        name: Text::default(),
        job: job.map(|job| job.id.to_string()),
        wakes: job.map(|job| Timestamp::from_millis(job.second.saturating_mul(1_000))),
        due,
        woken: None,
        fault,
    }
}
