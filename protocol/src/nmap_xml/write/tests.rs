//! Documents of random runs, read back by us and by the programs that others read them with.

use super::*;
use crate::nmap_xml::{HostRecord, Reader, Summary, coverage};
use crate::observation::{MacAddress, OsGuess, PortState, ProbedCells, ServiceDetection};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};

const HOSTILE: &str = "a'\"<&>]]>--><x y=\"\u{1b}[31m\u{202e}\u{0}\u{fffe}\u{ffff}\u{1fffe}\r\n\t=cmd|' /C calc'!A0";

fn facts() -> RunFacts {
    let at = |seconds: u64| Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000);
    RunFacts { args: Text::new(HOSTILE), version: "0.1.0".into(), start: at(0), end: at(9), shortfall: None }
}

fn document(run: &RunFacts, coverage: &[Coverage], hosts: &[HostObservation]) -> String {
    let mut out = Vec::new();
    write::<io::Error>(&mut out, run, coverage, hosts.iter().cloned().map(Ok)).unwrap();
    String::from_utf8(out).unwrap()
}

fn read(document: &str) -> (Vec<HostObservation>, Summary) {
    let mut reader = Reader::new(document.as_bytes());
    let mut hosts = Vec::new();
    while let Some(record) = reader.next_host().unwrap() {
        match record {
            HostRecord::Observed(host) => hosts.push(host),
            HostRecord::NotObserved(address) => panic!("{address} was given up"),
        }
    }
    (hosts, reader.finish())
}

fn cells(targets: &str, ports: &str, method: ProbeMethod) -> ProbedCells {
    ProbedCells { targets: targets.parse().unwrap(), ports: ports.parse().unwrap(), method }
}

fn port(protocol: Protocol, port: u16, state: PortState, product: &str) -> PortObservation {
    let service = Service { name: "http".into(), product: Text::new(product), ..Service::default() };
    let service = Service { tls: true, method: ServiceMethod::Probed, ..service };
    PortObservation { protocol, port, state, reason: "syn-ack".into(), service: Some(service) }
}

/// Two tasks that looked at their addresses in different ways, and their hosts.
fn uneven() -> (Vec<Coverage>, Vec<HostObservation>) {
    let how = ServiceDetection { engine: "nmap".into(), version: "7.93 at intensity on".into(), intensity: 7 };
    let wide = Coverage {
        asked: "10.0.0.1-3".parse().unwrap(),
        probed: vec![
            cells("10.0.0.1-3", "22,80-81", ProbeMethod::Connect),
            cells("10.0.0.1-3", "U:53", ProbeMethod::Udp),
        ],
        services: vec![how],
        ..Coverage::default()
    };
    let narrow = Coverage {
        asked: "10.0.0.9,127.0.0.1".parse().unwrap(),
        by_port_only: "127.0.0.1".parse().unwrap(),
        probed: vec![cells("10.0.0.9,127.0.0.1", "80,443", ProbeMethod::Connect)],
        ..Coverage::default()
    };
    let host = |address: &str, ports| HostObservation {
        address: address.parse().unwrap(),
        state: HostState::Up,
        reason: "echo-reply".into(),
        seen: Timestamp::from_millis(1_700_000_002_000),
        names: vec![Text::new(HOSTILE)],
        mac: Some(MacAddress { address: "00:50:56:AB:CD:EF".into(), vendor: "VMware".into() }),
        os: Some(OsGuess { name: "Linux 5".into(), accuracy: 98 }),
        ports,
        unlisted: vec![UnlistedPorts { protocol: Protocol::Tcp, state: PortState::Closed, count: 1 }],
    };
    let seen = [(Protocol::Tcp, 22, PortState::Filtered), (Protocol::Tcp, 80, PortState::Open)];
    let ports: Vec<PortObservation> =
        seen.into_iter().map(|(protocol, number, state)| port(protocol, number, state, HOSTILE)).collect();
    // Of the second host nobody looked at port 22, and nobody asked the third.
    (
        vec![wide, narrow],
        vec![host("10.0.0.1", ports.clone()), host("10.0.0.9", ports.clone()), host("10.9.9.9", ports)],
    )
}

#[test]
fn a_document_claims_for_all_only_what_holds_for_all() {
    let (coverage, hosts) = uneven();
    let plain = RunFacts { args: "portdrift".into(), shortfall: Some("no node for 10.0.0.4".into()), ..facts() };
    let shown = document(&plain, &coverage, &hosts);
    insta::assert_snapshot!(shown, @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <!DOCTYPE nmaprun>
    <nmaprun scanner="nmap" args="portdrift" start="1700000000" version="0.1.0" xmloutputversion="1.05">
    <scaninfo type="connect" protocol="tcp" numservices="1" services="80"/>
    <verbose level="0"/>
    <debugging level="0"/>
    <prescript><script id="portdrift-asked" output="10.0.0.1-10.0.0.3,10.0.0.9,127.0.0.1"/>
    <script id="portdrift-by-port-only" output="127.0.0.1"/>
    <script id="portdrift-probed" output="connect tcp 22,80-81 on 10.0.0.1-10.0.0.3"/>
    <script id="portdrift-probed" output="connect tcp 80,443 on 10.0.0.9,127.0.0.1"/>
    <script id="portdrift-probed" output="udp udp 53 on 10.0.0.1-10.0.0.3"/>
    <script id="portdrift-services" output="nmap 7.93 at intensity on at intensity 7 on 10.0.0.1-10.0.0.3"/>
    </prescript>
    <host endtime="1700000002"><status state="up" reason="echo-reply" reason_ttl="0"/>
    <address addr="10.0.0.1" addrtype="ipv4"/>
    <address addr="00:50:56:AB:CD:EF" addrtype="mac" vendor="VMware"/>
    <hostnames>
    <hostname name="a&apos;&quot;&lt;&amp;&gt;]]&gt;--&gt;&lt;x y=&quot;\u{1b}[31m\u{202e}\u{0}\u{fffe}\u{ffff}🿾\u{d}\u{a}\u{9}=cmd|&apos; /C calc&apos;!A0" type="PTR"/>
    </hostnames>
    <ports><extraports state="closed" count="1">
    <extrareasons reason="unknown-response" count="1" proto="tcp"/>
    </extraports>
    <port protocol="tcp" portid="22"><state state="filtered" reason="syn-ack" reason_ttl="0"/><service name="http" product="a&apos;&quot;&lt;&amp;&gt;]]&gt;--&gt;&lt;x y=&quot;\u{1b}[31m\u{202e}\u{0}\u{fffe}\u{ffff}🿾\u{d}\u{a}\u{9}=cmd|&apos; /C calc&apos;!A0" tunnel="ssl" method="probed" conf="10"/></port>
    <port protocol="tcp" portid="80"><state state="open" reason="syn-ack" reason_ttl="0"/><service name="http" product="a&apos;&quot;&lt;&amp;&gt;]]&gt;--&gt;&lt;x y=&quot;\u{1b}[31m\u{202e}\u{0}\u{fffe}\u{ffff}🿾\u{d}\u{a}\u{9}=cmd|&apos; /C calc&apos;!A0" tunnel="ssl" method="probed" conf="10"/></port>
    </ports>
    <os><osmatch name="Linux 5" accuracy="98" line="0"/></os>
    </host>
    <host endtime="1700000002"><status state="up" reason="echo-reply" reason_ttl="0"/>
    <address addr="10.0.0.9" addrtype="ipv4"/>
    <address addr="00:50:56:AB:CD:EF" addrtype="mac" vendor="VMware"/>
    <hostnames>
    <hostname name="a&apos;&quot;&lt;&amp;&gt;]]&gt;--&gt;&lt;x y=&quot;\u{1b}[31m\u{202e}\u{0}\u{fffe}\u{ffff}🿾\u{d}\u{a}\u{9}=cmd|&apos; /C calc&apos;!A0" type="PTR"/>
    </hostnames>
    <ports><extraports state="closed" count="1">
    <extrareasons reason="unknown-response" count="1" proto="tcp"/>
    </extraports>
    <port protocol="tcp" portid="80"><state state="open" reason="syn-ack" reason_ttl="0"/><service name="http" product="a&apos;&quot;&lt;&amp;&gt;]]&gt;--&gt;&lt;x y=&quot;\u{1b}[31m\u{202e}\u{0}\u{fffe}\u{ffff}🿾\u{d}\u{a}\u{9}=cmd|&apos; /C calc&apos;!A0" tunnel="ssl" method="probed" conf="10"/></port>
    </ports>
    <os><osmatch name="Linux 5" accuracy="98" line="0"/></os>
    </host>
    <runstats><finished time="1700000009" elapsed="9" exit="error" errormsg="no node for 10.0.0.4"/>
    <hosts up="2" down="2" total="4"/>
    </runstats>
    </nmaprun>
    "#);
}

#[test]
fn what_was_written_is_read_back_with_its_coverage() {
    let (covered, hosts) = uneven();
    let (read, summary) = read(&document(&facts(), &covered, &hosts));
    let without_22: Vec<PortObservation> = hosts[1].ports[1..].to_vec();
    assert_eq!(read, [hosts[0].clone(), HostObservation { ports: without_22, ..hosts[1].clone() }]);
    assert_eq!(summary.args, Text::new(HOSTILE));
    let claims = coverage(&summary, &read);
    assert_eq!(Claims::of(&claims), Claims::of(&covered));
    assert_eq!(claims.len(), 2, "{claims:?}");
}

#[test]
fn a_cut_document_speaks_for_the_hosts_that_it_lists() {
    let (covered, hosts) = uneven();
    let whole = document(&facts(), &covered, &hosts);
    let cut = &whole[..whole.find("10.0.0.9\" addrtype").unwrap()];
    let mut reader = Reader::new(cut.as_bytes());
    let Ok(Some(HostRecord::Observed(first))) = reader.next_host() else { panic!("the first host is whole") };
    let claims = coverage(&reader.finish(), [&first]);
    assert_eq!(claims.iter().map(|part| part.asked.to_string()).collect::<Vec<_>>(), ["10.0.0.1", "10.0.0.1"]);
    assert!(claims.iter().flat_map(|part| &part.probed).all(|cells| cells.targets.count() == 1));
}

#[test]
fn what_xml_cannot_hold_stands_there_as_an_escape() {
    let mut value = String::new();
    let mut escaped = Escaped { line: &mut value, end: 200 };
    fmt::Write::write_str(&mut escaped, "'\"<&]]>\u{0}\u{1b}\u{fffe}\u{ffff}\u{1fffe}\r\n\t").unwrap();
    insta::assert_snapshot!(value, @r"&apos;&quot;&lt;&amp;]]&gt;\u{0}\u{1b}\u{fffe}\u{ffff}🿾\u{d}\u{a}\u{9}");
}

#[test]
fn the_longest_hostile_text_makes_no_tag_that_readers_refuse() {
    let (covered, mut hosts) = uneven();
    let long = Text::new(&"\"".repeat(crate::text::MAX_TEXT_BYTES));
    for port in &mut hosts[0].ports {
        let (product, version, extra) = (long.clone(), long.clone(), long.clone());
        port.service = Some(Service { name: long.clone(), product, version, extra, ..Service::default() });
    }
    let (read, _) = read(&document(&RunFacts { args: long.clone(), version: long, ..facts() }, &covered, &hosts));
    let service = read[0].ports[0].service.as_ref().unwrap();
    assert!(service.product.as_str().ends_with("\"…"), "{}", service.product);
}

fn texts() -> impl Strategy<Value = Text> {
    prop_oneof!["[a-z0-9 ./<&>\"'-]{0,12}", any::<String>(), Just(HOSTILE.to_owned())].prop_map(|raw| Text::new(&raw))
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0u8..40).prop_map(|last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))),
        (0u16..6).prop_map(|last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last])),
    ]
}

fn protocols() -> impl Strategy<Value = Protocol> {
    proptest::sample::select(Protocol::ALL.to_vec())
}

fn services() -> impl Strategy<Value = Service> {
    (texts(), texts(), texts(), texts(), any::<bool>(), any::<bool>(), texts()).prop_map(
        |(name, product, version, extra, tls, probed, by)| {
            let method = if probed { ServiceMethod::Probed } else { ServiceMethod::Table };
            Service { name, product, version, extra, tls, method, by }
        },
    )
}

type HostParts = (bool, Text, u64, Option<Text>, Option<Text>, Option<(Text, u8)>);

fn hosts() -> impl Strategy<Value = Vec<HostObservation>> {
    let states = || proptest::sample::select(PortState::ALL.map(|(state, _)| state).to_vec());
    let ports = btree_map((protocols(), 0u16..30), (states(), texts(), option::of(services())), 0..6);
    let parts = (any::<bool>(), texts(), 0u64..1 << 33, option::of(texts()), option::of(texts()));
    let parts = (parts, option::of((texts(), 0u8..=100)))
        .prop_map(|((up, reason, seconds, name, vendor), os)| -> HostParts { (up, reason, seconds, name, vendor, os) });
    let unlisted = vec((protocols(), states(), 0u32..9), 0..3);
    btree_map(addresses(), (parts, ports, unlisted), 0..8).prop_map(|hosts| {
        let host = |(address, (parts, ports, unlisted))| {
            let (up, reason, seconds, name, vendor, os): HostParts = parts;
            HostObservation {
                address,
                state: if up { HostState::Up } else { HostState::Down },
                reason,
                seen: Timestamp::from_millis(seconds * 1_000),
                names: name.into_iter().filter(|name| !name.is_empty()).collect(),
                mac: vendor.map(|vendor| MacAddress { address: "00:50:56:AB:CD:EF".into(), vendor }),
                os: os.map(|(name, accuracy)| OsGuess { name, accuracy }),
                ports: Vec::from_iter(ports)
                    .into_iter()
                    .map(|((protocol, port), (state, reason, service))| PortObservation {
                        protocol,
                        port,
                        state,
                        reason,
                        service,
                    })
                    .collect(),
                unlisted: Vec::from_iter(unlisted)
                    .into_iter()
                    .map(|(protocol, state, count)| UnlistedPorts { protocol, state, count })
                    .collect(),
            }
        };
        hosts.into_iter().map(host).collect()
    })
}

fn coverages() -> impl Strategy<Value = Vec<Coverage>> {
    let targets = || vec(addresses(), 0..20).prop_map(TargetSet::from_iter);
    let ports = vec((protocols(), 0u16..30, 0u16..9), 0..4).prop_map(|ranges| {
        ranges.into_iter().fold(PortSet::empty(), |all, (protocol, first, more)| {
            all.union(&PortSet::from_ranges(protocol, [(first, first + more)]))
        })
    });
    let methods = [ProbeMethod::Connect, ProbeMethod::Syn, ProbeMethod::Udp, ProbeMethod::Other];
    let blocks = vec((targets(), ports, proptest::sample::select(methods.to_vec())), 0..3);
    let how = ("[a-z]{1,4}", texts(), 0u8..10).prop_map(|(engine, version, intensity)| ServiceDetection {
        engine: engine.into(),
        version,
        intensity,
    });
    vec((targets(), targets(), blocks, vec(how, 0..3)), 0..4).prop_map(|tasks| {
        let task = |(asked, by_port_only, blocks, services): (TargetSet, TargetSet, Vec<_>, _)| Coverage {
            by_port_only: by_port_only.intersection(&asked),
            probed: Vec::from_iter(blocks)
                .into_iter()
                .map(|(targets, ports, method): (TargetSet, PortSet, ProbeMethod)| ProbedCells {
                    targets: targets.intersection(&asked),
                    ports,
                    method,
                })
                .collect(),
            services,
            asked,
            options: Vec::new(),
        };
        tasks.into_iter().map(task).collect()
    })
}

/// The host as far as the coverage reaches. Where one engine identified everything, no service says which one it was.
fn within(host: &HostObservation, covered: &PortSet, names_engines: bool) -> HostObservation {
    let mut host = host.clone();
    host.ports.retain(|port| covered.contains(port.protocol, port.port));
    host.unlisted.retain(|part| !covered.ranges(part.protocol).is_empty());
    for service in host.ports.iter_mut().filter_map(|port| port.service.as_mut()).filter(|_| !names_engines) {
        service.by = Text::default();
    }
    host
}

/// Without texts that spaces around or inside of them make ambiguous.
fn comparable(mut claims: Claims) -> Claims {
    claims.services.retain(|_, targets| !targets.is_empty());
    claims
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_where_it_was_looked_at(covered in coverages(), hosts in hosts()) {
        let (read, summary) = read(&document(&facts(), &covered, &hosts));
        let claims = Claims::of(&covered);
        let expected: Vec<HostObservation> = hosts
            .iter()
            .filter(|host| claims.asked.contains(host.address))
            .map(|host| within(host, &claims.ports_of(host.address), claims.services.len() > 1))
            .collect();
        let up = expected.iter().filter(|host| host.state == HostState::Up).count() as u64;
        prop_assert_eq!(summary.hosts.unwrap().up, up);
        prop_assert_eq!(&read, &expected);
        prop_assert_eq!(comparable(Claims::of(&coverage(&summary, &read))), comparable(claims.clone()));
        for scan in &summary.scans {
            prop_assert!(claims.asked.addresses().all(|address| scan.ports.minus(&claims.ports_of(address)).is_empty()));
        }
    }

    #[test]
    fn addresses_that_nobody_asked_are_neither_up_nor_down(covered in coverages(), hosts in hosts()) {
        let (_, summary) = read(&document(&facts(), &covered, &hosts));
        let asked = Claims::of(&covered).asked.count();
        let counts = summary.hosts.unwrap();
        prop_assert!(u128::from(counts.total) <= asked);
        prop_assert_eq!(counts.up + counts.down, counts.total);
    }
}

/// True when the program is there; says so when not, and fails instead where nothing may be skipped.
fn have(present: bool, what: &str) -> bool {
    assert!(present || std::env::var("PORTDRIFT_NO_SKIP").as_deref() != Ok("1"), "not installed: {what}");
    if !present {
        println!("skipped: not installed: {what}");
    }
    present
}

fn passes(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().unwrap().status.success()
}

#[test]
fn nmaps_own_document_type_and_other_readers_accept_it() {
    const DTD: &str = "/usr/share/nmap/nmap.dtd";
    const LIBNMAP: &str = "import sys; from libnmap.parser import NmapParser as P; r = P.parse_fromfile(sys.argv[1]); \
        print(r.hosts_up, r.hosts_total, *[(h.address, h.get_open_ports()) for h in r.hosts])";
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (coverage, hosts) = uneven();
    let whole = file("whole.xml", &document(&facts(), &coverage, &hosts));
    let nothing = file("nothing.xml", &document(&facts(), &[], &[]));
    if have(Path::new(DTD).exists() && Path::new("/usr/bin/xmllint").exists(), "xmllint and nmap") {
        for file in [&whole, &nothing] {
            assert!(passes("/usr/bin/xmllint", &["--noout", "--dtdvalid", DTD, file]), "{file}");
        }
        let other = std::fs::read_to_string(&whole).unwrap().replace("reason_ttl", "ttl");
        assert!(!passes("/usr/bin/xmllint", &["--noout", "--dtdvalid", DTD, &file("other.xml", &other)]));
    }
    if have(Path::new("/usr/bin/ndiff").exists(), "ndiff") {
        let differ = Command::new("/usr/bin/ndiff").args([&nothing, &whole]).output().unwrap();
        let lines = String::from_utf8(differ.stdout).unwrap();
        assert!(lines.contains("10.0.0.1, 00:50:56:AB:CD:EF") && lines.contains("80/tcp open"), "{lines}");
    }
    let python = std::env::var("PORTDRIFT_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    if have(Path::new(&python).exists() && passes(&python, &["-c", "import libnmap"]), "python-libnmap") {
        let read = Command::new(&python).args(["-c", LIBNMAP, &whole]).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&read.stdout),
            "2 4 ('10.0.0.1', [(80, 'tcp')]) ('10.0.0.9', [(80, 'tcp')])\n",
            "{}",
            String::from_utf8_lossy(&read.stderr)
        );
    }
}
