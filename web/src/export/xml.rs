//! The run behind a report as nmap would write it: its hosts, their open ports, and exactly what was looked at.
//!
//! The document says what the run found, not what changed: a closed port or a removed host is one that it looked for and
//! does not list. Elements and attributes are nmap's; the exact coverage stands in results of scripts named `portdrift-…`,
//! as [`protocol::nmap_xml`] describes it. A run that did not look everywhere says so in `finished`.

use coordinator::RunAsScanned;
use coordinator::run::{Run, RunState};
use protocol::nmap_xml::{self, RunFacts};
use protocol::observation::{Coverage, EffectiveOptions};
use protocol::text::Text;
use std::collections::BTreeSet;
use std::io;

/// Writes the document of one run.
pub(super) fn write(scanned: RunAsScanned, out: impl io::Write) -> io::Result<()> {
    let RunAsScanned { run, coverage, hosts } = scanned;
    nmap_xml::write(out, &facts(&run, &coverage), &coverage, hosts.into_iter().map(Ok::<_, io::Error>))
}

fn facts(run: &Run, coverage: &[Coverage]) -> RunFacts {
    let shortfall = run.outcome.as_ref().map(|outcome| outcome.reason.clone());
    RunFacts {
        args: Text::new(&command_line(coverage)),
        version: env!("CARGO_PKG_VERSION").into(),
        start: run.started.unwrap_or(run.created),
        end: run.ended.unwrap_or(run.created),
        shortfall: shortfall.filter(|_| run.state != RunState::Completed),
    }
}

/// What the engines were really told, each once.
fn command_line(coverage: &[Coverage]) -> String {
    let told: BTreeSet<String> = coverage.iter().flat_map(|task| &task.options).map(options).collect();
    told.into_iter().collect::<Vec<_>>().join("; ")
}

fn options(EffectiveOptions { engine, version, options, raw: _ }: &EffectiveOptions) -> String {
    format!("portdrift, {engine} {version}: {options}")
}
