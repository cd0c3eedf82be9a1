//! Operation: what is configured and from where, and the log files. For administrators.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::config::Configuration;
use crate::logs::{LogFile, LogFolder, LogPage, LogPart, LogQuery};
use std::fs::File;
use std::io;
use std::sync::{Arc, PoisonError};

impl Coordinator {
    /// The settings in force, and where each came from.
    pub fn configuration(&self, actor: &Actor) -> Result<Arc<Configuration>, UseCaseError> {
        actor.require(Right::Administer)?;
        Ok(self.0.configuration.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Takes of `fresh` what can change while we run. Gives what is in force now, and the keys that wait for a restart.
    pub fn reconfigure(&self, fresh: Configuration) -> (Arc<Configuration>, Vec<String>) {
        let mut held = self.0.configuration.write().unwrap_or_else(PoisonError::into_inner);
        let (now, waiting) = held.reloaded(fresh);
        *held = Arc::new(now);
        (held.clone(), waiting)
    }

    /// Lines of a log.
    pub async fn logs(&self, actor: &Actor, query: LogQuery) -> Result<LogPage, UseCaseError> {
        self.in_logs(actor, move |folder| folder.read(&query)).await
    }

    /// The parts of a log, the oldest first; the current one is the last.
    pub async fn log_parts(&self, actor: &Actor, file: LogFile) -> Result<Vec<LogPart>, UseCaseError> {
        self.in_logs(actor, move |folder| folder.parts(file)).await
    }

    /// A part of a log, to be read as it is.
    pub async fn log_part(&self, actor: &Actor, name: &str) -> Result<File, UseCaseError> {
        let wanted = name.to_owned();
        let file = self.in_logs(actor, move |folder| folder.open(&wanted)).await?;
        file.ok_or_else(|| UseCaseError::NotFound(format!("log {name:?}"), "logs"))
    }

    async fn in_logs<T: Send + 'static>(
        &self,
        actor: &Actor,
        read: impl FnOnce(LogFolder) -> io::Result<T> + Send + 'static,
    ) -> Result<T, UseCaseError> {
        actor.require(Right::Administer)?;
        let folder = self.log_folder().clone();
        let shown = folder.path().display().to_string();
        let outcome = tokio::task::spawn_blocking(move || read(folder)).await;
        let outcome = outcome.unwrap_or_else(|ended| Err(io::Error::other(ended)));
        outcome.map_err(|error| UseCaseError::Conflict(format!("the logs in {shown} cannot be read: {error}")))
    }
}
