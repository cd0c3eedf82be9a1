//! nmap's argument vector, rebuilt from checked arguments: options, `--`, literal addresses. Nothing an author or a
//! scanned host wrote is passed on as it stands.

use crate::engine::DEFAULT_HOST_TIMEOUT;
use crate::policy::AdmittedTask;
use protocol::port::{PortSet, Protocol};
use protocol::target::TargetSet;

/// Scan types that probe TCP ports.
const TCP_TYPES: [&str; 8] = ["-sT", "-sS", "-sA", "-sW", "-sM", "-sN", "-sF", "-sX"];

/// The vector for the addresses of one family.
pub(super) fn arguments(task: &AdmittedTask, targets: &TargetSet) -> Vec<String> {
    let mut vector = options(task, targets);
    add_targets(&mut vector, targets);
    vector
}

/// `--`, and literal addresses behind it.
pub(super) fn add_targets(vector: &mut Vec<String>, targets: &TargetSet) {
    vector.push("--".to_owned());
    vector.extend(targets.ranges().flat_map(|range| match range.as_network() {
        Some(network) if range.first() != range.last() => vec![network.to_string()],
        Some(_) | None => {
            TargetSet::from_ranges([(range.first(), range.last())]).addresses().map(|one| one.to_string()).collect()
        }
    }));
}

/// The options alone; what really took effect, for people and for comparison.
pub(super) fn options(task: &AdmittedTask, targets: &TargetSet) -> Vec<String> {
    let spec = task.spec();
    let mut vector = spec.args.nmap_options();
    if spec.args.protocols().contains(&Protocol::Tcp) && !TCP_TYPES.iter().any(|name| spec.args.has(name)) {
        vector.push(if task.raw() { "-sS" } else { "-sT" }.to_owned());
    }
    if let Some(ports) = &spec.ports {
        add_ports(&mut vector, ports);
    }
    add_own(&mut vector, task, targets);
    vector
}

pub(super) fn add_ports(vector: &mut Vec<String>, ports: &PortSet) {
    vector.extend(["-p".to_owned(), prefixed(ports)]);
}

/// What the node itself decides.
pub(super) fn add_own(vector: &mut Vec<String>, task: &AdmittedTask, targets: &TargetSet) {
    let spec = task.spec();
    let mut add = |words: &[&str]| vector.extend(words.iter().map(|word| (*word).to_owned()));
    if targets.ranges().any(|range| range.first().is_ipv6()) {
        add(&["-6"]);
    }
    add(&[if task.raw() { "--privileged" } else { "--unprivileged" }]);
    if spec.args.host_timeout().is_none() {
        add(&["--host-timeout", &format!("{}s", DEFAULT_HOST_TIMEOUT.as_secs())]);
    }
    if let (Some(rate), None) = (task.max_rate(), spec.args.max_rate()) {
        add(&["--max-rate", &rate.to_string()]);
    }
    add(&["--noninteractive", "--stats-every", "5s", "--no-stylesheet", "-oX", "-"]);
}

/// As nmap reads it. Without a prefix a number would mean every protocol that is scanned.
fn prefixed(ports: &PortSet) -> String {
    let text = ports.to_string();
    if text.contains(':') { text } else { format!("T:{text}") }
}
