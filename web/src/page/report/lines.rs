//! The lines of a report, sorted into tables, each side of a change in words.

use super::Wanted;
use crate::look::Badge;
use coordinator::analysis::alert::{Rule, Severity, rule_for};
use coordinator::analysis::delta::{Change, ChangeKind, Confirmation, Side};
use coordinator::report::{Acceptance, Report};
use protocol::Timestamp;
use protocol::observation::Service;
use protocol::text::Text;

/// The most lines that one page shows.
pub(super) const PAGE: usize = 200;

/// The kind of the first table: new ports whose rule is critical or high and that nobody accepted.
pub(super) const CRITICAL: &str = "critical";

/// How one kind of change is told.
struct Told {
    kind: ChangeKind,
    /// In addresses.
    name: &'static str,
    title: &'static str,
    /// One such line.
    word: &'static str,
    mark: &'static str,
}

/// In the order in which they are shown.
const KINDS: [Told; 8] = [
    told(ChangeKind::NewHost, "new-host", "New hosts", "new host", "+"),
    told(ChangeKind::RemovedHost, "removed-host", "Removed hosts", "removed host", "−"),
    told(ChangeKind::NewPort, "new-port", "New ports", "new port", "+"),
    told(ChangeKind::ClosedPort, "closed-port", "Closed ports", "closed port", "−"),
    told(ChangeKind::ServiceChange, "service-change", "Service changes", "other service", "~"),
    told(ChangeKind::OsChange, "os-change", "Operating system changes", "other system", "~"),
    told(ChangeKind::NameChange, "name-change", "Name changes", "other name", "~"),
    told(ChangeKind::MacChange, "mac-change", "Link address changes", "other link address", "~"),
];

const fn told(
    kind: ChangeKind,
    name: &'static str,
    title: &'static str,
    word: &'static str,
    mark: &'static str,
) -> Told {
    Told { kind, name, title, word, mark }
}

/// The kind of this name in addresses.
pub(super) fn kind_named(name: &str) -> Option<ChangeKind> {
    KINDS.iter().find(|told| told.name == name).map(|told| told.kind)
}

/// What people call a kind.
pub(super) fn title_of(name: &str) -> Option<&'static str> {
    let told = KINDS.iter().map(|told| (told.name, told.title)).chain([(CRITICAL, "Critical and high")]);
    told.into_iter().find(|(known, _)| *known == name).map(|(_, title)| title)
}

/// Lines to choose from.
pub(crate) struct Listing<'a> {
    changes: &'a [Change],
    rules: &'a [Rule],
    /// For what was accepted.
    report: Option<&'a Report>,
}

/// The lines that are shown, by kind, and how many there are.
#[derive(Default)]
pub(crate) struct Listed {
    pub(crate) groups: Vec<Group>,
    /// Matching, on all pages.
    pub(crate) matching: usize,
    /// Whatever is asked for.
    pub(crate) total: usize,
    /// How many there are of each kind: name, title and number.
    pub(crate) tallies: Vec<(&'static str, String)>,
    /// How many lines come before the next page.
    pub(crate) next: Option<usize>,
}

/// Changes of one kind.
pub(crate) struct Group {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) rows: Vec<ChangeRow>,
}

/// One change.
pub(crate) struct ChangeRow {
    /// Its place in the report.
    pub(crate) line: usize,
    pub(crate) mark: &'static str,
    pub(crate) word: &'static str,
    pub(crate) host: String,
    pub(crate) port: String,
    pub(crate) before: String,
    pub(crate) after: String,
    /// A second look saw the same.
    pub(crate) is_confirmed: bool,
    pub(crate) rating: Option<Badge>,
    pub(crate) accepted: Option<Accepted>,
}

/// Who accepted a change as expected.
pub(crate) struct Accepted {
    pub(crate) by: String,
    pub(crate) at: Timestamp,
    pub(crate) comment: String,
}

impl<'a> Listing<'a> {
    /// The lines of a report.
    pub(crate) fn of_report(report: &'a Report) -> Self {
        Self { changes: &report.changes, rules: &report.rules, report: Some(report) }
    }

    /// Lines that nobody can accept.
    pub(crate) fn of_changes(changes: &'a [Change], rules: &'a [Rule]) -> Self {
        Self { changes, rules, report: None }
    }

    fn acceptance(&self, line: usize) -> Option<&'a Acceptance> {
        self.report.and_then(|report| report.acceptance_of(line))
    }

    fn is_grave(&self, line: usize, change: &Change) -> bool {
        matches!(severity(change, self.rules), Some(Severity::Critical | Severity::High))
            && self.acceptance(line).is_none()
    }

    /// Tables of those that are wanted, but for the first `skip` of them: grave ones first, then by kind.
    pub(crate) fn list(&self, wanted: &Wanted, skip: usize) -> Listed {
        let place = |change: &Change, is_grave: bool| match is_grave {
            true => 0,
            false => 1 + KINDS.iter().take_while(|told| told.kind != change.kind).count(),
        };
        let mut lines = Vec::new();
        let mut counts = [0usize; KINDS.len() + 1];
        for (line, change) in self.changes.iter().enumerate() {
            let is_grave = self.is_grave(line, change);
            let of_kind = counts.get_mut(place(change, false)).into_iter();
            of_kind.for_each(|count| *count += 1);
            counts.iter_mut().take(usize::from(is_grave)).for_each(|count| *count += 1);
            if wanted.takes(change, is_grave) {
                lines.push((place(change, is_grave), line, change));
            }
        }
        lines.sort_by_key(|(place, line, _)| (*place, *line));
        let mut groups: Vec<Group> = Vec::new();
        for (place, line, change) in lines.iter().skip(skip).take(PAGE) {
            let (id, title) = match place.checked_sub(1).and_then(|place| KINDS.get(place)) {
                Some(told) => (told.name, told.title),
                None => (CRITICAL, "Critical and high"),
            };
            let row = self.row(*line, change);
            match groups.last_mut().filter(|group| group.id == id) {
                Some(group) => group.rows.push(row),
                None => groups.push(Group { id, title, rows: vec![row] }),
            }
        }
        let names =
            [(CRITICAL, "Critical and high")].into_iter().chain(KINDS.iter().map(|told| (told.name, told.title)));
        let tallies = names.zip(counts).filter(|(_, count)| *count > 0);
        Listed {
            groups,
            matching: lines.len(),
            total: self.changes.len(),
            tallies: tallies.map(|((name, title), count)| (name, format!("{title} ({count})"))).collect(),
            next: Some(skip.saturating_add(PAGE)).filter(|next| *next < lines.len()),
        }
    }

    fn row(&self, line: usize, change: &Change) -> ChangeRow {
        let told = KINDS.iter().find(|told| told.kind == change.kind);
        let [before, after] = words(change);
        ChangeRow {
            line,
            mark: told.map_or("", |told| told.mark),
            word: told.map_or("", |told| told.word),
            host: change.address.to_string(),
            port: change.port.map(|port| format!("{}/{}", port.port, port.protocol)).unwrap_or_default(),
            before,
            after,
            is_confirmed: change.confirmation == Confirmation::Confirmed,
            rating: severity(change, self.rules).map(Badge::from),
            accepted: self.acceptance(line).map(|accepted| Accepted {
                by: accepted.by.to_string(),
                at: accepted.at,
                comment: accepted.comment.to_string(),
            }),
        }
    }
}

impl Listed {
    /// Kinds to choose from, with how many lines there are of each.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (&str, &str)> {
        [("", "All")].into_iter().chain(self.tallies.iter().map(|(name, words)| (*name, words.as_str())))
    }

    /// Every line that is shown.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &ChangeRow> {
        self.groups.iter().flat_map(|group| &group.rows)
    }

    /// How many of them nobody accepted.
    pub(crate) fn unaccepted(&self) -> usize {
        self.rows().filter(|row| row.accepted.is_none()).count()
    }
}

/// Both sides of a change in words.
pub(super) fn words(change: &Change) -> [String; 2] {
    [&change.before, &change.after].map(|one| side(one.as_ref(), change.kind))
}

/// Of the rule that a new port matches.
pub(crate) fn severity(change: &Change, rules: &[Rule]) -> Option<Severity> {
    let port = change.port.filter(|_| change.kind == ChangeKind::NewPort)?;
    rule_for(rules, port).map(|rule| rule.severity)
}

/// One side in words; an absent one means that nothing was there.
fn side(side: Option<&Side>, kind: ChangeKind) -> String {
    match side {
        None if matches!(kind, ChangeKind::NewPort | ChangeKind::ClosedPort) => "not open".to_owned(),
        None => "not there".to_owned(),
        Some(Side::Host { reason: _, names, mac }) => {
            let mac = mac.as_ref().map(|mac| format!("{} {}", mac.address, mac.vendor));
            let told: Vec<String> = names.iter().map(Text::to_string).chain(mac).collect();
            if told.is_empty() { "up".to_owned() } else { format!("up: {}", told.join(", ").trim_end()) }
        }
        Some(Side::Port { state, service }) => match service.as_ref().map(service_words) {
            Some(words) if !words.is_empty() => format!("{state}: {words}"),
            _ => state.to_string(),
        },
        Some(Side::Os(os)) => format!("{} ({}\u{202f}%)", os.name, os.accuracy),
        Some(Side::Names(names)) if names.is_empty() => "no name".to_owned(),
        Some(Side::Names(names)) => names.iter().map(Text::as_str).collect::<Vec<_>>().join(", "),
        Some(Side::Mac(mac)) => mac.address.to_string(),
    }
}

/// `http, nginx 1.18.0 (Ubuntu)`
pub(crate) fn service_words(service: &Service) -> String {
    let Service { name, product, version, extra, tls, method: _, by: _ } = service;
    let product =
        [product, version].into_iter().filter(|text| !text.is_empty()).map(Text::as_str).collect::<Vec<_>>().join(" ");
    let name = if *tls { format!("{name} over TLS") } else { name.to_string() };
    let extra = if extra.is_empty() { String::new() } else { format!(" ({extra})") };
    let told = [name, product].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ");
    format!("{told}{extra}").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::observation::PortState;

    #[test]
    fn each_side_is_told_in_words() {
        let service = Service {
            name: "http".into(),
            product: "nginx".into(),
            version: "1.18.0".into(),
            extra: "Ubuntu".into(),
            tls: true,
            ..Service::default()
        };
        let port = |service| Side::Port { state: PortState::Open, service };
        let told = [
            side(None, ChangeKind::NewHost),
            side(None, ChangeKind::NewPort),
            side(Some(&port(Some(service))), ChangeKind::NewPort),
            side(Some(&port(None)), ChangeKind::NewPort),
            side(
                Some(&Side::Host { reason: "syn-ack".into(), names: vec!["a.example".into()], mac: None }),
                ChangeKind::NewHost,
            ),
            side(Some(&Side::Names(vec![])), ChangeKind::NameChange),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        not there
        not open
        open: http over TLS, nginx 1.18.0 (Ubuntu)
        open
        up: a.example
        no name
        ");
    }
}
