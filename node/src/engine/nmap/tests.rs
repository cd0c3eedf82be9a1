//! nmap as an engine: the real one on 127.77.3.0/24, and false ones that hang, crash, cut, flood and lie.

use super::*;
use crate::engine::builtin::Builtin;
use crate::engine::trial::{Manner, Scanned, admit, admitted, closed_port, scan, scan_until, script, serve, task};
use crate::engine::{Engines, guard};
use crate::policy::Policy;
use protocol::observation::{HostState, PortState, ProbeMethod};
use protocol::port::Protocol;
use protocol::task::{EngineChoice, Task};
use rustix::process::{Pid, test_kill_process};
use std::path::Path;
use std::time::Duration;

/// Starts what stands behind `exec-nmap --`, without the guard.
const LAUNCHER: &str = "#!/bin/sh\nshift 2\nexec \"$@\"\n";

/// A whole and honest document for 127.77.3.9, with one open port.
const DOCUMENT: &str = r#"<?xml version="1.0"?><!DOCTYPE nmaprun>
<nmaprun scanner="nmap" args="nmap" start="1700000000" version="7.93" xmloutputversion="1.05">
<scaninfo type="connect" protocol="tcp" numservices="2" services="80,81"/>
<host starttime="1700000000" endtime="1700000001"><status state="up" reason="conn-refused" reason_ttl="0"/>
<address addr="127.77.3.9" addrtype="ipv4"/>
<ports><extraports state="closed" count="1"><extrareasons reason="conn-refused" count="1" proto="tcp" ports="81"/></extraports>
<port protocol="tcp" portid="80"><state state="open" reason="syn-ack" reason_ttl="0"/></port></ports></host>
"#;
const END: &str =
    r#"<runstats><finished time="1700000002" exit="success"/><hosts up="1" down="0" total="1"/></runstats></nmaprun>"#;

/// An nmap that answers `--version` and otherwise behaves as `body` says; `$DOCUMENT` and `$END` are at hand.
async fn fake(folder: &Path, body: &str) -> Nmap {
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'Nmap version 7.93'; exit 0; fi\nDOCUMENT='{DOCUMENT}'\nEND='{END}'\n{body}\n"
    );
    let launcher = script(folder, "launcher", LAUNCHER);
    let program = script(folder, "nmap", &text);
    Nmap::find(Some(&program), launcher).await.unwrap().unwrap()
}

fn admit_anywhere(task: Task) -> AdmittedTask {
    let targets = task.spec.targets.clone();
    Policy::default().admit(task, &targets).unwrap()
}

async fn scan_with_fake(body: &str) -> Scanned {
    let folder = tempfile::tempdir().unwrap();
    scan(&fake(folder.path(), body).await, admitted("127.77.3.9", "80,81", "")).await
}

#[tokio::test]
async fn an_honest_document_is_believed() {
    let scanned = scan_with_fake("echo \"$DOCUMENT$END\"").await;
    let coverage = scanned.coverage();
    assert_eq!(scanned.open("127.77.3.9"), [80]);
    assert_eq!(
        (coverage.asked.to_string(), coverage.by_port_only.to_string()),
        ("127.77.3.9".into(), "127.77.3.9".into())
    );
    assert!(coverage.covers("127.77.3.9".parse().unwrap(), Protocol::Tcp, 81));
    assert_eq!(coverage.probed[0].method, ProbeMethod::Connect);
    assert_eq!((scanned.progress.cells_done, scanned.progress.hosts_found), (2, 1));
}

#[tokio::test]
async fn a_false_nmap_is_never_believed_and_says_why() {
    let timed_out = "echo \"$DOCUMENT$END\" | sed 's/<host /<host timedout=\"true\" /'";
    let mut lines = Vec::new();
    for (label, body) in [
        ("empty success", "exit 0"),
        ("cut document", "echo \"$DOCUMENT\""),
        ("cut inside a host", "echo \"$DOCUMENT\" | head -c 400"),
        ("crash after the document", "echo \"$DOCUMENT$END\"; kill -SEGV $$"),
        ("exit code", "echo \"$DOCUMENT$END\"; echo 'QUITTING!' >&2; exit 1"),
        ("aborted", "echo \"$DOCUMENT$END\" | sed 's/exit=\"success\"/exit=\"error\" errormsg=\"no memory\"/'"),
        ("timed out host", timed_out),
        ("no document", "echo Starting Nmap"),
        ("foreign document type", "echo '<!DOCTYPE nmaprun [<!ENTITY a \"b\">]><nmaprun/>'"),
        (
            "flood of one tag",
            "echo '<?xml version=\"1.0\"?><nmaprun '; while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done",
        ),
        ("flood of hosts", "echo \"$DOCUMENT\"; yes '<host></host>'"),
        ("a host twice", "echo \"$DOCUMENT\"; echo \"$DOCUMENT$END\" | sed '1,/<host /{/<host /!d}'"),
        ("ports left out", "echo \"$DOCUMENT$END\" | grep -v extraports | sed 's/^<port/<ports><port/'"),
        ("another host", "echo \"$DOCUMENT$END\" | sed 's/127.77.3.9/127.77.3.8/'"),
    ] {
        let scanned = scan_with_fake(body).await;
        assert!(scanned.hosts.iter().all(|host| host.address.to_string() == "127.77.3.9"), "{label}");
        lines.push(match &scanned.result {
            Ok(coverage) => format!("{label}: {:?} {:?}", scanned.hosts, coverage.asked.to_string()),
            Err(error) => format!("{label}: {error}"),
        });
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    empty success: nmap left nothing that can be used: the nmap document is cut short; nmap was ended or its disk is full, scan again
    cut document: nmap left nothing that can be used: the nmap document is cut short; nmap was ended or its disk is full, scan again
    cut inside a host: nmap left nothing that can be used: the nmap document is cut short; nmap was ended or its disk is full, scan again
    crash after the document: nmap left nothing that can be used: nmap was ended by a signal
    exit code: nmap left nothing that can be used: nmap ended with exit code 1; it says: QUITTING!
    aborted: nmap left nothing that can be used: nmap ended early: no memory
    timed out host: [] ""
    no document: nmap left nothing that can be used: this is no nmap document; give the file that nmap wrote with -oX
    foreign document type: nmap left nothing that can be used: the document type is not the plain nmaprun; such files are not read
    flood of one tag: nmap left nothing that can be used: the nmap document has a tag over the limit of 65536; such files are not read
    flood of hosts: nmap left nothing that can be used: a host of the nmap document has no IP address; such files are not read
    a host twice: nmap left nothing that can be used: it reports on 127.77.3.9 twice or unasked
    ports left out: [] ""
    another host: nmap left nothing that can be used: it reports on 127.77.3.8 twice or unasked
    "#);
}

#[tokio::test]
async fn a_document_without_an_end_is_cut_at_its_limit() {
    let body = "echo \"$DOCUMENT\"; yes \"<!-- $(head -c 60000 /dev/zero | tr '\\0' x) -->\"";
    let scanned = scan_with_fake(body).await;
    let error = scanned.result.expect_err("no end").to_string();
    assert!(error.contains("over 64 MiB") && scanned.hosts.is_empty(), "{error}");
}

/// The number that a fake wrote into its folder.
fn pid(folder: &Path) -> Pid {
    std::fs::read_to_string(folder.join("pid")).unwrap().trim().parse().ok().and_then(Pid::from_raw).unwrap()
}

#[tokio::test]
async fn an_nmap_that_hangs_is_ended_with_its_children_when_its_time_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display();
    let stubborn = format!("trap '' TERM; (trap '' TERM; echo $$ > {here}/pid; while :; do sleep 1; done)");
    let mut task = task("127.77.3.9", "80,81", "");
    task.spec.time_limit = Duration::from_secs(1);
    let scanned = scan(&fake(folder.path(), &stubborn).await, admit(task)).await;
    let error = scanned.result.expect_err("hangs").to_string();
    assert!(error.contains("ran out of its time"), "{error}");
    assert!(test_kill_process(pid(folder.path())).is_err(), "it is still there");
}

#[tokio::test]
async fn a_stopped_scan_ends_its_nmap_and_covers_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let body = format!("echo $$ > {}/pid; echo \"$DOCUMENT\"; exec sleep 1000", folder.path().display());
    let nmap = fake(folder.path(), &body).await;
    let (hosts, _receiver) = mpsc::channel(1);
    let (progress, mut seen) = watch::channel(Progress::default());
    let stop = CancellationToken::new();
    let stopping = async {
        seen.wait_for(|progress| progress.hosts_found == 1).await.unwrap();
        stop.cancel();
    };
    let scan = nmap.scan(admitted("127.77.3.9", "80,81", ""), hosts, progress, stop.clone());
    let (result, ()) = tokio::join!(scan, stopping);
    assert!(result.unwrap().asked.is_empty());
    assert!(test_kill_process(pid(folder.path())).is_err(), "it is still there");
}

#[tokio::test]
async fn only_the_settled_hosts_of_a_partial_document_are_covered() {
    let folder = tempfile::tempdir().unwrap();
    let given_up = "<host timedout=\"true\"><status state=\"up\" reason=\"x\"/><address addr=\"127.77.3.10\" addrtype=\"ipv4\"/></host>";
    let body = format!("echo \"$DOCUMENT\"; echo '{given_up}'; echo \"$END\" | sed 's/total=\"1\"/total=\"2\"/'");
    let scanned = scan(&fake(folder.path(), &body).await, admitted("127.77.3.9-10", "80,81", "")).await;
    assert_eq!(scanned.coverage().asked.to_string(), "127.77.3.9");
}

#[tokio::test]
async fn the_version_that_counts_is_the_one_that_ran() {
    let folder = tempfile::tempdir().unwrap();
    let body = "echo \"$DOCUMENT$END\" | sed 's/version=\"7.93\"/version=\"7.95\"/'";
    let scanned = scan(&fake(folder.path(), body).await, admitted("127.77.3.9", "80,81", "-sV")).await;
    let coverage = scanned.coverage();
    let versions = (coverage.services[0].version.as_str(), coverage.options[0].version.as_str());
    assert_eq!(versions, ("7.95", "7.95"), "it was 7.93 when the node started");
}

#[tokio::test]
async fn what_this_machine_cannot_send_to_is_not_down() {
    let dark = "echo \"$DOCUMENT$END\" | sed '/^<host /,/<.host>/d; s/up=\"1\" down=\"0\" total=\"1\"/up=\"0\" down=\"COUNT\" total=\"COUNT\"/'";
    let folder = tempfile::tempdir().unwrap();
    let nmap = fake(folder.path(), &dark.replace("COUNT", "2")).await;
    // Nothing is sent: the fake is no nmap, and the engine only looks up whether there is a way.
    let scanned = scan(&nmap, admit_anywhere(task("127.77.3.9,255.255.255.255", "80,81", ""))).await;
    assert_eq!(scanned.coverage().asked.to_string(), "127.77.3.9");
    let folder = tempfile::tempdir().unwrap();
    let nmap = fake(folder.path(), &dark.replace("COUNT", "1")).await;
    let scanned = scan(&nmap, admit_anywhere(task("255.255.255.255", "80,81", ""))).await;
    let error = scanned.result.expect_err("nothing is left").to_string();
    assert!(error.contains("cannot send there; check its routes"), "{error}");
}

#[tokio::test]
async fn the_process_sees_rebuilt_arguments_and_an_empty_world() {
    let folder = tempfile::tempdir().unwrap();
    let body = format!(
        "(echo \"$@\"; env | grep -v -e ^PWD -e ^_ -e ^SHLVL -e ^OLDPWD | sort; ls -A; pwd) > {}/seen",
        folder.path().display()
    );
    let scanned =
        scan(&fake(folder.path(), &body).await, admitted("127.77.3.1-6,127.77.3.64/26,::1", "22,80-90", "-sV -T4"))
            .await;
    assert!(scanned.result.is_err(), "it wrote no document");
    let seen = std::fs::read_to_string(folder.path().join("seen")).unwrap();
    let v6 = seen.lines().next().unwrap().to_owned();
    assert!(v6.contains(" -6 ") && v6.ends_with(" -- ::1"), "{v6}");
    let rest: Vec<_> = seen
        .lines()
        .skip(1)
        .filter(|line| !line.starts_with("HOME=") && !line.starts_with("PORTDRIFT_PARENT="))
        .collect();
    assert_eq!(rest.len(), 2, "{seen}");
    assert_eq!(rest[0], "LC_ALL=C");
    assert!(!Path::new(rest[1]).exists(), "the empty folder is removed afterwards");
}

#[test]
fn the_vector_holds_only_checked_options_and_literal_addresses() {
    let mut lines = Vec::new();
    for (targets, ports, args) in [
        ("127.77.3.1-6,127.77.3.64/26", "22,80-90", "-T4 -sV --host-timeout 30s --max-retries 1"),
        ("127.77.3.1", "", "-T5 -F --max-retries 1"),
        ("127.77.3.1", "", "-sn"),
        ("::1", "22", "-Pn --max-rate 100"),
    ] {
        let task = admitted(targets, ports, args);
        lines.push(command::arguments(&task, &task.spec().targets).join(" "));
    }
    let raw = Policy::parse("raw_packets = true\nmax_rate = 9\n").unwrap();
    let facts = NmapFacts { path: "/usr/bin/nmap".into(), version: "7.93".into(), raw: true };
    let raw = raw.with_engines(&crate::engine::EngineFacts { builtin: String::new(), raw: false, nmap: Some(facts) });
    for (ports, args) in [("T:22,U:53", "-sS -sU"), ("U:53", "-sU"), ("", "-O")] {
        let task = raw.admit(task("127.77.3.1", ports, args), &"127.0.0.0/8".parse().unwrap()).unwrap();
        lines.push(command::arguments(&task, &task.spec().targets).join(" "));
    }
    insta::assert_snapshot!(lines.join("\n"), @"
    -T4 -sV -n --host-timeout=30s --max-retries=1 -sT -p T:22,80-90 --unprivileged --noninteractive --stats-every 5s --no-stylesheet -oX - -- 127.77.3.1 127.77.3.2 127.77.3.3 127.77.3.4 127.77.3.5 127.77.3.6 127.77.3.64/26
    -T5 -n -F --max-retries=1 -sT --unprivileged --host-timeout 900s --noninteractive --stats-every 5s --no-stylesheet -oX - -- 127.77.3.1
    -sn -n --unprivileged --host-timeout 900s --noninteractive --stats-every 5s --no-stylesheet -oX - -- 127.77.3.1
    -Pn -n --max-rate=100 -sT -p T:22 -6 --unprivileged --host-timeout 900s --noninteractive --stats-every 5s --no-stylesheet -oX - -- ::1
    -sS -sU -n -p T:22,U:53 --privileged --host-timeout 900s --max-rate 9 --noninteractive --stats-every 5s --no-stylesheet -oX - -- 127.77.3.1
    -sU -n -p U:53 --privileged --host-timeout 900s --max-rate 9 --noninteractive --stats-every 5s --no-stylesheet -oX - -- 127.77.3.1
    -O -n -sS --privileged --host-timeout 900s --max-rate 9 --noninteractive --stats-every 5s --no-stylesheet -oX - -- 127.77.3.1
    ");
}

/// The real nmap under the real guard, or `None` with a line that says so.
async fn real(folder: &Path) -> Option<Engines> {
    let launcher = script(folder, "launcher", &guard::tests::launcher());
    let engines = Engines::find(&Policy::default(), launcher).await;
    if engines.facts().nmap.is_none() {
        assert!(std::env::var_os("PORTDRIFT_NO_SKIP").is_none(), "nmap is not installed");
        println!("skipped: nmap is not installed");
        return None;
    }
    Some(engines)
}

#[tokio::test]
async fn the_real_nmap_and_the_builtin_engine_find_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let Some(engines) = real(folder.path()).await else { return };
    let address = "127.77.3.20";
    let open =
        [serve(address, Manner::Greets(b"SSH-2.0-OpenSSH_9.2p1\r\n")).await, serve(address, Manner::Waits).await];
    let ports = format!("{},{},{},{}", open[0], open[1], closed_port(address), closed_port(address));
    let mut wanted = task("127.77.3.19-21", &ports, "-T4");
    let builtin = scan(&Builtin::new(), admit(wanted.clone())).await;
    wanted.spec.engine = EngineChoice::Nmap;
    let policy = Policy::default().with_engines(&engines.facts());
    let admitted = policy.admit(wanted, &"127.0.0.0/8".parse().unwrap()).unwrap();
    let nmap = scan(&engines, admitted).await;
    assert_eq!(nmap.open(address), builtin.open(address));
    let states = |scanned: &Scanned| scanned.hosts.iter().map(|host| (host.address, host.state)).collect::<Vec<_>>();
    assert_eq!(states(&nmap), states(&builtin));
    assert_eq!(nmap.host("127.77.3.19").state, HostState::Down);
    let (mine, theirs) = (builtin.coverage(), nmap.coverage());
    assert_eq!((&mine.asked, &mine.by_port_only, &mine.probed), (&theirs.asked, &theirs.by_port_only, &theirs.probed));
}

#[tokio::test]
async fn the_real_nmap_scans_both_families_and_names_services() {
    let folder = tempfile::tempdir().unwrap();
    let Some(engines) = real(folder.path()).await else { return };
    let port = serve("127.77.3.30", Manner::Greets(b"SSH-2.0-OpenSSH_9.2p1\r\n")).await;
    let mut wanted = task("127.77.3.30,::1", &port.to_string(), "-sV -T4");
    wanted.spec.engine = EngineChoice::Nmap;
    let policy = Policy::default().with_engines(&engines.facts());
    let admitted = policy.admit(wanted, &"127.0.0.0/8,::1".parse().unwrap()).unwrap();
    let scanned = scan(&engines, admitted).await;
    let coverage = scanned.coverage();
    assert_eq!(coverage.asked.to_string(), "127.77.3.30,::1");
    let service = scanned.host("127.77.3.30").ports[0].service.as_ref().unwrap();
    assert_eq!((service.name.as_str(), service.version.as_str()), ("ssh", "9.2p1"));
    let detection = &coverage.services[0];
    assert_eq!((detection.engine.as_str(), detection.intensity), ("nmap", 7));
    assert_eq!(scanned.host("127.77.3.30").ports[0].state, PortState::Open);
}

#[tokio::test]
async fn the_real_nmap_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let Some(engines) = real(folder.path()).await else { return };
    let mut wanted = task("127.77.3.40", "1-1000", "--scan-delay 5s");
    wanted.spec.engine = EngineChoice::Nmap;
    wanted.spec.time_limit = Duration::from_millis(500);
    let policy = Policy::default().with_engines(&engines.facts());
    let admitted = policy.admit(wanted, &"127.0.0.0/8".parse().unwrap()).unwrap();
    let scanned = scan_until(&engines, admitted, 1).await;
    assert!(scanned.result.is_err() && scanned.hosts.is_empty());
}

#[tokio::test]
async fn raw_scans_run_with_the_real_nmap_where_policy_and_rights_allow_them() {
    let folder = tempfile::tempdir().unwrap();
    let policy = Policy::parse("raw_packets = true\n").unwrap();
    let engines = Engines::find(&policy, script(folder.path(), "launcher", LAUNCHER)).await;
    if !engines.facts().nmap.is_some_and(|nmap| nmap.raw) {
        assert!(std::env::var_os("PORTDRIFT_NO_SKIP").is_none(), "no nmap with raw packets");
        println!("skipped: no nmap that may send raw packets");
        return;
    }
    let policy = policy.with_engines(&engines.facts());
    let address = "127.77.3.50";
    let open = serve(address, Manner::Answers(b"GET ", b"HTTP/1.0 404 Not Found\r\n\r\n")).await;
    for (ports, args, methods) in [
        (format!("T:{open},U:9"), "-sS -sU", vec![ProbeMethod::Syn, ProbeMethod::Udp]),
        (open.to_string(), "-A -T4 -sV --script=default", vec![ProbeMethod::Syn]),
    ] {
        let mut wanted = task(address, &ports, args);
        wanted.spec.engine = EngineChoice::Nmap;
        let task = policy.admit(wanted, &"127.0.0.0/8".parse().unwrap()).unwrap();
        let scanned = scan(&engines, task).await;
        assert_eq!(scanned.open(address), [open], "{args}");
        let coverage = scanned.coverage();
        assert_eq!(coverage.probed.iter().map(|cells| cells.method).collect::<Vec<_>>(), methods, "{args}");
        assert!(coverage.options[0].raw && coverage.options[0].options.as_str().contains("--privileged"));
    }
}
