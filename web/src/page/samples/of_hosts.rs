//! The pages of hosts, of searching, of help and of settings, filled and empty.

use super::super::*;
use super::{NOW, hours};
use crate::api::audit::Entry;
use crate::faults::Faults;
use crate::look::{Badge, Tone};
use crate::page::choices::Pager;
use crate::query::Fields;
use protocol::task::{RunId, ScanId};

type Named = (&'static str, Arc<dyn View>);

pub(super) fn filled(word: &str) -> Vec<Named> {
    let of_port = services::ServicesPage {
        fields: Fields::of([("port", "443/tcp"), ("service", word)]),
        shown: services::Shown::Hosts { hosts: vec![host_row(word)], pager: pager() },
        ..ports(word)
    };
    vec![
        ("about", Arc::new(about(word))),
        ("audit", Arc::new(audit(word))),
        ("help", Arc::new(help(word))),
        ("host", Arc::new(host(word))),
        ("hosts", Arc::new(hosts(word))),
        ("search", Arc::new(search(word))),
        ("services", Arc::new(ports(word))),
        ("services-of-port", Arc::new(of_port)),
    ]
}

pub(super) fn empty() -> Vec<Named> {
    let office = "Office";
    let gone = host::HostPage {
        names: vec![],
        gone: Some((RunId(7), NOW)),
        open: vec![],
        closed: vec![],
        alerts: vec![],
        looks: vec![],
        seen: None,
        ..host(office)
    };
    let nothing = || (Fields::default(), Faults::default());
    let (fields, faults) = nothing();
    let no_hosts = hosts::Hosts { fields, faults, hosts: vec![], has_runs: false, ..hosts(office) };
    let (fields, faults) = nothing();
    let shown = services::Shown::Ports { ports: vec![], left_out: 0, hosts: 0, is_cut: false };
    let no_ports = services::ServicesPage { fields, faults, shown, ..ports(office) };
    let (fields, faults) = nothing();
    let no_audit = audit::Audit { fields, faults, rows: vec![], pager: Pager::default(), ..audit(office) };
    vec![
        ("audit", Arc::new(no_audit)),
        ("help", Arc::new(help::Help { answers: vec![] })),
        ("host", Arc::new(gone)),
        ("hosts", Arc::new(no_hosts)),
        ("search", Arc::new(search::Search { text: String::new(), fault: None, groups: vec![] })),
        ("services", Arc::new(no_ports)),
    ]
}

fn pager() -> Pager {
    Pager { first: Some("/hosts".into()), next: Some("/hosts?after=1-10.1.4.20".into()) }
}

fn fields(word: &str) -> Fields {
    Fields::of([("text", word), ("address", word), ("scan", "1"), ("alerts", "active")])
}

fn faults(field: &'static str, word: &str) -> Faults {
    let mut faults = Faults::default();
    faults.add(field, word);
    faults
}

fn host_row(word: &str) -> hosts::HostRow {
    let port = |number: &str| hosts::PortCell { number: number.into(), service: word.into(), by: word.into() };
    hosts::HostRow {
        id: "1-10.1.4.20".into(),
        address: "10.1.4.20".into(),
        name: word.into(),
        scan: ScanId(1),
        network: word.into(),
        ports: vec![port("22/tcp"), port("443/tcp")],
        more: 3,
        seen: RunId(7),
        seen_at: NOW.minus(hours(5)),
        alerts: 2,
        worst: Some(Badge::filled(Tone::Critical, "octagon", "Critical")),
    }
}

fn hosts(word: &str) -> hosts::Hosts {
    let plain =
        hosts::HostRow { ports: vec![], more: 0, alerts: 0, worst: None, name: String::new(), ..host_row(word) };
    hosts::Hosts {
        fields: fields(word),
        networks: vec![("1".into(), word.into())],
        hosts: vec![host_row(word), plain],
        known: 1_204,
        pager: pager(),
        has_runs: true,
        faults: faults("port", word),
    }
}

fn host(word: &str) -> host::HostPage {
    let mark = |x, class| host::StripMark { x, class };
    let port = |since| host::PortRow {
        cell: hosts::PortCell { number: "443/tcp".into(), service: word.into(), by: word.into() },
        since,
        marks: vec![mark(1, "shut"), mark(11, "open"), mark(21, "blank")],
        words: word.into(),
    };
    let alert = host::AlertRow {
        id: "1-10.1.4.20-3389-tcp-RDP".into(),
        severity: Badge::filled(Tone::Critical, "octagon", "Critical"),
        what: word.into(),
        port: "3389/tcp".into(),
        state: Badge::plain(Tone::High, "circle-alert", "open"),
        opened: NOW.minus(hours(70)),
    };
    let state = || Badge::plain(Tone::Ok, "circle", "up");
    let look = |run| host::LookRow { run: RunId(run), at: NOW.minus(hours(5)), state: state(), ports: 1_000, open: 2 };
    host::HostPage {
        address: "10.1.4.20".into(),
        names: vec![word.into()],
        scan: ScanId(1),
        network: word.into(),
        state: state(),
        gone: None,
        facts: vec![("MAC address", word.into()), ("System", word.into())],
        first: (RunId(2), NOW.minus(hours(100))),
        seen: Some((RunId(7), NOW.minus(hours(5)))),
        open: vec![port(Some((RunId(3), NOW.minus(hours(90)))))],
        closed: vec![port(None)],
        left_out: 2,
        alerts: vec![alert],
        looks: vec![look(7), look(6), look(5)],
    }
}

fn ports(word: &str) -> services::ServicesPage {
    let row = services::PortRow {
        port: "443/tcp".into(),
        hosts: 12,
        names: word.into(),
        path: "/services?port=443/tcp".into(),
    };
    services::ServicesPage {
        fields: Fields::of([("scan", "1"), ("address", word)]),
        networks: vec![("1".into(), word.into())],
        shown: services::Shown::Ports { ports: vec![row], left_out: 7, hosts: 17, is_cut: true },
        has_runs: true,
        faults: Faults::default(),
    }
}

fn search(word: &str) -> search::Search {
    let hit = search::Hit {
        path: "/hosts/1-10.1.4.20".into(),
        title: word.into(),
        is_mono: true,
        words: word.into(),
        badge: Some(Badge::filled(Tone::High, "triangle", "High")),
    };
    search::Search {
        text: word.into(),
        fault: Some(word.into()),
        groups: vec![search::Group { id: "hosts", title: "Hosts", hits: vec![hit], has_more: true }],
    }
}

fn audit(word: &str) -> audit::Audit {
    let row = Entry {
        number: 4_711,
        at: NOW.minus(hours(1)),
        actor: word.into(),
        from: "192.0.2.7".into(),
        action: word.into(),
        subject: word.into(),
    };
    audit::Audit {
        fields: Fields::of([("actor", word), ("since", word)]),
        rows: vec![row],
        total: 4_711,
        pager: pager(),
        faults: faults("since", word),
    }
}

fn help(word: &str) -> help::Help {
    let cause = help::CauseRow {
        badge: Badge::plain(Tone::High, "triangle-alert", "cause"),
        about: word.into(),
        path: "/scans/1".into(),
        words: word.into(),
    };
    let answer = |id, causes| help::Answer { id, question: "A scan does not run", all_well: "All is well.", causes };
    help::Help { answers: vec![answer("not-running", vec![cause]), answer("slow", vec![])] }
}

fn about(word: &str) -> about::About {
    let file = about::Vendored { name: "Pico CSS", version: "2.1.1", licence: "MIT", text: word.into() };
    about::About { facts: vec![("Version", word.into())], vendored: vec![file] }
}
