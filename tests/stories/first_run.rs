//! A stranger's first run: from `portdrift setup` to the first delta, clicking only; with script and without. And what
//! is left of it: the node on this machine comes back with the coordinator, whatever ended that.

use super::accessibility::{axe, violations};
use crate::harness::{Browser, Hosts, PASSWORD, Process, Script, as_soon_as, own_net, portdrift, stdout_of, told};
use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The most clicks that the first delta may cost.
const MOST_CLICKS: usize = 12;

/// A machine on which nothing was done yet, in a loopback network of its own.
struct Machine {
    home: TempDir,
    net: String,
}

impl Machine {
    fn new(story: u8) -> Self {
        let machine = Self { home: tempfile::tempdir().unwrap(), net: own_net(story) };
        // Whatever room this machine's disk has left.
        std::fs::DirBuilder::new().mode(0o700).recursive(true).create(machine.hub().join("node")).unwrap();
        std::fs::write(machine.hub().join("node/policy.toml"), "spool_keep_free_mib = 1\n").unwrap();
        machine
    }

    fn hub(&self) -> PathBuf {
        self.home.path().join("hub")
    }

    /// A command that goes on as a coordinator.
    fn coordinator(&self, words: &[&str]) -> Process {
        let mut command = portdrift(self.home.path());
        command.args(words).args(["--own-network", &format!("{}.0/28", self.net)]).arg("--dir").arg(self.hub());
        Process::start(command.env("PORTDRIFT_STORE__KEEP_FREE_MIB", "1"))
    }

    fn set_up(&self) -> Process {
        let mesh = format!("{}.1:9430", self.net);
        self.coordinator(&["setup", "--mesh-listen", &mesh, "--http", "127.0.0.1:0"])
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = portdrift(self.home.path());
        command.args(words).arg("--dir").arg(self.hub());
        command
    }

    fn json(&self, words: &[&str]) -> serde_json::Value {
        serde_json::from_str(&stdout_of(self.command(words).arg("--json"))).unwrap()
    }
}

/// A person who counts clicks, and has every page that stands still looked at in all its forms.
struct Stranger {
    browser: Browser,
    axe: Option<String>,
    clicks: usize,
}

impl Stranger {
    async fn click(&mut self, button: &str) {
        self.browser.click(&format!("//*[self::button or self::a][normalize-space()='{button}']")).await;
        self.clicks += 1;
    }

    async fn sees(&self, heading: &str) {
        self.browser.find(&format!("//*[self::h1 or self::h2][normalize-space()='{heading}']")).await;
        if let Some(axe) = &self.axe {
            assert_eq!(violations(&self.browser, axe).await, BTreeSet::new(), "{heading}");
        }
    }
}

fn word_after(line: &str, words: usize) -> String {
    line.split_whitespace().nth(words).unwrap().to_owned()
}

async fn becomes_administrator(stranger: &mut Stranger, coordinator: &Process) {
    let (dashboard, code) = (coordinator.line("dashboard  http"), coordinator.line("setup code"));
    stranger.browser.goto(&word_after(&dashboard, 1)).await;
    stranger.sees("Set up").await;
    assert!(stranger.browser.url().await.ends_with("/setup"));
    for (field, typed) in
        [("code", word_after(&code, 2).as_str()), ("name", "ada"), ("password", PASSWORD), ("again", PASSWORD)]
    {
        stranger.browser.fill(field, typed).await;
    }
    stranger.click("Create administrator").await;
}

async fn story(script: Script, number: u8) {
    let Some(browser) = Browser::open(script).await else { return };
    let mut stranger = Stranger { browser, axe: if script == Script::On { axe() } else { None }, clicks: 0 };
    let (machine, mut hosts) = (Machine::new(number), Hosts::default());
    let host = format!("{}.3", machine.net);
    hosts.open(&host, 8080, "SSH-2.0-OpenSSH_9.2p1\r\n");
    let mut coordinator = machine.set_up();
    becomes_administrator(&mut stranger, &coordinator).await;

    stranger.sees("Let a first node in").await;
    let network = format!("//input[@name='network'][@value='{}.0/28']", machine.net);
    assert!(stranger.browser.find(&network).await.is_selected().await.unwrap(), "its own network is ticked");
    stranger.click("Use this machine as the first node").await;
    stranger.sees("Take a first look").await;
    stranger.click("Start quick scan").await;
    stranger.sees("The baseline is there").await;
    stranger.browser.find("//p[contains(., '1 host with 1 open port')]").await;
    hosts.open(&host, 8888, "SSH-2.0-OpenSSH_9.2p1\r\n");
    stranger.click("Run again now").await;
    stranger.sees("The first report is there").await;
    stranger.click("View first report").await;
    stranger.browser.find("//h1").await;
    assert!(stranger.browser.url().await.ends_with("/reports/2"), "{}", stranger.browser.url().await);
    stranger.browser.find("//main//*[contains(., '8888/tcp')]").await;
    assert!(stranger.clicks <= MOST_CLICKS, "{} clicks", stranger.clicks);
    assert_eq!(stranger.browser.console(), Vec::<String>::new());

    let report = machine.json(&["reports", "show", "2"]);
    let changes: Vec<_> = report["changes"].as_array().unwrap().iter().map(|change| &change["port"]).collect();
    assert_eq!(changes, ["8888/tcp"], "the one port that was opened, and nothing else: {report:#}");
    let scan = machine.json(&["scans", "show", "1"]);
    assert_eq!((&scan["scheduled"], &scan["interval_minutes"]), (&true.into(), &1440.into()), "{scan:#}");
    stranger.browser.close().await;
    assert!(coordinator.stop().success());
}

#[tokio::test]
async fn a_stranger_comes_from_setup_to_the_first_delta_by_clicking() {
    story(Script::On, 155).await;
}

#[tokio::test]
async fn the_same_works_without_javascript() {
    story(Script::Off, 156).await;
}

/// What the only node of the machine is, once it is there.
fn node_online(machine: &Machine) -> String {
    as_soon_as(|| {
        let nodes = machine.json(&["nodes", "list"]);
        let found = nodes.as_array().unwrap().iter().find(|node| node["status"] == "online");
        found.map(|node| node["fingerprint"].as_str().unwrap().to_owned()).ok_or_else(|| format!("{nodes:#}"))
    })
}

#[tokio::test]
async fn the_node_of_this_machine_comes_back_with_its_coordinator() {
    let Some(browser) = Browser::open(Script::Off).await else { return };
    let mut stranger = Stranger { browser, axe: None, clicks: 0 };
    let machine = Machine::new(157);
    let mut coordinator = machine.set_up();
    becomes_administrator(&mut stranger, &coordinator).await;
    stranger.click("Use this machine as the first node").await;
    stranger.sees("Take a first look").await;
    stranger.browser.close().await;
    let first = node_online(&machine);
    assert!(coordinator.stop().success());
    for _ in 0..2 {
        // The second start follows a kill: the node had to notice that by itself, as it holds its folder alone.
        coordinator = machine.coordinator(&["coordinator", "run"]);
        coordinator.line("ready");
        assert_eq!(coordinator.count("setup code"), 0, "there is an administrator");
        assert_eq!(node_online(&machine), first);
        coordinator.kill();
    }
    let refused = machine.command(&["setup"]).output().unwrap();
    let told = told(&refused);
    assert!(told.contains("is set up already; start it with `portdrift coordinator run`"), "{told}");
}

fn said(home: &Path, words: &[&str]) -> String {
    told(&portdrift(home).args(words).arg("--dir").arg(home.join("hub")).output().unwrap())
}

#[test]
fn setup_goes_on_where_it_was_left_and_says_what_does_not_fit() {
    let machine = Machine::new(158);
    let home = machine.home.path();
    let password = said(home, &["setup", "--password-stdin"]);
    assert!(password.contains("name one with --admin") && !machine.hub().join("mesh.key").exists(), "{password}");
    let mut first = machine.set_up();
    let code = first.line("setup code");
    first.line("ready");
    assert!(first.stop().success());
    let moved = said(home, &["setup", "--http", "127.0.0.1:1"]);
    assert!(moved.contains("is set up already: where it listens was chosen before"), "{moved}");
    let mut second = machine.coordinator(&["setup"]);
    assert_ne!(second.line("setup code"), code, "each start has a code of its own");
    second.line("ready");
    assert!(second.stop().success());
}
