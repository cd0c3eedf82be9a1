//! Reports made by hand and by chance.

use coordinator::ReportInContext;
use coordinator::analysis::alert::default_rules;
use coordinator::analysis::delta::{Change, ChangeKind, Confirmation, Note, NoteKind, PortId, Side, Status};
use coordinator::analysis::score::{Counted, Score, ScorePart};
use coordinator::report::{Acceptance, Report};
use coordinator::run::{Run, RunState, Trigger, Uncovered, UncoveredReason};
use coordinator::scan::ScanDraft;
use proptest::prelude::*;
use proptest::sample::select;
use protocol::observation::{MacAddress, OsGuess, PortState, Service, ServiceMethod};
use protocol::task::{RunId, ScanId};
use protocol::text::Text;
use protocol::{Protocol, Timestamp};
use std::net::IpAddr;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_123);

/// What scanned hosts write to be run, reordered or hidden by those who read it.
pub(super) const HOSTILE: [&str; 9] = [
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+1-1",
    " \u{3000}=1+1",
    "＝1+1",
    "\t=1\r\n-2",
    "\u{202e}gpj.exe\u{200b}\u{1b}[31m",
    "a\"b,\"c\";'d",
    "</script><script>alert(1)</script>",
];

pub(super) fn service(name: &str, product: &str, version: &str) -> Service {
    Service {
        name: name.into(),
        product: product.into(),
        version: version.into(),
        extra: Text::default(),
        tls: false,
        method: ServiceMethod::Probed,
        by: "nmap".into(),
    }
}

pub(super) fn open(service: Option<Service>) -> Option<Side> {
    Some(Side::Port { state: PortState::Open, service })
}

pub(super) fn change(kind: ChangeKind, port: Option<u16>, before: Option<Side>, after: Option<Side>) -> Change {
    let port = port.map(|port| PortId { protocol: Protocol::Tcp, port });
    let address = IpAddr::from([192, 0, 2, 7]);
    Change { kind, address, port, before, after, confirmation: Confirmation::NotNeeded }
}

pub(super) fn run(id: u64) -> Run {
    let draft = ScanDraft { name: "Office".into(), targets: "192.0.2.0/24".into(), ..ScanDraft::default() };
    Run {
        id: RunId(id),
        scan: ScanId(1),
        definition: draft.check().unwrap(),
        part: None,
        state: RunState::Partial,
        trigger: Trigger::Schedule,
        created: NOW.minus(Duration::from_secs(70)),
        started: Some(NOW.minus(Duration::from_secs(60))),
        ended: Some(NOW),
        tasks: 1,
        uncovered: Vec::new(),
        outcome: None,
    }
}

/// A report of run 7 against run 6 with these lines.
pub(super) fn report(changes: Vec<Change>, notes: Vec<Note>) -> ReportInContext {
    let part = ScorePart { what: Counted::NewPorts, count: 1, points: 5 };
    let report = Report {
        run: RunId(7),
        scan: ScanId(1),
        baseline: Some(RunId(6)),
        made: NOW,
        changes,
        notes,
        status: Status::Critical,
        score: Score { value: 95, change: 5, exposure: 0, parts: vec![part] },
        coverage_hundredths: 9_405,
        uncovered: vec![Uncovered { targets: "192.0.2.200/30".parse().unwrap(), reason: UncoveredReason::NoRange }],
        hosts_up: 17,
        open_ports: 62,
        newly_covered_cells: 3,
        no_longer_covered_cells: 4,
        left_out: 0,
        accepted: Vec::new(),
        rules: default_rules(),
        known_hosts: 17,
    };
    ReportInContext { report, network: "Office".into(), run: run(7), baseline: Some(run(6)) }
}

/// A report with a line of every kind, each side told in full.
pub(super) fn with_every_kind() -> ReportInContext {
    let web = Service { extra: "Ubuntu".into(), tls: true, ..service("http", "nginx", "1.20.1") };
    let mac = MacAddress { address: "00:11:22:AA:BB:CC".into(), vendor: "Example Inc.".into() };
    let host = Side::Host { reason: "syn-ack".into(), names: vec!["a.example".into()], mac: Some(mac.clone()) };
    let os = |name: &str| Some(Side::Os(OsGuess { name: name.into(), accuracy: 98 }));
    let names = |names: &[&str]| Some(Side::Names(names.iter().map(|name| Text::new(name)).collect()));
    let other = MacAddress { address: "00:11:22:AA:BB:DD".into(), vendor: Text::default() };
    let closed = Some(Side::Port { state: PortState::Closed, service: None });
    let closing = change(ChangeKind::ClosedPort, Some(22), open(Some(service("ssh", "OpenSSH", "8.9"))), closed);
    let changes = vec![
        change(ChangeKind::NewHost, None, None, Some(host.clone())),
        change(ChangeKind::RemovedHost, None, Some(host), None),
        change(ChangeKind::OsChange, None, os("Linux 5.15"), os("Linux 6.1")),
        change(ChangeKind::NameChange, None, names(&["a.example"]), names(&["b.example", "c.example"])),
        change(ChangeKind::MacChange, None, Some(Side::Mac(mac)), Some(Side::Mac(other))),
        Change { confirmation: Confirmation::Confirmed, ..closing },
        change(ChangeKind::ServiceChange, Some(443), open(Some(service("http", "nginx", "1.18.0"))), open(Some(web))),
        change(ChangeKind::NewPort, Some(3389), None, open(None)),
    ];
    let unsure = change(ChangeKind::ClosedPort, Some(8080), open(None), None);
    let mut made = report(changes, vec![Note { kind: NoteKind::Unconfirmed, change: unsure }]);
    made.report.accepted = vec![Acceptance { by: "ada".into(), at: NOW, comment: "=planned".into(), lines: vec![6] }];
    made.report.left_out = 2;
    made
}

fn text() -> impl Strategy<Value = Text> {
    let hostile = select(&HOSTILE[..]).prop_map(Text::new);
    prop_oneof![2 => hostile, 1 => any::<String>().prop_map(Text::from), 1 => Just(Text::default())]
}

fn side(kind: ChangeKind) -> BoxedStrategy<Side> {
    let mac = || (text(), text()).prop_map(|(address, vendor)| MacAddress { address, vendor });
    let names = || proptest::collection::vec(text(), 0..3);
    match kind {
        ChangeKind::NewHost | ChangeKind::RemovedHost => (text(), names(), proptest::option::of(mac()))
            .prop_map(|(reason, names, mac)| Side::Host { reason, names, mac })
            .boxed(),
        ChangeKind::NewPort | ChangeKind::ClosedPort | ChangeKind::ServiceChange => {
            let service = (text(), text(), text(), text(), any::<bool>()).prop_map(|parts| {
                let (name, product, version, extra, tls) = parts;
                Service { name, product, version, extra, tls, method: ServiceMethod::Probed, ..Service::default() }
            });
            let state = select(PortState::ALL.map(|(state, _)| state).to_vec());
            (state, proptest::option::of(service)).prop_map(|(state, service)| Side::Port { state, service }).boxed()
        }
        ChangeKind::OsChange => {
            (text(), 0..=100u8).prop_map(|(name, accuracy)| Side::Os(OsGuess { name, accuracy })).boxed()
        }
        ChangeKind::NameChange => names().prop_map(Side::Names).boxed(),
        ChangeKind::MacChange => mac().prop_map(Side::Mac).boxed(),
    }
}

pub(super) const KINDS: [ChangeKind; 8] = [
    ChangeKind::NewHost,
    ChangeKind::RemovedHost,
    ChangeKind::NewPort,
    ChangeKind::ClosedPort,
    ChangeKind::ServiceChange,
    ChangeKind::OsChange,
    ChangeKind::NameChange,
    ChangeKind::MacChange,
];

fn any_change() -> impl Strategy<Value = Change> {
    let line = |kind: ChangeKind| {
        let side = || proptest::option::of(side(kind));
        let has_port = matches!(kind, ChangeKind::NewPort | ChangeKind::ClosedPort | ChangeKind::ServiceChange);
        let port = (select(vec![Protocol::Tcp, Protocol::Udp]), select(vec![22u16, 53, 3389, 8080]));
        let confirmation = select(vec![Confirmation::NotNeeded, Confirmation::Confirmed]);
        (any::<IpAddr>(), port, side(), side(), confirmation).prop_map(move |parts| {
            let (address, (protocol, port), before, after, confirmation) = parts;
            let port = has_port.then_some(PortId { protocol, port });
            Change { kind, address, port, before, after, confirmation }
        })
    };
    select(KINDS.to_vec()).prop_flat_map(line)
}

/// Any report, with hostile text wherever a host can write.
pub(super) fn any_report() -> impl Strategy<Value = ReportInContext> {
    let whys = vec![
        NoteKind::IdentifiedDifferently,
        NoteKind::Unconfirmed,
        NoteKind::Contradicted,
        NoteKind::NewlyCovered,
        NoteKind::NoLongerCovered,
        NoteKind::Volatile,
    ];
    let note = (select(whys), any_change()).prop_map(|(kind, change)| Note { kind, change });
    let changes = proptest::collection::vec((any_change(), any::<bool>()), 0..6);
    let lines = (changes, proptest::collection::vec(note, 0..4), 0..3u64);
    (lines, text(), text(), text()).prop_map(|((changes, notes, left_out), network, by, comment)| {
        let (changes, is_accepted): (Vec<Change>, Vec<bool>) = changes.into_iter().unzip();
        let places = (0..).zip(is_accepted).filter(|(_, is)| *is).map(|(place, _)| place);
        let accepted = vec![Acceptance { by, at: NOW, comment, lines: places.collect() }];
        let made = report(changes, notes);
        ReportInContext { network, report: Report { accepted, left_out, ..made.report }, ..made }
    })
}
