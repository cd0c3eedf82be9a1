//! Every page in every form: axe finds no violation of WCAG 2.2 A and AA, light and dark, on a telephone and on a desk,
//! empty and with data. The pages are those that links lead to, so that a new one is looked at without being listed here.

use super::dashboard::sign_in;
use crate::harness::{Browser, Hosts, Mesh, Script, have, own_net};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Where `./check` puts axe-core, at the version and with the sum that it names.
const AXE: &str = "target/axe-core/axe.min.js";
/// More pages than there are.
const MOST_PAGES: usize = 100;
/// Pages that no link leads to: what a search says, and what cannot be done.
const ALSO: [&str; 6] =
    ["/search?q=office", "/search?q=colour:red", "/alerts?port=x", "/compare?network=x", "/auth/forgot", "/nowhere"];

const LINKS: &str =
    "return [...document.querySelectorAll('a[href]:not([download], [href$=\".json\"])')].map((link) => link.href)";
const RUN: &str = "return axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })
  .then((found) => found.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.target.join(' ')}: ${node.failureSummary}`)))";

/// Pages of one kind have one shape: what holds a digit is a name, and what stands behind the `?` chooses.
pub(super) fn shape(path: &str) -> String {
    let bare = path.split(['?', '#']).next().unwrap();
    let part = |part: &str| if part.contains(|c: char| c.is_ascii_digit()) { "*" } else { part }.to_owned();
    bare.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// What axe says of the page that is open, in all four forms.
pub(super) async fn violations(browser: &Browser, axe: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    browser.value_of(axe).await;
    for (width, is_dark) in [(360, false), (360, true), (1280, false), (1280, true)] {
        browser.look_like(width, is_dark).await;
        let told = browser.value_of(RUN).await;
        let form = format!("{width} {}", if is_dark { "dark" } else { "light" });
        found.extend(told.as_array().unwrap().iter().map(|line| format!("{form}: {}", line.as_str().unwrap())));
    }
    found
}

/// Looks at every shape of page that can be reached; gives the shapes.
async fn walk(browser: &Browser, mesh: &Mesh, axe: &str) -> BTreeSet<String> {
    let root = mesh.dashboard();
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<String> = [&["/"], &ALSO[..]].concat().into_iter().map(str::to_owned).collect();
    let mut faults = BTreeMap::new();
    while let Some(path) = waiting.pop() {
        if !seen.insert(if ALSO.contains(&path.as_str()) { path.clone() } else { shape(&path) }) {
            continue;
        }
        assert!(seen.len() < MOST_PAGES, "{seen:#?}");
        browser.goto(&format!("{root}{path}")).await;
        browser.find("//h1").await;
        let links = browser.value_of(LINKS).await;
        let links = links.as_array().unwrap().iter().filter_map(|link| link.as_str().unwrap().strip_prefix(root));
        waiting.extend(links.map(str::to_owned));
        let found = violations(browser, axe).await;
        if !found.is_empty() {
            faults.insert(path, found);
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    seen
}

/// The source of axe-core, if it is there.
pub(super) fn axe() -> Option<String> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(AXE);
    have(&[file.to_str().unwrap()]).then(|| std::fs::read_to_string(&file).unwrap())
}

#[tokio::test]
async fn axe_finds_nothing_on_pages_without_data() {
    let (Some(axe), Some(browser)) = (axe(), Browser::open(Script::On).await) else { return };
    let mesh = Mesh::start();
    browser.goto(mesh.dashboard()).await;
    browser.find("//h1").await;
    assert_eq!(violations(&browser, &axe).await, BTreeSet::new(), "the page to sign in");
    sign_in(&browser, &mesh).await;
    let seen = walk(&browser, &mesh, &axe).await;
    for page in ["/", "/alerts", "/reports", "/hosts", "/services", "/scans", "/nodes", "/help", "/settings/audit"] {
        assert!(seen.contains(page), "{page} is not among {seen:#?}");
    }
    browser.close().await;
}

#[tokio::test]
async fn axe_finds_nothing_on_pages_with_data() {
    let (Some(axe), Some(browser)) = (axe(), Browser::open(Script::On).await) else { return };
    let (mut mesh, mut hosts) = (Mesh::start(), Hosts::default());
    let net = own_net(154);
    let targets = format!("{net}.4/30");
    mesh.add_node("one", &targets);
    mesh.start_node("waits");
    mesh.json(&["scans", "create", "office", "--targets", &targets, "--ports", "2222,3389,8080", "--args=-sV"]);
    for port in [2222, 3389, 8080] {
        hosts.open(&format!("{net}.5"), port, "SSH-2.0-OpenSSH_9.2p1\r\n");
        mesh.json(&["scans", "run", "office", "--wait"]);
    }
    sign_in(&browser, &mesh).await;
    let seen = walk(&browser, &mesh, &axe).await;
    for page in
        ["/alerts/*", "/reports/*", "/hosts/*", "/runs/*", "/scans/*", "/nodes/*", "/networks/*/history", "/compare"]
    {
        assert!(seen.contains(page), "{page} is not among {seen:#?}");
    }
    assert_eq!(browser.console(), Vec::<String>::new());
    drop(hosts);
    browser.close().await;
}
