//! `scans edit --keep-…`: how long the runs of a scan are kept.

use super::define::OrNone;
use crate::client::Client;
use clap::Args;
use protocol::task::ScanId;
use web::api::retention::{Retention, RetentionOfScan, RetentionOverview};

#[derive(Args)]
pub(super) struct KeepArgs {
    /// Keep at most so many runs, the latest; none for any number
    #[arg(long, value_name = "RUNS")]
    keep_runs: Option<OrNone<u32>>,
    /// Keep no run that ended longer ago; none for ever
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<OrNone<u32>>,
    /// Keep runs as long as the default says
    #[arg(long, conflicts_with_all = ["keep_runs", "keep_days"])]
    keep_default: bool,
}

impl KeepArgs {
    /// Tells the coordinator what was said; `None` when nothing was. The limit that was not named stays.
    pub(super) async fn apply(&self, client: &Client, scan: ScanId) -> anyhow::Result<Option<RetentionOfScan>> {
        let Self { keep_runs, keep_days, keep_default } = self;
        let path = format!("/scans/{scan}/retention");
        if *keep_default {
            return client.delete(&path).await.map(Some);
        }
        if keep_runs.is_none() && keep_days.is_none() {
            return Ok(None);
        }
        let known: RetentionOverview = client.get("/retention").await?;
        let own = known.scans.iter().find(|of| of.scan == scan).and_then(|of| of.own);
        let Retention { runs, days } = own.unwrap_or(known.default);
        let runs = keep_runs.as_ref().map_or(runs, |said| said.0);
        let days = keep_days.as_ref().map_or(days, |said| said.0);
        client.put(&path, &Retention { runs, days }).await.map(Some)
    }
}

/// What is kept, in words.
pub(super) fn words(of: &RetentionOfScan) -> String {
    let kept = of.own.map_or_else(|| "as long as the default says".to_owned(), limits);
    format!("runs are kept: {kept}")
}

fn limits(own: Retention) -> String {
    coordinator::retention::Retention::from(own).words()
}
