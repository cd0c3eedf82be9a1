//! What runs found: the report, its history, two runs side by side; alerts, and what is accepted; files to take along.

use super::Guide;
use super::start::numbers;
use crate::harness::Browser;
use std::io::Cursor;

/// Where a line of a kind of changes stands that holds this.
fn line(kind: &str, words: &str) -> String {
    format!("//section[@aria-labelledby='{kind}']//tr[contains(., '{words}')]")
}

pub(super) async fn read_the_report(guide: &Guide) {
    let browser = &guide.browser;
    for words in ["1 host appeared", "1 host vanished", "1 service changed", "since run 1"] {
        browser.find(&format!("//p[@class='lead' and contains(., '{words}')]")).await;
    }
    browser.find(&line("new-host", &guide.host(7))).await;
    browser.find(&line("removed-host", &guide.host(6))).await;
    browser.find(&format!("{}//span[normalize-space()='Critical']", line("critical", "3389/tcp"))).await;
    browser.find(&line("new-port", &guide.host(7))).await;
    browser.find(&line("closed-port", "3306/tcp")).await;
    browser.find(&format!("{}[contains(., '9.6p1')]", line("service-change", "9.2p1"))).await;
    browser.click("//summary[normalize-space()='How the score comes about']").await;
    browser.find("//tr[contains(., '1 new port with a critical rule')]").await;

    browser.choose("kind", "service-change").await;
    browser.push("Show").await;
    browser.find("//p[contains(., '1 shown, 1 of')]").await;
    browser.fill("host", &guide.host(6)).await;
    browser.push("Show").await;
    browser.says("No change matches these filters").await;
    browser.follow("Clear filters").await;
    browser.find(&line("new-host", &guide.host(7))).await;
}

pub(super) async fn read_the_history_and_compare(guide: &Guide) {
    let browser = &guide.browser;
    browser.follow("History").await;
    browser.headline("office").await;
    let newest = "//ol[@class='timeline']/li[1][contains(., 'Critical') and contains(., 'RDP port opened')]";
    browser.find(newest).await;
    browser.find("//ol[@class='timeline']/li[2][contains(., 'First look')]").await;
    browser.follow("Compare runs").await;
    browser.headline("Compare runs").await;
    browser.choose("from", "1").await;
    browser.choose("to", "2").await;
    browser.push("Compare").await;
    browser.says("changes from run 1 to run 2.").await;
    browser
        .find("//table[contains(@class, 'compared')]//tr[contains(., '3389/tcp') and contains(., 'Critical')]")
        .await;
    browser.follow("Swap the runs").await;
    browser.says("changes from run 2 to run 1.").await;
}

pub(super) async fn read_the_overview(guide: &Guide) {
    let browser = &guide.browser;
    browser.follow("Reports").await;
    browser.headline("Reports").await;
    browser.find("//article[contains(., 'office') and contains(., 'Critical')]").await;
    browser.choose("status", "stable").await;
    browser.push("Show").await;
    browser.says("No network matches these filters").await;
    browser.follow("Clear filters").await;
    browser.says("1 of 1 network").await;

    browser.follow("Overview").await;
    browser.find("//section[@aria-labelledby='attention']//a[contains(., 'RDP on')]").await;
    let [nodes, runs, changed, alerts] = numbers(browser).await;
    assert_eq!((nodes.as_str(), runs.as_str(), changed.as_str()), ("1", "2", "1"));
    browser.click("//a[contains(@class, 'tile')][contains(., 'open alerts')]").await;
    browser.headline("Alerts").await;
    browser.find(&format!("//p[contains(., '{alerts} shown, {alerts} of')]")).await;
}

pub(super) async fn decide_about_alerts(guide: &Guide) {
    let browser = &guide.browser;
    browser.fill("port", "3389").await;
    browser.push("Show").await;
    browser.find("//p[contains(., '1 shown, 1 of')]").await;
    browser.click("//a[contains(@class, 'chip') and contains(., 'Port')]").await;
    browser.find("//tr[contains(., 'Service change')]").await;
    browser.push("Ignore").await;
    browser.find("//*[@id='faults' and contains(., 'Tick the alerts that are meant')]").await;
    browser.click("//tr[contains(., 'RDP')]//input[@name='id']").await;
    browser.fill("comment", "ticket 7").await;
    browser.push("Mark actioned").await;
    browser.says("1 alert marked actioned.").await;
    browser.choose("state", "actioned").await;
    browser.push("Show").await;
    browser.find("//tr[contains(., 'RDP') and contains(., 'actioned')]").await;

    browser.follow("RDP").await;
    browser.headline(&format!("RDP on {}", guide.host(5))).await;
    browser.find("//dd[contains(., 'The rule RDP says that an open 3389/tcp is critical.')]").await;
    browser.find("//li[contains(., 'Marked actioned.') and contains(., 'ada')]//p[normalize-space()='ticket 7']").await;
    browser.push("Reopen").await;
    browser.says("1 alert reopened.").await;
    browser.fill("comment", "known to the team").await;
    browser.push("Ignore").await;
    browser.says("1 alert ignored.").await;
    browser.find("//li[contains(., 'Ignored.')]//p[normalize-space()='known to the team']").await;
    browser.push("Reopen").await;
    browser.says("1 alert reopened.").await;
    decide_about_many(guide).await;
}

async fn decide_about_many(guide: &Guide) {
    let browser = &guide.browser;
    guide.open("/alerts?severity=low").await;
    browser.click("//input[@name='all']").await;
    browser.push("Ignore").await;
    browser.find("//*[@role='status' and contains(., ' ignored.')]").await;
    browser.find("//a[contains(@class, 'chip') and contains(., 'Low')]").await;
    guide.open("/alerts?state=ignored").await;
    browser.click("//input[@name='all']").await;
    browser.push("Reopen").await;
    browser.find("//*[@role='status' and contains(., ' reopened.')]").await;
}

async fn score(browser: &Browser) -> u8 {
    let gauge = browser.find("//*[name()='svg' and starts-with(@aria-label, 'Score ')]").await;
    let words = gauge.attr("aria-label").await.unwrap().unwrap();
    words.split(' ').nth(1).unwrap().parse().unwrap()
}

pub(super) async fn accept_a_change(guide: &Guide) {
    let browser = &guide.browser;
    guide.open("/reports/2").await;
    let (before, changed) = (score(browser).await, line("service-change", "9.6p1"));
    browser.fill("comment", "planned").await;
    browser.click(&format!("{changed}//button[contains(., 'Accept')]")).await;
    browser.says("1 change accepted as expected.").await;
    browser.find(&format!("{changed}[contains(., 'accepted by ada') and contains(., 'planned')]")).await;
    assert!(score(browser).await > before, "what is accepted costs nothing");
    browser.click(&format!("{changed}//button[normalize-space()='Undo']")).await;
    browser.says("1 change not accepted any more.").await;
    assert_eq!(score(browser).await, before);
}

pub(super) async fn export(guide: &Guide) {
    let browser = &guide.browser;
    let (name, table) = browser.download("//a[@aria-label='Export as CSV']").await;
    assert_eq!(name, "portdrift-office-report-2.csv");
    let rows: Vec<csv::StringRecord> =
        csv::Reader::from_reader(table.as_slice()).records().map(Result::unwrap).collect();
    assert!(rows.iter().any(|row| row.iter().any(|cell| cell == "3389")), "{rows:?}");
    let (name, document) = browser.download("//a[@aria-label='Export as JSON']").await;
    assert_eq!(name, "portdrift-office-report-2.json");
    let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert_eq!((&document["report"], &document["network"]["name"]), (&2.into(), &"office".into()));
    let (name, document) = browser.download("//a[@aria-label='Export as nmap XML']").await;
    assert_eq!(name, "portdrift-office-report-2.xml");
    assert!(String::from_utf8(document).unwrap().contains("<nmaprun "));

    browser.follow("History").await;
    let (name, archive) = browser.download("//a[normalize-space()='Export all']").await;
    assert!(name.ends_with(".zip"), "{name}");
    let archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let names: Vec<_> = archive.file_names().map(Result::unwrap).collect();
    for wanted in ["index.csv", "report-1.json", "report-2.csv"] {
        assert!(names.iter().any(|name| name.ends_with(wanted)), "{wanted} is not among {names:?}");
    }
}
