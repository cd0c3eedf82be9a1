//! What people read, on small documents of our own.

use super::*;
use std::path::Path;

const HEAD: &str = r#"<?xml version="1.0"?><!DOCTYPE nmaprun>
<nmaprun scanner="nmap" args="nmap -sV -p 22,80 10.0.0.0/24" start="1700000000" version="7.93">
<scaninfo type="connect" protocol="tcp" numservices="2" services="22,80"/>"#;

fn host(address: &str, name: &str, ports: &[(u16, &str, &str)]) -> String {
    let port = |(port, state, version): &(u16, &str, &str)| {
        format!(
            r#"<port protocol="tcp" portid="{port}"><state state="{state}"/><service name="ssh" version="{version}" method="probed"/></port>"#
        )
    };
    let ports: String = ports.iter().map(port).collect();
    format!(
        r#"<host><status state="up" reason="syn-ack"/><address addr="{address}" addrtype="ipv4"/>
        <hostnames><hostname name="{name}" type="PTR"/></hostnames><ports>{ports}</ports></host>"#
    )
}

fn write(folder: &Path, name: &str, head: &str, hosts: &str, exit: &str) -> ScanFile {
    let end = format!(r#"<runstats><finished time="1700000009" exit="{exit}"/><hosts up="2" down="254" total="256"/>"#);
    let file = folder.join(name);
    std::fs::write(&file, format!("{head}{hosts}{end}</runstats></nmaprun>")).unwrap();
    let mut file = ScanFile::read(&file).unwrap();
    file.facts.file = name.into();
    file
}

fn before(folder: &Path) -> ScanFile {
    let hosts = [
        host("10.0.0.10", "old", &[(22, "open", "8"), (80, "open", "1")]),
        host("10.0.0.9", "gone", &[(22, "open", "8")]),
    ];
    write(folder, "a.xml", HEAD, &hosts.concat(), "success")
}

#[test]
fn each_change_is_a_sentence_sorted_by_address_and_port() {
    let folder = tempfile::tempdir().unwrap();
    let wider = HEAD.replace("22,80", "22,80,443");
    let hosts = [
        host("10.0.0.10", "new", &[(22, "open", "9"), (80, "closed", ""), (443, "open", "")]),
        host("10.0.0.2", "fresh", &[(22, "open", "9")]),
    ];
    let after = write(folder.path(), "b.xml", &wider, &hosts.concat(), "success");
    insta::assert_snapshot!(words::sentences(&compare(before(folder.path()), after)), @"
    from a.xml: nmap 7.93, 2023-11-14T22:13:20.000Z, hosts up: 2
    to   b.xml: nmap 7.93, 2023-11-14T22:13:20.000Z, hosts up: 2
    + host 10.0.0.2 is new
    + 10.0.0.2 port 22/tcp is now open (ssh 9)
    − host 10.0.0.9 is gone
    − 10.0.0.9 port 22/tcp is no longer open (ssh 8), now: not there
    ~ host 10.0.0.10 changed its name from old to new
    ~ 10.0.0.10 port 22/tcp changed from open (ssh 8) to open (ssh 9)
    − 10.0.0.10 port 80/tcp is no longer open (ssh 1), now: closed
      10.0.0.10 port 443/tcp: open (ssh); the first file did not look
    Hosts: 1 new, 1 gone. Ports: 1 new, 2 closed. Changed services: 1, systems: 0, names: 1, link addresses: 0.
    ");
}

#[test]
fn a_scan_that_did_not_finish_speaks_only_for_the_hosts_it_lists() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = host("10.0.0.10", "old", &[(22, "open", "8"), (80, "filtered", "")]);
    let after = write(folder.path(), "b.xml", HEAD, &hosts, "error");
    insta::assert_snapshot!(words::sentences(&compare(before(folder.path()), after)), @"
    from a.xml: nmap 7.93, 2023-11-14T22:13:20.000Z, hosts up: 2
    to   b.xml: nmap 7.93, 2023-11-14T22:13:20.000Z, hosts up: 1, did not finish: speaks only for the hosts it lists
    − 10.0.0.10 port 80/tcp is no longer open (ssh 1), now: filtered
      host 10.0.0.9: was there; the second file did not look
    Hosts: 0 new, 0 gone. Ports: 0 new, 1 closed. Changed services: 0, systems: 0, names: 0, link addresses: 0.
    ");
}

#[test]
fn json_has_stable_keys() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = host("10.0.0.9", "gone", &[(22, "open", "8")]) + &host("10.0.0.10", "old", &[(22, "open", "8")]);
    let after = write(folder.path(), "b.xml", HEAD, &hosts, "success");
    let comparison = compare(before(folder.path()), after);
    insta::assert_snapshot!(serde_json::to_string_pretty(&comparison).unwrap(), @r#"
    {
      "before": {
        "file": "a.xml",
        "scanner": "nmap",
        "version": "7.93",
        "args": "nmap -sV -p 22,80 10.0.0.0/24",
        "started": "2023-11-14T22:13:20.000Z",
        "finished": true,
        "hosts_up": 2
      },
      "after": {
        "file": "b.xml",
        "scanner": "nmap",
        "version": "7.93",
        "args": "nmap -sV -p 22,80 10.0.0.0/24",
        "started": "2023-11-14T22:13:20.000Z",
        "finished": true,
        "hosts_up": 2
      },
      "changes": [
        {
          "kind": "closed-port",
          "host": "10.0.0.10",
          "protocol": "tcp",
          "port": 80,
          "before": {
            "port": {
              "state": "open",
              "service": {
                "name": "ssh",
                "product": "",
                "version": "1",
                "extra": "",
                "tls": false,
                "method": "probed",
                "by": ""
              }
            }
          },
          "after": {
            "port": {
              "state": "closed|filtered",
              "service": null
            }
          }
        }
      ],
      "not_compared": []
    }
    "#);
}

#[test]
fn the_exit_code_tells_same_different_and_error() {
    let folder = tempfile::tempdir().unwrap();
    before(folder.path());
    write(folder.path(), "b.xml", HEAD, "", "success");
    let code = |a: &str, b: &str, exit_code| {
        let args = DiffArgs { a: folder.path().join(a), b: folder.path().join(b), exit_code };
        run(&args, Form::Json).map_err(|error| error.root_cause().to_string().contains("No such file"))
    };
    assert_eq!(code("a.xml", "a.xml", true), Ok(0));
    assert_eq!(code("a.xml", "b.xml", true), Ok(1));
    assert_eq!(code("a.xml", "c.xml", true), Ok(2));
    assert_eq!(code("a.xml", "b.xml", false), Ok(0));
    assert_eq!(code("a.xml", "c.xml", false), Err(true));
}
