//! Alerts: seeing them.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::analysis::alert::{Alert, AlertState};
use crate::store::Reads;
use crate::store::tables::ALERTS;

/// The most alerts that one list gives.
const MAX_LISTED: usize = 500;

impl Coordinator {
    /// Alerts, worst first; those that are over only when asked for.
    pub async fn alerts(&self, actor: &Actor, with_resolved: bool) -> Result<Vec<Alert>, UseCaseError> {
        actor.require(Right::Read)?;
        let read = |view: &crate::store::View| view.iter(&ALERTS).map(|row| row.map(|(_, alert)| alert)).collect();
        let mut alerts: Vec<Alert> = self.store().read(read).await?;
        alerts.retain(|alert| with_resolved || alert.state != AlertState::Resolved);
        alerts.sort_by_key(|alert| (alert.severity, alert.key.clone()));
        alerts.truncate(MAX_LISTED);
        Ok(alerts)
    }
}
