//! Hosts, searching, the audit log and keys in a real browser, with script and without; and what the command line says.

use super::dashboard::sign_in;
use crate::harness::{Browser, Hosts, Mesh, Script, own_net, stdout_of, told};

const SSH: &str = "SSH-2.0-OpenSSH_9.2p1\r\n";

/// A network, `office`, in which 3389 opened after the first run.
fn office(net: &str) -> (Mesh, Hosts, String) {
    let (mut mesh, mut hosts) = (Mesh::start(), Hosts::default());
    let (targets, host) = (format!("{net}.4/30"), format!("{net}.5"));
    mesh.add_node("one", &targets);
    mesh.json(&["scans", "create", "office", "--targets", &targets, "--ports", "2222,3389", "--args=-sV"]);
    hosts.open(&host, 2222, SSH);
    mesh.json(&["scans", "run", "office", "--wait"]);
    hosts.open(&host, 3389, SSH);
    mesh.json(&["scans", "run", "office", "--wait"]);
    (mesh, hosts, host)
}

async fn look_at_hosts(browser: &Browser, mesh: &Mesh, host: &str) {
    browser.goto(&format!("{}/hosts", mesh.dashboard())).await;
    browser.fill("port", "3389").await;
    browser.click("//button[normalize-space()='Show']").await;
    browser.find("//a[contains(@class, 'chip') and contains(., 'Port')]").await;
    browser.click(&format!("//a[normalize-space()='{host}']")).await;
    browser.find(&format!("//h1[normalize-space()='{host}']")).await;
    browser.find("//tr[contains(., '3389/tcp')]//*[@aria-label='Open in run 2; not open in run 1']").await;
    browser.click("//a[normalize-space()='2222/tcp']").await;
    browser.find("//h1[normalize-space()='Port 2222/tcp']").await;
    browser.goto(&format!("{}/services", mesh.dashboard())).await;
    browser.find("//tr[contains(., '2222/tcp') and contains(., 'ssh')]").await;
}

async fn search(browser: &Browser, host: &str) {
    browser.fill("q", &format!("{host}\n")).await;
    browser.find(&format!("//h1[normalize-space()='{host}']")).await;
    browser.fill("q", "port:3389 NOT network:lab\n").await;
    browser.find("//h2[contains(., 'Hosts')]").await;
    browser.find("//h2[contains(., 'Alerts')]").await;
    browser.fill("q", "colour:red\n").await;
    browser.find("//*[@id='q-fault' and contains(., 'the fields are address')]").await;
}

async fn read_the_audit_log(browser: &Browser, mesh: &Mesh) {
    browser.goto(&format!("{}/settings", mesh.dashboard())).await;
    browser.click("//nav[@aria-label='Settings']//a[normalize-space()='Audit log']").await;
    browser.fill("action", "session").await;
    browser.click("//button[normalize-space()='Show']").await;
    browser.find("//tr[contains(., 'session open') and contains(., '127.0.0.1')]").await;
    browser.goto(&format!("{}/help", mesh.dashboard())).await;
    browser.find("//h3[normalize-space()='A scan does not run']").await;
}

fn read_hosts_on_the_command_line(mesh: &Mesh, host: &str) {
    let id = format!("1-{host}");
    let listed = mesh.json(&["hosts", "list", "--scan", "office", "--port", "3389", "--alerted"]);
    assert_eq!((&listed[0]["id"], &listed[0]["worst"]), (&id.as_str().into(), &"critical".into()), "{listed:#}");
    assert_eq!(mesh.json(&["hosts", "list", "--port", "443"]), serde_json::json!([]));
    let shown = stdout_of(&mut mesh.command(&["hosts", "show", &id]));
    let line = shown.lines().find(|line| line.starts_with("3389/tcp")).unwrap();
    assert!(line.ends_with("-o") && shown.contains("looks are runs 1 2"), "{shown}");
    let unknown = mesh.output(&["hosts", "show", "9-192.0.2.7"]);
    assert_eq!(unknown.status.code(), Some(3), "{}", told(&unknown));
}

async fn story(script: Script, net: &str) {
    let Some(browser) = Browser::open(script).await else { return };
    let (mesh, hosts, host) = office(net);
    read_hosts_on_the_command_line(&mesh, &host);
    sign_in(&browser, &mesh).await;
    look_at_hosts(&browser, &mesh, &host).await;
    search(&browser, &host).await;
    read_the_audit_log(&browser, &mesh).await;
    assert_eq!(browser.console(), Vec::<String>::new());
    drop(hosts);
    browser.close().await;
}

#[tokio::test]
async fn a_person_finds_a_host_its_history_and_who_did_what() {
    story(Script::On, &own_net(150)).await;
}

#[tokio::test]
async fn a_person_without_javascript_finds_the_same() {
    story(Script::Off, &own_net(151)).await;
}

#[tokio::test]
async fn keys_lead_through_pages_and_rows_unless_they_are_off() {
    let Some(browser) = Browser::open(Script::On).await else { return };
    let (mesh, hosts, host) = office(&own_net(152));
    sign_in(&browser, &mesh).await;
    browser.press("gh").await;
    browser.find("//h1[normalize-space()='Hosts']").await;
    browser.press("j").await;
    browser.find("//tr[contains(@class, 'here')]").await;
    browser.press("\n").await;
    browser.find(&format!("//h1[normalize-space()='{host}']")).await;
    browser.press("ga").await;
    browser.find("//h1[normalize-space()='Alerts']").await;
    browser.press("jx").await;
    browser.find("//tr[contains(@class, 'here')]//input[@name='id' and not(@disabled)]").await;
    assert_eq!(browser.value_of("return document.querySelectorAll('input[name=id]:checked').length").await, 1);
    browser.press("/ga").await;
    assert_eq!(browser.value_of("return document.querySelector('#find').value").await, "ga", "keys sleep in fields");
    browser.goto(&format!("{}/help", mesh.dashboard())).await;
    browser.click("//input[@id='keys-on']").await;
    browser.press("gh").await;
    browser.goto(&format!("{}/alerts", mesh.dashboard())).await;
    browser.press("j").await;
    assert_eq!(browser.value_of("return document.querySelectorAll('.here').length").await, 0, "keys are off");
    assert_eq!(browser.console(), Vec::<String>::new());
    drop(hosts);
    browser.close().await;
}

#[tokio::test]
async fn counts_of_the_navigation_follow_without_loading_the_page() {
    let Some(browser) = Browser::open(Script::On).await else { return };
    let (mesh, hosts, _host) = office(&own_net(153));
    sign_in(&browser, &mesh).await;
    browser.goto(&format!("{}/help", mesh.dashboard())).await;
    let open = |count: usize| format!("//nav[@id='navigation']//a[contains(., 'Alerts')]/*[starts-with(., '{count}')]");
    browser.find("//*[@id='live' and @data-state='on']").await;
    browser.find(&open(1)).await;
    mesh.json(&["alerts", "ignore", "--all-matching"]);
    browser.find("//nav[@id='navigation']//a[contains(., 'Alerts') and not(contains(., 'open'))]").await;
    assert_eq!(browser.console(), Vec::<String>::new());
    drop(hosts);
    browser.close().await;
}

#[test]
fn the_command_line_reads_the_audit_log() {
    let mesh = Mesh::start();
    mesh.json(&["rules", "set", "8080/tcp", "--name", "Admin", "--severity", "high"]);
    let listed = mesh.json(&["audit", "list", "--action", "rule"]);
    assert_eq!((&listed[0]["action"], &listed[0]["from"]), (&"rule set".into(), &"local socket".into()), "{listed:#}");
    let table = stdout_of(&mut mesh.command(&["audit", "list", "--search", "8080"]));
    assert!(table.contains("NUMBER") && table.contains("rule set"), "{table}");
    assert_eq!(mesh.json(&["audit", "list", "--actor", "nobody"]), serde_json::json!([]));
}
