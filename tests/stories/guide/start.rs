//! Signing in, the empty dashboard, and letting nodes in, hiding them, throwing them out.

use super::Guide;
use crate::harness::{Browser, PASSWORD};

/// What is typed where a name and a password are asked for.
pub(super) async fn give(browser: &Browser, name: &str, password: &str) {
    browser.fill("name", name).await;
    browser.fill("password", password).await;
    browser.push("Sign in").await;
}

/// The four numbers of the overview, in their order.
pub(super) async fn numbers(browser: &Browser) -> [String; 4] {
    let mut numbers = Vec::new();
    for word in ["nodes online", "runs in 24 h", "networks with changes", "open alerts"] {
        numbers.push(browser.words(&format!("//a[contains(@class, 'tile')][contains(., '{word}')]/strong")).await);
    }
    numbers.try_into().unwrap()
}

pub(super) async fn sign_in(guide: &Guide) {
    let browser = &guide.browser;
    guide.open("/hosts").await;
    browser.headline("Sign in").await;
    give(browser, "ada", "a guess").await;
    browser.find("//*[@id='faults' and contains(., 'Name and password do not belong together')]").await;
    give(browser, "ada", PASSWORD).await;
    // Where one wanted to go before.
    browser.headline("Hosts").await;
    browser.says("No data yet").await;
}

pub(super) async fn see_that_there_is_nothing_yet(guide: &Guide) {
    let browser = &guide.browser;
    browser.follow("Overview").await;
    browser.headline("Overview").await;
    assert_eq!(numbers(browser).await, ["0", "0", "0", "0"]);
    browser.says("Nothing waits for you.").await;
    browser.says("No network is watched yet").await;
    browser.follow("Go to nodes").await;
    browser.headline("Nodes").await;
    browser.says("No node yet").await;
}

/// With the command that the page gives.
pub(super) async fn add_a_node(guide: &mut Guide) {
    let browser = &guide.browser;
    browser.follow("Add the first node").await;
    browser.headline("Add node").await;
    browser.push("Create invite").await;
    browser.says("It is shown only now.").await;
    let command = browser.words("//pre[@class='command']/code").await;
    let invite = command.strip_prefix("portdrift node run --join ").unwrap();
    guide.mesh.start_node_with("first", invite);
    guide.mesh.nodes[0].line("waiting for approval");
}

pub(super) async fn approve_it(guide: &Guide) {
    let browser = &guide.browser;
    let fingerprint = guide.mesh.nodes[0].line("this node is ");
    let fingerprint = fingerprint.split("this node is ").nth(1).unwrap().trim();
    guide.open("/").await;
    browser.follow("first asks to be let in").await;
    browser.find(&format!("//p[@class='fingerprint' and normalize-space()='{fingerprint}']")).await;
    browser.click("//summary[normalize-space()='Approve']").await;
    browser.fill("label", "first-floor").await;
    browser.fill("ranges", "the office").await;
    browser.push("Approve node").await;
    browser.find("//*[@id='faults' and contains(., 'The node was not approved')]").await;
    browser.find("//input[@name='label' and @value='first-floor']").await;
    browser.fill("ranges", &format!("{}.0/28", guide.net)).await;
    browser.push("Approve node").await;
    guide.mesh.nodes[0].line("connected to the coordinator");
    browser.find("//tr[contains(., 'first-floor')]//span[normalize-space()='online']").await;

    browser.follow("first-floor").await;
    browser.headline("first-floor").await;
    browser.find(&format!("//p[@class='fingerprint' and normalize-space()='{fingerprint}']")).await;
    browser.find("//dd[contains(., 'by ada')]").await;
    browser.fill("site", "main").await;
    browser.push("Save terms").await;
    browser.headline("first-floor").await;
}

pub(super) async fn turn_a_stranger_away(guide: &mut Guide) {
    guide.mesh.start_node("stranger");
    guide.mesh.nodes[1].line("waiting for approval");
    let browser = &guide.browser;
    guide.open("/nodes").await;
    browser.click("//summary[normalize-space()='Deny']").await;
    browser.fill("reason", "not ours").await;
    browser.push("Deny node").await;
    browser.find("//tr[contains(., 'stranger') and contains(., 'denied') and contains(., 'not ours (ada)')]").await;
}

pub(super) async fn hide_and_revoke_a_node(guide: &mut Guide) {
    let ranges = format!("{}.64/30", guide.net);
    guide.mesh.add_node("spare", &ranges);
    let browser = &guide.browser;
    guide.open("/nodes").await;
    browser.push("Hide").await;
    browser.says("Tick the nodes that are meant first.").await;
    browser.click("//tr[contains(., 'spare')]//input[@name='node']").await;
    browser.push("Hide").await;
    browser.headline("Hide spare?").await;
    browser.push("Hide spare").await;
    browser.says("Spare is hidden.").await;
    browser.follow("Show hidden nodes").await;
    browser.click("//tr[contains(., 'spare')]//input[@name='node']").await;
    browser.push("Show again").await;
    browser.push("Show again spare").await;
    browser.says("Spare is shown again.").await;

    browser.follow("spare").await;
    browser.headline("spare").await;
    browser.follow("Revoke").await;
    browser.headline("Revoke spare?").await;
    browser.push("Revoke spare").await;
    browser.find("//*[@id='faults' and contains(., 'Nothing was done yet')]").await;
    browser.fill("reason", "sold").await;
    browser.push("Revoke spare").await;
    browser.says("Spare is revoked.").await;
    browser.find("//tr[contains(., 'spare') and contains(., 'revoked') and contains(., 'sold (ada)')]").await;
}

pub(super) async fn look_at_the_mesh(guide: &Guide) {
    let browser = &guide.browser;
    browser.follow("See how they are linked").await;
    browser.headline("Mesh").await;
    browser.find("//*[name()='svg' and @role='img']").await;
    let row = "//section[@aria-labelledby='members']//tr[contains(., 'first-floor') and contains(., 'directly')]";
    browser.find(row).await;
}
