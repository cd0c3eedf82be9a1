//! A host that says in every place where it can say something what would run as script, reorder a line or be calculated.
//! It is scanned for real, by both engines; every page and every export that shows its words is opened in a browser.

mod inspected;

use super::dashboard::sign_in;
use super::https::address_of;
use crate::harness::{Browser, Hosts, Mesh, Script, USUAL_TIMES, ask, connect, have, own_net, request, stdout_of};
use inspected::{Walk, inspect};

/// Closes whatever it stands in, then runs; and what would ask another machine.
const SCRIPT: &str = "\"'></td></table><script>hacked=1</script>";
const IMAGE: &str = "\"><img src=//127.0.0.2/ onerror=hacked=1>";
/// Turns the line around, rings the bell and colours the terminal; letters that run from right to left are words.
const CONTROLS: &str = "\u{202e}gpj\u{7}\u{1b}[31m\u{2066}";
const HEBREW: &str = "\u{5e9}\u{5dc}\u{5d5}\u{5dd}";

const PORTS: &str = "2121,2222,2223,2224,8080,8443";

/// Everything that listens on the hostile host from the second run on.
fn open_all(hosts: &mut Hosts, host: &str) {
    hosts.open(host, 2121, format!("500 OOPS: vsftpd: {SCRIPT}\r\n"));
    hosts.open(host, 2223, format!("SSH-2.0-{HEBREW}_1.0 {HEBREW} 7 <b>{IMAGE}\r\n"));
    hosts.open(host, 2224, format!("SSH-2.0-@SUM(1)_-2+3 {CONTROLS}{{{{7*7}}}}\r\n"));
    let page = format!("<title>{SCRIPT}{CONTROLS}{HEBREW}</title><h1>{IMAGE}</h1>");
    let server = format!("=cmd|'!A1/<svg/onload=hacked=1> ({IMAGE} {CONTROLS})");
    hosts.open(host, 8080, format!("HTTP/1.0 200 OK\r\nServer: {server}\r\nContent-Type: text/html\r\n\r\n{page}"));
    let inside = "HTTP/1.0 200 OK\r\nServer: <script>hacked=1</script>\r\n\r\n<title><script>hacked=1</script></title>";
    hosts.open_tls(host, 8443, &["<script>hacked=1</script>", "=cmd|'!A1", "*.\"><img onerror=hacked=1>"], inside);
}

/// A scan by this engine, run before and after the host says everything.
fn scan(mesh: &Mesh, name: &str, how: &[&str], targets: &str) {
    mesh.json(&[&["scans", "create", name, "--targets", targets, "--ports", PORTS][..], how].concat());
    run(mesh, name);
}

fn run(mesh: &Mesh, name: &str) {
    let ended = mesh.json(&["scans", "run", name, "--wait"]);
    assert_eq!(ended["run"]["state"], "completed", "{ended:#}");
}

/// The host as another scanner saw it: with the names that a hostile name server gave, and the like.
fn import_names(mesh: &Mesh, latest: &str, targets: &str) {
    mesh.json(&["scans", "create", "imported", "--targets", targets, "--ports", PORTS]);
    import(mesh, &exported(mesh, "1"));
    let attribute = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let (script, image) = (attribute(SCRIPT), attribute(IMAGE));
    let maker = format!("<address addr=\"02:00:00:00:00:01\" addrtype=\"mac\" vendor=\"{script}\"/>");
    let names = [format!("=1+1{image}\u{202e}"), HEBREW.to_owned()];
    let names = names.map(|name| format!("<hostname name=\"{name}\" type=\"PTR\"/>")).concat();
    let system = format!("<os><osmatch name=\"@{image}\" accuracy=\"95\"/></os>");
    let document = exported(mesh, latest);
    let document = document.replace("<hostnames>", &format!("{maker}<hostnames>{names}"));
    import(mesh, &document.replace("</ports>", &format!("</ports>{system}")));
}

fn exported(mesh: &Mesh, report: &str) -> String {
    stdout_of(&mut mesh.command(&["reports", "export", report, "--format", "xml"]))
}

fn import(mesh: &Mesh, document: &str) {
    let file = mesh.home().join("import.xml");
    std::fs::write(&file, document).unwrap();
    let taken = mesh.json(&["import", file.to_str().unwrap(), "--scan", "imported"]);
    assert_eq!(taken[0]["run"]["state"], "completed", "{taken:#}");
}

/// A mesh that knows the host from every engine, and strangers who put markup where strangers can.
fn hostile_mesh(net: &str) -> (Mesh, Hosts) {
    let (mut mesh, mut hosts) = (Mesh::start_on(|_| (), &[USUAL_TIMES]), Hosts::default());
    let (host, targets) = (format!("{net}.5"), format!("{net}.4/30"));
    mesh.add_node("one", &targets);
    mesh.start_node("\"><img src=x onerror=hacked=1>");
    mesh.nodes[1].line("waiting for approval");
    let form = "name=%3Cscript%3Ehacked%3D1%3C%2Fscript%3E&password=guess";
    let login = request("POST", "localhost", "/auth/login", "", form);
    assert_eq!(ask(connect(address_of(mesh.dashboard())).unwrap(), &login).unwrap().status, 401);

    hosts.open(&host, 2222, "SSH-2.0-OpenSSH_9.2p1\r\n");
    let mut scans = vec![("lab", vec!["--engine", "builtin", "--args=-sV"])];
    if have(&["/usr/bin/nmap"]) {
        scans.push(("deep", vec!["--engine", "nmap", "--args=-sV -sC"]));
    }
    for (name, how) in &scans {
        scan(&mesh, name, how, &targets);
    }
    hosts.close(&host, 2222);
    hosts.open(&host, 2222, format!("SSH-2.0-OpenSSH_9.2 Debian {SCRIPT}{CONTROLS}\r\n"));
    open_all(&mut hosts, &host);
    for (name, _) in &scans {
        run(&mesh, name);
    }
    // The second run of the first scan.
    import_names(&mesh, &(scans.len() + 1).to_string(), &targets);
    (mesh, hosts)
}

#[tokio::test]
async fn no_page_and_no_export_runs_what_a_host_says() {
    let Some(browser) = Browser::open(Script::On).await else { return };
    let (mesh, hosts) = hostile_mesh(&own_net(167));
    let open = mesh.json(&["hosts", "list", "--scan", "lab"]);
    assert!(open.to_string().contains("<script>hacked=1</script>"), "the words of the host arrive: {open:#}");
    sign_in(&browser, &mesh).await;
    let walk = Walk::through(&browser, &mesh).await;
    assert_eq!(walk.faults, Default::default());
    let pages = ["/", "/alerts", "/alerts/*", "/compare", "/hosts", "/hosts/*", "/reports/*", "/runs/*", "/scans/*"];
    for page in pages.into_iter().chain(["/services", "/settings/audit"]) {
        assert!(walk.quoting.contains(page), "{page} does not quote the host: {:#?}", walk.quoting);
    }
    inspected::open_exports(&browser, &mesh).await;
    assert_eq!(browser.console(), Vec::<String>::new());
    drop(hosts);
    browser.close().await;
}

#[tokio::test]
async fn markup_that_gets_out_of_its_cell_would_be_noticed() {
    let Some(browser) = Browser::open(Script::On).await else { return };
    let table = |cell: &str| format!("<table class='rows'><tr><th>a</th></tr><tr><td>{cell}</td></tr></table>");
    let cases = [
        ("<script>hacked=1</script>".to_owned(), "script ran"),
        ("<img src=x onerror=hacked=1>".to_owned(), "img"),
        ("<a href='http://127.0.0.2/'>x</a>".to_owned(), "leads elsewhere"),
        (table("x</td><td>y"), "cells"),
        ("\u{202e}".to_owned(), "hidden character"),
        (format!("<p>{HEBREW} <b>7</b></p>"), "beside"),
    ];
    for (body, fault) in cases {
        browser.goto(&format!("data:text/html;charset=utf-8,{}", escaped(&format!("<h1>x</h1>{body}")))).await;
        let found = inspect(&browser).await;
        assert!(found.iter().any(|line| line.contains(fault)), "{fault} in {body}: {found:?}");
    }
    browser.goto(&format!("data:text/html,{}", escaped("<h1>x</h1><p>plain</p>"))).await;
    assert_eq!(inspect(&browser).await, Vec::<String>::new());
    // The browser's log of its network tells who asked elsewhere.
    browser.goto(&format!("data:text/html,{}", escaped("<h1>x</h1><img src='http://127.0.0.2:9/leak'>"))).await;
    browser.headline("x").await;
    let asked = browser.end().await;
    assert!(asked.iter().any(|line| line.contains("http://127.0.0.2:9/leak")), "{asked:?}");
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
