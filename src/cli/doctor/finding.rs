//! What one look came to, and all of them for a person or a program.

use crate::cli::{Shared, print};
use crate::exit::Exit;
use serde::Serialize;
use std::fmt::Display;

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work, or not for long.
    Fault,
}

/// What was looked at, how it is, and what to do. With `--json` each is an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    result: Verdict,
    check: &'static str,
    found: String,
    /// What to do, where what was found does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

impl Finding {
    /// As it should be.
    pub(crate) fn ok(check: &'static str, found: impl Display) -> Self {
        Self { result: Verdict::Ok, check, found: found.to_string(), remedy: None }
    }

    /// It works, and somebody should look at it.
    pub(crate) fn warning(check: &'static str, found: impl Display) -> Self {
        Self { result: Verdict::Warning, ..Self::ok(check, found) }
    }

    /// It does not work, or not for long.
    pub(crate) fn fault(check: &'static str, found: impl Display) -> Self {
        Self { result: Verdict::Fault, ..Self::ok(check, found) }
    }

    /// The same, with what to do about it.
    pub(crate) fn remedy(self, remedy: impl Display) -> Self {
        Self { remedy: Some(remedy.to_string()), ..self }
    }

    /// Result, check, found and remedy as one line, for tests.
    #[cfg(test)]
    pub(crate) fn line(&self) -> String {
        row(self).join(" | ")
    }
}

/// Says what was found; a fault makes the exit code 1.
pub(crate) fn tell(findings: &[Finding], shared: &Shared) -> anyhow::Result<Exit> {
    let form = shared.form();
    form.show_all(findings, |findings| {
        print::table(&["result", "check", "found"], findings.iter().map(row).collect(), "")
    })?;
    if form == print::Form::Text {
        print::note(&summary(findings));
    }
    Ok(if count(findings, Verdict::Fault) > 0 { Exit::Failed } else { Exit::Done })
}

fn row(finding: &Finding) -> Vec<String> {
    let Finding { result, check, found, remedy } = finding;
    let remedy = remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
    vec![result.name().to_owned(), (*check).to_owned(), format!("{found}{remedy}")]
}

fn count(findings: &[Finding], result: Verdict) -> usize {
    findings.iter().filter(|finding| finding.result == result).count()
}

fn summary(findings: &[Finding]) -> String {
    match (count(findings, Verdict::Fault), count(findings, Verdict::Warning)) {
        (0, 0) => "nothing is wrong".to_owned(),
        (faults, warnings) => format!("{}, {}", print::counted(faults, "fault"), print::counted(warnings, "warning")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_ends_with_what_to_do_and_a_count() {
        let found = [
            Finding::ok("disk room", "4.0 GiB free"),
            Finding::warning("nmap", "is not installed").remedy("install nmap 7.80 or later"),
            Finding::fault("clock", "it is behind"),
        ];
        let lines: Vec<String> = found.iter().map(Finding::line).collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        ok | disk room | 4.0 GiB free
        warning | nmap | is not installed; install nmap 7.80 or later
        fault | clock | it is behind
        ");
        assert_eq!(
            (summary(&found).as_str(), summary(&found[..1]).as_str()),
            ("1 fault, 1 warning", "nothing is wrong")
        );
        let told = serde_json::to_value(&found).unwrap();
        assert_eq!((&told[1]["result"], &told[2]["remedy"]), (&"warning".into(), &serde_json::Value::Null));
    }
}
