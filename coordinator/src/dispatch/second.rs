//! Cuts the second look of a run (SPEC R4): only at what is in doubt, by another node where one can.
//!
//! A host that seems gone is asked for life the same way as the first time, all ports of the run included, since those
//! are part of how a node finds out. Where only ports are in doubt, only the given cells are probed: seconds, not a scan.

use crate::analysis::coverage::Block;
use crate::analysis::delta::Candidates;
use crate::run::{Look, Run, TaskRecord};
use protocol::task::TaskId;
use protocol::{NodeId, PortSet, TargetSet, Timestamp};
use std::collections::BTreeMap;

/// How many addresses one task of a second look has at most.
const SECOND_LOOK_ADDRESSES: u128 = 64;

/// With more different sets of ports than these all tasks get the ports of all: fewer tasks are quicker then.
const MAX_PORT_SETS: usize = 16;

/// Tasks that look at what is in `doubt` again, numbered after those the run has, which `first` holds.
pub fn second_look(run: &Run, first: &[TaskRecord], doubt: &Candidates, now: Timestamp) -> Vec<TaskRecord> {
    let mut tasks = Vec::new();
    let mut index = run.tasks;
    for (ports, doubtful) in parts(run, doubt) {
        for (avoid, targets) in by_first_looker(first, &doubtful) {
            let mut rest = targets;
            while !rest.is_empty() {
                let (targets, left) = rest.split_at(SECOND_LOOK_ADDRESSES);
                let id = TaskId { run: run.id, index };
                let ports = ports.clone();
                tasks.push(TaskRecord { ports, avoid, ..TaskRecord::new(id, Look::Second, targets, now) });
                index = index.saturating_add(1);
                rest = left;
            }
        }
    }
    tasks
}

/// What is looked at with which ports; `None` for those of the run.
fn parts(run: &Run, doubt: &Candidates) -> Vec<(Option<PortSet>, TargetSet)> {
    let mut whole = doubt.hosts.clone();
    let blocks = doubt.cells.blocks();
    let mut narrow: Vec<Block> = blocks
        .iter()
        .map(|block| Block { ports: block.ports.clone(), targets: block.targets.minus(&doubt.hosts) })
        .filter(|block| !block.targets.is_empty())
        .collect();
    if narrow.len() > MAX_PORT_SETS {
        let join = |all: Block, block: &Block| Block {
            ports: all.ports.union(&block.ports),
            targets: all.targets.union(&block.targets),
        };
        let nothing = Block { ports: PortSet::empty(), targets: TargetSet::empty() };
        narrow = vec![narrow.iter().fold(nothing, join)];
    }
    let mut parts = Vec::new();
    for Block { ports, targets } in narrow {
        // Arguments may choose the ports themselves, or want some of each protocol that they scan.
        match run.definition.args().check_scan(&targets, Some(&ports)) {
            Ok(()) => parts.push((Some(ports), targets)),
            Err(_) => whole = whole.union(&targets),
        }
    }
    if !whole.is_empty() {
        parts.insert(0, (None, whole));
    }
    parts
}

/// Who looked at what the first time.
fn by_first_looker(first: &[TaskRecord], doubtful: &TargetSet) -> BTreeMap<Option<NodeId>, TargetSet> {
    let mut lookers: BTreeMap<Option<NodeId>, TargetSet> = BTreeMap::new();
    let mut unknown = doubtful.clone();
    for task in first.iter().rev().filter(|task| task.look == Look::First) {
        let targets = task.targets.intersection(&unknown);
        if !targets.is_empty() {
            unknown = unknown.minus(&targets);
            let all = lookers.entry(task.holder).or_default();
            *all = all.union(&targets);
        }
    }
    lookers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::coverage::Cells;
    use crate::fixture::{NOW, made_up_run};
    use protocol::task::RunId;

    fn node(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    fn run(ports: &str, args: &str) -> Run {
        Run { tasks: 2, ..made_up_run(1, "10.0.0.0/22", ports, args) }
    }

    fn first(index: u32, targets: &str, looker: u8) -> TaskRecord {
        let id = TaskId { run: RunId(1), index };
        let mut task = TaskRecord::new(id, Look::First, targets.parse().unwrap(), NOW);
        task.lease_to(node(looker), NOW);
        task
    }

    fn doubt(hosts: &str, cells: &[(&str, &str)]) -> Candidates {
        let blocks = cells
            .iter()
            .map(|(targets, ports)| Block { ports: ports.parse().unwrap(), targets: targets.parse().unwrap() });
        Candidates { hosts: TargetSet::try_from(hosts.to_owned()).unwrap(), cells: blocks.collect::<Cells>() }
    }

    fn told(tasks: &[TaskRecord]) -> Vec<String> {
        let ports = |task: &TaskRecord| task.ports.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string);
        let avoid = |task: &TaskRecord| task.avoid.map_or(0, |node| node.as_bytes()[0]);
        tasks.iter().map(|task| format!("{} {} {} not {}", task.id, task.targets, ports(task), avoid(task))).collect()
    }

    #[test]
    fn a_gone_host_is_asked_with_all_ports_and_a_closed_port_alone() {
        let lookers = [first(0, "10.0.0.0/24", 1), first(1, "10.0.1.0/24", 2)];
        let doubt = doubt("10.0.0.7", &[("10.0.0.7", "22"), ("10.0.0.9,10.0.1.9", "443"), ("10.0.1.5", "80,443")]);
        let tasks = second_look(&run("1-1000", ""), &lookers, &doubt, NOW);
        assert_eq!(
            told(&tasks),
            ["1.2 10.0.0.7 all not 1", "1.3 10.0.1.5 80,443 not 2", "1.4 10.0.0.9 443 not 1", "1.5 10.0.1.9 443 not 2"]
        );
        assert!(tasks.iter().all(|task| task.look == Look::Second));
    }

    #[test]
    fn arguments_that_choose_the_ports_or_want_more_protocols_keep_theirs() {
        let lookers = [first(0, "10.0.0.0/22", 1)];
        for (ports, args) in [("", "-F"), ("", "--top-ports 50"), ("T:1-100,U:53", "-sS -sU")] {
            let tasks = second_look(&run(ports, args), &lookers, &doubt("", &[("10.0.0.9", "T:22")]), NOW);
            assert_eq!(told(&tasks), ["1.2 10.0.0.9 all not 1"], "{args}");
        }
    }

    #[test]
    fn many_hosts_make_tasks_of_64_and_many_port_sets_are_joined() {
        let lookers = [first(0, "10.0.0.0/22", 1)];
        let tasks = second_look(&run("1-1000", ""), &lookers, &doubt("10.0.0.0-10.0.0.149", &[]), NOW);
        assert_eq!(tasks.iter().map(|task| task.targets.count()).collect::<Vec<_>>(), [64, 64, 22]);
        let odd: Vec<(String, String)> = (1..=20).map(|n| (format!("10.0.3.{n}"), n.to_string())).collect();
        let odd: Vec<(&str, &str)> = odd.iter().map(|(host, port)| (host.as_str(), port.as_str())).collect();
        let tasks = second_look(&run("1-1000", ""), &lookers, &doubt("", &odd), NOW);
        assert_eq!(told(&tasks), ["1.2 10.0.3.1-10.0.3.20 1-20 not 1"]);
    }
}
