//! Documents of other scanners, imported into a scan that a node has scanned before.

use super::readers::{changes_of_files, documents};
use crate::harness::{Hosts, Mesh, have, own_net, told};
use serde_json::{Value, json};
use std::process::{Command, Stdio};

const PORTS: &str = "2222,3306,8080";
const SSH: &str = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n";
const WEB: &str = "HTTP/1.0 200 OK\r\nServer: nginx/1.18.0\r\n\r\n";

/// A mesh that has scanned one host once: SSH and a web server stay, a database is closed afterwards.
fn office(net: &str) -> (Mesh, Hosts) {
    let (mut hosts, mut database) = (Hosts::default(), Hosts::default());
    let host = format!("{net}.1");
    hosts.open(&host, 2222, SSH);
    hosts.open(&host, 8080, WEB);
    database.open(&host, 3306, "");
    let mut mesh = Mesh::start();
    let targets = format!("{net}.0/30");
    mesh.add_node("one", &targets);
    let what = ["--engine", "builtin", "--targets", &targets, "--ports", PORTS, "--args=-sV"];
    mesh.json(&[&["scans", "create", "office"][..], &what].concat());
    let ended = mesh.json(&["scans", "run", "office", "--wait"]);
    assert_eq!((&ended["run"]["state"], &ended["run"]["open_ports"]), (&json!("completed"), &json!(3)), "{ended:#}");
    (mesh, hosts)
}

fn write(mesh: &Mesh, name: &str, document: &str) -> String {
    let file = mesh.home().join(name);
    std::fs::write(&file, document).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Imports a file that must be taken whole, and gives its report.
fn import(mesh: &Mesh, file: &str, options: &[&str]) -> Value {
    let taken = mesh.json(&[&["import", file, "--scan", "office"], options].concat());
    assert_eq!(taken[0]["run"]["state"], "completed", "{taken:#}");
    taken[0]["report"].clone()
}

/// Kind and place of each line.
fn lines<'a>(lines: impl IntoIterator<Item = &'a Value>) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    lines.into_iter().map(|line| (text(&line["kind"]), text(&line["port"]))).collect()
}

fn changes(report: &Value) -> Vec<(String, String)> {
    lines(report["changes"].as_array().unwrap())
}

/// The lines that count as no change for this reason.
fn notes(report: &Value, reason: &str) -> Vec<(String, String)> {
    let notes = report["notes"].as_array().unwrap().iter().filter(|note| note["kind"] == reason);
    lines(notes.map(|note| &note["change"]))
}

/// Place and state of each alert, whatever became of it.
fn alerts(mesh: &Mesh) -> Vec<(String, String)> {
    let alerts = mesh.json(&["alerts", "list", "--state", "all"]);
    let of = |alert: &Value| (alert["port"].to_string(), alert["state"].as_str().unwrap().to_owned());
    alerts.as_array().unwrap().iter().map(of).collect()
}

fn pair(kind: &str, place: &str) -> Vec<(String, String)> {
    vec![(kind.to_owned(), place.to_owned())]
}

#[test]
fn what_nmap_found_later_counts_as_far_as_its_reader_is_trusted() {
    if !have(&["/usr/bin/nmap"]) {
        return;
    }
    let net = own_net(94);
    let (mesh, _hosts) = office(&net);
    assert_eq!(alerts(&mesh), pair("3306", "open"));
    let file = write(&mesh, "nmap.xml", "");
    let scan = Command::new("/usr/bin/nmap")
        .args(["-n", "-sT", "-sV", "-p", PORTS, "-oX", &file, &format!("{net}.0/30")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(scan.status.success(), "{}", told(&scan));

    let doubted = import(&mesh, &file, &[]);
    assert_eq!(doubted["changes"], json!([]), "{doubted:#}");
    assert_eq!(notes(&doubted, "unconfirmed"), pair("closed-port", "3306/tcp"), "{doubted:#}");
    assert_eq!(alerts(&mesh), pair("3306", "open"));
    let documents = documents(&mesh);
    assert_eq!(changes_of_files(&mesh, &documents), [].into(), "what a run left open, its document leaves open");

    let trusted = import(&mesh, &file, &["--authoritative"]);
    assert_eq!(changes(&trusted), pair("closed-port", "3306/tcp"), "{trusted:#}");
    assert_eq!(alerts(&mesh), pair("3306", "resolved"));

    let again = mesh.json(&["scans", "run", "office", "--wait"]);
    assert_eq!(again["report"]["changes"], json!([]), "and our own engine agrees: {again:#}");
}

#[test]
fn masscan_closes_nothing_and_opens_what_it_lists() {
    let net = own_net(95);
    let (mesh, _hosts) = office(&net);
    let port = |port: u16| {
        format!(
            r#"<host endtime="4000000000"><address addr="{net}.1" addrtype="ipv4"/><ports><port protocol="tcp" portid="{port}"><state state="open" reason="syn-ack" reason_ttl="64"/></port></ports></host>"#
        )
    };
    let end = mesh.get("/runs/1")["ended_at"].as_str().unwrap().parse::<protocol::Timestamp>().unwrap();
    let document = format!(
        "<?xml version=\"1.0\"?>\n<!-- masscan v1.0 scan -->\n<nmaprun scanner=\"masscan\" start=\"{}\" version=\"1.0-BETA\" xmloutputversion=\"1.03\">\n\
        <scaninfo type=\"syn\" protocol=\"tcp\" />\n{}\n<runstats>\n<finished time=\"4000000000\" timestr=\"\" elapsed=\"3\" />\n\
        <hosts up=\"1\" down=\"0\" total=\"1\" />\n</runstats>\n</nmaprun>\n",
        end.as_millis() / 1_000 + 1,
        port(8080)
    );
    let before = alerts(&mesh);
    for options in [&[][..], &["--authoritative"]] {
        let file = write(&mesh, "masscan.xml", &document);
        let taken = mesh.json(&[&["import", &file, "--scan", "office"], options].concat());
        assert_eq!(
            (&taken[0]["run"]["state"], &taken[0]["report"]["changes"]),
            (&json!("partial"), &json!([])),
            "{taken:#}"
        );
        assert_eq!(alerts(&mesh), before);
    }
}

#[test]
fn a_document_that_proves_nothing_is_refused_and_leaves_nothing() {
    let net = own_net(96);
    let (mesh, _hosts) = office(&net);
    let head = "<?xml version=\"1.0\"?><!DOCTYPE nmaprun><nmaprun scanner=\"nmap\" args=\"nmap\" start=\"4000000\" version=\"7.93\">";
    let scaninfo = "<scaninfo type=\"connect\" protocol=\"tcp\" numservices=\"1\" services=\"2222\"/>";
    let host = |address: &str| {
        format!(
            "<host><status state=\"up\" reason=\"syn-ack\"/><address addr=\"{address}\" addrtype=\"ipv4\"/><ports/></host>"
        )
    };
    let end = "<runstats><finished time=\"4000009\" exit=\"success\"/><hosts up=\"1\" down=\"0\" total=\"1\"/></runstats></nmaprun>";
    let known = host(&format!("{net}.1"));
    let cases = [
        ("words.xml", "hello\n".to_owned(), "this is no nmap document"),
        ("empty.xml", String::new(), "cut short"),
        ("html.xml", "<html><body/></html>".to_owned(), "this is no nmap document"),
        ("deep.xml", format!("{head}{}", "<a>".repeat(200_000)), "a depth of elements over the limit of 32"),
        ("cut.xml", format!("{head}{scaninfo}<host><status sta"), "cut short"),
        ("broken.xml", format!("{head}{scaninfo}{known}</wrong>"), "damaged at byte"),
        (
            "entity.xml",
            format!("<!DOCTYPE nmaprun [<!ENTITY a \"b\">]>{head}{known}{end}"),
            "the document type is not the plain nmaprun",
        ),
        (
            "elsewhere.xml",
            format!("{head}{scaninfo}{}{end}", host("192.0.2.9")),
            "such as 192.0.2.9, is among the scan's addresses",
        ),
        ("older.xml", format!("{head}{scaninfo}{known}{end}"), "run 1 looked until"),
    ];
    for (name, document, reason) in cases {
        let refused = mesh.output(&["import", &write(&mesh, name, &document), "--scan", "office"]);
        assert_eq!(refused.status.code(), Some(1), "{name}: {}", told(&refused));
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.starts_with("error: ") && said.contains(name) && said.contains(reason), "{said}");
        assert!(said.lines().count() == 1 && said.len() < 600, "{said}");
    }
    let missing = mesh.output(&["import", "/nowhere.xml", "--scan", "office"]);
    assert_eq!(missing.status.code(), Some(1), "{}", told(&missing));
    let fine = write(&mesh, "fine.xml", &format!("{head}{scaninfo}{known}{end}"));
    let other = mesh.output(&["import", &fine, "--scan", "nowhere"]);
    assert_eq!(other.status.code(), Some(3), "{}", told(&other));
    assert_eq!(mesh.json(&["runs", "list"]).as_array().unwrap().len(), 1, "nothing was stored");
    assert_eq!(alerts(&mesh), pair("3306", "open"));
}
