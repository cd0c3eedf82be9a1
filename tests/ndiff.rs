//! `portdrift diff` finds the same added and removed hosts and open ports as nmap's own `ndiff --xml`.
//!
//! Once on files that this test makes with a real nmap on loopback, and once on each pair of a folder of real files
//! that `PORTDRIFT_XML_CORPUS` names. Where the two differ on purpose, [`Allowed`] says why; nothing else may differ.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test program; what is missing ends it"
)]

use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Files that ndiff cannot load: two script results of one port or host stop it, because its sorting is Python 2's
/// (`TypeError: '<' not supported between instances of 'ScriptResult'`). Each pair with one of them is ours alone.
const NDIFF_FAILS: [&str; 8] = [
    "agent_nmap__fake_output.xml",
    "agent_nmap__nmap_product_output.xml",
    "nmap__scan_base.xml",
    "own__scripts-os-trace.xml",
    "python-libnmap__1_os_banner_scripts.xml",
    "python-libnmap__full_sudo6.xml",
    "python-libnmap__fullscan.xml",
    "ruby-nmap__scan.xml",
];

/// The closed list of lines that ndiff has and we do not have, on purpose. We have none that ndiff does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Allowed {
    /// ndiff takes a host with another name or link address for another host, and lists it as gone and as new. We know
    /// hosts by their address, so what is on both sides is no change.
    SameAddress,
    /// One of the files never probed the port, so nobody knows whether it was open there (SPEC R2).
    NotProbed,
    /// One of the files had only silence (`open|filtered`), which may be an open port (DESIGN section 5).
    Silence,
}

#[derive(Debug, Deserialize)]
struct Answer {
    pairs: Vec<Pair>,
    failed: BTreeMap<String, String>,
    files: BTreeMap<String, FileFacts>,
}

#[derive(Debug, Deserialize)]
struct Pair {
    a: String,
    b: String,
    #[serde(flatten)]
    lines: Lines,
}

/// `host 10.0.0.1` and `port 10.0.0.1 22/tcp`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Lines {
    new: BTreeSet<String>,
    gone: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct FileFacts {
    probed: BTreeMap<String, String>,
    silent: Vec<Silent>,
}

/// One silent port, or all of an address but some.
#[derive(Debug, Deserialize)]
struct Silent {
    address: String,
    port: Option<String>,
    #[serde(default)]
    but: Vec<String>,
}

impl FileFacts {
    fn probed(&self, port: &str) -> bool {
        let (number, protocol) = port.split_once('/').unwrap();
        let number: u16 = number.parse().unwrap();
        let within = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            first.parse::<u16>().unwrap() <= number && number <= last.parse::<u16>().unwrap()
        };
        self.probed.get(protocol).is_some_and(|ranges| ranges.split(',').any(within))
    }

    fn is_silent(&self, address: &str, port: &str) -> bool {
        self.silent.iter().any(|silent| {
            silent.address == address
                && silent.port.as_deref().is_none_or(|silent| silent == port)
                && !silent.but.iter().any(|listed| listed == port)
        })
    }
}

/// Why a line may be ndiff's alone.
fn allowed(line: &str, a: &FileFacts, b: &FileFacts) -> Option<Allowed> {
    let (address, port) = line.strip_prefix("port ")?.split_once(' ')?;
    if !a.probed(port) || !b.probed(port) {
        return Some(Allowed::NotProbed);
    }
    (a.is_silent(address, port) || b.is_silent(address, port)).then_some(Allowed::Silence)
}

/// Compares one pair; returns the reasons that were needed.
fn compare(pair: &Pair, ours: &Lines, files: &BTreeMap<String, FileFacts>) -> BTreeSet<Allowed> {
    let (a, b) = (&files[&pair.a], &files[&pair.b]);
    let mut reasons = BTreeSet::new();
    for (theirs, others, ours) in
        [(&pair.lines.new, &pair.lines.gone, &ours.new), (&pair.lines.gone, &pair.lines.new, &ours.gone)]
    {
        let extra: Vec<&String> = ours.difference(theirs).collect();
        assert!(extra.is_empty(), "{} to {}: only we say {extra:?}", pair.a, pair.b);
        for line in theirs.difference(ours) {
            let both = others.contains(line).then_some(Allowed::SameAddress);
            let reason = both.or_else(|| allowed(line, a, b));
            reasons.insert(reason.unwrap_or_else(|| panic!("{} to {}: only ndiff says {line}", pair.a, pair.b)));
        }
    }
    reasons
}

fn ours(a: &str, b: &str) -> Lines {
    let output = Command::new(env!("CARGO_BIN_EXE_portdrift")).args(["diff", a, b, "--json"]).output().unwrap();
    assert!(output.status.success(), "{a} to {b}: {}", String::from_utf8_lossy(&output.stderr));
    let comparison: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut lines = Lines::default();
    for change in comparison["changes"].as_array().unwrap() {
        let host = change["host"].as_str().unwrap();
        let port = || format!("port {host} {}/{}", change["port"], change["protocol"].as_str().unwrap());
        match change["kind"].as_str().unwrap() {
            "new-host" => lines.new.insert(format!("host {host}")),
            "removed-host" => lines.gone.insert(format!("host {host}")),
            "new-port" => lines.new.insert(port()),
            "closed-port" => lines.gone.insert(port()),
            _ => false,
        };
    }
    lines
}

/// Asks ndiff, as a module for `pairs` and as a program for `command`.
fn ndiff(files: &[String], pairs: &[(String, String)], command: &[(String, String)]) -> Answer {
    let task = json!({ "files": files, "pairs": pairs, "command": command }).to_string();
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", include_str!("ndiff/driver.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(task.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "the ndiff driver failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// True when all programs are there; says so when not, and fails instead where nothing may be skipped.
fn have(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| !Path::new(program).exists()).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var("PORTDRIFT_NO_SKIP").as_deref() != Ok("1"), "not installed: {missing:?}");
    println!("skipped: not installed: {missing:?}");
    false
}

fn scan(file: &Path, ports: &str, targets: &str) -> String {
    let output = Command::new("/usr/bin/nmap")
        .args(["-n", "-sT", "-p", ports, "-oX"])
        .arg(file)
        .arg(targets)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    file.to_str().unwrap().to_owned()
}

#[test]
fn real_scans_of_loopback_differ_as_ndiff_says() {
    if !have(&["/usr/bin/ndiff", "/usr/bin/nmap", "/usr/bin/python3"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let listen = |address: &str| TcpListener::bind((address, 0)).unwrap();
    let number = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let (stays, goes, fresh) = (listen("127.77.0.2"), listen("127.77.0.2"), listen("127.77.0.3"));
    let ports = [&stays, &goes, &fresh].map(|listener| number(listener).to_string()).join(",");
    let a = scan(&folder.path().join("a.xml"), &ports, "127.77.0.1-2");
    let (gone, kept) = (number(&goes), number(&stays));
    drop(goes);
    let b = scan(&folder.path().join("b.xml"), &ports, "127.77.0.2-3");
    let c = scan(&folder.path().join("c.xml"), &number(&stays).to_string(), "127.77.0.2");

    let files = [a, b, c];
    let all: Vec<(String, String)> = pairs(&files);
    let answer = ndiff(&files, &[], &all);
    assert_eq!(answer.pairs.len(), 9);
    for pair in &answer.pairs {
        let reasons = compare(pair, &ours(&pair.a, &pair.b), &answer.files);
        assert!(reasons.iter().all(|reason| *reason == Allowed::NotProbed), "{reasons:?}");
    }
    let lines = ours(&files[0], &files[1]);
    let expected = Lines {
        new: ["host 127.77.0.3".to_owned(), format!("port 127.77.0.3 {}/tcp", number(&fresh))].into(),
        gone: ["host 127.77.0.1".to_owned(), format!("port 127.77.0.2 {gone}/tcp")].into(),
    };
    assert_eq!(lines, expected, "{kept} stays open");
}

/// A finished scan of two TCP and one UDP port with these hosts.
fn document(folder: &Path, name: &str, hosts: &str) -> String {
    let text = format!(
        r#"<?xml version="1.0"?><!DOCTYPE nmaprun><nmaprun scanner="nmap" args="nmap" start="1" version="7.93">
        <scaninfo type="connect" protocol="tcp" numservices="2" services="22,80"/>
        <scaninfo type="udp" protocol="udp" numservices="1" services="53"/>{hosts}
        <runstats><finished time="2" exit="success"/><hosts up="1" down="0" total="1"/></runstats></nmaprun>"#
    );
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn host(state: &str, name: &str, ports: &[(&str, u16, &str)]) -> String {
    let port = |(protocol, port, state): &(&str, u16, &str)| {
        format!(r#"<port protocol="{protocol}" portid="{port}"><state state="{state}"/></port>"#)
    };
    let ports: String = ports.iter().map(port).collect();
    format!(
        r#"<host><status state="{state}"/><address addr="10.0.0.1" addrtype="ipv4"/>
        <hostnames><hostname name="{name}" type="PTR"/></hostnames><ports>{ports}</ports></host>"#
    )
}

#[test]
fn each_allowed_difference_is_met_and_no_other() {
    if !have(&["/usr/bin/ndiff", "/usr/bin/python3"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let open = [("tcp", 22, "open"), ("udp", 53, "open")];
    let silent = [("tcp", 22, "open"), ("udp", 53, "open|filtered")];
    let beside = [("tcp", 22, "open"), ("udp", 53, "open"), ("tcp", 9, "open")];
    let closed = [("tcp", 22, "closed"), ("udp", 53, "closed")];
    let files: Vec<String> = [
        ("open", host("up", "a", &open)),
        ("silent", host("up", "a", &silent)),
        ("beside", host("up", "a", &beside)),
        ("closed", host("up", "a", &closed)),
        ("renamed", host("up", "b", &open)),
        ("down", host("down", "a", &[])),
        ("empty", String::new()),
    ]
    .iter()
    .map(|(name, hosts)| document(folder.path(), name, hosts))
    .collect();
    let answer = ndiff(&files, &[], &pairs(&files));
    let reasons = |a: usize, b: usize| {
        let pair = answer.pairs.iter().find(|pair| pair.a == files[a] && pair.b == files[b]).unwrap();
        compare(pair, &ours(&pair.a, &pair.b), &answer.files)
    };
    for other in [3, 5, 6] {
        assert_eq!((reasons(0, other), reasons(other, 0)), ([].into(), [].into()), "{}", files[other]);
    }
    assert_eq!((reasons(0, 1), reasons(1, 0)), ([Allowed::Silence].into(), [Allowed::Silence].into()));
    assert_eq!((reasons(0, 2), reasons(2, 0)), ([Allowed::NotProbed].into(), [Allowed::NotProbed].into()));
    assert_eq!((reasons(0, 4), reasons(4, 0)), ([Allowed::SameAddress].into(), [Allowed::SameAddress].into()));
}

fn pairs(files: &[String]) -> Vec<(String, String)> {
    files.iter().flat_map(|a| files.iter().map(move |b| (a.clone(), b.clone()))).collect()
}

#[test]
fn every_pair_of_the_named_folder_differs_as_ndiff_says() {
    let Ok(folder) = std::env::var("PORTDRIFT_XML_CORPUS") else {
        println!("skipped: PORTDRIFT_XML_CORPUS names no folder");
        return;
    };
    if !have(&["/usr/bin/ndiff", "/usr/bin/python3"]) {
        return;
    }
    let files = xml_files(Path::new(&folder));
    let all = pairs(&files);
    let answer = ndiff(&files, &all, &[]);
    for (file, why) in &answer.failed {
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        assert!(NDIFF_FAILS.contains(&name), "ndiff fails on {name} too: {why}");
    }
    let found = differences(&all);
    for (pair, lines) in all.iter().zip(&found) {
        assert!(pair.0 != pair.1 || *lines == Lines::default(), "{} differs from itself", pair.0);
    }
    let ours: BTreeMap<_, _> = all.iter().zip(&found).collect();
    let mut reasons: BTreeMap<Allowed, usize> = BTreeMap::new();
    for pair in &answer.pairs {
        for reason in compare(pair, ours[&(pair.a.clone(), pair.b.clone())], &answer.files) {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    println!("{} pairs, {} with ndiff, differing on purpose: {reasons:?}", all.len(), answer.pairs.len());
}

/// What we find in each pair, two at a time.
fn differences(pairs: &[(String, String)]) -> Vec<Lines> {
    let (first, second) = pairs.split_at(pairs.len() / 2);
    let each = |pairs: &[(String, String)]| pairs.iter().map(|(a, b)| ours(a, b)).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| each(first));
        let second = each(second);
        [other.join().unwrap(), second].concat()
    })
}

fn xml_files(folder: &Path) -> Vec<String> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no document", folder.display());
    files.into_iter().map(|file| file.to_str().unwrap().to_owned()).collect()
}
