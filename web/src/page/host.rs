//! `/hosts/{id}`: one host, what is open on it since when, what each run saw, and its alerts.

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::filters::capital_text;
use crate::look::{Badge, Tone};
use crate::page::hosts::PortCell;
use crate::page::{Head, Page, Section, View};
use crate::session::Caller;
use askama::Template;
use axum::extract::{Path, State};
use coordinator::analysis::delta::PortId;
use coordinator::host::{BadHostKey, HostKey};
use coordinator::{AlertView, HostDetail, HostLook, Mark, PortHistory};
use protocol::Timestamp;
use protocol::observation::{MacAddress, OsGuess};
use protocol::task::{RunId, ScanId};

#[derive(Template)]
#[template(path = "host.html")]
pub(crate) struct HostPage {
    pub(crate) address: String,
    pub(crate) names: Vec<String>,
    pub(crate) scan: ScanId,
    pub(crate) network: String,
    pub(crate) state: Badge,
    /// The run that found it gone.
    pub(crate) gone: Option<(RunId, Timestamp)>,
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) first: (RunId, Timestamp),
    pub(crate) seen: Option<(RunId, Timestamp)>,
    /// Open now.
    pub(crate) open: Vec<PortRow>,
    /// Open in an earlier look.
    pub(crate) closed: Vec<PortRow>,
    /// How many ports more there are.
    pub(crate) left_out: usize,
    pub(crate) alerts: Vec<AlertRow>,
    /// Newest first.
    pub(crate) looks: Vec<LookRow>,
}

/// One port.
pub(crate) struct PortRow {
    pub(crate) cell: PortCell,
    pub(crate) since: Option<(RunId, Timestamp)>,
    /// One for each look, oldest first.
    pub(crate) marks: Vec<StripMark>,
    /// The same in words.
    pub(crate) words: String,
}

/// One look in the strip of a port.
pub(crate) struct StripMark {
    /// From the left, in units of the picture.
    pub(crate) x: usize,
    pub(crate) class: &'static str,
}

/// One alert of the host.
pub(crate) struct AlertRow {
    pub(crate) id: String,
    pub(crate) severity: Badge,
    pub(crate) what: String,
    pub(crate) port: String,
    pub(crate) state: Badge,
    pub(crate) opened: Timestamp,
}

/// One run that looked at the host.
pub(crate) struct LookRow {
    pub(crate) run: RunId,
    pub(crate) at: Timestamp,
    pub(crate) state: Badge,
    pub(crate) ports: u32,
    pub(crate) open: u32,
}

/// How wide one look is in a strip.
const STEP: usize = 10;

impl View for HostPage {
    fn head(&self) -> Head {
        Head::below(Section::Hosts, self.address.as_str())
    }
}

impl HostPage {
    /// Of the strips, in units of the picture.
    fn width(&self) -> usize {
        (self.looks.len() * STEP).max(STEP)
    }
}

/// `GET /hosts/{id}`
pub(crate) async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Page<HostPage>, WebError> {
    let key: HostKey = id.parse().map_err(|error: BadHostKey| WebError::NotFound(error.to_string()))?;
    Ok(Page(app.coordinator.host(&actor, key).await?.into()))
}

impl From<HostDetail> for HostPage {
    fn from(detail: HostDetail) -> Self {
        let HostDetail { key, network, host, gone, first, seen, looks, ports, left_out, alerts } = detail;
        let row = |history: PortHistory| PortRow::of(history, &looks);
        let (open, closed): (Vec<PortRow>, Vec<PortRow>) = {
            let (open, closed): (Vec<_>, Vec<_>) = ports.into_iter().partition(|port| port.now.is_some());
            (open.into_iter().map(row).collect(), closed.into_iter().map(row).collect())
        };
        let mut facts = Vec::new();
        facts.extend(host.observation.mac.as_ref().map(|mac| ("MAC address", mac_words(mac))));
        facts.extend(host.observation.os.as_ref().map(|os| ("System", os_words(os))));
        Self {
            address: key.address.to_string(),
            names: host.observation.names.iter().map(ToString::to_string).collect(),
            scan: key.scan,
            network: network.into(),
            state: if gone.is_some() { Badge::plain(Tone::Muted, "x", "gone") } else { up() },
            gone,
            facts,
            first,
            seen,
            open,
            closed,
            left_out,
            alerts: alerts.into_iter().map(AlertRow::from).collect(),
            looks: looks.iter().rev().map(LookRow::from).collect(),
        }
    }
}

fn up() -> Badge {
    Badge::plain(Tone::Ok, "circle", "up")
}

fn mac_words(MacAddress { address, vendor }: &MacAddress) -> String {
    if vendor.is_empty() { address.to_string() } else { format!("{address} ({vendor})") }
}

fn os_words(OsGuess { name, accuracy }: &OsGuess) -> String {
    format!("{name} ({accuracy}\u{202f}% sure)")
}

impl PortRow {
    fn of(PortHistory { port: PortId { protocol, port }, now, since, strip }: PortHistory, looks: &[HostLook]) -> Self {
        let cell = now.as_ref().map(PortCell::from);
        let cell = cell.unwrap_or_else(|| PortCell { number: format!("{port}/{protocol}"), ..PortCell::default() });
        let mark = |(place, mark): (usize, &Mark)| StripMark {
            x: place * STEP + 1,
            class: match mark {
                Mark::Open => "open",
                Mark::NotOpen => "shut",
                Mark::NotLookedAt => "blank",
            },
        };
        Self { cell, since, marks: strip.iter().enumerate().map(mark).collect(), words: strip_words(&strip, looks) }
    }
}

/// `open in run 2 and 5; not open in run 1; not looked at in run 3`
fn strip_words(strip: &[Mark], looks: &[HostLook]) -> String {
    let runs = |wanted: Mark| {
        let of = looks.iter().zip(strip).filter(|(_, mark)| **mark == wanted).map(|(look, _)| look.run.to_string());
        of.collect::<Vec<_>>().join(", ")
    };
    let all = [(Mark::Open, "open in"), (Mark::NotOpen, "not open in"), (Mark::NotLookedAt, "not looked at in")];
    let told = all.map(|(mark, words)| (words, runs(mark)));
    let told = told.iter().filter(|(_, runs)| !runs.is_empty()).map(|(words, runs)| format!("{words} run {runs}"));
    told.collect::<Vec<_>>().join("; ")
}

impl From<AlertView> for AlertRow {
    fn from(AlertView { alert, .. }: AlertView) -> Self {
        Self {
            id: alert.key.to_string(),
            severity: alert.severity.into(),
            what: capital_text(alert.key.rule.as_str()),
            port: format!("{}/{}", alert.key.port.port, alert.key.port.protocol),
            state: alert.state.into(),
            opened: alert.raised_at,
        }
    }
}

impl From<&HostLook> for LookRow {
    fn from(HostLook { run, at, saw, ports, open }: &HostLook) -> Self {
        let state = if *saw { up() } else { Badge::plain(Tone::Muted, "x", "silent") };
        Self { run: *run, at: *at, state, ports: *ports, open: *open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_is_told_in_words() {
        let look = |run| HostLook { run: RunId(run), at: Timestamp::from_millis(0), saw: true, ports: 3, open: 1 };
        let looks = [1, 2, 3, 5].map(look);
        let strip = [Mark::NotOpen, Mark::Open, Mark::NotLookedAt, Mark::Open];
        assert_eq!(strip_words(&strip, &looks), "open in run 2, 5; not open in run 1; not looked at in run 3");
        assert_eq!(strip_words(&[], &[]), "");
    }
}
