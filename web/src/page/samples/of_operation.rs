//! Filled and empty views of what administrators see of the configuration and the logs.

use super::*;
use crate::faults::Faults;
use coordinator::logs::{LogFile, LogLevel, LogPart};

pub(super) fn filled(word: &str) -> Vec<(&'static str, Arc<dyn View>)> {
    vec![("general", Arc::new(settings(word))), ("logs", Arc::new(log(word))), ("log_lines", Arc::new(lines(word)))]
}

pub(super) fn empty() -> Vec<(&'static str, Arc<dyn View>)> {
    let general = general::General { file: None, sections: vec![], certificate: None };
    let logs = logs::Logs {
        file: LogFile::App,
        filter: logs::Filter::default(),
        lines: logs::Lines::default(),
        older: None,
        is_end: true,
        is_gap: false,
        parts: vec![],
        faults: Faults::default(),
    };
    vec![("general", Arc::new(general)), ("logs", Arc::new(logs))]
}

fn settings(word: &str) -> general::General {
    let row = |key: &str, value: &str, origin: &str, follows_reload| general::Row {
        key: key.into(),
        value: value.into(),
        origin: origin.into(),
        follows_reload,
    };
    let web = vec![row("listen", "\"192.0.2.1:5000\"", "setup", false), row("hosts", word, word, true)];
    let section = |name: &str, rows| general::Section { name: name.into(), rows };
    general::General {
        file: Some(word.into()),
        sections: vec![section("web", web), section("logs", vec![row("keep_days", "30", "default", false)])],
        certificate: Some(["AB"; 32].join(":")),
    }
}

fn lines(word: &str) -> logs::Lines {
    let row = |level, text: &str| logs::Row { time: Some(NOW), level, text: text.into() };
    let rows = vec![
        row(Some(LogLevel::Info), "coordinator::hub: a node came online"),
        row(Some(LogLevel::Warn), word),
        row(Some(LogLevel::Error), "a part panicked"),
        row(None, "no level"),
    ];
    logs::Lines { rows, next: Some("/settings/logs/newer?after=x".into()) }
}

fn log(word: &str) -> logs::Logs {
    let mut faults = Faults::default();
    faults.add("since", word);
    let part = |name: &str| LogPart { name: name.into(), bytes: 1_234_567, written: Some(NOW) };
    logs::Logs {
        file: LogFile::Error,
        filter: logs::Filter { text: word.into(), since: word.into(), follow: "1".into(), ..Default::default() },
        lines: lines(word),
        older: Some("/settings/logs?before=x".into()),
        is_end: false,
        is_gap: true,
        parts: vec![part("error-2023-11-13-0001.log"), part("error.log")],
        faults,
    }
}
