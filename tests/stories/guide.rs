//! The dashboard from the first sign-in to the last, in the order in which a person gets to know it; with script and without.
//! Each step does what the page offers and says what it shows then. Nodes and scans are real.

mod findings;
mod people;
mod places;
mod records;
mod scans;
mod start;

use crate::harness::{Browser, Hosts, Mesh, Script, own_net};
use std::net::TcpListener;

const OLD: &str = "SSH-2.0-OpenSSH_9.2p1\r\n";
const NEW: &str = "SSH-2.0-OpenSSH_9.6p1\r\n";

/// What every step works with.
struct Guide {
    browser: Browser,
    script: Script,
    mesh: Mesh,
    hosts: Hosts,
    net: String,
    /// Takes connections and never says a word, so that a run takes some seconds.
    _silent: TcpListener,
}

impl Guide {
    /// A coordinator that knows nothing yet, and two hosts with four open ports.
    async fn begin(script: Script, net: String) -> Option<Self> {
        let browser = Browser::open(script).await?;
        let mut hosts = Hosts::default();
        hosts.open(&format!("{net}.5"), 2222, OLD);
        hosts.open(&format!("{net}.5"), 3306, "");
        hosts.open(&format!("{net}.6"), 2222, OLD);
        let silent = TcpListener::bind(format!("{net}.5:8080")).unwrap();
        Some(Self { browser, script, mesh: Mesh::start(), hosts, net, _silent: silent })
    }

    /// Goes to a page by its address.
    async fn open(&self, path: &str) {
        self.browser.goto(&format!("{}{path}", self.mesh.dashboard())).await;
    }

    /// Goes to a page of the settings by its tab.
    async fn open_settings(&self, tab: &str) {
        self.open("/settings").await;
        self.browser.click(&format!("//nav[@aria-label='Settings']//a[normalize-space()='{tab}']")).await;
    }

    fn host(&self, number: u8) -> String {
        format!("{}.{number}", self.net)
    }

    /// A service changes and one closes, a critical port opens, a host vanishes and one appears.
    fn change_the_network(&mut self) {
        let [stays, goes, comes] = [5, 6, 7].map(|number| self.host(number));
        self.hosts.close(&stays, 2222);
        self.hosts.open(&stays, 2222, NEW);
        self.hosts.close(&stays, 3306);
        self.hosts.open(&stays, 3389, "");
        self.hosts.close(&goes, 2222);
        self.hosts.open(&comes, 2222, OLD);
    }
}

async fn story(script: Script, net: String) {
    let Some(mut guide) = Guide::begin(script, net).await else { return };
    start::sign_in(&guide).await;
    start::see_that_there_is_nothing_yet(&guide).await;
    start::add_a_node(&mut guide).await;
    start::approve_it(&guide).await;
    start::turn_a_stranger_away(&mut guide).await;
    start::hide_and_revoke_a_node(&mut guide).await;
    start::look_at_the_mesh(&guide).await;

    scans::create(&guide).await;
    scans::run_and_watch(&guide).await;
    guide.change_the_network();
    scans::run_again(&guide).await;

    findings::read_the_report(&guide).await;
    findings::read_the_history_and_compare(&guide).await;
    findings::read_the_overview(&guide).await;
    findings::decide_about_alerts(&guide).await;
    findings::accept_a_change(&guide).await;
    findings::export(&guide).await;

    places::find_hosts(&guide).await;
    places::find_services(&guide).await;
    places::search(&guide).await;

    scans::schedule(&guide).await;
    scans::stop_a_run(&guide).await;

    records::edit_the_rules(&guide).await;
    people::invite_somebody(&guide).await;
    people::manage_accounts(&guide).await;
    people::let_somebody_in(&guide).await;
    people::make_a_token(&guide).await;
    records::limit_what_is_kept(&guide).await;
    records::read_the_audit_log(&guide).await;
    records::read_the_logs(&guide).await;
    records::read_about_the_program(&guide).await;

    people::edit_the_profile(&guide).await;
    people::end_other_sessions(&guide).await;
    records::read_the_help(&guide).await;
    people::change_the_password_and_sign_out(&guide).await;

    assert_eq!(guide.browser.console(), Vec::<String>::new());
    guide.browser.close().await;
}

#[tokio::test]
async fn a_person_walks_from_the_first_sign_in_to_the_last() {
    story(Script::On, own_net(165)).await;
}

#[tokio::test]
async fn every_step_works_without_javascript() {
    story(Script::Off, own_net(166)).await;
}
