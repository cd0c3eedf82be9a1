//! Log lines: to standard error at the level that was asked for, and those of the coordinator to files as well.

use super::paint;
use crate::exit::Failure;
use coordinator::config::{Levels, Logs};
use coordinator::logs::{LogFile, LogFolder, LogLimits, RotatingLog};
use std::fmt;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{Metadata, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::{DefaultFields, FormatFields, Writer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt as lines, reload};

/// Lines that wait for each file; further ones are dropped and counted, since a slow disk must not hold up the service.
const MOST_WAITING: usize = 8_192;

/// How often is told that lines were dropped.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The target of the line that tells why the service ended. It is for the files: standard error gets it anyway.
pub(crate) const ENDED: &str = "portdrift::ended";

/// What scheduler.log is about, by where lines come from.
const SCHEDULING: [&str; 6] = [
    "coordinator::schedule",
    "coordinator::dispatch",
    "coordinator::closing",
    "coordinator::hub::dispatching",
    "coordinator::hub::closings",
    "tokio_cron_scheduler",
];

/// Starts logging with `wanted` (as in `info` or `warn,coordinator=debug`) or the level that suits the command.
pub(crate) fn start(wanted: Option<&str>, default: &str) -> anyhow::Result<()> {
    let filter = filter(wanted.unwrap_or(default))?;
    let logs = lines::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_coloured());
    logs.try_init().map_err(|error| anyhow::anyhow!("starting the log: {error}"))
}

fn filter(levels: &str) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(levels).map_err(|error| {
        Failure::usage(format!(
            "log level {levels:?} is not understood ({error}); write for instance info or warn,node=debug"
        ))
    })
}

fn is_coloured() -> bool {
    paint::is_on(paint::Stream::Err)
}

type FileLayer<S> = lines::Layer<S, PlainFields, lines::format::Format, NonBlocking>;

/// The logs of a running coordinator; what waits is written when this is dropped.
pub(crate) struct ServiceLogs {
    levels: reload::Handle<EnvFilter, Registry>,
    /// The command line said what to log, and wins.
    is_fixed: bool,
    dropped: Vec<(LogFile, ErrorCounter)>,
    _writers: Vec<WorkerGuard>,
}

/// Starts logging to standard error and to the files in `folder`.
pub(crate) fn start_service(wanted: Option<&str>, config: &Logs, folder: &LogFolder) -> anyhow::Result<ServiceLogs> {
    let (levels, handle) = reload::Layer::new(filter(wanted.unwrap_or(&config.level.to_string()))?);
    let [app, error, scheduler] = LogFile::ALL.map(|file| writer(file, config, folder));
    let dropped = [&app, &error, &scheduler].map(|(file, out, _)| (*file, out.error_counter())).to_vec();
    let stderr = lines::layer().with_writer(std::io::stderr).with_ansi(is_coloured());
    let stderr = stderr.with_filter(filter_fn(|facts| facts.target() != ENDED));
    let logs = tracing_subscriber::registry()
        .with(levels)
        .with(stderr)
        .with(to_file(app.1))
        .with(to_file(error.1).with_filter(LevelFilter::WARN))
        .with(to_file(scheduler.1).with_filter(filter_fn(is_scheduling)));
    logs.try_init().map_err(|error| anyhow::anyhow!("starting the log: {error}"))?;
    log_panics();
    Ok(ServiceLogs { levels: handle, is_fixed: wanted.is_some(), dropped, _writers: vec![app.2, error.2, scheduler.2] })
}

fn writer(file: LogFile, config: &Logs, folder: &LogFolder) -> (LogFile, NonBlocking, WorkerGuard) {
    let limits = LogLimits {
        max_bytes: u64::from(config.max_mib.get()) << 20,
        keep_files: usize::try_from(config.keep_files).unwrap_or(usize::MAX),
        keep_days: config.keep_days.get(),
    };
    let log = RotatingLog::new(folder.path(), file, limits);
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(MOST_WAITING);
    let (out, guard) = builder.thread_name(file.name()).finish(log);
    (file, out, guard)
}

fn is_scheduling(facts: &Metadata<'_>) -> bool {
    let is_below = |place: &str| {
        let rest = facts.target().strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    SCHEDULING.iter().any(|place| is_below(place))
}

/// Lines of a file: no colours, and fields of spans that were written without them.
fn to_file<S: Subscriber + for<'span> LookupSpan<'span>>(out: NonBlocking) -> FileLayer<S> {
    lines::layer().fmt_fields(PlainFields::default()).with_writer(out).with_ansi(false)
}

/// A panic stands in the files too, not on standard error alone.
fn log_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(%panic, "a part panicked");
        usual(panic);
    }));
}

impl ServiceLogs {
    /// Logs at these levels from now on, unless the command line said otherwise.
    pub(crate) fn set_levels(&self, levels: &Levels) -> anyhow::Result<()> {
        if self.is_fixed {
            return Ok(());
        }
        Ok(self.levels.reload(filter(&levels.to_string())?)?)
    }

    /// Tells from time to time how many lines did not reach their file, until `stop` fires.
    pub(crate) async fn tell_drops(&self, stop: &CancellationToken) {
        let mut ticks = interval(TELL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = vec![0; self.dropped.len()];
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            for ((file, dropped), told) in self.dropped.iter().zip(&mut told) {
                let (now, before) = (dropped.dropped_lines(), *told);
                if now > before {
                    tracing::warn!(
                        log = file.name(),
                        lines = now - before,
                        "lines were dropped: the disk was too slow"
                    );
                }
                *told = now;
            }
        }
    }
}

/// Fields of spans without colours. A type of its own, since layers share what one type has written.
#[derive(Default)]
struct PlainFields(DefaultFields);

impl<'writer> FormatFields<'writer> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        self.0.format_fields(writer, fields)
    }
}
