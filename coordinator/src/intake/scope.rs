//! What a result may claim: addresses, ports and ways of looking of its task, in no more pieces than an engine needs.

use crate::dispatch::weight::default_ports;
use crate::run::TaskRecord;
use crate::scan::ScanDefinition;
use protocol::message::TaskResult;
use protocol::observation::{Coverage, EffectiveOptions, HostObservation, ProbedCells, ServiceDetection};
use protocol::text::Text;
use protocol::{PortSet, Protocol};

/// The most blocks of cells, and ways of looking, that one task's coverage may have; engines need a handful.
const MAX_PIECES: usize = 16;

/// The longest name or version of an engine, in bytes. Options are as long as a text may be, since they name the ports.
const MAX_NAME_BYTES: usize = 512;

/// What a result claims beyond its task, if anything.
pub(super) fn fault(task: &TaskRecord, definition: &ScanDefinition, result: &TaskResult) -> Option<&'static str> {
    let coverage = &result.coverage;
    pieces_fault(coverage)
        .or_else(|| targets_fault(task, coverage))
        .or_else(|| ports_fault(task, definition, &coverage.probed))
        .or_else(|| services_fault(definition, result))
        .or_else(|| hosts_fault(result))
}

fn pieces_fault(coverage: &Coverage) -> Option<&'static str> {
    let Coverage { asked: _, by_port_only: _, probed, services, options } = coverage;
    if probed.len() > MAX_PIECES || services.len() > MAX_PIECES || options.len() > MAX_PIECES {
        return Some("its coverage is in too many pieces");
    }
    let of_services = services.iter().flat_map(|ServiceDetection { engine, version, .. }| [engine, version]);
    let of_options = options.iter().flat_map(|EffectiveOptions { engine, version, .. }| [engine, version]);
    let is_long = of_services.chain(of_options).any(|name| name.as_str().len() > MAX_NAME_BYTES);
    is_long.then_some("the name or version of its engine is too long")
}

fn targets_fault(task: &TaskRecord, coverage: &Coverage) -> Option<&'static str> {
    let Coverage { asked, by_port_only, probed, services: _, options: _ } = coverage;
    let mut claims = [asked, by_port_only].into_iter().chain(probed.iter().map(|cells| &cells.targets));
    (!claims.all(|claim| task.targets.covers(claim))).then_some("it claims addresses outside its task")
}

/// Ports are those of the task, or of the run, or as many as the arguments leave to the engine. An engine leaves none of
/// a list out, so it needs no more ranges than the list has, and asks every address for the same ports of a protocol:
/// no other claim grows what is known of a scan.
fn ports_fault(task: &TaskRecord, definition: &ScanDefinition, probed: &[ProbedCells]) -> Option<&'static str> {
    let allowed = task.ports.as_ref().or(definition.ports());
    for protocol in Protocol::ALL {
        let mut claims = probed.iter().map(|cells| cells.ports.only(protocol)).filter(|ports| !ports.is_empty());
        let Some(claim) = claims.next() else { continue };
        if claims.any(|other| other != claim) {
            return Some("it claims different ports for different addresses");
        }
        let is_within = match allowed {
            Some(ports) => claim.minus(ports).is_empty(),
            None => claim.count() <= default_ports(definition.args()),
        };
        if !is_within {
            return Some("it claims ports outside its task");
        }
        if allowed.is_some_and(|ports| ranges(&claim) > ranges(ports)) {
            return Some("its ports are in too many pieces");
        }
    }
    None
}

fn ranges(ports: &PortSet) -> usize {
    Protocol::ALL.into_iter().map(|protocol| ports.ranges(protocol).len()).sum()
}

fn services_fault(definition: &ScanDefinition, result: &TaskResult) -> Option<&'static str> {
    let ways = &result.coverage.services;
    if ways.iter().any(|way| Some(way.intensity) != definition.args().service_intensity()) {
        return Some("it claims to have identified services in a way that was not asked for");
    }
    if ways.iter().enumerate().any(|(at, way)| ways.iter().take(at).any(|other| other.engine == way.engine)) {
        return Some("it claims that one engine identified services in several ways");
    }
    let named = result.hosts.iter().flat_map(|host| &host.ports).filter_map(|port| port.service.as_ref());
    let is_named = |by: &Text| by.is_empty() || ways.iter().any(|way| way.engine == *by);
    (!named.map(|service| &service.by).all(is_named)).then_some("it names services by an engine that it does not claim")
}

fn hosts_fault(result: &TaskResult) -> Option<&'static str> {
    if !result.hosts.is_sorted_by(|a, b| a.address < b.address) {
        return Some("its hosts are not sorted, each once");
    }
    if !result.hosts.iter().all(|host| result.coverage.asked.contains(host.address)) {
        return Some("it tells of a host that it does not claim to have asked");
    }
    let sorted = |host: &HostObservation| host.ports.is_sorted_by(|a, b| (a.protocol, a.port) < (b.protocol, b.port));
    (!result.hosts.iter().all(sorted)).then_some("a host's ports are not sorted, each once")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{NOW, made_up_run};
    use crate::run::Look;
    use protocol::TargetSet;
    use protocol::observation::ProbeMethod;
    use protocol::task::{RunId, TaskId};

    const TARGETS: &str = "10.9.0.0/28";

    fn coverage(claims: &[&str]) -> Coverage {
        let targets: TargetSet = TARGETS.parse().unwrap();
        let cells = |claim: &&str| ProbedCells {
            targets: targets.clone(),
            ports: claim.parse().unwrap(),
            method: ProbeMethod::Syn,
        };
        Coverage { asked: targets.clone(), probed: claims.iter().map(cells).collect(), ..Coverage::default() }
    }

    /// What is said to a result with this coverage for a task with these narrowed ports in such a scan.
    fn said(narrowed: &str, ports: &str, args: &str, coverage: Coverage) -> &'static str {
        let id = TaskId { run: RunId(1), index: 0 };
        let ports_of = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        let task =
            TaskRecord { ports: ports_of(narrowed), ..TaskRecord::new(id, Look::First, TARGETS.parse().unwrap(), NOW) };
        let run = made_up_run(1, TARGETS, ports, args);
        let result = crate::fixture::result(id, 1, TARGETS, Vec::new());
        fault(&task, &run.definition, &TaskResult { coverage, ..result }).unwrap_or("taken")
    }

    fn alternating(count: u16) -> String {
        (0..count).map(|place| (place * 2 + 1).to_string()).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn ports_are_those_of_the_task_or_its_run_in_one_form() {
        let (many, outside) = ("its ports are in too many pieces", "it claims ports outside its task");
        let different = "it claims different ports for different addresses";
        let all_odd = alternating(1_000);
        for (narrowed, ports, args, claims, wanted) in [
            ("", "22,80,443", "", &["22,80,443"][..], "taken"),
            ("", "22,80,443", "", &["22"], "taken"),
            ("", "22,80,443", "", &["22,80,443", "22,80,443"], "taken"),
            ("", "22,80,443", "", &["22,80,443", "22"], different),
            ("", "22,80,443", "", &["22,81"], outside),
            ("", "22,80,443", "", &["U:22"], outside),
            ("22", "22,80,443", "", &["22"], "taken"),
            ("22", "22,80,443", "", &["22,80"], outside),
            ("", "", "--exclude-ports 80", &["1-79,81-1000"], "taken"),
            ("", "1-2000", "", &[&all_odd], many),
            ("", "T:1-100,U:53", "-sS -sU", &["1-100", "U:53"], "taken"),
            ("", "", "", &[&all_odd], "taken"),
            ("", "", "", &["1-1001"], outside),
            ("", "", "-F", &["1-101"], outside),
            ("", "", "--top-ports 1001", &["1-1001"], "taken"),
        ] {
            assert_eq!(said(narrowed, ports, args, coverage(claims)), wanted, "{narrowed} {ports} {args} {claims:?}");
        }
    }

    #[test]
    fn services_are_identified_as_was_asked_and_engines_have_short_names() {
        let with = |intensity, version: &str| {
            let services = ServiceDetection { engine: "nmap".into(), version: Text::new(version), intensity };
            Coverage { services: vec![services], ..coverage(&["22"]) }
        };
        let unasked = "it claims to have identified services in a way that was not asked for";
        assert_eq!(said("", "22", "-sV", with(7, "7.95")), "taken");
        assert_eq!(said("", "22", "", with(7, "7.95")), unasked);
        assert_eq!(said("", "22", "-sV --version-light", with(7, "7.95")), unasked);
        assert_eq!(said("", "22", "-sV", coverage(&["22"])), "taken");
        let twice = [with(7, "7.93"), with(7, "7.95")].map(|coverage| coverage.services).concat();
        let twice = Coverage { services: twice, ..coverage(&["22"]) };
        assert_eq!(said("", "22", "-sV", twice), "it claims that one engine identified services in several ways");
        let long = "the name or version of its engine is too long";
        assert_eq!(said("", "22", "-sV", with(7, &"7".repeat(513))), long);
        let options = EffectiveOptions {
            engine: Text::new(&"n".repeat(513)),
            version: Text::default(),
            options: Text::default(),
            raw: false,
        };
        assert_eq!(said("", "22", "", Coverage { options: vec![options], ..coverage(&["22"]) }), long);
    }
}
