//! Tasks done by both engines in 127.77.4.0/24: with false nmaps, which must not spoil what the built-in one found, and
//! with the real one.

use crate::engine::builtin::Builtin;
use crate::engine::memory::Memory;
use crate::engine::nmap::Nmap;
use crate::engine::trial::{Manner, Scanned, admit, admitted, closed_port, scan, script, serve, task};
use crate::engine::{Engine, EngineError, Engines, Progress, auto, guard};
use crate::policy::{AdmittedTask, Policy};
use protocol::observation::{Coverage, HostObservation, PortState, ProbeMethod, ServiceMethod};
use protocol::port::Protocol;
use std::num::NonZeroU16;
use std::path::Path;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A greeting that the built-in engine does not know.
const STRANGE: Manner = Manner::Greets(b"TS3\n\rWelcome to the TeamSpeak 3 ServerQuery interface\n\r");

/// Names the port that it is asked for; what stands in `$DOCUMENT` and `$END` is a whole answer.
const ANSWER: &str = r#"
PORT=$(echo "$*" | sed 's/.*-p T:\([0-9]*\).*/\1/')
FOR=$(echo "$*" | sed 's/.* -- //')
DOCUMENT="<?xml version=\"1.0\"?><!DOCTYPE nmaprun>
<nmaprun scanner=\"nmap\" args=\"nmap\" start=\"1700000000\" version=\"7.93\">
<scaninfo type=\"connect\" protocol=\"tcp\" numservices=\"1\" services=\"$PORT\"/>
<host starttime=\"1700000000\" endtime=\"1700000001\"><status state=\"up\" reason=\"user-set\"/>
<address addr=\"$FOR\" addrtype=\"ipv4\"/><ports>
<port protocol=\"tcp\" portid=\"$PORT\"><state state=\"open\" reason=\"syn-ack\"/>
<service name=\"ts3\" product=\"TeamSpeak\" version=\"3\" method=\"probed\" conf=\"10\"/></port></ports></host>
"
END="<runstats><finished time=\"1700000002\" exit=\"success\"/><hosts up=\"1\" down=\"0\" total=\"1\"/></runstats></nmaprun>"
"#;

/// The built-in engine and one nmap.
struct Both {
    builtin: Builtin,
    nmap: Nmap,
    named: Memory<auto::Named>,
}

impl Engine for Both {
    async fn scan(
        &self,
        task: AdmittedTask,
        hosts: mpsc::Sender<HostObservation>,
        progress: watch::Sender<Progress>,
        stop: CancellationToken,
    ) -> Result<Coverage, EngineError> {
        let Self { builtin, nmap, named } = self;
        auto::scan(auto::Parts { builtin, nmap, named }, task, hosts, progress, stop).await
    }
}

/// An nmap that writes its arguments down and otherwise behaves as `body` says.
async fn fake(folder: &Path, body: &str) -> Both {
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'Nmap version 7.93'; exit 0; fi\necho \"$*\" >> {}/seen\n{ANSWER}\n{body}\n",
        folder.display()
    );
    let launcher = script(folder, "launcher", "#!/bin/sh\nshift 2\nexec \"$@\"\n");
    let program = script(folder, "nmap", &text);
    let nmap = Nmap::find(Some(&program), launcher).await.unwrap().unwrap();
    let full_every = NonZeroU16::new(3).unwrap();
    Both { builtin: Builtin::remembering(full_every), nmap, named: Memory::new(full_every) }
}

/// One line a port: who named it, and what.
fn services(scanned: &Scanned, address: &str) -> Vec<String> {
    let ports = scanned.host(address).ports.iter().filter(|port| port.state == PortState::Open);
    let told = ports.map(|port| match &port.service {
        Some(service) if service.method == ServiceMethod::Probed => {
            format!("{}: {} {}", service.by, service.name, service.product)
        }
        Some(_) | None => "nobody".to_owned(),
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    told
}

#[tokio::test]
async fn one_observation_says_which_engine_named_which_port() {
    let folder = tempfile::tempdir().unwrap();
    let engine = fake(folder.path(), "echo \"$DOCUMENT$END\"").await;
    let address = "127.77.4.1";
    let known = serve(address, Manner::Greets(b"SSH-2.0-OpenSSH_9.2p1\r\n")).await;
    let strange = serve(address, STRANGE).await;
    let closed = closed_port(address);
    let ports = format!("{known},{strange},{closed}");
    let scanned = scan(&engine, admitted(address, &ports, "-sV -T4")).await;
    assert_eq!(services(&scanned, address), ["builtin: ssh OpenSSH", "nmap: ts3 TeamSpeak"]);
    let coverage = scanned.coverage();
    assert!(coverage.covers(address.parse().unwrap(), Protocol::Tcp, closed));
    let ways: Vec<_> = coverage.services.iter().map(|way| (way.engine.as_str(), way.intensity)).collect();
    assert_eq!(ways, [("builtin", 7), ("nmap", 7)]);
    assert_eq!(coverage.options.iter().map(|told| told.engine.as_str()).collect::<Vec<_>>(), ["builtin", "nmap"]);
    let seen = std::fs::read_to_string(folder.path().join("seen")).unwrap();
    assert!(seen.contains(&format!(" -Pn -p T:{strange} ")) && seen.contains("-sV"), "only the strange port: {seen}");
}

#[tokio::test]
async fn a_port_that_answers_as_before_keeps_its_name_without_nmap_until_a_full_look_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let engine = fake(folder.path(), "echo \"$DOCUMENT$END\"").await;
    let address = "127.77.4.3";
    let strange = serve(address, STRANGE).await;
    let mut started = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let scanned = scan(&engine, admitted(address, &strange.to_string(), "-sV")).await;
        assert_eq!(services(&scanned, address), ["nmap: ts3 TeamSpeak"]);
        seen.push(scanned.host(address).ports.clone());
        started.push(std::fs::read_to_string(folder.path().join("seen")).unwrap().lines().count());
    }
    assert_eq!(started, [1, 1, 1, 2]);
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn nmap_is_not_started_when_the_builtin_engine_has_named_everything() {
    let folder = tempfile::tempdir().unwrap();
    let engine = fake(folder.path(), "exit 1").await;
    let address = "127.77.4.2";
    let port = serve(address, Manner::Greets(b"SSH-2.0-OpenSSH_9.2p1\r\n")).await;
    let scanned = scan(&engine, admitted(address, &port.to_string(), "-sV")).await;
    assert_eq!(services(&scanned, address), ["builtin: ssh OpenSSH"]);
    assert!(!folder.path().join("seen").exists());
    assert_eq!((scanned.coverage().services.len(), scanned.coverage().options.len()), (2, 1));
}

#[tokio::test]
async fn whatever_becomes_of_nmap_the_builtin_findings_stand() {
    for (last, body) in [
        "exit 0",
        "echo \"$DOCUMENT\"",
        "echo \"$DOCUMENT$END\"; kill -SEGV $$",
        "echo \"$DOCUMENT$END\" | sed 's/<host /<host timedout=\"true\" /'",
        "echo \"$DOCUMENT$END\" | sed 's/addr=\"127[^\"]*\"/addr=\"127.77.4.99\"/'",
        "echo \"$DOCUMENT$END\" | sed 's/state=\"open\"/state=\"closed\"/'",
        "trap '' TERM; while :; do sleep 1; done",
        "echo '<nmaprun '; while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done",
    ]
    .into_iter()
    .enumerate()
    {
        let folder = tempfile::tempdir().unwrap();
        let engine = fake(folder.path(), body).await;
        let address = format!("127.77.4.{}", 10 + last);
        let ports = [serve(&address, Manner::Greets(b"SSH-2.0-A_1\r\n")).await, serve(&address, STRANGE).await];
        let mut task = task(&address, &format!("{},{}", ports[0], ports[1]), "-sV");
        // Long enough for the built-in engine on a busy machine; what hangs takes nine tenths of it.
        task.spec.time_limit = Duration::from_secs(15);
        let scanned = scan(&engine, admit(task)).await;
        assert!(folder.path().join("seen").exists(), "{body}: it was asked");
        assert_eq!(services(&scanned, &address), ["builtin: ssh A", "nobody"], "{body}");
        let coverage = scanned.coverage();
        assert!(ports.iter().all(|port| coverage.covers(address.parse().unwrap(), Protocol::Tcp, *port)), "{body}");
    }
}

/// The real nmap under the real guard, or `None` with a line that says so.
async fn real(folder: &Path, policy: &Policy, raw: bool) -> Option<Engines> {
    let launcher = script(folder, "launcher", &guard::tests::launcher());
    let engines = Engines::find(policy, launcher).await;
    if engines.facts().nmap.is_none_or(|nmap| raw && !nmap.raw) {
        assert!(std::env::var_os("PORTDRIFT_NO_SKIP").is_none(), "no nmap, or without raw packets");
        println!("skipped: nmap is not installed, or may not send raw packets");
        return None;
    }
    Some(engines)
}

#[tokio::test]
async fn the_real_nmap_names_what_the_builtin_engine_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let Some(engines) = real(folder.path(), &Policy::default(), false).await else { return };
    let address = "127.77.4.40";
    let ports = [serve(address, Manner::Greets(b"SSH-2.0-OpenSSH_9.2p1\r\n")).await, serve(address, STRANGE).await];
    let task = task(address, &format!("{},{}", ports[0], ports[1]), "-sV -T4");
    let policy = Policy::default().with_engines(&engines.facts());
    let scanned = scan(&engines, policy.admit(task, &"127.0.0.0/8".parse().unwrap()).unwrap()).await;
    assert_eq!(services(&scanned, address), ["builtin: ssh OpenSSH", "nmap: textui TeamSpeak 3 ServerQuery"]);
}

#[tokio::test]
async fn udp_is_asked_by_nmap_and_stands_beside_what_the_builtin_engine_found() {
    let folder = tempfile::tempdir().unwrap();
    let policy = Policy::parse("raw_packets = true\n").unwrap();
    let Some(engines) = real(folder.path(), &policy, true).await else { return };
    let policy = policy.with_engines(&engines.facts());
    let open = serve("127.77.4.50", Manner::Waits).await;
    // Nothing answers at the second address, so nothing proves that it is there.
    let task = task("127.77.4.50-51", &format!("T:{open},U:9"), "-sT -sU");
    let scanned = scan(&engines, policy.admit(task, &"127.0.0.0/8".parse().unwrap()).unwrap()).await;
    assert_eq!(scanned.open("127.77.4.50"), [open]);
    let host = scanned.host("127.77.4.50");
    assert!(
        host.unlisted.iter().any(|rest| (rest.protocol, rest.state) == (Protocol::Udp, PortState::Closed))
            || host.ports.iter().any(|port| (port.protocol, port.state) == (Protocol::Udp, PortState::Closed))
    );
    let coverage = scanned.coverage();
    let methods: Vec<_> = coverage.probed.iter().map(|cells| (cells.method, cells.ports.to_string())).collect();
    assert_eq!(methods, [(ProbeMethod::Connect, open.to_string()), (ProbeMethod::Udp, "U:9".to_owned())]);
    let targets: Vec<String> = coverage.probed.iter().map(|cells| cells.targets.to_string()).collect();
    assert_eq!(targets, ["127.77.4.50/31"; 2]);
}
