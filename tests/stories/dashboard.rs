//! The dashboard in a real browser: sign in, approve a node, make and run a scan, read the report; with script and without.

use crate::harness::{Browser, Hosts, Mesh, PASSWORD, Script, own_net};

pub(super) async fn sign_in(browser: &Browser, mesh: &Mesh) {
    browser.goto(mesh.dashboard()).await;
    browser.fill("name", "ada").await;
    browser.fill("password", PASSWORD).await;
    browser.click("//button[normalize-space()='Sign in']").await;
    browser.find("//h1[contains(., 'Overview')]").await;
}

async fn approve(browser: &Browser, mesh: &Mesh, fingerprint: &str, ranges: &str) {
    browser.goto(&format!("{}/nodes", mesh.dashboard())).await;
    browser.find(&format!("//*[contains(normalize-space(), '{fingerprint}')]")).await;
    browser.click("//summary[normalize-space()='Approve']").await;
    browser.fill("label", "first").await;
    browser.fill("ranges", ranges).await;
    browser.click("//button[normalize-space()='Approve node']").await;
    browser.find("//th[contains(., 'first')]").await;
}

/// Makes a scan and runs it; gives the page of its report.
async fn scan(browser: &Browser, mesh: &Mesh, targets: &str) {
    browser.goto(&format!("{}/scans/new", mesh.dashboard())).await;
    browser.fill("name", "office").await;
    browser.fill("targets", targets).await;
    browser.fill("ports", "2222,3389").await;
    browser.fill("args", "-sV").await;
    browser.click("//button[normalize-space()='Save scan']").await;
    browser.find("//h1[normalize-space()='office']").await;
    browser.click("//button[normalize-space()='Run now']").await;
    browser.find("//h1[contains(., 'Run 1')]").await;
    browser.click("//a[normalize-space()='View report']").await;
}

async fn story(script: Script, net: &str) {
    let Some(browser) = Browser::open(script).await else { return };
    let mut hosts = Hosts::default();
    hosts.open(&format!("{net}.3"), 2222, "SSH-2.0-OpenSSH_9.2p1\r\n");
    let mut mesh = Mesh::start();
    let fingerprint = mesh.start_node("first");
    let ranges = format!("{net}.0/28");
    mesh.nodes[0].line("waiting for approval");
    sign_in(&browser, &mesh).await;
    approve(&browser, &mesh, &fingerprint, &ranges).await;
    mesh.nodes[0].line("connected to the coordinator");
    scan(&browser, &mesh, &ranges).await;
    browser.find("//h1").await;
    assert!(browser.url().await.ends_with("/reports/1"), "{}", browser.url().await);
    assert_eq!(browser.console(), Vec::<String>::new());
    let seen = mesh.json(&["reports", "show", "1"]);
    assert_eq!((&seen["hosts_up"], &seen["open_ports"]), (&1.into(), &1.into()));
    drop(hosts);
    browser.close().await;
}

#[tokio::test]
async fn a_person_signs_in_approves_a_node_scans_and_reads_the_report() {
    story(Script::On, &own_net(63)).await;
}

#[tokio::test]
async fn the_same_works_without_javascript() {
    story(Script::Off, &own_net(64)).await;
}

#[tokio::test]
async fn an_error_on_the_console_would_be_noticed_and_script_that_is_off_is_off() {
    for (script, noticed) in [(Script::On, true), (Script::Off, false)] {
        let Some(browser) = Browser::open(script).await else { return };
        browser.goto("data:text/html,<h1 id=page>page</h1><script>console.error('a fault')</script>").await;
        browser.find("//h1[@id='page']").await;
        assert_eq!(browser.console().iter().any(|line| line.contains("a fault")), noticed, "{script:?}");
        browser.close().await;
    }
}
