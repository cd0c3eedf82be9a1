//! Alerts, reports and comparisons in a real browser: found, decided about, accepted as expected, compared.

use super::dashboard::sign_in;
use crate::harness::{Browser, Hosts, Mesh, Script, own_net};

const SSH: &str = "SSH-2.0-OpenSSH_9.2p1\r\n";

/// A mesh whose network `office` ran three times: 2222 opened after the first run, 3389 after the second.
fn office(net: &str) -> (Mesh, Hosts) {
    let (mut mesh, mut hosts) = (Mesh::start(), Hosts::default());
    let (targets, host) = (format!("{net}.4/30"), format!("{net}.5"));
    mesh.add_node("one", &targets);
    mesh.json(&["scans", "create", "office", "--targets", &targets, "--ports", "2222,3306,3389", "--args=-sV"]);
    hosts.open(&host, 3306, SSH);
    for port in [2222, 3389] {
        let ended = mesh.json(&["scans", "run", "office", "--wait"]);
        assert_eq!(ended["run"]["state"], "completed", "{ended:#}");
        hosts.open(&host, port, SSH);
    }
    mesh.json(&["scans", "run", "office", "--wait"]);
    (mesh, hosts)
}

async fn decide_about_an_alert(browser: &Browser, mesh: &Mesh) {
    browser.goto(&format!("{}/alerts", mesh.dashboard())).await;
    browser.fill("port", "3389").await;
    browser.click("//button[normalize-space()='Show']").await;
    browser.find("//p[contains(., '1 shown, 1 of')]").await;
    browser.click("//a[contains(@class, 'chip') and contains(., 'Port')]").await;
    browser.click("//tr[contains(., 'MySQL')]//input[@name='id']").await;
    browser.fill("comment", "ticket 7").await;
    browser.click("//button[normalize-space()='Mark actioned']").await;
    browser.find("//p[normalize-space()='1 alert marked actioned.']").await;
    browser.click("//a[normalize-space()='MySQL']").await;
    browser.find("//p[normalize-space()='ticket 7']").await;
    browser.click("//button[normalize-space()='Reopen']").await;
    browser.find("//p[normalize-space()='1 alert reopened.']").await;
}

async fn accept_a_change(browser: &Browser, mesh: &Mesh) -> (String, String) {
    let score = async || {
        let gauge = browser.find("//*[name()='svg' and starts-with(@aria-label, 'Score ')]").await;
        let words = gauge.attr("aria-label").await.unwrap().unwrap();
        words.split(' ').nth(1).unwrap().to_owned()
    };
    browser.goto(&format!("{}/reports/3", mesh.dashboard())).await;
    let before = score().await;
    browser.fill("comment", "planned").await;
    browser.click("//tr[contains(., '3389/tcp')]//button[contains(., 'Accept')]").await;
    browser.find("//p[contains(., '1 change accepted as expected.')]").await;
    browser.find("//small[contains(., 'accepted by ada') and contains(., 'planned')]").await;
    (before, score().await)
}

async fn story(script: Script, net: &str) {
    let Some(browser) = Browser::open(script).await else { return };
    let (mesh, hosts) = office(net);
    sign_in(&browser, &mesh).await;
    decide_about_an_alert(&browser, &mesh).await;
    let (before, after) = accept_a_change(&browser, &mesh).await;
    assert_ne!(before, after, "an accepted change costs nothing");
    let report = mesh.json(&["reports", "show", "3"]);
    assert_eq!(report["score"]["value"].to_string(), after);
    assert_eq!(report["accepted"], 1, "{report:#}");

    browser.goto(&format!("{}/compare?network=1", mesh.dashboard())).await;
    browser.click("//select[@name='from']/option[@value='1']").await;
    browser.click("//button[normalize-space()='Compare']").await;
    browser.find("//p[normalize-space()='2 changes from run 1 to run 3.']").await;
    browser.click("//a[normalize-space()='Swap the runs']").await;
    browser.find("//p[normalize-space()='2 changes from run 3 to run 1.']").await;
    assert_eq!(browser.console(), Vec::<String>::new());
    drop(hosts);
    browser.close().await;
}

#[tokio::test]
async fn a_person_decides_about_alerts_accepts_a_change_and_compares_runs() {
    story(Script::On, &own_net(101)).await;
}

#[tokio::test]
async fn all_of_that_works_without_javascript() {
    story(Script::Off, &own_net(102)).await;
}
