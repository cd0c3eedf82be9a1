//! A report taken out of the mesh: as a table, as a document, as nmap's, and all of a network in one archive.

use crate::harness::{Hosts, Mesh, PASSWORD, own_net, told};
use protocol::nmap_xml::{HostRecord, Reader};
use protocol::observation::{HostObservation, PortObservation, PortState};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

type Row = BTreeMap<String, String>;
/// Address, and port for changes of ports, of each change by its kind.
pub(super) type Changes = BTreeSet<(String, String, String)>;

/// What a port says to be calculated and to reorder the line that shows it.
const SSH: &str = "SSH-2.0-OpenSSH_=cmd|' /C calc'!A0 \u{202e}gpj\u{1b}[31m\r\n";
/// The same for a web server, with what would end a cell and an attribute.
const WEB: &str = "HTTP/1.0 200 OK\r\nServer: +cmd|'!A1 (\u{202e}\u{7}\"><script>,\")\r\n\r\n";

/// A mesh whose second run finds two ports opened, one closed, and greetings that want to be calculated.
pub(super) fn changed_network(net: &str) -> (Mesh, Hosts) {
    let (mut hosts, mut short_lived) = (Hosts::default(), Hosts::default());
    hosts.open(&format!("{net}.1"), 2222, "SSH-2.0-OpenSSH_9.2p1\r\n");
    short_lived.open(&format!("{net}.1"), 3306, "");
    let mut mesh = Mesh::start();
    mesh.add_node("one", &format!("{net}.0/29"));
    let targets = format!("{net}.0/30");
    mesh.json(&["scans", "create", "R&D lab", "--targets", &targets, "--ports", "2222,8080,8081,3306", "--args=-sV"]);
    mesh.json(&["scans", "run", "R&D lab", "--wait"]);
    drop(short_lived);
    hosts.open(&format!("{net}.1"), 8080, SSH);
    hosts.open(&format!("{net}.1"), 8081, WEB);
    mesh.json(&["scans", "run", "R&D lab", "--wait"]);
    (mesh, hosts)
}

pub(super) fn export(mesh: &Mesh, arguments: &[&str]) -> String {
    let output = mesh.output(&[&["reports", "export"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}\n{}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn rows(text: &str) -> Vec<Row> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
}

fn changes_of_table(text: &str) -> Changes {
    let counted = rows(text).into_iter().filter(|row| row["counts"] != "no");
    counted.map(|row| (row["kind"].clone(), row["address"].clone(), row["port"].clone())).collect()
}

pub(super) fn changes_of_document(document: &Value) -> Changes {
    let lists = ["new_up_hosts", "new_down_hosts", "added_ports", "removed_ports", "changed_ports", "other_changes"];
    let entries = lists.iter().flat_map(|list| document[list].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let port = |entry: &Value| entry["port"].as_u64().map(|port| port.to_string()).unwrap_or_default();
    entries.map(|entry| (text(&entry["kind"]), text(&entry["address"]), port(entry))).collect()
}

fn hosts(xml: &str) -> Vec<HostObservation> {
    let mut reader = Reader::new(xml.as_bytes());
    let mut hosts = Vec::new();
    while let Some(HostRecord::Observed(host)) = reader.next_host().unwrap() {
        hosts.push(host);
    }
    hosts
}

fn open_ports(xml: &str) -> BTreeSet<(String, String)> {
    let mut open = BTreeSet::new();
    for host in hosts(xml) {
        let ports = host.ports.iter().filter(|port| port.state == PortState::Open);
        open.extend(ports.map(|port| (host.address.to_string(), port.port.to_string())));
    }
    open
}

fn of_kind(changes: &Changes, wanted: &str) -> BTreeSet<(String, String)> {
    let found = changes.iter().filter(|(kind, _, _)| kind == wanted);
    found.map(|(_, address, port)| (address.clone(), port.clone())).collect()
}

fn files_in(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_format_of_a_report_holds_the_same_changes_and_none_that_runs() {
    let net = own_net(91);
    let (mesh, _hosts) = changed_network(&net);
    let table = export(&mesh, &["2"]);
    let document: Value = serde_json::from_str(&export(&mesh, &["2", "--format", "json"])).unwrap();
    let (before, after) = (export(&mesh, &["1", "--format", "xml"]), export(&mesh, &["2", "--format", "xml"]));

    let changes = changes_of_table(&table);
    assert_eq!(changes, changes_of_document(&document));
    let of_host = |ports: &[&str]| ports.iter().map(|port| (format!("{net}.1"), (*port).to_owned())).collect();
    assert_eq!(of_kind(&changes, "new-port"), of_host(&["8080", "8081"]));
    assert_eq!(of_kind(&changes, "closed-port"), of_host(&["3306"]));
    let (before, after_ports) = (open_ports(&before), open_ports(&after));
    assert_eq!(&after_ports - &before, of_kind(&changes, "new-port"));
    assert_eq!(&before - &after_ports, of_kind(&changes, "closed-port"));
    assert_eq!((&document["network"]["name"], &document["known_hosts"]), (&json!("R&D lab"), &json!(1)));

    let said = &document["added_ports"];
    let (calculated, reordered) = ("=cmd|' /C calc'!A0 \\u{202e}gpj\\u{1b}[31m", "\\u{202e}\\u{7}\"><script>,\"");
    assert_eq!(said[0]["after"]["version"], calculated, "what the host said reaches the report");
    assert_eq!((&said[1]["after"]["product"], &said[1]["after"]["extra"]), (&json!("+cmd|'!A1"), &json!(reordered)));
    let row = rows(&table).into_iter().find(|row| row["port"] == "8080").unwrap();
    assert_eq!(row["after_version"], format!("'{calculated}"));
    assert_eq!(versions(&after), [("2222", "9.2p1"), ("8080", calculated), ("8081", "")].map(owned).into());
    for text in [&table, &document.to_string(), &after, &archived(&mesh)] {
        is_harmless(text);
    }
    for cell in [&table, &archived(&mesh)].into_iter().flat_map(|text| rows(text)).flat_map(BTreeMap::into_values) {
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
    }
}

#[test]
fn an_accepted_change_says_so_in_every_format_and_stays_a_change() {
    let net = own_net(97);
    let (mesh, _hosts) = changed_network(&net);
    let before = changes_of_table(&export(&mesh, &["2"]));
    mesh.json(&["reports", "accept", "2", "--port", "8080/tcp", "--comment", "=planned"]);
    let table = export(&mesh, &["2"]);
    let document: Value = serde_json::from_str(&export(&mesh, &["2", "--format", "json"])).unwrap();
    assert_eq!((&changes_of_table(&table), &changes_of_document(&document)), (&before, &before));
    let accepted: Vec<Row> = rows(&table).into_iter().filter(|row| row["counts"] == "accepted").collect();
    let [row] = &accepted[..] else { panic!("{table}") };
    let entry = &document["added_ports"][0];
    assert_eq!((&*row["port"], &entry["port"]), ("8080", &json!(8080)));
    assert_eq!((&*row["accepted_comment"], &entry["accepted"]["comment"]), ("'=planned", &json!("=planned")));
    assert_eq!(
        (&json!(row["accepted_by"]), &json!(row["accepted_at"])),
        (&entry["accepted"]["by"], &entry["accepted"]["at"])
    );
    assert_eq!(rows(&archived(&mesh)), rows(&table));
}

/// Holds nothing that a terminal or a reader would obey.
fn is_harmless(text: &str) {
    let obeyed = |c: char| c == '\u{202e}' || (c.is_control() && !matches!(c, '\n' | '\r'));
    assert!(!text.contains(obeyed), "{text:?}");
}

/// The table of report 2 in the archive of the network.
fn archived(mesh: &Mesh) -> String {
    let folder = tempfile::tempdir().unwrap();
    let zip = folder.path().join("lab.zip");
    export(mesh, &["--scan", "R&D lab", "--all", "--output", zip.to_str().unwrap()]);
    let mut archive = zip::ZipArchive::new(File::open(&zip).unwrap()).unwrap();
    let mut all = String::new();
    for name in ["index.csv", "report-2.json", "report-2.csv"] {
        all = std::io::read_to_string(archive.by_name(&format!("r-d-lab-scan1/{name}")).unwrap()).unwrap();
        is_harmless(&all);
    }
    all
}

fn owned((port, version): (&str, &str)) -> (String, String) {
    (port.to_owned(), version.to_owned())
}

/// The version of each open port.
fn versions(xml: &str) -> BTreeSet<(String, String)> {
    let version = |port: PortObservation| {
        let version = port.service.map(|service| service.version.to_string()).unwrap_or_default();
        (port.port.to_string(), version)
    };
    let open = hosts(xml).into_iter().flat_map(|host| host.ports).filter(|port| port.state == PortState::Open);
    open.map(version).collect()
}

#[test]
fn files_appear_whole_and_take_the_place_of_none_unasked() {
    let net = own_net(92);
    let (mesh, _hosts) = changed_network(&net);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (json, zip) = (file("report.json"), file("lab.zip"));
    export(&mesh, &["2", "--output", &json]);
    let first = std::fs::read_to_string(&json).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&first).unwrap()["report"], 2);

    let again = mesh.output(&["reports", "export", "1", "--output", &json]);
    assert_eq!(again.status.code(), Some(1));
    assert!(told(&again).contains("report.json: the file is there already; --force replaces it"), "{}", told(&again));
    assert_eq!(std::fs::read_to_string(&json).unwrap(), first);
    export(&mesh, &["1", "--output", &json, "--force"]);
    assert_ne!(std::fs::read_to_string(&json).unwrap(), first);

    let missing = mesh.output(&["reports", "export", "99", "--output", &file("none.csv")]);
    assert_eq!(missing.status.code(), Some(3), "{}", told(&missing));
    let nowhere = mesh.output(&["reports", "export", "1", "--output", &file("none/report.csv")]);
    assert!(told(&nowhere).contains("report.csv: there is no folder "), "{}", told(&nowhere));
    export(&mesh, &["--scan", "R&D lab", "--all", "--output", &zip]);
    assert_eq!(files_in(folder.path()), ["lab.zip", "report.json"].map(str::to_owned).into());

    let mut archive = zip::ZipArchive::new(File::open(&zip).unwrap()).unwrap();
    let index = std::io::read_to_string(archive.by_name("r-d-lab-scan1/index.csv").unwrap()).unwrap();
    assert_eq!(rows(&index).iter().map(|row| row["report"].as_str()).collect::<Vec<_>>(), ["2", "1"]);
    let alone = export(&mesh, &["2", "--format", "csv"]);
    let archived = std::io::read_to_string(archive.by_name("r-d-lab-scan1/report-2.csv").unwrap()).unwrap();
    assert_eq!(archived, alone);
    download_from_the_dashboard(&mesh, &alone);
}

/// The links of the report page lead to the same files.
fn download_from_the_dashboard(mesh: &Mesh, table: &str) {
    let site = mesh.dashboard().trim_end_matches('/').to_owned();
    // The client wants one for TLS, although it never speaks it. Another story may have found one before.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let get = async |path: String| {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let form = format!("name=ada&password={}", PASSWORD.replace(' ', "+"));
        let login = client.post(format!("{site}/auth/login")).body(form);
        let login = login.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        let cookie = login.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        client.get(format!("{site}{path}")).header("cookie", cookie).send().await.unwrap()
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let page = get("/reports/2".to_owned()).await.text().await.unwrap();
        for (ending, kind) in [
            ("csv", "text/csv; charset=utf-8; header=present"),
            ("json", "application/json"),
            ("xml", "application/xml"),
        ] {
            assert!(page.contains(&format!("href=\"/reports/2.{ending}\"")), "{page}");
            let answer = get(format!("/reports/2.{ending}")).await;
            let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
            let name = format!("attachment; filename=\"portdrift-r-d-lab-report-2.{ending}\"");
            assert_eq!((header("content-type"), header("content-disposition")), (kind.to_owned(), name));
            assert_eq!(header("x-content-type-options"), "nosniff");
            let text = answer.text().await.unwrap();
            assert!(ending != "csv" || text == table, "{text}");
        }
    });
}
