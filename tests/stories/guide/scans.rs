//! Making a scan, running it and watching that, giving it a schedule, stopping a run.

use super::Guide;
use crate::harness::Script;

pub(super) async fn create(guide: &Guide) {
    let browser = &guide.browser;
    browser.follow("Scans").await;
    browser.says("No active scan").await;
    browser.follow("New scan").await;
    browser.headline("New scan").await;
    browser.fill("name", "office").await;
    browser.fill("description", "The desks at the front").await;
    browser.fill("targets", "printer.example").await;
    browser.fill("ports", "2222,3306,3389,8080").await;
    browser.fill("args", "-sV").await;
    browser.push("Save scan").await;
    browser.find("//*[@id='faults' and contains(., 'The scan was not saved')]").await;
    browser.find("//textarea[@name='targets' and @aria-invalid='true' and contains(., 'printer.example')]").await;
    browser.fill("targets", &format!("{}.4/30", guide.net)).await;
    if guide.script == Script::On {
        browser.find("//*[@id='check' and contains(., 'Approved nodes cover all of them')]").await;
    }
    browser.push("Save scan").await;
    browser.headline("office").await;
    browser.says("The desks at the front").await;
    browser.says("4 addresses").await;
    browser.says("Not run yet").await;
}

pub(super) async fn run_and_watch(guide: &Guide) {
    let browser = &guide.browser;
    browser.push("Run now").await;
    browser.headline("Run 1").await;
    browser.find("//p[contains(., 'office') and contains(., 'started by ada')]").await;
    browser.find("//h2[normalize-space()='Progress']").await;
    browser.find("//progress[@aria-label='Addresses settled']").await;
    browser.find("//section[@aria-labelledby='nodes']//tr[contains(., 'first-floor')]").await;
    browser.find("//section[@aria-labelledby='tasks']//tr[contains(., 'first-floor')]").await;
    // The same page tells the end, by itself with script.
    browser.find("//h2[normalize-space()='Result']").await;
    browser.find("//section[@aria-labelledby='progress']//span[normalize-space()='completed']").await;
    browser.find(&format!("//section[@aria-labelledby='hosts']//tr[contains(., '{}')]", guide.host(6))).await;
    browser.follow("View report").await;
    browser.headline("Report 1").await;
    browser.find("//p[contains(., 'First look: 2 hosts with 4 open ports, coverage 100')]").await;
    browser.says("This is the baseline").await;
}

pub(super) async fn run_again(guide: &Guide) {
    let browser = &guide.browser;
    browser.push("Run again now").await;
    browser.headline("Run 2").await;
    browser.follow("View report").await;
    browser.headline("Report 2").await;
}

pub(super) async fn schedule(guide: &Guide) {
    let browser = &guide.browser;
    guide.open("/scans/1").await;
    browser.follow("Edit").await;
    browser.headline("Edit office").await;
    browser.click("//input[@name='repeat' and @value='interval']").await;
    browser.fill("interval", "1440").await;
    let scheduled = browser.find("//input[@name='scheduled']").await;
    if !scheduled.is_selected().await.unwrap() {
        scheduled.click().await.unwrap();
    }
    browser.push("Save scan").await;
    browser.headline("office").await;
    browser.find("//section[@aria-labelledby='schedule']//dd[normalize-space()='daily']").await;
    browser.push("Switch schedule off").await;
    browser.says("schedule is off").await;
    browser.push("Switch schedule on").await;
    browser.find("//button[normalize-space()='Switch schedule off']").await;

    browser.follow("Scans").await;
    browser.follow("Schedule").await;
    browser.headline("Schedule").await;
    browser.find("//tr[contains(., 'office') and contains(., 'held')]").await;
    browser.push("Read anew from the store").await;
    browser.says("None had differed from the store.").await;
}

pub(super) async fn stop_a_run(guide: &Guide) {
    let browser = &guide.browser;
    guide.open("/scans/1").await;
    browser.push("Run now").await;
    browser.headline("Run 3").await;
    browser.push("Stop run").await;
    browser.find("//section[@aria-labelledby='progress']//span[normalize-space()='cancelled']").await;
    browser.follow("office").await;
    browser.find("//section[@aria-labelledby='runs']//tr[contains(., 'cancelled')]").await;
}
