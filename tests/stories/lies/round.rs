//! One round of the lie test: a run of each scan while something goes wrong, and every word about it checked.

use super::model::{Cell, Line, Model, Seen, alert_lines, last};
use super::world::{ADDRESSES, World};
use crate::harness::{Chance, Mesh, as_soon_as};
use protocol::TargetSet;
use serde_json::Value;
use std::collections::BTreeSet;

/// A node and the addresses it may scan.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) fingerprint: String,
    pub(super) first: u8,
    pub(super) last: u8,
}

/// A scan and what is known of it.
pub(super) struct Scan {
    pub(super) id: u64,
    pub(super) model: Model,
}

/// What goes wrong during a round, besides each fourth nmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Nothing,
    /// A node dies and comes back.
    NodeDies,
    /// The coordinator dies and comes back.
    CoordinatorDies,
    /// The only node of a range is off from before the run to its end.
    EdgeIsOff,
    /// A node stands still until it counts as offline, and then goes on as if nothing had been.
    NodeFreezes,
    /// The coordinator stands still for longer than a lease.
    CoordinatorFreezes,
}

impl Trouble {
    pub(super) const ALL: [Self; 6] = [
        Self::Nothing,
        Self::NodeDies,
        Self::CoordinatorDies,
        Self::EdgeIsOff,
        Self::NodeFreezes,
        Self::CoordinatorFreezes,
    ];
}

/// The node that alone has its range.
const EDGE: usize = 2;

/// What a node says when it has heard nothing of its coordinator for much longer than a lease.
const SILENCE: &str = "no sign of life from the coordinator";

/// And when it is there again.
const HEARD: &str = "the coordinator is heard again";

/// Tasks that end before the trouble begins, at most.
const MOST_BEFORE: usize = 24;

pub(super) struct Round<'a> {
    pub(super) number: usize,
    pub(super) mesh: &'a mut Mesh,
    pub(super) members: &'a [Member],
    pub(super) world: &'a World,
    pub(super) trouble: Trouble,
}

impl Round<'_> {
    /// Runs every scan through the trouble and checks what is said of it.
    pub(super) fn play(mut self, scans: &mut [Scan], chance: &mut Chance, changes: &[String]) {
        if self.trouble == Trouble::EdgeIsOff {
            self.mesh.nodes[EDGE].kill();
            self.mesh.until(&self.members[EDGE].fingerprint, "offline");
        }
        let runs: Vec<u64> = scans
            .iter()
            .map(|scan| self.mesh.json(&["scans", "run", &scan.id.to_string()])["id"].as_u64().unwrap())
            .collect();
        self.make_trouble(&runs, chance);
        for (scan, run) in scans.iter_mut().zip(runs) {
            let ended = self.ended(run);
            let context = format!("round {}, {:?}, {changes:?}, run {run}", self.number, self.trouble);
            #[expect(clippy::print_stdout, reason = "shown when the story fails")]
            {
                println!("{context}: {} {} {}", ended["state"], ended["coverage_percent"], ended["reason"]);
            }
            self.check(scan, &ended, &context);
        }
        if self.trouble == Trouble::EdgeIsOff {
            self.start_again(EDGE);
        }
    }

    /// What the coordinator has on a run, as soon as it ended.
    fn ended(&self, run: u64) -> Value {
        as_soon_as(|| {
            let seen = self.mesh.get(&format!("/runs/{run}"));
            if seen["ended"] == true { Ok(seen) } else { Err(format!("{seen:#}")) }
        })
    }

    /// Waits until so many tasks have ended, or every run has.
    fn until_under_way(&self, runs: &[u64], wanted: usize) {
        as_soon_as(|| {
            let seen: Vec<Value> = runs.iter().map(|run| self.mesh.get(&format!("/runs/{run}"))).collect();
            let tasks = seen.iter().flat_map(|run| run["tasks"].as_array().unwrap());
            let enough = tasks.filter(|task| !task["ended_at"].is_null()).count() >= wanted;
            let over = enough || seen.iter().all(|run| run["ended"] == true);
            over.then_some(()).ok_or_else(|| format!("{seen:#?}"))
        });
    }

    fn make_trouble(&mut self, runs: &[u64], chance: &mut Chance) {
        let (before, index) = (chance.below(MOST_BEFORE), chance.below(self.members.len()));
        self.until_under_way(runs, before);
        match self.trouble {
            Trouble::Nothing | Trouble::EdgeIsOff => {}
            Trouble::NodeDies => {
                self.mesh.nodes[index].kill();
                self.start_again(index);
            }
            Trouble::CoordinatorDies => {
                self.mesh.crash_coordinator();
                self.until_all_online();
            }
            Trouble::NodeFreezes => {
                self.mesh.nodes[index].freeze();
                self.mesh.until(&self.members[index].fingerprint, "offline");
                self.mesh.nodes[index].thaw();
                self.until_all_online();
            }
            Trouble::CoordinatorFreezes => {
                self.mesh.coordinator.freeze();
                let node = &self.mesh.nodes[index];
                let is_silent = || node.count(SILENCE) > node.count(HEARD);
                as_soon_as(|| is_silent().then_some(()).ok_or_else(|| "the node hears its coordinator".to_owned()));
                self.mesh.coordinator.thaw();
                self.until_all_online();
            }
        }
    }

    fn start_again(&mut self, index: usize) {
        let Member { name, fingerprint, .. } = &self.members[index];
        self.mesh.start_again(index, name, fingerprint);
    }

    fn until_all_online(&self) {
        self.members.iter().for_each(|member| self.mesh.until(&member.fingerprint, "online"));
    }

    fn check(&self, scan: &mut Scan, run: &Value, context: &str) {
        let covered = self.check_coverage(run, context);
        let id = run["id"].as_u64().unwrap();
        if covered.is_empty() {
            assert_eq!(run["state"], "failed", "{context}: {run:#}");
        } else {
            assert_eq!(run["state"], "partial", "{context}: nobody may scan 1 to 6: {run:#}");
            let report = self.mesh.json(&["reports", "show", &id.to_string()]);
            let unsettled = unsettled(run, &report, context);
            self.check_second_looks(&scan.model, run, &report, context);
            let seen = Seen { run: id, covered: &covered, unsettled: &unsettled, world: &self.world.ports };
            let wanted = scan.model.learn(&seen);
            assert_eq!(lines(&report), wanted, "{context}: told, and true: {report:#}\n{run:#}");
            assert_eq!(report["uncovered"], run["uncovered"], "{context}");
        }
        let alerts = self.mesh.get("/alerts?state=all&limit=1000");
        let (told, wanted) = (alert_lines(&alerts, scan.id), scan.model.alert_lines());
        let wrong: Vec<&String> = told.symmetric_difference(&wanted).collect();
        assert!(wrong.is_empty(), "{context}: told {:#?}\nwanted {:#?}", &told - &wanted, &wanted - &told);
    }

    /// The addresses that the run covered, after a check that all others are named, each with a reason that is true.
    fn check_coverage(&self, run: &Value, context: &str) -> BTreeSet<u8> {
        let mut covered: BTreeSet<u8> = ADDRESSES.collect();
        for part in run["uncovered"].as_array().unwrap() {
            let reason = part["reason"].as_str().unwrap();
            for address in numbers(&part["targets"]) {
                assert!(covered.remove(&address), "{context}: {address} is named twice: {run:#}");
                let nobody = !self.members.iter().any(|member| (member.first..=member.last).contains(&address));
                assert_eq!(reason.contains("no approved node"), nobody, "{context}: {address}: {run:#}");
            }
        }
        let count = f64::from(u8::try_from(covered.len()).unwrap());
        let told = run["coverage_percent"].as_f64().unwrap();
        assert!((told - count / 0.6).abs() < 0.01, "{context}: {count} of 60 are covered: {run:#}");
        for task in first_looks(run) {
            let missing = numbers(&task["targets"]).difference(&covered).count();
            match task["state"].as_str().unwrap() {
                "done" => assert_eq!(missing, 0, "{context}: {task:#}"),
                "partial" => assert!(!task["reason"].is_null(), "{context}: {task:#}"),
                "failed" => assert_eq!(missing, numbers(&task["targets"]).len(), "{context}: {task:#}"),
                other => panic!("{context}: a task of an ended run is {other}"),
            }
        }
        if self.trouble == Trouble::EdgeIsOff {
            assert!(covered.iter().all(|address| *address < self.members[EDGE].first), "{context}: {run:#}");
        }
        covered
    }

    /// What seems gone is told only after a second look: removed hosts, and closed ports with an alert.
    fn check_second_looks(&self, model: &Model, run: &Value, report: &Value, context: &str) {
        // A partial one has settled some of its addresses.
        let is_settled = |task: &&Value| task["state"] == "done" || task["state"] == "partial";
        let again: BTreeSet<u8> =
            second_looks(run).filter(is_settled).flat_map(|task| numbers(&task["targets"])).collect();
        for change in report["changes"].as_array().unwrap() {
            let (kind, address, port) = line(change);
            let owed = match (kind.as_str(), port) {
                ("removed-host", _) => true,
                ("closed-port", Some(port)) => {
                    model.has_alert((address, port)) || !self.world.ports.contains_key(&address)
                }
                _ => false,
            };
            let done = change["confirmation"] == "confirmed" && again.contains(&address);
            assert!(done || !owed, "{context}: without a second look: {change:#}\n{run:#}");
        }
        let known = report["changes"].as_array().unwrap().iter().filter(|change| change["kind"] == "removed-host");
        assert!(known.map(line).all(|(_, address, _)| model.known(address).is_some()), "{context}: {report:#}");
    }
}

fn first_looks(run: &Value) -> impl Iterator<Item = &Value> {
    run["tasks"].as_array().unwrap().iter().filter(|task| task["second_look"] == false)
}

fn second_looks(run: &Value) -> impl Iterator<Item = &Value> {
    run["tasks"].as_array().unwrap().iter().filter(|task| task["second_look"] == true)
}

/// The cells that the report calls unconfirmed: each belongs to a second look that came to nothing.
fn unsettled(run: &Value, report: &Value, context: &str) -> BTreeSet<Cell> {
    let lost: BTreeSet<u8> =
        second_looks(run).filter(|task| task["state"] != "done").flat_map(|task| numbers(&task["targets"])).collect();
    let notes = report["notes"].as_array().unwrap().iter().filter(|note| note["kind"] == "unconfirmed");
    let lines: Vec<Line> = notes.map(|note| line(&note["change"])).collect();
    for (kind, address, _) in &lines {
        assert!(
            lost.contains(address),
            "{context}: {address} {kind} is unconfirmed for no reason: {run:#}\n{report:#}"
        );
    }
    lines.into_iter().filter_map(|(_, address, port)| Some((address, port?))).collect()
}

fn lines(report: &Value) -> BTreeSet<Line> {
    let changes = report["changes"].as_array().unwrap();
    let lines: BTreeSet<Line> = changes.iter().map(line).collect();
    assert_eq!(lines.len(), changes.len(), "a line stands there twice: {report:#}");
    lines
}

fn line(change: &Value) -> Line {
    let port = change["port"].as_str().map(|port| port.strip_suffix("/tcp").unwrap().parse().unwrap());
    (change["kind"].as_str().unwrap().to_owned(), last(change["address"].as_str().unwrap()), port)
}

/// The last numbers of a set of IPv4 addresses.
fn numbers(targets: &Value) -> BTreeSet<u8> {
    let targets: TargetSet = targets.as_str().unwrap().parse().unwrap();
    targets.addresses().map(|address| last(&address.to_string())).collect()
}
