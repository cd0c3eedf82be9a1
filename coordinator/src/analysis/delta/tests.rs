//! The rules of SPEC section 5, one by one, as lines that a person can read.

mod engines;

use super::*;
use crate::analysis::alert::default_rules;
use protocol::observation::{
    Coverage, HostState, PortObservation, ProbeMethod, ProbedCells, ServiceDetection, ServiceMethod, UnlistedPorts,
};
use protocol::task::RunId;
use protocol::{PortSet, TargetSet, Timestamp};

/// A look at hosts, written as `10.0.0.1 22=open:ssh/9 80=closed`; what stands behind `U:` is UDP.
fn hosts(lines: &[&str]) -> Vec<HostObservation> {
    lines.iter().map(|line| host(line)).collect()
}

fn host(line: &str) -> HostObservation {
    let mut words = line.split(' ');
    let mut host = HostObservation {
        address: words.next().unwrap().parse().unwrap(),
        state: HostState::Up,
        reason: "echo-reply".into(),
        seen: Timestamp::default(),
        names: Vec::new(),
        mac: None,
        os: None,
        ports: Vec::new(),
        unlisted: Vec::new(),
    };
    for (key, value) in words.map(|word| word.split_once('=').unwrap()) {
        match key {
            "name" => host.names.push(value.into()),
            "mac" => host.mac = Some(MacAddress { address: value.into(), vendor: Text::default() }),
            "os" => host.os = Some(OsGuess { name: value.into(), accuracy: 100 }),
            "guess" => host.os = Some(OsGuess { name: value.into(), accuracy: 90 }),
            "rest" => host.unlisted.push(UnlistedPorts { protocol: Protocol::Udp, state: state(value), count: 3 }),
            port => host.ports.push(seen_port(port, value)),
        }
    }
    host
}

fn state(name: &str) -> PortState {
    PortState::ALL.iter().find(|(_, known)| *known == name).unwrap().0
}

fn seen_port(port: &str, value: &str) -> PortObservation {
    let (protocol, number) = port.strip_prefix("U:").map_or((Protocol::Tcp, port), |port| (Protocol::Udp, port));
    let (word, service) = value.split_once(':').map_or((value, None), |(word, service)| (word, Some(service)));
    let service = service.map(|service| {
        let (name, version) = service.split_once('/').unwrap();
        Service { name: name.into(), version: version.into(), method: ServiceMethod::Probed, ..Service::default() }
    });
    PortObservation { protocol, port: number.parse().unwrap(), state: state(word), reason: Text::default(), service }
}

fn covered(targets: &str, ports: &str, version: Option<&str>) -> Coverage {
    let targets: TargetSet = targets.parse().unwrap();
    let ports: PortSet = ports.parse().unwrap();
    Coverage {
        asked: targets.clone(),
        by_port_only: targets.intersection(&"127.0.0.0/8".parse().unwrap()),
        probed: vec![ProbedCells { targets, ports, method: ProbeMethod::Connect }],
        services: Vec::from_iter(version.map(nmap)),
        options: Vec::new(),
    }
}

fn nmap(version: &str) -> ServiceDetection {
    ServiceDetection { engine: "nmap".into(), version: version.into(), intensity: 7 }
}

fn run(coverage: &Coverage) -> RunCoverage {
    [coverage].into_iter().collect()
}

fn known(lines: &[&str], coverage: &Coverage) -> Vec<KnownHost> {
    let (nothing, now) = (RunCoverage::default(), run(coverage));
    let compared = compare(std::iter::empty(), hosts(lines).into_iter(), &nothing, &now);
    compared.filter_map(|compared| apply(compared, &nothing, &now, RunId(1))).collect()
}

fn between(before: &[&str], earlier: &Coverage, after: &[&str], later: &Coverage) -> Vec<HostDelta> {
    delta(known(before, earlier).into_iter(), hosts(after).into_iter(), &run(earlier), &run(later)).collect()
}

fn show(deltas: &[HostDelta]) -> String {
    let side = |side: &Option<Side>| match side {
        None => "-".to_owned(),
        Some(Side::Host { .. }) => "there".to_owned(),
        Some(Side::Os(os)) => os.name.to_string(),
        Some(Side::Names(names)) => names.iter().map(Text::as_str).collect::<Vec<_>>().join(" "),
        Some(Side::Mac(mac)) => mac.address.to_string(),
        Some(Side::Port { state, service }) => {
            format!("{state} {}", service.as_ref().map_or(String::new(), |s| format!("{} {}", s.name, s.version)))
        }
    };
    let line = |change: &Change| {
        let port = change.port.map_or(String::new(), |port| format!(" {}/{}", port.port, port.protocol));
        let doubt = if change.confirmation == Confirmation::Wanted { " ?" } else { "" };
        let sides = format!("{} > {}", side(&change.before).trim(), side(&change.after).trim());
        format!("{:?} {}{port}: {sides}{doubt}\n", change.kind, change.address)
    };
    let mut shown = String::new();
    for delta in deltas {
        delta.changes.iter().for_each(|change| shown.push_str(&line(change)));
        delta.notes.iter().for_each(|note| shown.push_str(&format!("({:?}) {}", note.kind, line(&note.change))));
    }
    shown
}

#[test]
fn each_kind_of_change_is_told_in_order() {
    let coverage = covered("10.0.0.1-9", "T:22,80,443,3389,U:53", Some("7.93"));
    let before = ["10.0.0.1 22=open:ssh/8 80=open:http/1 name=a os=Linux", "10.0.0.2 22=open:ssh/9 U:53=open:domain/1"];
    let after = ["10.0.0.1 22=open:ssh/9 80=filtered 443=open name=b os=BSD", "10.0.0.3 22=open:ssh/9 3389=open"];
    insta::assert_snapshot!(show(&between(&before, &coverage, &after, &coverage)), @"
    OsChange 10.0.0.1: Linux > BSD
    NameChange 10.0.0.1: a > b
    ServiceChange 10.0.0.1 22/tcp: open ssh 8 > open ssh 9
    ClosedPort 10.0.0.1 80/tcp: open http 1 > filtered ?
    NewPort 10.0.0.1 443/tcp: closed|filtered > open
    RemovedHost 10.0.0.2: there > - ?
    ClosedPort 10.0.0.2 22/tcp: open ssh 9 > - ?
    ClosedPort 10.0.0.2 53/udp: open domain 1 > - ?
    NewHost 10.0.0.3: - > there
    NewPort 10.0.0.3 22/tcp: - > open ssh 9
    NewPort 10.0.0.3 3389/tcp: - > open
    ");
}

#[test]
fn only_what_both_sides_looked_at_changes() {
    let (wide, narrow) = (covered("10.0.0.1-9", "22,80", None), covered("10.0.0.1-2", "80,443", None));
    let before = ["10.0.0.1 22=open 80=open", "10.0.0.2 22=open", "10.0.0.7 22=open"];
    let after = ["10.0.0.1 80=open 443=open", "10.0.0.2 80=open"];
    insta::assert_snapshot!(show(&between(&before, &wide, &after, &narrow)), @"
    (NoLongerCovered) ClosedPort 10.0.0.1 22/tcp: open > -
    (NewlyCovered) NewPort 10.0.0.1 443/tcp: - > open
    NewPort 10.0.0.2 80/tcp: closed|filtered > open
    (NoLongerCovered) ClosedPort 10.0.0.2 22/tcp: open > -
    (NoLongerCovered) RemovedHost 10.0.0.7: there > -
    ");
}

#[test]
fn a_service_that_tells_less_has_not_changed_and_is_known_as_fully_as_it_ever_was() {
    let coverage = covered("10.0.0.1", "80", Some("7.93"));
    let now = run(&coverage);
    let mut known = known(&["10.0.0.1 80=open:http/"], &coverage);
    for (seen, changes) in [("1", 0), ("", 0), ("1", 0), ("", 0), ("2", 1), ("", 0), ("1", 1)] {
        let observed = hosts(&[&format!("10.0.0.1 80=open:http/{seen}")]);
        let compared: Vec<Compared> = compare(known.into_iter(), observed.into_iter(), &now, &now).collect();
        assert_eq!(compared.iter().map(|host| host.delta.changes.len()).sum::<usize>(), changes, "{seen}");
        known = compared.into_iter().filter_map(|host| apply(host, &now, &now, RunId(2))).collect();
    }
}

#[test]
fn udp_silence_equals_nothing() {
    let coverage = covered("10.0.0.1", "U:53,161", None);
    let compare = |was: &str, is: &str| show(&between(&[was], &coverage, &[is], &coverage));
    assert_eq!(compare("10.0.0.1 U:53=open", "10.0.0.1 U:53=open|filtered"), "");
    assert_eq!(compare("10.0.0.1 U:53=open|filtered", "10.0.0.1 U:53=open"), "");
    assert_eq!(compare("10.0.0.1 U:53=open", "10.0.0.1 rest=open|filtered"), "");
    assert_eq!(compare("10.0.0.1 U:53=open", "10.0.0.1 rest=closed"), "ClosedPort 10.0.0.1 53/udp: open > closed\n");
}

#[test]
fn udp_opens_and_closes_by_real_answers_only() {
    let coverage = covered("10.0.0.1", "U:53,161", None);
    let compare = |was: &str, is: &str| show(&between(&[was], &coverage, &[is], &coverage));
    assert_eq!(compare("10.0.0.1 U:53=closed", "10.0.0.1 U:53=open"), "NewPort 10.0.0.1 53/udp: closed > open\n");
    assert_eq!(compare("10.0.0.1 U:53=open", "10.0.0.1 U:53=closed"), "ClosedPort 10.0.0.1 53/udp: open > closed\n");
    assert_eq!(compare("10.0.0.1 U:53=open", "10.0.0.1"), "", "no word of UDP at all is silence");
    assert_eq!(
        compare("10.0.0.1 U:53=open", "10.0.0.1 U:53=filtered"),
        "ClosedPort 10.0.0.1 53/udp: open > filtered ?\n"
    );
}

#[test]
fn what_nobody_could_tell_between_two_looks_hides_no_change() {
    let coverage = covered("10.0.0.1", "U:53,161", None);
    let now = run(&coverage);
    let silent = hosts(&["10.0.0.1 rest=open|filtered"]);
    let decided = now.decided(&silent);
    assert!(decided.probed.is_empty());
    let before = known(&["10.0.0.1 rest=closed"], &coverage);
    let next: Vec<KnownHost> = compare(before.into_iter(), silent.into_iter(), &now, &decided)
        .filter_map(|compared| apply(compared, &now, &decided, RunId(2)))
        .collect();
    let later: Vec<HostDelta> =
        delta(next.into_iter(), hosts(&["10.0.0.1 U:53=open rest=open|filtered"]).into_iter(), &now, &now).collect();
    assert_eq!(show(&later), "NewPort 10.0.0.1 53/udp: closed > open\n");
}

#[test]
fn a_weaker_scan_type_never_moves_what_the_usual_ones_saw() {
    let usual = covered("10.0.0.1", "22", None);
    let mut other = usual.clone();
    other.probed[0].method = ProbeMethod::Other;
    let (before, now) = (run(&usual), run(&other));
    let known = known(&["10.0.0.1 22=open"], &usual);
    let deltas = |known: &[KnownHost], is: &str, before: &RunCoverage, now: &RunCoverage| {
        let compared: Vec<Compared> = compare(known.iter().cloned(), hosts(&[is]).into_iter(), before, now).collect();
        let shown = show(&compared.iter().map(|compared| compared.delta.clone()).collect::<Vec<_>>());
        let next: Vec<KnownHost> =
            compared.into_iter().filter_map(|compared| apply(compared, before, now, RunId(2))).collect();
        (shown, next)
    };
    let mut known = (String::new(), known);
    for _ in 0..2 {
        known = deltas(&known.1, "10.0.0.1 22=closed", &before.union(&now), &now);
        assert_eq!(known.0, "(NoLongerCovered) ClosedPort 10.0.0.1 22/tcp: open > -\n");
    }
    assert_eq!(deltas(&known.1, "10.0.0.1 22=open", &before.union(&now), &before).0, "");
}

#[test]
fn names_and_link_addresses_change_only_in_meaning() {
    let coverage = covered("10.0.0.1", "22", None);
    let compare = |was: &str, is: &str| {
        show(&between(&[&format!("10.0.0.1 {was}")], &coverage, &[&format!("10.0.0.1 {is}")], &coverage))
    };
    assert_eq!(compare("name=a.example name=B", "name=b name=A.example."), "");
    assert_eq!(compare("name=a", "22=closed"), "", "no name this time");
    assert_eq!(compare("name=a", "name=b"), "NameChange 10.0.0.1: a > b\n");
    let (made, other) = ("mac=00:11:22:00:00:01", "mac=00:11:22:00:00:02");
    let (random, another) = ("mac=02:00:00:00:00:01", "mac=02:00:00:00:00:02");
    assert_eq!(compare(made, made), "");
    assert_eq!(compare(made, "22=closed"), "", "seen from another segment");
    assert_eq!(compare(made, other), "MacChange 10.0.0.1: 00:11:22:00:00:01 > 00:11:22:00:00:02\n");
    assert_eq!(compare(made, random), "MacChange 10.0.0.1: 00:11:22:00:00:01 > 02:00:00:00:00:01\n");
    assert_eq!(compare(random, another), "(Volatile) MacChange 10.0.0.1: 02:00:00:00:00:01 > 02:00:00:00:00:02\n");
}

#[test]
fn in_loopback_ranges_a_host_is_there_only_with_an_open_port() {
    let (both, one) = (covered("127.0.0.1-9", "22,80", None), covered("127.0.0.1-9", "22", None));
    let compare = |was: &[&str], is: &[&str], later| show(&between(was, &both, is, later));
    insta::assert_snapshot!(compare(&["127.0.0.2 22=open"], &["127.0.0.2 22=closed", "127.0.0.3 22=open", "127.0.0.4 22=closed"], &both), @"
    RemovedHost 127.0.0.2: there > - ?
    ClosedPort 127.0.0.2 22/tcp: open > - ?
    NewHost 127.0.0.3: - > there
    NewPort 127.0.0.3 22/tcp: - > open
    ");
    insta::assert_snapshot!(compare(&["127.0.0.2 22=open 80=open"], &["127.0.0.2 22=closed"], &one), @"
    ClosedPort 127.0.0.2 22/tcp: open > - ?
    (NoLongerCovered) ClosedPort 127.0.0.2 80/tcp: open > -
    ");
}

#[test]
fn a_first_run_is_a_baseline_and_no_change() {
    let coverage = covered("10.0.0.1", "22", None);
    let nothing = RunCoverage::default();
    assert_eq!(
        delta(std::iter::empty(), hosts(&["10.0.0.1 22=open"]).into_iter(), &nothing, &run(&coverage)).count(),
        0
    );
    assert_eq!(known(&["10.0.0.1 22=open"], &coverage).len(), 1);
}

#[test]
fn other_scan_types_compare_only_with_each_other() {
    let usual = covered("10.0.0.1", "22", None);
    let mut other = usual.clone();
    other.probed[0].method = ProbeMethod::Other;
    let (was, is) = (["10.0.0.1 22=closed"], ["10.0.0.1 22=open"]);
    assert_eq!(between(&was, &usual, &is, &other)[0].changes, Vec::new());
    assert_eq!(between(&was, &other, &is, &other)[0].changes.len(), 1);
}

#[test]
fn a_second_look_confirms_contradicts_or_leaves_open() {
    let coverage = covered("10.0.0.1-3", "22,80", None);
    let before = ["10.0.0.1 22=open", "10.0.0.2 22=open", "10.0.0.3 22=open 80=open"];
    let mut deltas = between(&before, &coverage, &["10.0.0.3 22=filtered 80=closed"], &coverage);
    let asked = candidates(&mut deltas, |_, port| port.port == 80);
    assert_eq!((asked.hosts.to_string().as_str(), asked.cells.count()), ("10.0.0.1-10.0.0.2", 4));
    let second = covered("10.0.0.2-3", "22,80", None);
    let answers = hosts(&["10.0.0.2 22=closed", "10.0.0.3 22=open 80=closed"]);
    let settled: Vec<HostDelta> = deltas
        .into_iter()
        .map(|delta| {
            let answer = answers.iter().find(|host| host.address == delta.address);
            settle(delta, answer, &run(&second))
        })
        .collect();
    insta::assert_snapshot!(show(&settled), @"
    (Unconfirmed) RemovedHost 10.0.0.1: there > - ?
    (Unconfirmed) ClosedPort 10.0.0.1 22/tcp: open > - ?
    ClosedPort 10.0.0.2 22/tcp: open > closed
    (Contradicted) RemovedHost 10.0.0.2: there > - ?
    ClosedPort 10.0.0.3 80/tcp: open > closed
    (Contradicted) ClosedPort 10.0.0.3 22/tcp: open > filtered ?
    ");
    let left: Vec<String> = unsettled(&settled).iter().map(|(address, _)| address.to_string()).collect();
    assert_eq!(left, ["10.0.0.1"]);
}

#[test]
fn a_second_look_that_does_not_find_the_host_says_nothing_of_one_port() {
    let coverage = covered("10.0.0.3", "22,80", None);
    let mut deltas = between(&["10.0.0.3 22=open 80=open"], &coverage, &["10.0.0.3 22=open 80=closed"], &coverage);
    let asked = candidates(&mut deltas, |_, port| port.port == 80);
    assert_eq!((asked.hosts.is_empty(), asked.cells.count()), (true, 1));
    let settled = settle(deltas.remove(0), None, &run(&covered("10.0.0.3", "80", None)));
    insta::assert_snapshot!(show(&[settled]), @"(Unconfirmed) ClosedPort 10.0.0.3 80/tcp: open > closed ?");
}

#[test]
fn the_next_baseline_keeps_what_was_not_settled() {
    let coverage = covered("10.0.0.1-4", "22,80", Some("7.93"));
    let now = run(&coverage);
    let before = known(&["10.0.0.1 22=open:ssh/9", "10.0.0.2 22=open", "10.0.0.3 22=open 80=open"], &coverage);
    let seen = hosts(&["10.0.0.1 22=open", "10.0.0.3 22=filtered 80=closed"]);
    let mut next = Vec::new();
    for mut compared in compare(before.into_iter(), seen.into_iter(), &now, &now) {
        compared.delta = settle(compared.delta, None, &RunCoverage::default());
        next.extend(apply(compared, &now, &now, RunId(2)));
    }
    let shown: Vec<String> = next
        .iter()
        .map(|host| {
            let ports: Vec<String> =
                host.observation.ports.iter().map(|port| format!("{}={}", port.port, port.state)).collect();
            format!(
                "{} {} run {} {:?}",
                host.address,
                ports.join(" "),
                host.seen_run,
                host.services.iter().map(|part| part.ports.to_string()).collect::<Vec<_>>()
            )
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    10.0.0.1 22=open run 2 ["22"]
    10.0.0.2 22=open run 1 []
    10.0.0.3 22=open 80=closed run 2 []
    "#);
}

#[test]
fn more_than_thirty_percent_gone_is_a_mass_change() {
    for (gone, known, mass) in
        [(0, 0, false), (3, 10, false), (4, 10, true), (1, 2, true), (30, 100, false), (31, 100, true)]
    {
        assert_eq!(is_mass_change(gone, known), mass, "{gone} of {known}");
    }
}

#[test]
fn a_report_is_critical_only_by_a_new_port_with_a_bad_rule() {
    let coverage = covered("10.0.0.1", "21,22,80", None);
    let status_of = |is: &str| {
        let deltas = between(&["10.0.0.1 80=open"], &coverage, &[is], &coverage);
        status(deltas.iter().flat_map(|delta| &delta.changes), &default_rules())
    };
    assert_eq!(status_of("10.0.0.1 80=open"), Status::Stable);
    assert_eq!(status_of("10.0.0.1 21=open 80=open"), Status::Changes);
    assert_eq!(status_of("10.0.0.1 80=closed"), Status::Changes);
    assert_eq!(status_of("10.0.0.1 22=open"), Status::Critical);
}
