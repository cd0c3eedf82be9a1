//! Small documents of our own, broken ones, and a folder of real ones from outside when it is named.

use super::*;
use crate::observation::{Coverage, HostState, ServiceMethod};
use proptest::prelude::*;
use std::fmt::Write as _;
use std::io::Read;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun>
<?xml-stylesheet href="nmap.xsl" type="text/xsl"?>
<!-- Nmap 7.93 scan as: nmap -&#45;reason -sT -sU -sV -->
<nmaprun scanner="nmap" args="nmap -&#45;reason -sT -sU -sV -p T:22,80-81,U:53 10.0.0.1-3" start="1700000000" version="7.93">
<scaninfo type="connect" protocol="tcp" numservices="3" services="22,80-81"/>
<scaninfo type="udp" protocol="udp" numservices="1" services="53"/>
<hosthint><status state="up" reason="arp-response"/><address addr="10.0.0.9" addrtype="ipv4"/></hosthint>
"#;
const HOST: &str = r#"<host starttime="1700000001" endtime="1700000002"><status state="up" reason="echo-reply"/>
<address addr="10.0.0.1" addrtype="ipv4"/><address addr="00:50:56:ab:cd:ef" addrtype="mac" vendor="VMware"/>
<hostnames><hostname name="typed" type="user"/><hostname name="printer.example" type="PTR"/></hostnames>
<ports><extraports state="closed" count="2"><extrareasons reason="reset" count="1" proto="tcp" ports="81"/><extrareasons reason="port-unreach" count="1" proto="udp" ports="53"/></extraports>
<port protocol="tcp" portid="80"><state state="open" reason="syn-ack"/><service name="http" product="nginx&#x1b;" version="1.18" extrainfo="a &amp; b" tunnel="ssl" method="probed"><cpe>cpe:/a:x</cpe></service></port>
<port protocol="tcp" portid="22"><state state="filtered" reason="no-response"/><service name="ssh" method="table"/></port>
</ports><os><osmatch name="Linux 4" accuracy="90"/><osmatch name="Linux 5" accuracy="98"/></os></host>
"#;
const TAIL: &str = r#"<runstats><finished time="1700000009" exit="success"/><hosts up="1" down="2" total="3"/></runstats>
</nmaprun>
"#;

fn document() -> String {
    [HEAD, HOST, TAIL].concat()
}

fn read(bytes: &[u8]) -> (Vec<HostRecord>, Summary) {
    let mut reader = Reader::new(bytes);
    let mut hosts = Vec::new();
    while let Ok(Some(host)) = reader.next_host() {
        hosts.push(host);
    }
    (hosts, reader.finish())
}

fn observed(hosts: &[HostRecord]) -> Vec<&HostObservation> {
    let mut observed = Vec::new();
    for host in hosts {
        if let HostRecord::Observed(host) = host {
            observed.push(host);
        }
    }
    observed
}

#[test]
fn a_document_is_read_with_every_word_in_its_place() {
    let (hosts, summary) = read(document().as_bytes());
    let host = observed(&hosts)[0];
    let mut shown = format!(
        "{} {:?} {} {} {:?} {:?} {:?}\n",
        host.address, host.state, host.reason, host.seen, host.names, host.mac, host.os
    );
    for port in &host.ports {
        writeln!(shown, "{} {} {} {} {:?}", port.protocol, port.port, port.state, port.reason, port.service).unwrap();
    }
    writeln!(shown, "{:?}", host.unlisted).unwrap();
    writeln!(shown, "{} | {} | {} | {:?}", summary.scanner, summary.args, summary.version, summary.start).unwrap();
    writeln!(shown, "{} {:?} {:?} {}", summary.ports(), summary.finished, summary.hosts, summary.closed).unwrap();
    insta::assert_snapshot!(shown, @r#"
    10.0.0.1 Up echo-reply 2023-11-14T22:13:22.000Z [Text("printer.example")] Some(MacAddress { address: Text("00:50:56:AB:CD:EF"), vendor: Text("VMware") }) Some(OsGuess { name: Text("Linux 5"), accuracy: 98 })
    tcp 22 filtered no-response Some(Service { name: Text("ssh"), product: Text(""), version: Text(""), extra: Text(""), tls: false, method: Table, by: Text("") })
    tcp 80 open syn-ack Some(Service { name: Text("http"), product: Text("nginx\\u{1b}"), version: Text("1.18"), extra: Text("a & b"), tls: true, method: Probed, by: Text("") })
    [UnlistedPorts { protocol: Tcp, state: Closed, count: 1 }, UnlistedPorts { protocol: Udp, state: Closed, count: 1 }]
    nmap | nmap --reason -sT -sU -sV -p T:22,80-81,U:53 10.0.0.1-3 | 7.93 | Some(Timestamp(1700000000000))
    T:22,80-81,U:53 Some(Finished { time: Some(Timestamp(1700000009000)), exit: Success }) Some(HostCounts { up: 1, down: 2, total: 3 }) true
    "#);
}

#[test]
fn only_a_document_that_settles_every_lease_is_complete() {
    let edit = |from: &str, to: &str| document().replace(from, to);
    let table = [
        ("as it is", document(), Some(0), 3),
        ("exit code 1", document(), Some(1), 3),
        ("a signal", document(), None, 3),
        ("fewer asked than leased", document(), Some(0), 4),
        ("no root end", edit("</nmaprun>", ""), Some(0), 3),
        ("no word of success", edit(" exit=\"success\"", ""), Some(0), 3),
        ("an error", edit("exit=\"success\"", "exit=\"error\" errormsg=\"no route\""), Some(0), 3),
        ("no runstats", [HEAD, HOST, "</nmaprun>"].concat(), Some(0), 3),
        ("given up", edit("endtime", "timedout=\"true\" endtime"), Some(0), 3),
        ("a hidden host", edit("up=\"1\" down=\"2\"", "up=\"2\" down=\"1\""), Some(0), 3),
        ("a hidden host on demand", edit("up=\"1\"", "up=\"2\"").replace("-sT", "-&#45;open -sT"), Some(0), 3),
        (
            "no target",
            [HEAD, TAIL].concat().replace("total=\"3\"", "total=\"0\"").replace("up=\"1\"", "up=\"0\""),
            Some(0),
            3,
        ),
        ("all down", [HEAD, TAIL].concat().replace("up=\"1\"", "up=\"0\""), Some(0), 3),
        ("not a byte", String::new(), Some(0), 3),
        ("something behind the root", document() + "<x/>", Some(0), 3),
    ];
    let mut shown = String::new();
    for (name, document, exit_code, leased) in table {
        let verdict = match completeness(&read(document.as_bytes()).1, exit_code, leased) {
            Completeness::Complete => "complete".to_owned(),
            Completeness::Partial { reason } => format!("partial: {reason}"),
            Completeness::Nothing { reason } => format!("nothing: {reason}"),
        };
        writeln!(shown, "{name}: {verdict}").unwrap();
    }
    insta::assert_snapshot!(shown, @"
    as it is: complete
    exit code 1: partial: nmap ended with exit code 1
    a signal: partial: nmap was ended by a signal
    fewer asked than leased: partial: nmap asked 3 of 4 addresses
    no root end: partial: the nmap document is cut short; nmap was ended or its disk is full, scan again
    no word of success: partial: nmap did not say that it finished
    an error: partial: nmap ended early: no route
    no runstats: partial: nmap did not say that it finished
    given up: nothing: hosts given up because they took too long: 1
    a hidden host: partial: nmap counted more hosts up than it listed
    a hidden host on demand: complete
    no target: nothing: nmap asked 0 of 3 addresses
    all down: complete
    not a byte: nothing: the nmap document is cut short; nmap was ended or its disk is full, scan again
    something behind the root: partial: this is no nmap document; give the file that nmap wrote with -oX
    ");
}

#[test]
fn a_service_that_hung_up_is_not_identified() {
    let (hosts, _) = read(document().replace("name=\"http\"", "name=\"tcpwrapped\"").as_bytes());
    let service = observed(&hosts)[0].ports.iter().find(|port| port.port == 80).unwrap().service.clone().unwrap();
    assert_eq!((service.name.as_str(), service.method), ("tcpwrapped", ServiceMethod::Table));
}

#[test]
fn a_host_that_was_given_up_or_is_unknown_is_not_observed() {
    for (from, to) in [("starttime", "timedout=\"true\" starttime"), ("state=\"up\"", "state=\"unknown\"")] {
        let (hosts, summary) = read([HEAD, &HOST.replacen(from, to, 1), TAIL].concat().as_bytes());
        assert_eq!(hosts, vec![HostRecord::NotObserved("10.0.0.1".parse().unwrap())]);
        assert_eq!(summary.not_observed.len(), 1);
    }
}

#[test]
fn what_nmap_does_not_write_is_refused_by_kind() {
    let edit = |from: &str, to: &str| document().replacen(from, to, 1);
    let many = |count: usize, one: &str| one.repeat(count);
    let attributes: String = (0..=MAX_ATTRIBUTES).map(|n| format!(" a{n}=\"\"")).collect();
    let table = [
        edit("<!DOCTYPE nmaprun>", "<!DOCTYPE nmaprun [<!ENTITY x \"y\">]>"),
        edit("<!DOCTYPE nmaprun>", "<!DOCTYPE nmaprun SYSTEM \"file:///etc/passwd\">"),
        edit("<!DOCTYPE nmaprun>", "<!DOCTYPE html>"),
        edit("<host ", "<!DOCTYPE nmaprun><host "),
        edit("nginx", "&xxe;"),
        edit("nginx", &many(MAX_TAG_BYTES, "x")),
        edit("<host ", &(many(MAX_DEPTH, "<a>") + "<host ")),
        edit("<host ", &format!("<b{attributes}/><host ")),
        edit(
            "<port ",
            &(many(MAX_PORTS + 1, "<port protocol=\"tcp\" portid=\"9\"><state state=\"open\"/></port>") + "<port "),
        ),
        edit("count=\"1\" proto=\"tcp\"", "count=\"65537\" proto=\"tcp\""),
        edit("portid=\"80\"", "portid=\"65536\""),
        edit("state=\"open\"", "state=\"ajar\""),
        edit("services=\"53\"", "services=\"53,x\""),
        edit("addr=\"10.0.0.1\"", "addr=\"example.org\""),
        edit("<address addr=\"10.0.0.1\" addrtype=\"ipv4\"/>", ""),
        edit("</ports>", "</port>"),
        edit("nmaprun scanner", "html scanner"),
        "nonsense".to_owned(),
    ];
    let defects: Vec<String> = table
        .iter()
        .map(|text| read(text.as_bytes()).1.defect.map_or("read".to_owned(), |why| why.to_string()))
        .collect();
    insta::assert_snapshot!(defects.join("\n"), @"
    the document type is not the plain nmaprun; such files are not read
    the document type is not the plain nmaprun; such files are not read
    the document type is not the plain nmaprun; such files are not read
    the document type is not the plain nmaprun; such files are not read
    the nmap document is damaged at byte 1112: at 1..4: unrecognized entity `xxe`
    the nmap document has a tag over the limit of 65536; such files are not read
    the nmap document has a depth of elements over the limit of 32; such files are not read
    the nmap document has a number of attributes over the limit of 64; such files are not read
    the nmap document has a number of ports of a host over the limit of 65536; such files are not read
    the nmap document has a number of ports of a host over the limit of 65536; such files are not read
    a port number of the nmap document cannot be read: `65536`
    a port state of the nmap document cannot be read: `ajar`
    the port list of the nmap document cannot be read: `53,x`
    an address of the nmap document cannot be read: `example.org`
    a host of the nmap document has no IP address; such files are not read
    the nmap document is damaged at byte 1381: ill-formed document: expected `</ports>`, but `</port>` was found
    this is no nmap document; give the file that nmap wrote with -oX
    this is no nmap document; give the file that nmap wrote with -oX
    ");
    assert!(read(edit("<!DOCTYPE nmaprun>", "<!DOCTYPE nmaprun PUBLIC \"a\" \"b\">").as_bytes()).1.defect.is_none());
    let mut other_encoding = document().into_bytes();
    let at = document().find("nginx").unwrap();
    other_encoding[at] = 0xe9;
    assert!(matches!(read(&other_encoding).1.defect, Some(XmlError::Malformed { .. })));
}

/// Gives one byte at a time and counts them.
struct Drip<'a>(&'a [u8], std::rc::Rc<std::cell::Cell<usize>>);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = buffer.len().min(1);
        let count = self.0.read(&mut buffer[..room])?;
        self.1.set(self.1.get() + count);
        Ok(count)
    }
}

#[test]
fn a_host_is_there_as_soon_as_its_last_byte_is() {
    let document = document();
    let read = std::rc::Rc::default();
    let mut reader = Reader::new(Drip(document.as_bytes(), std::rc::Rc::clone(&read)));
    assert!(matches!(reader.next_host(), Ok(Some(HostRecord::Observed(_)))));
    assert_eq!(read.get(), document.find("</host>").unwrap() + "</host>".len());
    assert!(matches!(reader.next_host(), Ok(None)));
}

#[test]
fn an_imported_document_covers_what_it_proves_and_no_more() {
    let proof = |document: String| -> Vec<Coverage> {
        let (hosts, summary) = read(document.as_bytes());
        coverage(&summary, observed(&hosts))
    };
    let mut shown = String::new();
    for (name, document) in [
        ("targets named and counted", document()),
        ("another count", document().replace("total=\"3\"", "total=\"4\"")),
        ("an address that is no target", document().replace("-sT", "-S 10.0.0.2 -sT")),
        ("cut", document().replace("</nmaprun>", "")),
        ("only open ports listed", document().replace("-sT", "-&#45;open -sT")),
        ("life not proven", document().replace("echo-reply", "user-set").replace("-sV", "-Pn")),
        ("nothing", String::new()),
    ] {
        let proof = proof(document).into_iter().next().unwrap_or_default();
        let Coverage { asked, by_port_only, probed, services, .. } = proof;
        let cells: Vec<String> =
            probed.iter().map(|cells| format!("{} x {} {:?}", cells.targets, cells.ports, cells.method)).collect();
        let services = services.first().map(|how| format!("{} {} at {}", how.engine, how.version, how.intensity));
        writeln!(shown, "{name}: asked {asked}; by port {by_port_only}; {cells:?}; {services:?}").unwrap();
    }
    insta::assert_snapshot!(shown, @r#"
    targets named and counted: asked 10.0.0.1-10.0.0.3; by port ; ["10.0.0.1-10.0.0.3 x 22,80-81 Connect", "10.0.0.1-10.0.0.3 x U:53 Udp"]; Some("nmap 7.93 at 7")
    another count: asked 10.0.0.1; by port ; ["10.0.0.1 x 22,80-81 Connect", "10.0.0.1 x U:53 Udp"]; Some("nmap 7.93 at 7")
    an address that is no target: asked 10.0.0.1; by port ; ["10.0.0.1 x 22,80-81 Connect", "10.0.0.1 x U:53 Udp"]; Some("nmap 7.93 at 7")
    cut: asked 10.0.0.1; by port ; ["10.0.0.1 x 22,80-81 Connect", "10.0.0.1 x U:53 Udp"]; Some("nmap 7.93 at 7")
    only open ports listed: asked 10.0.0.1-10.0.0.3; by port 10.0.0.1-10.0.0.3; ["10.0.0.1-10.0.0.3 x 22,80-81 Connect", "10.0.0.1-10.0.0.3 x U:53 Udp"]; Some("nmap 7.93 at 7")
    life not proven: asked 10.0.0.1-10.0.0.3; by port 10.0.0.1; ["10.0.0.1-10.0.0.3 x 22,80-81 Connect", "10.0.0.1-10.0.0.3 x U:53 Udp"]; None
    nothing: asked ; by port ; []; None
    "#);
}

#[test]
fn a_masscan_document_proves_its_open_ports_and_no_more() {
    let host = |address: &str, port: u16, state: &str, more: &str| {
        format!(
            "<host endtime=\"1700000005\"><address addr=\"{address}\" addrtype=\"ipv4\"/><ports><port protocol=\"tcp\" \
            portid=\"{port}\"><state state=\"{state}\" reason=\"syn-ack\" reason_ttl=\"64\"/>{more}</port></ports></host>\r\n"
        )
    };
    let banner = "<service name=\"http\" banner=\"HTTP/1.1 200 OK\\x0d\"></service>";
    let document = [
        "<?xml version=\"1.0\"?>\r\n<!-- masscan v1.0 scan -->\r\n<nmaprun scanner=\"masscan\" start=\"1700000000\" \
        version=\"1.0-BETA\"  xmloutputversion=\"1.03\">\r\n<scaninfo type=\"syn\" protocol=\"tcp\" />\r\n",
        &host("10.0.0.1", 80, "open", ""),
        &host("10.0.0.2", 80, "open", ""),
        &host("10.0.0.1", 22, "open", ""),
        &host("10.0.0.1", 80, "open", banner),
        &host("10.0.0.3", 23, "closed", ""),
        &host("10.0.0.4", 0, "up", "").replace("protocol=\"tcp\"", "protocol=\"icmp\""),
        &host("2001:db8::1", 80, "open", ""),
        "<runstats>\r\n<finished time=\"1700000009\" timestr=\"2023\" elapsed=\"9\" />\r\n\
        <hosts up=\"5\" down=\"1\" total=\"6\" />\r\n</runstats>\r\n</nmaprun>\r\n",
    ]
    .concat();
    let (hosts, summary) = read(document.as_bytes());
    assert!(summary.defect.is_none() && summary.closed && summary.is_masscan());
    assert_eq!(summary.not_observed, ["10.0.0.3", "10.0.0.4"].map(|address| address.parse::<IpAddr>().unwrap()));
    let service = observed(&hosts)[3].ports[0].service.as_ref().unwrap();
    assert_eq!((service.name.as_str(), service.extra.as_str()), ("http", "HTTP/1.1 200 OK\\x0d"));
    assert_eq!(service.method, crate::observation::ServiceMethod::Table);
    let [Coverage { asked, by_port_only, probed, services, .. }] = &coverage(&summary, observed(&hosts))[..] else {
        panic!("one coverage")
    };
    assert!(services.is_empty());
    assert_eq!((asked.to_string().as_str(), asked), ("10.0.0.1-10.0.0.2,2001:db8::1", by_port_only));
    let cells: Vec<String> = probed.iter().map(|cells| format!("{} x {}", cells.targets, cells.ports)).collect();
    assert_eq!(cells, ["10.0.0.1 x 22", "10.0.0.1-10.0.0.2,2001:db8::1 x 80"]);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_prove_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_ne!(completeness(&read(&bytes).1, Some(0), 3), Completeness::Complete);
    }

    #[test]
    fn documents_with_changed_bytes_never_panic(at in 0..document().len(), with in any::<u8>(), more in "[<>&\"/=a!\\[\\]-]{0,6}") {
        let mut bytes = document().into_bytes();
        bytes[at] = with;
        bytes.splice(at..at, more.bytes());
        let (hosts, summary) = read(&bytes);
        prop_assert!(hosts.len() <= 1);
        let _ = coverage(&summary, observed(&hosts));
    }

    #[test]
    fn a_cut_document_is_never_complete(at in 0..document().trim_end().len()) {
        let bytes = &document().into_bytes()[..at];
        let (hosts, summary) = read(bytes);
        prop_assert_ne!(completeness(&summary, Some(0), 3), Completeness::Complete);
        prop_assert!(summary.defect.is_some());
        let asked: u128 = coverage(&summary, observed(&hosts)).iter().map(|part| part.asked.count()).sum();
        prop_assert!(asked <= hosts.len() as u128);
    }
}

#[test]
fn every_real_document_of_the_named_folder_is_read_to_its_end() {
    let Ok(folder) = std::env::var("PORTDRIFT_XML_CORPUS") else { return };
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .collect();
    assert!(!files.is_empty(), "{folder} holds no document");
    for file in files {
        let (hosts, summary) = read(&std::fs::read(&file).unwrap());
        assert!(summary.defect.is_none(), "{}: {:?}", file.display(), summary.defect);
        assert!(!hosts.is_empty(), "{}", file.display());
        let counts = summary.hosts.unwrap();
        assert_eq!(counts.up + counts.down, counts.total, "{}", file.display());
        assert!(hosts.len() as u64 <= counts.total, "{}", file.display());
        let up = observed(&hosts).iter().filter(|host| host.state == HostState::Up).count() as u64;
        assert_eq!(up, summary.listed_up, "{}", file.display());
    }
}
