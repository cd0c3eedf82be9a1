//! Which engine serves a task: the built-in one wherever it can, nmap for what only nmap does.

use super::nmap::NmapFacts;
use protocol::port::Protocol;
use protocol::task::{EngineChoice, TaskSpec};

/// The engine that serves a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// The built-in engine.
    Builtin,
    /// nmap.
    Nmap,
}

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
    #[error("{0} needs raw packets, which nmap cannot send on this node; run the node as root or with CAP_NET_RAW")]
    NoRawPackets(String),
}

/// Picks the engine for `spec`; `nmap` is what is installed here.
pub fn choose(spec: &TaskSpec, nmap: Option<&NmapFacts>) -> Result<Chosen, Unserved> {
    let special = special_wishes(spec);
    match (spec.engine, special.is_empty(), nmap) {
        (EngineChoice::Auto | EngineChoice::Builtin, true, _) => Ok(Chosen::Builtin),
        (EngineChoice::Builtin, false, _) => Err(Unserved::BeyondBuiltin(special.join(", "))),
        (EngineChoice::Auto, false, None) => Err(Unserved::NmapMissing(special.join(", "))),
        (EngineChoice::Nmap, _, None) => Err(Unserved::NmapMissing("engine nmap".to_owned())),
        (EngineChoice::Auto | EngineChoice::Nmap, _, Some(nmap)) if needs_raw(spec) && !nmap.raw => {
            Err(Unserved::NoRawPackets(raw_wishes(spec)))
        }
        (EngineChoice::Auto | EngineChoice::Nmap, _, Some(_)) => Ok(Chosen::Nmap),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::target::TargetSet;
    use std::path::PathBuf;
    use std::time::Duration;

    #[test]
    fn the_builtin_engine_serves_what_it_can_and_the_rest_is_named() {
        let nmap = |raw| Some(NmapFacts { path: PathBuf::from("/usr/bin/nmap"), version: "7.93".to_owned(), raw });
        let mut lines = Vec::new();
        for (engine, args) in [
            (EngineChoice::Auto, "-T4 -sV --host-timeout 30s --max-retries 1"),
            (EngineChoice::Auto, "-T5 -F -Pn"),
            (EngineChoice::Auto, "-sU"),
            (EngineChoice::Auto, "-sS -O"),
            (EngineChoice::Auto, "-sC"),
            (EngineChoice::Builtin, "-sC"),
            (EngineChoice::Nmap, "-sV"),
        ] {
            let spec = TaskSpec {
                targets: TargetSet::empty(),
                ports: None,
                args: args.parse().unwrap(),
                engine,
                time_limit: Duration::ZERO,
            };
            let said: Vec<String> = [None, nmap(false), nmap(true)]
                .iter()
                .map(|nmap| match choose(&spec, nmap.as_ref()) {
                    Ok(chosen) => format!("{chosen:?}"),
                    Err(error) => error.to_string(),
                })
                .collect();
            lines.push(format!("{engine} {args}\n  none: {}\n  nmap: {}\n  raw:  {}", said[0], said[1], said[2]));
        }
        insta::assert_snapshot!(lines.join("\n"), @"
        auto -T4 -sV --host-timeout 30s --max-retries 1
          none: Builtin
          nmap: Builtin
          raw:  Builtin
        auto -T5 -F -Pn
          none: Builtin
          nmap: Builtin
          raw:  Builtin
        auto -sU
          none: nmap is needed for -sU; install nmap 7.80 or later on this node, or leave that out
          nmap: -sU needs raw packets, which nmap cannot send on this node; run the node as root or with CAP_NET_RAW
          raw:  Nmap
        auto -sS -O
          none: nmap is needed for -sS, -O; install nmap 7.80 or later on this node, or leave that out
          nmap: -sS, -O needs raw packets, which nmap cannot send on this node; run the node as root or with CAP_NET_RAW
          raw:  Nmap
        auto -sC
          none: nmap is needed for -sC; install nmap 7.80 or later on this node, or leave that out
          nmap: Nmap
          raw:  Nmap
        builtin -sC
          none: the built-in engine cannot do -sC; choose engine auto or nmap, or leave that out
          nmap: the built-in engine cannot do -sC; choose engine auto or nmap, or leave that out
          raw:  the built-in engine cannot do -sC; choose engine auto or nmap, or leave that out
        nmap -sV
          none: nmap is needed for engine nmap; install nmap 7.80 or later on this node, or leave that out
          nmap: Nmap
          raw:  Nmap
        ");
    }
}
