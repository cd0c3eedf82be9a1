//! What SIGHUP does: the configuration is read again, and what can change while the coordinator runs does.

use super::super::config::ConfigSource;
use super::super::logging::ServiceLogs;
use super::serving::{certificate_files, doors};
use anyhow::Context;
use coordinator::Coordinator;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use web::tls::Certificates;

/// Everything that a reload touches.
pub(crate) struct Reload<'a> {
    pub(crate) source: &'a ConfigSource,
    pub(crate) logs: &'a ServiceLogs,
    pub(crate) dir: PathBuf,
    pub(crate) coordinator: Coordinator,
    pub(crate) app: web::App,
    pub(crate) certificates: Option<Certificates>,
}

impl Reload<'_> {
    /// Reloads at each SIGHUP until `stop` fires. A configuration with faults changes nothing.
    pub(crate) async fn on_hangup(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut hangup = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
        while stop.run_until_cancelled(hangup.recv()).await.flatten().is_some() {
            match self.reload() {
                Ok(()) => tracing::info!("the configuration was reloaded"),
                Err(faults) => {
                    for fault in format!("{faults:#}").lines() {
                        tracing::error!("the configuration was not reloaded: {fault}");
                    }
                }
            }
        }
        Ok(())
    }

    fn reload(&self) -> anyhow::Result<()> {
        let (now, waiting) = self.coordinator.reconfigure(self.source.read()?);
        let listen = self.coordinator.settings().http;
        self.logs.set_levels(&now.config().logs.level)?;
        self.app.set_doors(doors(now.config(), listen));
        if let Some(certificates) = &self.certificates {
            certificates.take(certificate_files(now.config(), &self.dir, listen)?)?;
        }
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "these settings wait for a restart");
        }
        Ok(())
    }
}
