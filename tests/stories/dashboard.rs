//! The dashboard in a real browser: sign in, approve a node, make and run a scan, read the report,
//! change the scan; with script and without.

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

/// Renames the scan, copies it, takes it out of use and back.
async fn change(browser: &Browser, mesh: &Mesh) {
    browser.goto(&format!("{}/scans/1", mesh.dashboard())).await;
    browser.click("//a[normalize-space()='Edit']").await;
    browser.find("//h1[normalize-space()='Edit office']").await;
    browser.fill("name", "works").await;
    browser.click("//button[normalize-space()='Save scan']").await;
    browser.find("//h1[normalize-space()='works']").await;
    browser.click("//button[normalize-space()='Duplicate']").await;
    browser.find("//h1[normalize-space()='Edit works copy']").await;
    browser.goto(&format!("{}/scans/1", mesh.dashboard())).await;
    browser.click("//a[normalize-space()='Deactivate']").await;
    browser.click("//button[normalize-space()='Deactivate scan']").await;
    browser.find("//*[contains(., 'This scan is inactive')]").await;
    browser.click("//button[normalize-space()='Activate']").await;
    browser.find("//button[normalize-space()='Run now']").await;
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
    change(&browser, &mesh).await;
    assert_eq!(browser.console(), Vec::<String>::new());
    let scans = mesh.json(&["scans", "list"]);
    let named = |scan: &serde_json::Value| (scan["name"].clone(), scan["active"].clone());
    let scans: Vec<_> = scans.as_array().unwrap().iter().map(named).collect();
    assert_eq!(scans, [("works".into(), true.into()), ("works copy".into(), true.into())]);
    let seen = mesh.json(&["reports", "show", "1"]);
    assert_eq!((&seen["hosts_up"], &seen["open_ports"]), (&1.into(), &1.into()));
    drop(hosts);
    browser.close().await;
}

#[tokio::test]
async fn a_person_signs_in_approves_a_node_scans_reads_the_report_and_changes_the_scan() {
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
