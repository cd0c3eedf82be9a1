//! Log lines: to standard error, at the level that was asked for, in colour only on a terminal that wants it.

use super::print;
use crate::exit::Failure;
use tracing_subscriber::EnvFilter;

/// Starts logging with `wanted` (as in `info` or `warn,coordinator=debug`) or the level that suits the command.
pub(crate) fn start(wanted: Option<&str>, default: &str) -> anyhow::Result<()> {
    let text = wanted.unwrap_or(default);
    let filter = EnvFilter::try_new(text).map_err(|error| {
        Failure::usage(format!(
            "log level {text:?} is not understood ({error}); write for instance info or warn,node=debug"
        ))
    })?;
    let colour = print::is_watched() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour);
    logs.try_init().map_err(|error| anyhow::anyhow!("starting the log: {error}"))
}
