//! A report taken out of the mesh: as a table, as a document, as nmap's, and all of a network in one archive.

use crate::harness::{Hosts, Mesh, PASSWORD, own_net, told};
use protocol::nmap_xml::{HostRecord, Reader};
use protocol::observation::PortState;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

type Row = BTreeMap<String, String>;
/// Address, and port for changes of ports, of each change by its kind.
type Changes = BTreeSet<(String, String, String)>;

/// A mesh whose second run finds a port opened, one closed, and a greeting that wants to be calculated.
fn changed_network(net: &str) -> (Mesh, Hosts) {
    let (mut hosts, mut short_lived) = (Hosts::default(), Hosts::default());
    hosts.open(&format!("{net}.1"), 2222, "SSH-2.0-OpenSSH_9.2p1\r\n");
    short_lived.open(&format!("{net}.1"), 3306, "");
    let mut mesh = Mesh::start();
    mesh.add_node("one", &format!("{net}.0/29"));
    let targets = format!("{net}.0/30");
    mesh.json(&["scans", "create", "R&D lab", "--targets", &targets, "--ports", "2222,8080,3306", "--args=-sV"]);
    mesh.json(&["scans", "run", "R&D lab", "--wait"]);
    drop(short_lived);
    hosts.open(&format!("{net}.1"), 8080, "SSH-2.0-=cmd|'/C_calc'!A0 \u{202e}gpj\u{1b}[31m\r\n");
    mesh.json(&["scans", "run", "R&D lab", "--wait"]);
    (mesh, hosts)
}

fn export(mesh: &Mesh, arguments: &[&str]) -> String {
    let output = mesh.output(&[&["reports", "export"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}\n{}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn rows(text: &str) -> Vec<Row> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
}

fn changes_of_table(text: &str) -> Changes {
    let counted = rows(text).into_iter().filter(|row| row["counts"] == "yes");
    counted.map(|row| (row["kind"].clone(), row["address"].clone(), row["port"].clone())).collect()
}

fn changes_of_document(document: &Value) -> Changes {
    let lists = ["new_up_hosts", "new_down_hosts", "added_ports", "removed_ports", "changed_ports", "other_changes"];
    let entries = lists.iter().flat_map(|list| document[list].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let port = |entry: &Value| entry["port"].as_u64().map(|port| port.to_string()).unwrap_or_default();
    entries.map(|entry| (text(&entry["kind"]), text(&entry["address"]), port(entry))).collect()
}

fn open_ports(xml: &str) -> BTreeSet<(String, String)> {
    let mut reader = Reader::new(xml.as_bytes());
    let mut open = BTreeSet::new();
    while let Some(HostRecord::Observed(host)) = reader.next_host().unwrap() {
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
    let net = own_net(71);
    let (mesh, _hosts) = changed_network(&net);
    let table = export(&mesh, &["2"]);
    let document: Value = serde_json::from_str(&export(&mesh, &["2", "--format", "json"])).unwrap();
    let (before, after) = (export(&mesh, &["1", "--format", "xml"]), export(&mesh, &["2", "--format", "xml"]));

    let changes = changes_of_table(&table);
    assert_eq!(changes, changes_of_document(&document));
    let of_host = |port: &str| BTreeSet::from([(format!("{net}.1"), port.to_owned())]);
    assert_eq!((of_kind(&changes, "new-port"), of_kind(&changes, "closed-port")), (of_host("8080"), of_host("3306")));
    let (before, after_ports) = (open_ports(&before), open_ports(&after));
    assert_eq!(&after_ports - &before, of_kind(&changes, "new-port"));
    assert_eq!(&before - &after_ports, of_kind(&changes, "closed-port"));
    assert_eq!(document["network"]["name"], "R&D lab");
    let product = &document["added_ports"][0]["after"]["product"];
    assert_eq!(product, "=cmd|'/C", "what the host said reaches the report");
    assert!(table.contains("\"'=cmd|'/C\""), "{table}");

    for text in [&table, &document.to_string(), &after] {
        assert!(!text.contains(['\u{202e}', '\u{1b}']), "{text}");
    }
    for cell in rows(&table).iter().flat_map(|row| row.values()) {
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
    }
}

#[test]
fn files_appear_whole_and_take_the_place_of_none_unasked() {
    let net = own_net(72);
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
