//! Which engine serves a task: the built-in one wherever it can, nmap for what only nmap does, or both: then the built-in
//! one finds and names, and nmap does the rest on the ports that are open.

mod merge;
mod plan;
mod run;
#[cfg(test)]
mod tests;

use super::nmap::NmapFacts;
pub(super) use plan::PRINTERS;
use protocol::port::{PortSet, Protocol};
use protocol::task::{EngineChoice, TaskSpec};
pub(super) use run::{Named, Parts, scan};

/// The engine that serves a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// The built-in engine.
    Builtin,
    /// nmap.
    Nmap,
    /// The built-in engine, then nmap for what is left.
    Both,
}

/// The usual way to ask TCP ports that needs raw packets; the built-in engine goes it where it may send them.
const HALF_OPEN: &str = "-sS";

/// What nmap can do after another engine has found the open ports.
const AFTERWARDS: [&str; 11] = [
    "-sU",
    "-sC",
    "-O",
    "--osscan-limit",
    "--osscan-guess",
    "--max-os-tries",
    "--traceroute",
    "--defeat-rst-ratelimit",
    "--defeat-icmp-ratelimit",
    "--script",
    "--script-args",
];

/// Why no engine of this node serves a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unserved {
    /// Only nmap could.
    #[error("nmap is needed for {0}; install nmap 7.80 or later on this node, or leave that out")]
    NmapMissing(String),
    /// The scan insists on the built-in engine.
    #[error("the built-in engine cannot do {0}; choose engine auto or nmap, or leave that out")]
    BeyondBuiltin(String),
    /// Raw packets are asked for and cannot be sent.
    #[error("{0} needs raw packets, which cannot be sent on this node; run the node as root or with CAP_NET_RAW")]
    NoRawPackets(String),
}

/// Picks the engine for `spec`; `nmap` is what is installed here, `builtin_raw` whether the built-in engine may send raw
/// packets.
pub fn choose(spec: &TaskSpec, nmap: Option<&NmapFacts>, builtin_raw: bool) -> Result<Chosen, Unserved> {
    let mut special = special_wishes(spec);
    special.retain(|name| !(builtin_raw && name == HALF_OPEN));
    match (spec.engine, special.is_empty(), nmap) {
        (EngineChoice::Auto, true, Some(_)) if spec.args.service_intensity().is_some() => Ok(Chosen::Both),
        (EngineChoice::Auto | EngineChoice::Builtin, true, _) => Ok(Chosen::Builtin),
        (EngineChoice::Builtin, false, _) | (EngineChoice::Auto, false, None) if special == [HALF_OPEN] => {
            Err(Unserved::NoRawPackets(HALF_OPEN.to_owned()))
        }
        (EngineChoice::Builtin, false, _) => Err(Unserved::BeyondBuiltin(special.join(", "))),
        (EngineChoice::Auto, false, None) => Err(Unserved::NmapMissing(special.join(", "))),
        (EngineChoice::Nmap, _, None) => Err(Unserved::NmapMissing("engine nmap".to_owned())),
        (EngineChoice::Auto | EngineChoice::Nmap, _, Some(nmap)) if needs_raw(spec) && !nmap.raw => {
            Err(Unserved::NoRawPackets(raw_wishes(spec)))
        }
        (EngineChoice::Auto, false, Some(_)) if can_wait(spec, builtin_raw) => Ok(Chosen::Both),
        (EngineChoice::Auto | EngineChoice::Nmap, _, Some(_)) => Ok(Chosen::Nmap),
    }
}

/// True when TCP ports are asked in the usual way and all else can be done once the open ones are known.
fn can_wait(spec: &TaskSpec, builtin_raw: bool) -> bool {
    let has_tcp = |ports: &PortSet| !ports.only(Protocol::Tcp).is_empty();
    spec.args.protocols().contains(&Protocol::Tcp)
        && spec.ports.as_ref().is_none_or(has_tcp)
        && spec
            .args
            .beyond_builtin()
            .iter()
            .all(|name| AFTERWARDS.contains(&name.as_str()) || builtin_raw && name == HALF_OPEN)
}

/// True when the task cannot be done without raw packets.
pub fn needs_raw(spec: &TaskSpec) -> bool {
    spec.args.needs_raw()
}

/// What needs the raw packets, for messages.
pub fn raw_wishes(spec: &TaskSpec) -> String {
    let special = special_wishes(spec);
    if special.is_empty() { "this scan".to_owned() } else { special.join(", ") }
}

/// What the built-in engine does not do, in the author's words.
fn special_wishes(spec: &TaskSpec) -> Vec<String> {
    let mut wishes = spec.args.beyond_builtin();
    let foreign = spec.ports.as_ref().map(|ports| ports.minus(&ports.only(Protocol::Tcp)));
    wishes.extend(foreign.filter(|ports| !ports.is_empty()).map(|ports| format!("ports {ports}")));
    wishes
}
